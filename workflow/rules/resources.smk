# External files: from a mirror folder if one is configured, else from their URLs; verified and recorded.


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
    retries: None if STUDY.shared.mirror else 2
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=120,
    params:
        settings=lambda w: as_json(STUDY.resources[w.resource]),
        mirror=f"--mirror {STUDY.shared.mirror}" if STUDY.shared.mirror else "",
        partial=lambda w: WORK / "resources" / w.resource,
        code=code("scfm.resources.commands:fetch"),
    shell:
        "python -m scfm resources fetch {wildcards.resource} --settings {params.settings:q} {params.mirror}"
        " --partial {params.partial} --out {output.file} --record {output.record} 2>&1 | tee {log}"


rule manifest:
    input:
        records=[f"{resource(name)}.record.json" for name in fetched()],
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
