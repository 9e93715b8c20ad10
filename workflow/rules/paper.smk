# Figures, the verdict on each claim and the one page that a reviewer opens first.


rule claims:
    input:
        claims="config/claims.yaml",
        tidy=claim_files(),
        learnability=[
            learnability_folder(run, seed) / file for run, seed in tracked() for file in LEARNABILITY_FILES.values()
        ],
        agreement=RESULTS / "learnability" / "agreement.csv" if agreement_pairs() else [],
        check=RESULTS / "check.csv" if STUDY.file.check_run else [],
        split=RESULTS / "corpus" / "selection" / "split.csv",
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
        tidy=options("--tidy", claim_files()),
        learnability=[f"--learnability {run}/{seed}={learnability_folder(run, seed)}" for run, seed in tracked()],
        agreement=lambda w, input: f"--agreement {input.agreement}" if agreement_pairs() else "",
        check=lambda w, input: f"--check {input.check}" if STUDY.file.check_run else "",
        code=code("scfm.paper.commands:claims"),
    shell:
        "python -m scfm paper claims --claims {input.claims} --scale {params.scale} --settings {params.settings:q}"
        " {params.tidy} {params.learnability} {params.agreement} {params.check} --split {input.split}"
        " --out {output} 2>&1 | tee {log}"


rule report:
    input:
        claims=RESULTS / "claims.csv",
        tables=report_tables(),
        annotation=ANNOTATION_TABLES.values(),
        figures=figure_files(),
        check=RESULTS / "check.csv" if STUDY.file.check_run else [],
        training=[model_folder(run, seed) / "metrics.csv" for run, seed in trained()],
        configs=[model_folder(run, seed) / "config.json" for run, seed in models()],
        corpus=[*corpus_tables(), CORPUS / "selection" / "manifest.json"],
        corpus_figures=corpus_figures(),
        scatter=[
            learnability_folder(run, seed) / LEARNABILITY_FILES[name]
            for run, seed in tracked()
            for name in ("scatter", "scatter_page")
        ],
        contamination=CONTAMINATION if STUDY.named("benchmark") else [],
        resources=RESULTS / "resources" / "manifest.tsv" if STUDY.external else [],
        tidy=RESULTS / "benchmarks" / "results.csv",
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
        scatter=[f"--scatter {run}/{seed}={learnability_folder(run, seed)}" for run, seed in tracked()],
        training=[f"--training {run}/{seed}={model_folder(run, seed) / 'metrics.csv'}" for run, seed in trained()],
        configs=[f"--config {run}/{seed}={model_folder(run, seed) / 'config.json'}" for run, seed in models()],
        corpus=lambda w, input: options(
            "--corpus", [*input.corpus, *([input.contamination] if input.contamination else [])]
        ),
        check=lambda w, input: f"--check {input.check}" if STUDY.file.check_run else "",
        resources=lambda w, input: f"--resources {input.resources}" if STUDY.external else "",
        study=STUDY.name,
        settings=as_json(
            STUDY.file.model_dump(mode="json")
            | {key: getattr(STUDY, key).model_dump(mode="json") for key in ("learnability", "benchmarks", "paper")}
        ),
        scale=STUDY.scale,
        timings=RESULTS / "benchmark",
        records=Path(".snakemake") / "metadata",
        code=code("scfm.paper.commands:report"),
    shell:
        "python -m scfm paper report --study {params.study} --scale {params.scale} --claims {input.claims}"
        " --captions workflow/report {params.tables} {params.figures} {params.scatter} {params.corpus}"
        " {params.training} {params.configs} {params.check} {params.resources} --tidy {input.tidy}"
        " --timings {params.timings} --records {params.records} --settings {params.settings:q}"
        " --out {output} 2>&1 | tee {log}"
