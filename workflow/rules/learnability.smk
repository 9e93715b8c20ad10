# Which genes a run learns better or worse than their sparsity predicts, and where two runs agree.


rule learn:
    input:
        errors=RESULTS / "pretrain" / "{run}" / "{seed}" / "gene_errors.parquet",
        annotation=RESULTS / "annotation" / "genes.parquet",
        families=RESULTS / "annotation" / "families.csv",
        programs=RESULTS / "annotation" / "programs.csv",
    output:
        **{name: learnability_folder("{run}", "{seed}") / file for name, file in LEARNABILITY_FILES.items()},
    log:
        LOGS / "learnability" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "learn-{run}-{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=as_json(STUDY.learnability),
        out=lambda w: learnability_folder(w.run, w.seed),
        code=code("scfm.learnability.commands:genes"),
    shell:
        "python -m scfm learnability genes --settings {params.settings:q} --errors {input.errors}"
        " --annotation {input.annotation} --families {input.families} --programs {input.programs}"
        " --out {params.out} 2>&1 | tee {log}"


rule agreement:
    input:
        scored({run for pair in agreement_pairs() for run in pair}),
    output:
        RESULTS / "learnability" / "agreement.csv",
    log:
        LOGS / "learnability" / "agreement.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "agreement.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        genes=scored_options({run for pair in agreement_pairs() for run in pair}),
        pairs=[f"--pairs {a}:{b}" for a, b in agreement_pairs()],
        code=code("scfm.learnability.commands:agreement"),
    shell:
        "python -m scfm learnability agreement {params.genes} {params.pairs} --out {output} 2>&1 | tee {log}"


# What all runs have to say of it, as tables of the report.
rule learnability_tables:
    input:
        [learnability_folder(run, seed) / file for run, seed in tracked() for file in LEARNABILITY_FILES.values()],
    output:
        **{
            name: report(table_file(name), category="tables", caption=f"../report/{name}.rst")
            for name in LEARNABILITY_TABLES
        },
    log:
        LOGS / "paper" / "learnability_tables.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "learnability_tables.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        folders=[f"--learnability {run}/{seed}={learnability_folder(run, seed)}" for run, seed in tracked()],
        out=RESULTS / "tables",
        code=code("scfm.paper.table_commands:learnability"),
    shell:
        "python -m scfm paper table learnability {params.folders} --out {params.out} 2>&1 | tee {log}"


# The planted truth of the synthetic census, found again or not.
rule check:
    input:
        truth=RESULTS / "corpus" / "synthetic" / "truth.parquet",
        genes=scored([STUDY.file.check_run]),
    output:
        report(RESULTS / "check.csv", category="claims", caption="../report/check.rst"),
    log:
        LOGS / "learnability" / "check.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "check.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        genes=scored_options([STUDY.file.check_run]),
        settings=as_json(STUDY.learnability),
        code=code("scfm.learnability.commands:check"),
    shell:
        "python -m scfm learnability check --truth {input.truth} {params.genes} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"
