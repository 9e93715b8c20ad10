# The tables of the paper and those beside them, from tidy results and what the stages say of themselves.
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
        code=code("scfm.paper.table_commands:table1"),
    shell:
        "python -m scfm paper table 1 {params.runs} --published {input.published} --out {output} 2>&1 | tee {log}"


rule table2:
    input:
        sizes=RESULTS / "annotation" / "families.csv",
        families=[learnability_folder(run, seed) / "families.csv" for run, seed in tracked()],
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
            f"--families {run}/{seed}={learnability_folder(run, seed) / 'families.csv'}" for run, seed in tracked()
        ],
        code=code("scfm.paper.table_commands:table2"),
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
        genes=[f"--genes {run}/{seed}={learnability_folder(run, seed) / 'genes.parquet'}" for run, seed in tracked()],
        code=code("scfm.paper.table_commands:table3"),
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
        code=code("scfm.paper.table_commands:table4"),
    shell:
        "python -m scfm paper table 4 {params.tidy} {params.contrasts} --out {output} 2>&1 | tee {log}"


rule inconsistencies:
    input:
        "config/inconsistencies.yaml",
    output:
        report(table_file("inconsistencies"), category="tables", caption=f"{REPORTS}/inconsistencies.rst"),
    log:
        LOGS / "paper" / "inconsistencies.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "inconsistencies.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("scfm.paper.table_commands:inconsistencies"),
    shell:
        "python -m scfm paper table inconsistencies {input} --out {output} 2>&1 | tee {log}"


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
        code=code("scfm.paper.table_commands:table14"),
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
        more=lambda w: (
            options("--control", [f"{a}={b}" for a, b in untrained().items()]) if w.table == "controls" else ""
        ),
        name=lambda w: FROM_TIDY[w.table],
        code=lambda w: code(f"scfm.paper.table_commands:{w.table}"),
    shell:
        "python -m scfm paper table {params.name} {params.tidy} {params.more} --out {output} 2>&1 | tee {log}"


# What the papers of other systems print, beside our own; only in studies that train such a system.
rule systems:
    input:
        tidy=tidy_files(),
        published=lambda w: published_systems(),
    output:
        report(table_file("systems"), category="tables", caption=f"{REPORTS}/systems.rst"),
    log:
        LOGS / "paper" / "systems.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "systems.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=options("--tidy", tidy_files()),
        published=lambda w: options("--published", published_systems()),
        code=code("scfm.paper.optional_commands:systems"),
    shell:
        "python -m scfm paper table systems {params.tidy} {params.published} --out {output} 2>&1 | tee {log}"


rule pairs:
    input:
        tidy_files(),
    output:
        report(table_file("pairs"), category="tables", caption=f"{REPORTS}/pairs.rst"),
    log:
        LOGS / "paper" / "pairs.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "pairs.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tidy=options("--tidy", tidy_files()),
        contrasts=options("--contrast", [*contrasts(), *contrasts_with_controls()]),
        settings=as_json(STUDY.paper.model_copy(update={"dpi": 150})),
        code=code("scfm.paper.table_commands:pairs"),
    shell:
        "python -m scfm paper table pairs {params.tidy} {params.contrasts} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"


# Every table as a page of its own and the paper's as LaTeX, all by one job.
rule table_pages:
    input:
        tables=table_files(),
        captions=[f"workflow/report/{path.stem}.rst" for path in table_files()],
    output:
        table_pages(),
    log:
        LOGS / "paper" / "table_pages.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "table_pages.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        tables=[f"--table {path.stem}={path}" for path in table_files()],
        out=RESULTS / "tables",
        code=code("scfm.paper.table_commands:pages"),
    shell:
        "python -m scfm paper table pages {params.tables} --captions workflow/report --out {params.out} 2>&1 | tee {log}"


rule contents:
    output:
        report(table_file("contents"), category="tables", caption=f"{REPORTS}/contents.rst"),
    log:
        LOGS / "paper" / "contents.log",
    benchmark:
        RESULTS / "benchmark" / "paper" / "contents.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        here=[f"--here {name}={path}" for name, path in items_here().items()],
        missing=[f"--missing {shlex.quote(f'{name}={reason}')}" for name, reason in items_missing().items()],
        code=code("scfm.paper.table_commands:contents"),
    shell:
        "python -m scfm paper table contents {params.here} {params.missing} --out {output} 2>&1 | tee {log}"


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
