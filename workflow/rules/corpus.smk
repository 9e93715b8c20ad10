# From a census to training shards: the store is read twice in contiguous ranges, once to judge and once to copy.
from scfm.corpus.settings import ScanSettings, ScatterSettings, SelectSettings, SourceSettings

PARTS = [f"{part:04d}" for part in range(STUDY.corpus.parts)]
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
        settings=deposit_rows() if LOCAL else "",
        code=code("scfm.corpus.commands:build"),
    shell:
        "python -m scfm corpus build {input} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule convert:
    input:
        lambda w: deposit(w.deposit),
    output:
        CORPUS / "deposits" / "{deposit}.h5ad",
    log:
        LOGS / "corpus" / "convert-{deposit}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "convert-{deposit}.tsv"
    wildcard_constraints:
        deposit="|".join(STUDY.named("pretrain")) or "none",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        code=code("scfm.corpus.commands:convert"),
    shell:
        "python -m scfm corpus convert {input} --out {output} 2>&1 | tee {log}"


rule scan:
    input:
        **store(),
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
        mem_mb=4000 if LOCAL else 8000,
        runtime=240,
    params:
        settings=corpus_settings(ScanSettings),
        store=lambda w, input: store_options(input),
        parts=len(PARTS),
        code=code("scfm.corpus.commands:scan"),
    shell:
        "python -m scfm corpus scan --settings {params.settings:q} {params.store} --part $((10#{wildcards.part}))"
        " --parts {params.parts} --out {output} 2>&1 | tee {log}"


rule select:
    input:
        parts=expand(CORPUS / "scan" / "part-{part}", part=PARTS),
        hgnc=resource("hgnc"),
        orthologs=[resource(name) for name in ortholog_resources().values()],
        joinids=STUDY.corpus.joinids or [],
    output:
        [
            CORPUS / "selection" / file
            for file in (
                "cells.parquet",
                "genes.parquet",
                "features.parquet",
                "gene_names.csv",
                "gene_name_counts.csv",
                "measured.npz",
                "qc.csv",
                "qc_quantiles.csv",
                "qc_histograms.csv",
                "composition.csv",
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
        mem_mb=48000 if PAPER_SCALE else 4000,
        runtime=120,
    params:
        settings=corpus_settings(SelectSettings),
        orthologs=[f"--orthologs {species}={resource(name)}" for species, name in ortholog_resources().items()],
        out=CORPUS / "selection",
        code=code("scfm.corpus.commands:select"),
    shell:
        "python -m scfm corpus select {input.parts} --settings {params.settings:q} --hgnc {input.hgnc}"
        " {params.orthologs} --out {params.out} 2>&1 | tee {log}"


rule scatter_part:
    input:
        **store(),
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
        mem_mb=4000 if LOCAL else 8000,
        runtime=240,
    params:
        settings=corpus_settings(ScatterSettings),
        store=lambda w, input: store_options(input),
        selection=CORPUS / "selection",
        parts=len(PARTS),
        code=code("scfm.corpus.commands:scatter"),
    shell:
        "python -m scfm corpus scatter --settings {params.settings:q} {params.store} --selection {params.selection}"
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
        mem_mb=16000 if PAPER_SCALE else 4000,
        runtime=240,
    params:
        selection=CORPUS / "selection",
        out=CORPUS / "shards",
        code=code("scfm.corpus.commands:gather"),
    shell:
        "python -m scfm corpus gather {input.parts} --selection {params.selection} --out {params.out} 2>&1 | tee {log}"


# The cells as written, once more: nothing stands on both sides of the split.
rule check_split:
    input:
        selection=CORPUS / "selection" / "cells.parquet",
        shards=CORPUS / "shards" / "manifest.json",
    output:
        CORPUS / "crossing.csv",
    log:
        LOGS / "corpus" / "check.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "check.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=16000 if PAPER_SCALE else 2000,
        runtime=30,
    params:
        selection=CORPUS / "selection",
        shards=CORPUS / "shards",
        code=code("scfm.corpus.commands:check"),
    shell:
        "python -m scfm corpus check --selection {params.selection} --shards {params.shards} --out {output}"
        " 2>&1 | tee {log}"


rule corpus_datasets:
    input:
        **store(),
    output:
        CORPUS / "datasets.csv",
    log:
        LOGS / "corpus" / "datasets.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "datasets.tsv"
    retries: None if LOCAL else 2
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=corpus_settings(SourceSettings),
        store=lambda w, input: store_options(input),
        code=code("scfm.corpus.commands:list_datasets"),
    shell:
        "python -m scfm corpus datasets --settings {params.settings:q} {params.store} --out {output} 2>&1 | tee {log}"


rule corpus_figures:
    input:
        CORPUS / "selection" / "manifest.json",
        CORPUS / "selection" / "composition.csv",
        CORPUS / "selection" / "qc_histograms.csv",
    output:
        sampling=report(
            directory(CORPUS / "figures" / "corpus_sampling"),
            patterns=["{field}.png"],
            category="corpus",
            caption="../report/corpus_sampling.rst",
        ),
        qc=report(
            directory(CORPUS / "figures" / "corpus_qc"),
            patterns=["page-{page}.png"],
            category="corpus",
            caption="../report/corpus_qc.rst",
        ),
    log:
        LOGS / "corpus" / "figures.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "figures.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        selection=CORPUS / "selection",
        dpi=STUDY.paper.dpi,
        code=code("scfm.corpus.commands:figures"),
    shell:
        "python -m scfm corpus figures --selection {params.selection} --out-sampling {output.sampling}"
        " --out-qc {output.qc} --dpi {params.dpi} 2>&1 | tee {log}"
