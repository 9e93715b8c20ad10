# Tables, figures, the verdict on each claim and the one page that a reviewer opens first: all from tidy results.
REPORTS = "../report"  # captions


rule run_settings:
    output:
        RESULTS / "pretrain" / "settings" / "{run}.json",
    log:
        LOGS / "paper" / "settings-{run}.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=lambda w: as_json(STUDY.runs[w.run]),
    shell:
        "printf '%s\n' {params.settings:q} > {output} 2> {log}"


rule table1:
    input:
        runs=[RESULTS / "pretrain" / "settings" / f"{run}.json" for run in STUDY.trained_runs],
        published="config/published/table1.csv",
    output:
        report(table_file("table1"), category="tables", caption=f"{REPORTS}/table1.rst"),
    log:
        LOGS / "paper" / "table1.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table1.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        runs=[f"--run {run}={RESULTS / 'pretrain' / 'settings' / run}.json" for run in STUDY.trained_runs],
        code=code("scfm.paper.commands:table1"),
    shell:
        "python -m scfm paper table 1 {params.runs} --published {input.published} --out {output} 2>&1 | tee {log}"


rule table2:
    input:
        sizes=RESULTS / "annotation" / "families.csv",
        families=[learnability_folder(run, seed) / "families.csv" for run, seed in trained()],
    output:
        report(table_file("table2"), category="tables", caption=f"{REPORTS}/table2.rst"),
    log:
        LOGS / "paper" / "table2.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table2.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        families=[
            f"--families {run}/{seed}={learnability_folder(run, seed) / 'families.csv'}" for run, seed in trained()
        ],
        code=code("scfm.paper.commands:table2"),
    shell:
        "python -m scfm paper table 2 --sizes {input.sizes} {params.families} --out {output} 2>&1 | tee {log}"


rule table3:
    input:
        scored(),
    output:
        report(table_file("table3"), category="tables", caption=f"{REPORTS}/table3.rst"),
    log:
        LOGS / "paper" / "table3.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table3.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        genes=[f"--genes {run}/{seed}={learnability_folder(run, seed) / 'genes.parquet'}" for run, seed in trained()],
        code=code("scfm.paper.commands:table3"),
    shell:
        "python -m scfm paper table 3 {params.genes} --out {output} 2>&1 | tee {log}"


rule table4:
    input:
        tidy_files(),
    output:
        report(table_file("table4"), category="tables", caption=f"{REPORTS}/table4.rst"),
    log:
        LOGS / "paper" / "table4.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table4.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=options("--tidy", tidy_files()),
        contrasts=options("--contrast", contrasts()),
        code=code("scfm.paper.commands:table4"),
    shell:
        "python -m scfm paper table 4 {params.tidy} {params.contrasts} --out {output} 2>&1 | tee {log}"


rule table14:
    input:
        datasets="config/datasets.tsv",
        published="config/published/table14.csv",
        prepared=prepared(),
        contamination=CONTAMINATION if STUDY.named("benchmark") else [],
        cells=RESULTS / "corpus" / "selection" / "cells.parquet",
    output:
        report(table_file("table14"), category="tables", caption=f"{REPORTS}/table14.rst"),
    log:
        LOGS / "paper" / "table14.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table14.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        prepared=options("--prepared", prepared()),
        contamination=lambda w, input: f"--contamination {input.contamination}" if input.contamination else "",
        code=code("scfm.paper.commands:table14"),
    shell:
        "python -m scfm paper table 14 --datasets {input.datasets} {params.prepared} {params.contamination}"
        " --cells {input.cells} --published {input.published} --out {output} 2>&1 | tee {log}"


# Tables made from tidy results alone: one row a run and pooling, one column a dataset.
rule table_from_tidy:
    input:
        tidy_files(),
    output:
        report(RESULTS / "tables" / "{table}.csv", category="tables", caption=f"{REPORTS}/{{table}}.rst"),
    log:
        LOGS / "paper" / "{table}.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "{table}.tsv"
    wildcard_constraints:
        table="|".join(FROM_TIDY),
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=options("--tidy", tidy_files()),
        name=lambda w: FROM_TIDY[w.table],
        code=lambda w: code(f"scfm.paper.commands:{w.table}"),
    shell:
        "python -m scfm paper table {params.name} {params.tidy} --out {output} 2>&1 | tee {log}"


rule results:
    input:
        tidy_files(),
    output:
        results=RESULTS / "benchmarks" / "results.csv",
        summary=RESULTS / "benchmarks" / "summary.csv",
    log:
        LOGS / "paper" / "results.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "results.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("scfm.paper.commands:tidy"),
    shell:
        "python -m scfm paper tidy {input} --out {output.results} --out-summary {output.summary} 2>&1 | tee {log}"


# The executed notebook goes to the log first: Snakemake deletes the outputs of a failed job, and the traceback with them.
rule figure2:
    input:
        notebook="notebooks/figure2.ipynb",
        genes=scored(),
        agreement=RESULTS / "learnability" / "agreement.csv",
    output:
        notebook=RESULTS / "figures" / "figure2" / "figure2.ipynb",
        png=report(
            RESULTS / "figures" / "figure2" / "figure2.png", category="figures", caption=f"{REPORTS}/figure2.rst"
        ),
        pdf=RESULTS / "figures" / "figure2" / "figure2.pdf",
    log:
        notebook=LOGS / "paper" / "figure2.ipynb",
        text=LOGS / "paper" / "figure2.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "figure2.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        parameters=as_json(figure2_parameters()),
        code=code("scfm.paper.commands:notebook"),
    shell:
        "python -m scfm paper notebook {input.notebook} --parameters {params.parameters:q} --log {log.notebook}"
        " --out {output.notebook} 2>&1 | tee {log.text}"


rule figure3:
    input:
        notebook="notebooks/figure3.ipynb",
        types=ontology_tables("types"),
        nodes=ontology_tables("nodes"),
    output:
        notebook=RESULTS / "figures" / "figure3" / "figure3.ipynb",
        png=report(
            RESULTS / "figures" / "figure3" / "figure3.png", category="figures", caption=f"{REPORTS}/figure3.rst"
        ),
        pdf=RESULTS / "figures" / "figure3" / "figure3.pdf",
    log:
        notebook=LOGS / "paper" / "figure3.ipynb",
        text=LOGS / "paper" / "figure3.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "figure3.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        parameters=as_json(figure3_parameters()),
        code=code("scfm.paper.commands:notebook"),
    shell:
        "python -m scfm paper notebook {input.notebook} --parameters {params.parameters:q} --log {log.notebook}"
        " --out {output.notebook} 2>&1 | tee {log.text}"


rule claims:
    input:
        claims="config/claims.yaml",
        tidy=tidy_files(),
        learnability=[
            learnability_folder(run, seed) / file for run, seed in trained() for file in LEARNABILITY_FILES.values()
        ],
        agreement=RESULTS / "learnability" / "agreement.csv" if agreement_pairs() else [],
        check=RESULTS / "check.csv" if STUDY.file.check_run else [],
    output:
        report(RESULTS / "claims.csv", category="claims", caption=f"{REPORTS}/claims.rst"),
    log:
        LOGS / "paper" / "claims.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "claims.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        settings=as_json(STUDY.paper.model_copy(update={"dpi": 150})),
        scale=STUDY.scale,
        tidy=options("--tidy", tidy_files()),
        learnability=[f"--learnability {run}/{seed}={learnability_folder(run, seed)}" for run, seed in trained()],
        agreement=lambda w, input: f"--agreement {input.agreement}" if agreement_pairs() else "",
        check=lambda w, input: f"--check {input.check}" if STUDY.file.check_run else "",
        code=code("scfm.paper.commands:claims"),
    shell:
        "python -m scfm paper claims --claims {input.claims} --scale {params.scale} --settings {params.settings:q}"
        " {params.tidy} {params.learnability} {params.agreement} {params.check} --out {output} 2>&1 | tee {log}"


rule report:
    input:
        claims=RESULTS / "claims.csv",
        tables=report_tables(),
        annotation=ANNOTATION_TABLES.values(),
        figures=figure_files(),
        check=RESULTS / "check.csv" if STUDY.file.check_run else [],
        training=[model_folder(run, seed) / "metrics.csv" for run, seed in trained()],
        corpus=corpus_tables(),
        corpus_figures=corpus_figures(),
        scatter=[
            learnability_folder(run, seed) / LEARNABILITY_FILES[name]
            for run, seed in trained()
            for name in ("scatter", "scatter_page")
        ],
        contamination=CONTAMINATION if STUDY.named("benchmark") else [],
        resources=RESULTS / "resources" / "manifest.tsv" if STUDY.external else [],
        summary=RESULTS / "benchmarks" / "summary.csv",
        captions=[f"workflow/report/{name}.rst" for name in caption_names()],
    output:
        RESULTS / "report.html",
    log:
        LOGS / "paper" / "report.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "report.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tables=[f"--table {path.stem}={path}" for path in report_tables()]
        + [f"--table {name}={path}" for name, path in ANNOTATION_TABLES.items()],
        figures=[f"--figure {path.stem}={path.parent}" for path in figure_files()]
        + [f"--figure {path.name}={path}" for path in corpus_figures()],
        scatter=[f"--scatter {run}/{seed}={learnability_folder(run, seed)}" for run, seed in trained()],
        training=[f"--training {run}/{seed}={model_folder(run, seed) / 'metrics.csv'}" for run, seed in trained()],
        corpus=lambda w, input: options(
            "--corpus", [*input.corpus, *([input.contamination] if input.contamination else [])]
        ),
        check=lambda w, input: f"--check {input.check}" if STUDY.file.check_run else "",
        resources=lambda w, input: f"--resources {input.resources}" if STUDY.external else "",
        study=STUDY.name,
        settings=as_json(STUDY.file),
        scale=STUDY.scale,
        timings=RESULTS / "benchmark",
        code=code("scfm.paper.commands:report"),
    shell:
        "python -m scfm paper report --study {params.study} --scale {params.scale} --claims {input.claims}"
        " --captions workflow/report {params.tables} {params.figures} {params.scatter} {params.corpus}"
        " {params.training} {params.check} {params.resources} --timings {params.timings} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"
