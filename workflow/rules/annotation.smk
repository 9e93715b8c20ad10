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
        families=RESULTS / "annotation" / "families.csv",
        programs=RESULTS / "annotation" / "programs.csv",
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
