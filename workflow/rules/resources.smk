# External files: from a mirror folder if one is configured, else from their URLs; verified and recorded.
from scfm.datasets import package_path

ANNOTATION_FILES = [
    "hgnc",
    "gene_ontology",
    "go_annotation",
    "tfclass",
    "protein_atlas",
    "housekeeping",
]
# Written by the synthetic census in the providers' formats.
SYNTHETIC_ANNOTATION = {
    "hgnc": "hgnc.tsv",
    "gene_ontology": "gene_ontology.obo",
    "go_annotation": "go_annotation.gaf",
    "tfclass": "tfclass.csv",
    "protein_atlas": "protein_atlas.tsv",
    "housekeeping": "housekeeping.txt",
    "cell_ontology": "cell_ontology.obo",
}


def resource(name):
    """Path of an external file, or of its stand-in made by the synthetic census."""
    if STUDY.synthetic and name in SYNTHETIC_ANNOTATION:
        return RESULTS / "corpus" / "synthetic" / "annotation" / SYNTHETIC_ANNOTATION[name]
    return RESULTS / "resources" / name / STUDY.resources[name].filename(STUDY.shared.mirror is not None)


def deposit(name):
    """Path of a dataset's h5ad: fetched, from an installed package, or made by the synthetic census."""
    row = STUDY.sheet[name]
    if row.resource.startswith("package:"):
        return package_path(row)
    if row.resource.startswith("synthetic:"):
        return RESULTS / "corpus" / "synthetic" / row.resource.removeprefix("synthetic:")
    return resource(row.resource)


def fetched():
    """Names of the external files that the study needs."""
    datasets = [STUDY.sheet[name].resource for name in [*STUDY.named("pretrain"), *STUDY.named("benchmark")]]
    files = [name for name in [*ANNOTATION_FILES, "cell_ontology", *datasets] if name in STUDY.resources]
    return [name for name in files if not (STUDY.synthetic and name in SYNTHETIC_ANNOTATION)]


rule fetch:
    output:
        file=RESULTS / "resources" / "{resource}" / "{file}",
        record=RESULTS / "resources" / "{resource}" / "{file}.record.json",
    params:
        settings=lambda w: as_json(STUDY.resources[w.resource]),
        mirror=f"--mirror {STUDY.shared.mirror}" if STUDY.shared.mirror else "",
        partial=lambda w: WORK / "resources" / w.resource,
        code=code("scfm.resources.fetch"),
    wildcard_constraints:
        resource="|".join(STUDY.resources),
        file=r"[^/]+(?<!\.record\.json)",
    log:
        LOGS / "resources" / "{resource}" / "{file}.log",
    benchmark:
        RESULTS / "benchmark" / "resources" / "fetch-{resource}-{file}.tsv"
    retries: 0 if STUDY.shared.mirror else 2
    resources:
        mem_mb=500,
        runtime=120,
    shell:
        "{SCFM} resources fetch {wildcards.resource} --settings {params.settings:q} {params.mirror}"
        " --partial {params.partial} --out {output.file} --record {output.record} 2>&1 | tee {log}"


rule manifest:
    input:
        records=[f"{resource(name)}.record.json" for name in fetched()],
    output:
        RESULTS / "resources" / "manifest.tsv",
    params:
        code=code("scfm.resources.manifest"),
    log:
        LOGS / "resources" / "manifest.log",
    benchmark:
        RESULTS / "benchmark" / "resources" / "manifest.tsv"
    localrule: True
    shell:
        "{SCFM} resources manifest {input.records} --out {output} 2>&1 | tee {log}"
