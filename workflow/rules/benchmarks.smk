# Datasets in common form; every model embeds all of them in one job; one job per task and model scores them.


rule prepare:
    input:
        deposit=lambda w: deposit(w.dataset),
        hgnc=resource("hgnc"),
        cell_ontology=resource("cell_ontology"),
    output:
        BENCHMARKS / "datasets" / "{dataset}.h5ad",
    log:
        LOGS / "benchmarks" / "prepare" / "{dataset}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "prepare-{dataset}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda w: as_json(STUDY.preparation(w.dataset)),
        code=code("scfm.benchmarks.commands:prepare"),
    shell:
        "python -m scfm benchmarks prepare --dataset-settings {params.settings:q} --input {input.deposit} --hgnc {input.hgnc}"
        " --cell-ontology {input.cell_ontology} --out {output} 2>&1 | tee {log}"


rule contamination:
    input:
        shards=CORPUS / "shards" / "manifest.json",
        stored=CORPUS / "datasets.csv",
    output:
        report(BENCHMARKS / "contamination{of}.csv", category="benchmarks", caption="../report/contamination.rst"),
    log:
        LOGS / "benchmarks" / "contamination{of}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "contamination{of}.tsv"
    wildcard_constraints:
        of=r"|_of_\w+",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=lambda w: exposure([w.of.removeprefix("_of_")]) if w.of else exposure(STUDY.file.runs, pca=1.0),
        shards=CORPUS / "shards",
        code=code("scfm.benchmarks.commands:contamination"),
    shell:
        "python -m scfm benchmarks contamination --shards {params.shards} --stored {input.stored}"
        " --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule embed:
    input:
        datasets=prepared(),
        contamination=lambda w: contamination(w.model),
        model=lambda w: [] if w.model == "pca" else model_folder(w.model, w.seed) / "model.safetensors",
    output:
        BENCHMARKS / "embed" / "{model}" / "{seed}.h5ad",
    log:
        LOGS / "benchmarks" / "embed" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "embed-{model}-{seed}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1) if w.model != "pca" else 0),
        mem_mb=4000,
        runtime=120,
    params:
        model=lambda w: w.model if w.model == "pca" else model_folder(w.model, w.seed),
        settings=lambda w: as_json(STUDY.benchmarks.pca if w.model == "pca" else {}),
        device=STUDY.shared.device,
        code=code("scfm.benchmarks.commands:embed", "scfm.model"),
    shell:
        "python -m scfm benchmarks embed {input.datasets} --model {params.model} --run {wildcards.model}"
        " --seed {wildcards.seed} --settings {params.settings:q} --contamination {input.contamination}"
        " --device {params.device} --out {output} 2>&1 | tee {log}"


rule integration:
    input:
        rules.embed.output,
    output:
        BENCHMARKS / "integration" / "{model}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "integration" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "integration-{model}-{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.integration),
        code=code("scfm.benchmarks.commands:integration"),
    shell:
        "python -m scfm benchmarks integration --embeddings {input} --study {params.study} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


rule probe:
    input:
        rules.embed.output,
    output:
        BENCHMARKS / "probe" / "{model}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "probe" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "probe-{model}-{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.probe),
        code=code("scfm.benchmarks.commands:probe"),
    shell:
        "python -m scfm benchmarks probe --embeddings {input} --study {params.study} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


rule ontology:
    input:
        datasets=prepared("ontology"),
        contamination=lambda w: contamination(w.run),
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
        cell_ontology=resource("cell_ontology"),
    output:
        table=BENCHMARKS / "ontology" / "{run}" / "{seed}.csv",
        types=BENCHMARKS / "ontology" / "{run}" / "{seed}.types.csv",
        nodes=BENCHMARKS / "ontology" / "{run}" / "{seed}.nodes.csv",
    log:
        LOGS / "benchmarks" / "ontology" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "ontology-{run}-{seed}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=4000,
        runtime=120,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.ontology),
        device=STUDY.shared.device,
        code=code("scfm.benchmarks.commands:ontology", "scfm.model"),
    shell:
        "python -m scfm benchmarks ontology {input.datasets} --model {params.model} --run {wildcards.run}"
        " --seed {wildcards.seed} --study {params.study} --cell-ontology {input.cell_ontology}"
        " --settings {params.settings:q} --contamination {input.contamination} --device {params.device}"
        " --out {output.table} --out-types {output.types} --out-nodes {output.nodes} 2>&1 | tee {log}"
