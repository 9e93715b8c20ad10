# Results of the study with all that they stem from and Snakemake's records: unpacked in a clone, nothing reruns.
from scfm.archive import workflow_digest


rule archive:
    input:
        [RESULTS / "report.html", RESULTS / "claims.csv", *table_files(), *table_pages(), *figure_files()],
    output:
        RESULTS.with_name(f"{STUDY.name}.tar"),
    log:
        LOGS / "archive.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        study=STUDY.name,
        # The work folder is not packed, and another machine need not have it.
        given=as_json({key: value for key, value in STUDY.given.items() if key != "work"} | {"study": STUDY.name}),
        results=RESULTS,
        timings=RESULTS / "benchmark",
        temporary=CORPUS / "scatter",
        shards=CORPUS / "shards",
        with_shards="--without-shards" if PAPER_SCALE else "--with-shards",  # tens of GB, made again from the Census
        workflow=lambda w: workflow_digest(Path()),  # any edit of what is packed
        code=code("scfm.archive.commands:pack"),
    shell:
        "python -m scfm archive pack {input} --study {params.study} --given {params.given:q}"
        " --results {params.results} --timings {params.timings} --temporary {params.temporary}"
        " --shards {params.shards} {params.with_shards} --out {output} 2>&1 | tee {log}"
