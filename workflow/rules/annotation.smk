# Every gene of the corpus into a functional family and an expression program.
rule annotate_genes:
    input:
        **{name: resource(name) for name in ANNOTATION_FILES},
        genes=RESULTS / "corpus" / "selection" / "genes.parquet",
        records=ancient([] if STUDY.synthetic else [f"{resource(name)}.record.json" for name in ANNOTATION_FILES]),
    output:
        genes=report(
            RESULTS / "annotation" / "genes.parquet",
            category="annotation",
            caption="../report/annotation.rst",
        ),
        families=report(
            RESULTS / "annotation" / "families.csv",
            category="annotation",
            caption="../report/annotation_families.rst",
        ),
        programs=report(
            RESULTS / "annotation" / "programs.csv",
            category="annotation",
            caption="../report/annotation_programs.rst",
        ),
    log:
        LOGS / "annotation" / "genes.log",
    benchmark:
        RESULTS / "benchmark" / "annotation" / "genes.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=as_json(STUDY.annotation),
        records=lambda w, input: [f"--record {record}" for record in input.records],
        code=code("scfm.annotation.commands:genes"),
    shell:
        "python -m scfm annotation genes --settings {params.settings:q} --genes {input.genes} --hgnc {input.hgnc}"
        " --gene-ontology {input.gene_ontology} --go-annotation {input.go_annotation} --tfclass {input.tfclass}"
        " --protein-atlas {input.protein_atlas} --housekeeping {input.housekeeping} {params.records}"
        " --out-genes {output.genes} --out-families {output.families} --out-programs {output.programs}"
        " 2>&1 | tee {log}"


# The same under the readings of config/readings.yaml; a change of that file reruns this rule and the report alone.
rule annotation_readings:
    input:
        **{name: resource(name) for name in ANNOTATION_FILES},
        genes=RESULTS / "corpus" / "selection" / "genes.parquet",
        alternatives="config/readings.yaml",
        others=[resource(name) for name in STUDY.other_readings],
    output:
        readings=report(
            RESULTS / "annotation" / "readings.csv",
            category="annotation",
            caption="../report/annotation_readings.rst",
        ),
        counts=report(
            RESULTS / "annotation" / "reading_counts.csv",
            category="annotation",
            caption="../report/annotation_reading_counts.rst",
        ),
    log:
        LOGS / "annotation" / "readings.log",
    benchmark:
        RESULTS / "benchmark" / "annotation" / "readings.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        settings=as_json(STUDY.annotation),
        others=[f"--other {name}={resource(name)}" for name in STUDY.other_readings],
        code=code("scfm.annotation.commands:readings"),
    shell:
        "python -m scfm annotation readings --settings {params.settings:q} --genes {input.genes} --hgnc {input.hgnc}"
        " --gene-ontology {input.gene_ontology} --go-annotation {input.go_annotation} --tfclass {input.tfclass}"
        " --protein-atlas {input.protein_atlas} --housekeeping {input.housekeeping} {params.others}"
        " --alternatives {input.alternatives} --out {output.readings} --out-counts {output.counts} 2>&1 | tee {log}"
