# What a treatment makes of a donor: by systems of donors that learn it, in studies with a dataset for the task cytokine.


rule cytokine:
    input:
        embeddings=lambda w: embedded(*cell_encoder(w.run, w.seed)),
        donors=BENCHMARKS / "embed_donors" / "{run}" / "{seed}.h5ad",
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
    output:
        BENCHMARKS / "cytokine" / "{run}" / "{seed}.csv",
    log:
        LOGS / "benchmarks" / "cytokine" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "cytokine-{run}-{seed}.tsv"
    wildcard_constraints:
        run="|".join(DONOR_RUNS) or "none",
    conda:
        "../../envs/model.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        pooling=lambda w: STUDY.runs[w.run].model.cell_encoder.pooling,
        study=STUDY.name,
        settings=as_json(STUDY.benchmarks.cytokine),
        samples=as_json(STUDY.benchmarks.donor),
        code=lambda w: code("scfm.benchmarks.task_commands:cytokine", *model_code(w.run)),
    shell:
        "python -m scfm benchmarks cytokine --embeddings {input.embeddings} --donors {input.donors}"
        " --model {params.model} --pooling {params.pooling} --study {params.study} --settings {params.settings:q}"
        " --samples {params.samples:q} --out {output} 2>&1 | tee {log}"


rule table_of_cytokine:
    input:
        cytokine_files(),
    output:
        report(RESULTS / "tables" / "cytokine.csv", category="tables", caption="../report/cytokine.rst"),
    log:
        LOGS / "paper" / "cytokine.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "cytokine.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=options("--tidy", cytokine_files()),
        code=code("scfm.paper.optional_commands:cytokine"),
    shell:
        "python -m scfm paper table cytokine {params.tidy} --out {output} 2>&1 | tee {log}"
