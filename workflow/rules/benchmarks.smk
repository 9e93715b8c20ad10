# Datasets in common form; every model embeds all of them in one job; one job per task and model scores them.


rule prepare:
    input:
        deposit=lambda w: deposit(w.dataset),
        hgnc=resource("hgnc"),
        cell_ontology=resource("cell_ontology"),
        orthologs=lambda w: [resource(name) for name in [STUDY.orthologs(w.dataset)] if name],
        library=lambda w: resource(LIBRARY) if STUDY.preparation(w.dataset).library else [],
    output:
        BENCHMARKS / "datasets" / "{dataset}.h5ad",
    log:
        LOGS / "benchmarks" / "prepare" / "{dataset}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "prepare-{dataset}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        # Screens in full are of hundreds of thousands of cells.
        mem_mb=lambda w: 64000 if PAPER_SCALE and "perturbation" in STUDY.tasks(w.dataset) else 4000,
        runtime=lambda w: 120 if PAPER_SCALE and "perturbation" in STUDY.tasks(w.dataset) else 30,
    params:
        settings=lambda w: as_json(STUDY.preparation(w.dataset)),
        library=lambda w, input: f"--library {input.library}" if input.library else "",
        orthologs=lambda w, input: f"--orthologs {input.orthologs}" if input.orthologs else "",
        code=code("scfm.benchmarks.embedding_commands:prepare"),
    shell:
        "python -m scfm benchmarks prepare --dataset-settings {params.settings:q} --input {input.deposit} --hgnc {input.hgnc}"
        " --cell-ontology {input.cell_ontology} {params.orthologs} {params.library} --out {output} 2>&1 | tee {log}"


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
        settings=lambda w: (
            exposure([w.of.removeprefix("_of_")]) if w.of else exposure(STUDY.file.runs, STUDY.embeddings, BASELINES)
        ),
        shards=CORPUS / "shards",
        code=code("scfm.benchmarks.embedding_commands:contamination"),
    shell:
        "python -m scfm benchmarks contamination --shards {params.shards} --stored {input.stored}"
        " --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


rule embed:
    input:
        datasets=lambda w: prepared(model=w.model),
        contamination=lambda w: contamination(w.model),
        model=lambda w: embedder(w.model, w.seed),
    output:
        BENCHMARKS / "embed" / "{model}" / "{seed}.h5ad",
    log:
        LOGS / "benchmarks" / "embed" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "embed-{model}-{seed}.tsv"
    wildcard_constraints:
        model="|".join([*CELL_RUNS, *STUDY.embeddings, *BASELINES]),
    priority: 1
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1) if w.model in STUDY.runs else 0),
        mem_mb=4000,
        runtime=120,
    params:
        model=lambda w: model_folder(w.model, w.seed) if w.model in STUDY.runs else embedder(w.model, w.seed) or w.model,
        settings=lambda w: embedder_settings(w.model),
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.embedding_commands:embed", *model_code(w.model)),
    shell:
        "python -m scfm benchmarks embed {input.datasets} --model {params.model} --run {wildcards.model}"
        " --seed {wildcards.seed} --settings {params.settings:q} --contamination {input.contamination}"
        " --device {params.device} --out {output} 2>&1 | tee {log}"


# A model of donors reads the vectors of their cells by the run that it was trained on.
rule embed_donors:
    input:
        embeddings=lambda w: embedded(*cell_encoder(w.run, w.seed)),
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
    output:
        BENCHMARKS / "embed_donors" / "{run}" / "{seed}.h5ad",
    log:
        LOGS / "benchmarks" / "embed_donors" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "embed_donors-{run}-{seed}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=4000,
        runtime=60,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        pooling=lambda w: STUDY.runs[w.run].model.cell_encoder.pooling,
        settings=as_json(STUDY.benchmarks.donor),
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.embedding_commands:embed_donors", *model_code(w.run)),
    shell:
        "python -m scfm benchmarks embed-donors --embeddings {input.embeddings} --model {params.model}"
        " --pooling {params.pooling} --run {wildcards.run} --seed {wildcards.seed} --settings {params.settings:q}"
        " --device {params.device} --out {output} 2>&1 | tee {log}"


rule donor_vectors:
    input:
        embeddings=lambda w: embedded(*cell_encoder(w.run, w.seed)),
        donors=BENCHMARKS / "embed_donors" / "{run}" / "{seed}.h5ad",
    output:
        BENCHMARKS / "donor" / "{run}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "donor" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "donor-{run}-{seed}.tsv"
    wildcard_constraints:
        run="|".join(DONOR_RUNS) or "none",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.donor),
        code=code("scfm.benchmarks.task_commands:donor"),
    shell:
        "python -m scfm benchmarks donor --embeddings {input.embeddings} --donors {input.donors}"
        " --study {params.study} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


# Embeddings of several runs of one seed side by side, as one more model.
rule concatenate:
    input:
        lambda w: [embedded(part.run, w.seed) for part in STUDY.file.concatenations[w.model]],
    output:
        BENCHMARKS / "embed" / "{model}" / "{seed}.h5ad",
    log:
        LOGS / "benchmarks" / "embed" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "embed-{model}-{seed}.tsv"
    wildcard_constraints:
        model="|".join(STUDY.file.concatenations) or "none",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        poolings=lambda w: [f"--pooling {part.pooling}" for part in STUDY.file.concatenations[w.model]],
        code=code("scfm.benchmarks.embedding_commands:concatenate"),
    shell:
        "python -m scfm benchmarks concatenate {input} {params.poolings} --run {wildcards.model}"
        " --out {output} 2>&1 | tee {log}"


# One rule for each task that takes embeddings: the task's name is its command, its settings and its folder.
for task in EMBEDDING_TASKS:

    rule:
        name:
            task
        input:
            BENCHMARKS / "embed" / "{model}" / "{seed}.h5ad",
        output:
            BENCHMARKS / task / "{model}" / "{seed}.csv",
        log:
            LOGS / "benchmarks" / task / "{model}-{seed}.log",
        benchmark:
            RESULTS / "benchmark" / "benchmarks" / f"{task}-{{model}}-{{seed}}.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=4000,
            runtime=240,
        params:
            task=task,
            study=STUDY.name,
            settings=as_json(getattr(STUDY.benchmarks, task)),
            code=code(f"scfm.benchmarks.task_commands:{task}"),
        shell:
            "python -m scfm benchmarks {params.task} --embeddings {input} --study {params.study}"
            " --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


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
        code=lambda w: code("scfm.benchmarks.task_commands:ontology", *model_code(w.run)),
    shell:
        "python -m scfm benchmarks ontology {input.datasets} --model {params.model} --run {wildcards.run}"
        " --seed {wildcards.seed} --study {params.study} --cell-ontology {input.cell_ontology}"
        " --settings {params.settings:q} --contamination {input.contamination} --device {params.device}"
        " --out {output.table} --out-types {output.types} --out-nodes {output.nodes} 2>&1 | tee {log}"


# Counts that a model expects of hidden entries: the task's name is its command, its settings and its folder.
rule expected_counts:
    input:
        datasets=lambda w: prepared(w.task),
        contamination=lambda w: contamination(w.run),
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
    output:
        BENCHMARKS / "{task}" / "{run}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "{task}" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "{task}-{run}-{seed}.tsv"
    wildcard_constraints:
        task="|".join(COUNT_TASKS),
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=8000,
        runtime=240,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        study=STUDY.name,
        settings=lambda w: as_json(getattr(STUDY.benchmarks, w.task)),
        scvi=lambda w: fitted_beside(w.task),
        device=STUDY.shared.device,
        code=lambda w: code(f"scfm.benchmarks.task_commands:{w.task}", *model_code(w.run)),
    shell:
        "python -m scfm benchmarks {wildcards.task} {input.datasets} --model {params.model} --run {wildcards.run}"
        " --seed {wildcards.seed} --study {params.study} --settings {params.settings:q} {params.scvi}"
        " --contamination {input.contamination} --device {params.device} --out {output} 2>&1 | tee {log}"


rule finetune:
    input:
        datasets=prepared("finetune"),
        contamination=lambda w: contamination(w.run),
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
    output:
        BENCHMARKS / "finetune" / "{run}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "finetune" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "finetune-{run}-{seed}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=4000,
        runtime=240,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.finetune.model_copy(update={"runs": None})),
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.task_commands:finetune", *model_code(w.run)),
    shell:
        "python -m scfm benchmarks finetune {input.datasets} --model {params.model} --run {wildcards.run}"
        " --seed {wildcards.seed} --study {params.study} --settings {params.settings:q}"
        " --contamination {input.contamination} --device {params.device} --out {output} 2>&1 | tee {log}"
