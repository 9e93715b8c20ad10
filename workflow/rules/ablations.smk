# Runs that differ from one of the study's in one thing, side by side. `all` leaves them out; the target is `ablations`.


rule table_of_ablations:
    input:
        tidy=tidy_files(ablation_models()),
        models=[
            model_folder(run, seed) / file
            for run, seed in ablation_models()
            for file in ("config.json", "metrics.csv", *["gene_errors.parquet"] * STUDY.runs[run].model.tracks_genes)
        ],
    output:
        report(table_file("ablations"), category="tables", caption="../report/ablations.rst"),
    log:
        LOGS / "paper" / "ablations.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "ablations.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        pairs=[f"--pair {name}={use.base}" for name, use in STUDY.file.ablations.items()],
        tidy=options("--tidy", tidy_files(ablation_models())),
        models=[f"--model {run}/{seed}={model_folder(run, seed)}" for run, seed in ablation_models()],
        min_nonzero=STUDY.learnability.min_nonzero,
        code=code("scfm.paper.optional_commands:ablations"),
    shell:
        "python -m scfm paper table ablations {params.pairs} {params.tidy} {params.models}"
        " --min-nonzero {params.min_nonzero} --out {output} 2>&1 | tee {log}"
