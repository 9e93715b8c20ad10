# Which genes a run learns better or worse than their sparsity predicts, and where two runs agree.
LEARNABILITY_FILES = {
    "genes": "genes.parquet",
    "families": "families.csv",
    "programs": "programs.csv",
    "crosstab": "crosstab.csv",
    "dynamics": "dynamics.csv",
    "sensitivity": "sensitivity.csv",
    "summary": "summary.json",
}


def learnability_folder(run, seed):
    return RESULTS / "learnability" / run / str(seed)


def scored(runs=None):
    """Tables of scored genes of the trained models."""
    return [learnability_folder(run, seed) / "genes.parquet" for run, seed in trained(runs)]


def scored_options(runs=None):
    """The same as options of the command line."""
    return [f"--genes {run}:{seed}={learnability_folder(run, seed) / 'genes.parquet'}" for run, seed in trained(runs)]


def agreement_pairs():
    """Pairs of runs that differ in the reconstruction objective alone and share a seed."""
    pairs = [("mlm", "wced"), ("mlm_hce", "wced_hce"), ("mlm", "wced_hce")]
    there = [(a, b) for a, b in pairs if {a, b} <= set(STUDY.trained_runs)]
    return there[:2] if ("mlm", "wced") in there else there


rule learn:
    input:
        errors=RESULTS / "pretrain" / "{run}" / "{seed}" / "gene_errors.parquet",
        annotation=RESULTS / "annotation" / "genes.parquet",
        families=RESULTS / "annotation" / "families.csv",
        programs=RESULTS / "annotation" / "programs.csv",
    output:
        **{
            name: RESULTS / "learnability" / "{run}" / "{seed}" / file
            for name, file in LEARNABILITY_FILES.items()
        },
    params:
        settings=as_json(STUDY.learnability),
        out=lambda w, output: " ".join(f"--out-{name} {output[name]}" for name in LEARNABILITY_FILES),
        code=code("scfm.learnability.analysis", "scfm.learnability.commands"),
    log:
        LOGS / "learnability" / "{run}-{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "learn-{run}-{seed}.tsv"
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "{SCFM} learnability genes --settings {params.settings:q} --errors {input.errors}"
        " --annotation {input.annotation} --families {input.families} --programs {input.programs}"
        " {params.out} 2>&1 | tee {log}"


rule agreement:
    input:
        scored({run for pair in agreement_pairs() for run in pair}),
    output:
        RESULTS / "learnability" / "agreement.csv",
    params:
        genes=scored_options({run for pair in agreement_pairs() for run in pair}),
        pairs=[f"--pairs {a}:{b}" for a, b in agreement_pairs()],
        code=code("scfm.learnability.agreement", "scfm.learnability.commands"),
    log:
        LOGS / "learnability" / "agreement.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "agreement.tsv"
    resources:
        mem_mb=2000,
        runtime=20,
    shell:
        "{SCFM} learnability agreement {params.genes} {params.pairs} --out {output} 2>&1 | tee {log}"


# The planted truth of the synthetic census, found again or not.
rule check:
    input:
        truth=RESULTS / "corpus" / "synthetic" / "truth.parquet",
        genes=scored([STUDY.file.check_run]),
    output:
        report(RESULTS / "check.csv", category="claims", caption="../report/check.rst"),
    params:
        genes=scored_options([STUDY.file.check_run]),
        settings=as_json(STUDY.learnability),
        code=code("scfm.learnability.check", "scfm.learnability.commands"),
    log:
        LOGS / "learnability" / "check.log",
    benchmark:
        RESULTS / "benchmark" / "learnability" / "check.tsv"
    resources:
        mem_mb=2000,
        runtime=20,
    shell:
        "{SCFM} learnability check --truth {input.truth} {params.genes} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"
