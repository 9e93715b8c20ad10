# Drugs with mechanisms, a state that comes with a disease and perturbed cells that were held out: datasets with planted
# answers, the tasks that read expression too (`moa` is among those of embeddings alone), and their tables.


# Beside the census, with generators of their own: the census does not change with them.
rule plant:
    output:
        CORPUS / "planted" / "{kind}.h5ad",
    log:
        LOGS / "corpus" / "plant-{kind}.log",
    benchmark:
        RESULTS / "benchmark" / "corpus" / "plant-{kind}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=as_json(SOURCE),
        code=code("scfm.corpus.commands:plant"),
    shell:
        "python -m scfm corpus plant {wildcards.kind} --settings {params.settings:q} --out {output} 2>&1 | tee {log}"


# It reads the cells' expression and conditions beside their embeddings.
rule disease:
    input:
        datasets=prepared("disease"),
        embeddings=rules.embed.output,
    output:
        table=BENCHMARKS / "disease" / "{model}" / "{seed}.csv",
        clusters=BENCHMARKS / "disease" / "{model}" / "{seed}.clusters.csv",
    log:
        LOGS / "benchmarks" / "disease" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "disease-{model}-{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.disease),
        code=code("scfm.benchmarks.task_commands:disease"),
    shell:
        "python -m scfm benchmarks disease {input.datasets} --embeddings {input.embeddings} --study {params.study}"
        " --settings {params.settings:q} --out {output.table} --out-clusters {output.clusters} 2>&1 | tee {log}"


# Its system is trained anew on each fold's training cells, whatever the run was trained on in this study.
rule predict:
    input:
        prepared("perturbation"),
    output:
        BENCHMARKS / "predict" / "{run}" / "{seed}.h5ad",
    log:
        LOGS / "benchmarks" / "predict" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "predict-{run}-{seed}.tsv"
    wildcard_constraints:
        run="|".join(STUDY.predicting) or "none",
    priority: 2
    conda:
        "../../envs/model.yaml"
    threads: STUDY.shared.threads
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=128000 if PAPER_SCALE else 6000,
        runtime=2880 if PAPER_SCALE else 120,
    params:
        run=lambda w: as_json(STUDY.predicting[w.run].model_dump(mode="json", exclude={"description"})),
        settings=perturbation_task("holdouts", "by_dataset", "predicted", "validation"),
        work=lambda w, output: WORK / "predict" / w.run / w.seed,  # elsewhere is no reason to train again
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.embedding_commands:predict", training_code(w.run)[1]),
    shell:
        "python -m scfm benchmarks predict {input} --run-settings {params.run:q} --run {wildcards.run}"
        " --seed {wildcards.seed} --settings {params.settings:q} --work {params.work} --device {params.device}"
        " --code {params.code:q} --out {output} 2>&1 | tee {log}"


# Perturbed cells that were held out: those that a run predicts, or the baselines. One job scores all datasets.
rule perturbation:
    input:
        datasets=prepared("perturbation"),
        predictions=lambda w: predicted_cells(w.model, w.seed),
    output:
        table=BENCHMARKS / "perturbation" / "{model}" / "{seed}.csv",
        pairs=BENCHMARKS / "perturbation" / "{model}" / "{seed}.pairs.csv",
    log:
        LOGS / "benchmarks" / "perturbation" / "{model}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "perturbation-{model}-{seed}.tsv"
    wildcard_constraints:
        model="|".join(["baselines", *STUDY.runs]),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=128000 if PAPER_SCALE else 8000,
        runtime=1440 if PAPER_SCALE else 240,
    params:
        study=STUDY.name,
        settings=perturbation_task("holdouts", "scoring"),
        # Functions of the input are no reason to rerun.
        predictions=lambda w, input: (
            f"--predictions {input.predictions} --run {w.model} --alone" if input.predictions else ""
        ),
        code=code("scfm.benchmarks.task_commands:perturbation"),
    shell:
        "python -m scfm benchmarks perturbation {input.datasets} {params.predictions} --seed {wildcards.seed}"
        " --study {params.study} --settings {params.settings:q} --out {output.table} --out-pairs {output.pairs}"
        " 2>&1 | tee {log}"


# Effects on single genes of a few of them, for a figure.
rule deltas:
    input:
        datasets=prepared("perturbation"),
        predictions=first_predictions(),
    output:
        BENCHMARKS / "perturbation" / "deltas.csv",
    log:
        LOGS / "benchmarks" / "deltas.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "deltas.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=128000 if PAPER_SCALE else 8000,
        runtime=240 if PAPER_SCALE else 60,
    params:
        predictions=options("--predictions", first_predictions()),
        settings=perturbation_task("holdouts", "shown"),
        code=code("scfm.benchmarks.effect_commands:deltas"),
    shell:
        "python -m scfm benchmarks deltas {input.datasets} {params.predictions} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


# A table of tidy results says which file it needs, if one is missing.
rule table_with_needs:
    input:
        tidy=lambda w: files_with_needs(w.table),
        published=lambda w: WITH_NEEDS[w.table],
    output:
        report(RESULTS / "tables" / "{table}.csv", category="tables", caption=f"{REPORTS}/{{table}}.rst"),
    log:
        LOGS / "paper" / "{table}.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "{table}.tsv"
    wildcard_constraints:
        table="|".join(WITH_NEEDS),
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=lambda w: options("--tidy", files_with_needs(w.table)),
        needs=lambda w: needed(w.table),
        published=lambda w: options("--published", WITH_NEEDS[w.table]),
        code=lambda w: code(f"scfm.paper.optional_commands:{w.table}"),
    shell:
        "python -m scfm paper table {wildcards.table} {params.tidy} {params.published} {params.needs} --out {output}"
        " 2>&1 | tee {log}"
