# Datasets in common form; every model embeds all of them in one job; one job per task and model scores them.
BENCHMARKS = RESULTS / "benchmarks"


def prepared(task=None):
    """Prepared datasets, of one task if named."""
    names = STUDY.named("benchmark")
    if task:
        names = [name for name in names if task in (STUDY.use(name).tasks or STUDY.sheet[name].tasks)]
    return [BENCHMARKS / "datasets" / f"{name}.h5ad" for name in names]


def ontology_models():
    """(run, seed) of the models with a label head, if any dataset is labelled with ontology ids."""
    return [(run, seed) for run, seed in models() if STUDY.runs[run].model.heads and prepared("ontology")]


def tidy_files():
    """Every tidy table of the benchmarks."""
    files = [
        BENCHMARKS / task / model / f"{seed}.csv"
        for task in ("integration", "probe")
        for model, seed in embedders()
        if prepared(task)
    ]
    return files + [BENCHMARKS / "ontology" / run / f"{seed}.csv" for run, seed in ontology_models()]


rule prepare:
    input:
        deposit=ancient(lambda w: deposit(w.dataset)),
        hgnc=ancient(resource("hgnc")),
        cell_ontology=ancient(resource("cell_ontology")),
    output:
        BENCHMARKS / "datasets" / "{dataset}.h5ad",
    params:
        settings=lambda w: as_json(STUDY.preparation(w.dataset)),
        code=code("scfm.benchmarks.prepare"),
    log:
        LOGS / "benchmarks" / "prepare" / "{dataset}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "prepare-{dataset}.tsv"
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        "{SCFM} benchmarks prepare --dataset-settings {params.settings:q} --input {input.deposit} --hgnc {input.hgnc}"
        " --cell-ontology {input.cell_ontology} --out {output} 2>&1 | tee {log}"


rule embed:
    input:
        datasets=prepared(),
        model=lambda w: [] if w.model == "pca" else model_folder(w.model, w.seed) / "model.safetensors",
    output:
        BENCHMARKS / "embed" / "{model}" / "{seed}.h5ad",
    params:
        model=lambda w: w.model if w.model == "pca" else model_folder(w.model, w.seed),
        settings=lambda w: as_json(STUDY.benchmarks.pca if w.model == "pca" else {}),
        code=code("scfm.benchmarks.embed", "scfm.benchmarks.embedders", "scfm.model"),
    log:
        LOGS / "benchmarks" / "embed" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "embed-{model}-{seed}.tsv"
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1 if GPUS else 0,
    shell:
        "{SCFM} benchmarks embed {input.datasets} --model {params.model} --run {wildcards.model}"
        " --seed {wildcards.seed} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule integration:
    input:
        rules.embed.output,
    output:
        BENCHMARKS / "integration" / "{model}" / "{seed}.csv",
    params:
        settings=as_json(STUDY.benchmarks.integration),
        code=code("scfm.benchmarks.integration"),
    log:
        LOGS / "benchmarks" / "integration" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "integration-{model}-{seed}.tsv"
    resources:
        mem_mb=4000,
        runtime=120,
    shell:
        "{SCFM} benchmarks integration --embeddings {input} --study {STUDY.name} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


rule probe:
    input:
        rules.embed.output,
    output:
        BENCHMARKS / "probe" / "{model}" / "{seed}.csv",
    params:
        settings=as_json(STUDY.benchmarks.probe),
        code=code("scfm.benchmarks.probe"),
    log:
        LOGS / "benchmarks" / "probe" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "probe-{model}-{seed}.tsv"
    resources:
        mem_mb=4000,
        runtime=240,
    shell:
        "{SCFM} benchmarks probe --embeddings {input} --study {STUDY.name} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


rule ontology:
    input:
        datasets=prepared("ontology"),
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
        cell_ontology=ancient(resource("cell_ontology")),
    output:
        table=BENCHMARKS / "ontology" / "{run}" / "{seed}.csv",
        types=BENCHMARKS / "ontology" / "{run}" / "{seed}.types.csv",
        nodes=BENCHMARKS / "ontology" / "{run}" / "{seed}.nodes.csv",
    params:
        model=lambda w: model_folder(w.run, w.seed),
        settings=as_json(STUDY.benchmarks.ontology),
        code=code("scfm.benchmarks.ontology", "scfm.model"),
    log:
        LOGS / "benchmarks" / "ontology" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "ontology-{run}-{seed}.tsv"
    resources:
        mem_mb=4000,
        runtime=120,
        gpu=1 if GPUS else 0,
    shell:
        "{SCFM} benchmarks ontology {input.datasets} --model {params.model} --run {wildcards.run}"
        " --seed {wildcards.seed} --study {STUDY.name} --cell-ontology {input.cell_ontology}"
        " --settings {params.settings:q} --out {output.table} --out-types {output.types} --out-nodes {output.nodes}"
        " 2>&1 | tee {log}"
