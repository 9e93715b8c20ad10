# External files: from an installed package, a mirror folder if one is configured, or their URLs; verified and recorded.


rule fetch:
    output:
        file=RESULTS / "resources" / "{resource}" / "{version}" / "{file}",
        record=RESULTS / "resources" / "{resource}" / "{version}" / "{file}.record.json",
    log:
        LOGS / "resources" / "{resource}" / "{version}" / "{file}.log",
    benchmark:
        RESULTS / "benchmark" / "resources" / "fetch-{resource}-{version}-{file}.tsv"
    wildcard_constraints:
        resource="|".join(STUDY.resources),
        version=r"[0-9a-f]{8}",
        file=r"[^/]+(?<!\.record\.json)",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=120,
    params:
        settings=lambda w: as_json(STUDY.resources[w.resource]),
        # Where the mirror and the work folder are is no reason to fetch again: Snakemake does not compare what is
        # derived from the output.
        mirror=lambda w, output: f"--mirror {STUDY.shared.mirror}" if STUDY.shared.mirror else "",
        partial=lambda w, output: WORK / "resources" / w.resource,
        code=code("scfm.resources.commands:fetch"),
    shell:
        "python -m scfm resources fetch {wildcards.resource} --settings {params.settings:q} {params.mirror}"
        " --partial {params.partial} --out {output.file} --record {output.record} 2>&1 | tee {log}"


rule manifest:
    input:
        records=[f"{resource(name)}.record.json" for name in STUDY.external],
    output:
        RESULTS / "resources" / "manifest.tsv",
    log:
        LOGS / "resources" / "manifest.log",
    benchmark:
        RESULTS / "benchmark" / "resources" / "manifest.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        code=code("scfm.resources.commands:manifest"),
    shell:
        "python -m scfm resources manifest {input.records} --out {output} 2>&1 | tee {log}"
