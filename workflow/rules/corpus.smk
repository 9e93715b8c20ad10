# From a census to training shards: the store is read twice in contiguous ranges, once to judge and once to copy.
from scfm.corpus.settings import ScanSettings, ScatterSettings, SelectSettings

PARTS = [f"{part:04d}" for part in range(STUDY.corpus.parts)]
SOURCE = STUDY.corpus.source
LOCAL = SOURCE.kind in ("synthetic", "files")


rule synthesize:
    output:
        cells=[CORPUS / "synthetic" / f"{name}.h5ad" for name in [*SYNTHETIC_CELLS, "synthetic_holdout"]],
        annotation=[CORPUS / "synthetic" / "annotation" / file for file in SYNTHETIC_ANNOTATION.values()],
        truth=CORPUS / "synthetic" / "truth.parquet",
    log:
        LOGS / "corpus" / "synthesize.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "synthesize.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=as_json(SOURCE),
        out=CORPUS / "synthetic",
        code=code("scfm.corpus.commands:synthesize"),
    shell:
        "python -m scfm corpus synthesize --settings {params.settings:q} --out {params.out} 2>&1 | tee {log}"


rule build:
    input:
        corpus_deposits(),
    output:
        directory(CORPUS / "soma"),
    log:
        LOGS / "corpus" / "build.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "build.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=build_settings(),
        code=code("scfm.corpus.commands:build"),
    shell:
        "python -m scfm corpus build {input} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule scan:
    input:
        soma=CORPUS / "soma" if LOCAL else [],
    output:
        directory(CORPUS / "scan" / "part-{part}"),
    log:
        LOGS / "corpus" / "scan-{part}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "scan-{part}.tsv"
    retries: None if LOCAL else 2
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=4000 if LOCAL else 16000,
        runtime=240,
    params:
        settings=corpus_settings(ScanSettings),
        soma=f"--soma {CORPUS / 'soma'}" if LOCAL else "",
        parts=len(PARTS),
        code=code("scfm.corpus.commands:scan"),
    shell:
        "python -m scfm corpus scan --settings {params.settings:q} {params.soma} --part $((10#{wildcards.part}))"
        " --parts {params.parts} --out {output} 2>&1 | tee {log}"


rule select:
    input:
        parts=expand(CORPUS / "scan" / "part-{part}", part=PARTS),
        hgnc=resource("hgnc"),
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
    log:
        LOGS / "corpus" / "select.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "select.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=64000 if PAPER_SCALE else 4000,
        runtime=120,
    params:
        settings=corpus_settings(SelectSettings),
        out=CORPUS / "selection",
        code=code("scfm.corpus.commands:select"),
    shell:
        "python -m scfm corpus select {input.parts} --settings {params.settings:q} --hgnc {input.hgnc} --out {params.out}"
        " 2>&1 | tee {log}"


rule scatter_part:
    input:
        soma=CORPUS / "soma" if LOCAL else [],
        selection=CORPUS / "selection" / "cells.parquet",
    output:
        temp(directory(CORPUS / "scatter" / "part-{part}")),
    log:
        LOGS / "corpus" / "scatter-{part}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "scatter-{part}.tsv"
    retries: None if LOCAL else 2
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=4000 if LOCAL else 16000,
        runtime=240,
    params:
        settings=corpus_settings(ScatterSettings),
        soma=f"--soma {CORPUS / 'soma'}" if LOCAL else "",
        selection=CORPUS / "selection",
        parts=len(PARTS),
        code=code("scfm.corpus.commands:scatter"),
    shell:
        "python -m scfm corpus scatter --settings {params.settings:q} {params.soma} --selection {params.selection}"
        " --part $((10#{wildcards.part})) --parts {params.parts} --out {output} 2>&1 | tee {log}"


rule gather_shards:
    input:
        parts=expand(CORPUS / "scatter" / "part-{part}", part=PARTS),
        selection=CORPUS / "selection" / "cells.parquet",
    output:
        CORPUS / "shards" / "manifest.json",
    log:
        LOGS / "corpus" / "gather.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "gather.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=32000 if PAPER_SCALE else 4000,
        runtime=240,
    params:
        selection=CORPUS / "selection",
        out=CORPUS / "shards",
        code=code("scfm.corpus.commands:gather"),
    shell:
        "python -m scfm corpus gather {input.parts} --selection {params.selection} --out {params.out} 2>&1 | tee {log}"
