# One training per run and seed; resumes from its last checkpoint under the work folder.
MODEL_FILES = [
    "model.safetensors",
    "config.json",
    "genes.parquet",
    "labels.json",
    "metrics.csv",
    "gene_errors.parquet",
]


rule train:
    input:
        unpack(lambda w: training_cells(w.run)),
        ontology=resource("cell_ontology"),
        vectors=lambda w: gene_vectors(w.run),
    output:
        expand(RESULTS / "pretrain" / "{{run}}" / "{{seed}}" / "{file}", file=MODEL_FILES),
    log:
        LOGS / "pretrain" / "{run}" / "{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "pretrain" / "train-{run}-{seed}.tsv"
    # The longest jobs first: a training that begins last would leave the other cores idle.
    priority: 2
    # A training that met its time limit goes on from its checkpoint. None, not 0, leaves the number to the profile.
    retries: 5 if PAPER_SCALE else None
    conda:
        "../../envs/model.yaml"
    threads: STUDY.shared.threads
    resources:
        **gpus(lambda w: GPUS),
        mem_mb=64000 if PAPER_SCALE else 3000,
        runtime=2880 if PAPER_SCALE else 60,
        nodes=1,
    params:
        settings=lambda w: as_json(STUDY.runs[w.run].model_dump(mode="json", exclude={"description"})),
        launch=f"torchrun --standalone --nproc-per-node={GPUS} -m scfm" if GPUS > 1 else "python -m scfm",
        work=lambda w, output: WORK / "pretrain" / w.run / w.seed,  # elsewhere is no reason to train again
        out=lambda w: model_folder(w.run, w.seed),
        where=f"--device {STUDY.shared.device} --gpus {STUDY.shared.gpus}" + (" --need-gpu" if PAPER_SCALE else ""),
        # Functions of the input are no reason to rerun.
        cells=lambda w, input: training_cells_options(w.run),
        limit=lambda w, input: f"--max-time {STUDY.shared.max_time}" if STUDY.shared.max_time else "",
        code=code("scfm.pretrain.commands:train"),
    shell:
        "{params.launch} pretrain train --settings {params.settings:q} --run {wildcards.run} --seed {wildcards.seed}"
        " {params.cells} --ontology {input.ontology} --work {params.work} --out {params.out}"
        " --code {params.code:q} {params.where} {params.limit} 2>&1 | tee {log}"


if not STUDY.file.code_reruns and workflow.is_main_process and models_of_edited_code():
    print(
        f"scfm: warning: the code of training was edited since {', '.join(models_of_edited_code())} were trained; study"
        f" {STUDY.name} does not train again for that, `snakemake all --forcerun train` does",
        file=sys.stderr,
    )
