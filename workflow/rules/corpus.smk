# From a census to training shards: the store is read twice in contiguous ranges, once to judge and once to copy.
from scfm.corpus.settings import BuildSettings, ScanSettings, ScatterSettings, SelectSettings
from scfm.corpus.synthetic import corpus_names, dataset_row

CORPUS = RESULTS / "corpus"
PARTS = [f"{part:04d}" for part in range(STUDY.corpus.parts)]
SOURCE = STUDY.corpus.source
LOCAL = SOURCE.kind in ("synthetic", "files")
SYNTHETIC_CELLS = corpus_names(SOURCE) if STUDY.synthetic else []


def corpus_settings(model):
    """The slice of the corpus settings that one step takes."""
    return as_json({name: STUDY.corpus.model_dump(mode="json")[name] for name in model.model_fields})


def corpus_deposits():
    """h5ad files of the corpus."""
    if STUDY.synthetic:
        return [CORPUS / "synthetic" / f"{name}.h5ad" for name in SYNTHETIC_CELLS]
    return [deposit(name) for name in STUDY.named("pretrain")]


def build_settings():
    rows = map(dataset_row, SYNTHETIC_CELLS) if STUDY.synthetic else (STUDY.sheet[n] for n in STUDY.named("pretrain"))
    return as_json(BuildSettings(datasets=tuple(rows)))


rule synthesize:
    output:
        cells=[CORPUS / "synthetic" / f"{name}.h5ad" for name in [*SYNTHETIC_CELLS, "synthetic_holdout"]],
        annotation=[CORPUS / "synthetic" / "annotation" / file for file in SYNTHETIC_ANNOTATION.values()],
        truth=CORPUS / "synthetic" / "truth.parquet",
    params:
        settings=as_json(SOURCE),
        out=CORPUS / "synthetic",
        code=code("scfm.corpus.synthetic.census"),
    log:
        LOGS / "corpus" / "synthesize.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "synthesize.tsv"
    resources:
        mem_mb=2000,
        runtime=20,
    shell:
        "{SCFM} corpus synthesize --settings {params.settings:q} --out {params.out} 2>&1 | tee {log}"


rule build:
    input:
        corpus_deposits(),
    output:
        directory(CORPUS / "soma"),
    params:
        settings=build_settings(),
        code=code("scfm.corpus.build"),
    log:
        LOGS / "corpus" / "build.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "build.tsv"
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "{SCFM} corpus build {input} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule scan:
    input:
        soma=CORPUS / "soma" if LOCAL else [],
    output:
        temp(directory(CORPUS / "scan" / "part-{part}")),
    params:
        settings=corpus_settings(ScanSettings),
        soma=f"--soma {CORPUS / 'soma'}" if LOCAL else "",
        parts=len(PARTS),
        code=code("scfm.corpus.scan"),
    log:
        LOGS / "corpus" / "scan-{part}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "scan-{part}.tsv"
    retries: 0 if LOCAL else 2
    resources:
        mem_mb=4000 if LOCAL else 16000,
        runtime=240,
    shell:
        "{SCFM} corpus scan --settings {params.settings:q} {params.soma} --part $((10#{wildcards.part}))"
        " --parts {params.parts} --out {output} 2>&1 | tee {log}"


rule select:
    input:
        parts=expand(CORPUS / "scan" / "part-{part}", part=PARTS),
        hgnc=ancient(resource("hgnc")),
    output:
        [
            CORPUS / "selection" / file
            for file in (
                "cells.parquet",
                "genes.parquet",
                "features.parquet",
                "measured.npz",
                "qc.csv",
                "qc_quantiles.csv",
                "split.csv",
                "sampling.csv",
                "manifest.json",
            )
        ],
    params:
        settings=corpus_settings(SelectSettings),
        out=CORPUS / "selection",
        code=code("scfm.corpus.select"),
    log:
        LOGS / "corpus" / "select.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "select.tsv"
    resources:
        mem_mb=64000 if PAPER_SCALE else 4000,
        runtime=120,
    shell:
        "{SCFM} corpus select {input.parts} --settings {params.settings:q} --hgnc {input.hgnc} --out {params.out}"
        " 2>&1 | tee {log}"


rule scatter_part:
    input:
        soma=CORPUS / "soma" if LOCAL else [],
        selection=CORPUS / "selection" / "cells.parquet",
    output:
        temp(directory(CORPUS / "scatter" / "part-{part}")),
    params:
        settings=corpus_settings(ScatterSettings),
        soma=f"--soma {CORPUS / 'soma'}" if LOCAL else "",
        selection=CORPUS / "selection",
        parts=len(PARTS),
        code=code("scfm.corpus.scatter"),
    log:
        LOGS / "corpus" / "scatter-{part}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "scatter-{part}.tsv"
    retries: 0 if LOCAL else 2
    resources:
        mem_mb=4000 if LOCAL else 16000,
        runtime=240,
    shell:
        "{SCFM} corpus scatter --settings {params.settings:q} {params.soma} --selection {params.selection}"
        " --part $((10#{wildcards.part})) --parts {params.parts} --out {output} 2>&1 | tee {log}"


rule gather_shards:
    input:
        parts=expand(CORPUS / "scatter" / "part-{part}", part=PARTS),
        selection=CORPUS / "selection" / "cells.parquet",
    output:
        CORPUS / "shards" / "manifest.json",
    params:
        selection=CORPUS / "selection",
        out=CORPUS / "shards",
        code=code("scfm.corpus.gather"),
    log:
        LOGS / "corpus" / "gather.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "gather.tsv"
    resources:
        mem_mb=32000 if PAPER_SCALE else 4000,
        runtime=240,
    shell:
        "{SCFM} corpus gather {input.parts} --selection {params.selection} --out {params.out} 2>&1 | tee {log}"
