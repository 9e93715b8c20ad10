# One training per run and seed; resumes from its last checkpoint under the work folder.
MODEL_FILES = [
    "model.safetensors",
    "config.json",
    "genes.parquet",
    "labels.json",
    "metrics.csv",
]


rule train:
    input:
        unpack(lambda w: training_cells(w.run)),
        ontology=resource("cell_ontology"),
        files=lambda w: training_files(w.run),
        vectors=lambda w: corpus_vectors(w.run, w.seed) or [],
        start=lambda w: start_weights(w.run, w.seed),
    output:
        expand(RESULTS / "pretrain" / "{{run}}" / "{{seed}}" / "{file}", file=[*MODEL_FILES, "gene_errors.parquet"]),
    log:
        LOGS / "pretrain" / "{run}" / "{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "pretrain" / "train-{run}-{seed}.tsv"
    wildcard_constraints:
        run="|".join(run for run in STUDY.runs if STUDY.runs[run].model.tracks_genes) or "none",
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
        vectors=lambda w, input: f"--vectors {input.vectors}" if input.vectors else "",
        start=lambda w, input: f"--start {Path(input.start).parent}" if input.start else "",
        limit=lambda w, input: f"--max-time {STUDY.shared.max_time}" if STUDY.shared.max_time else "",
        code=lambda w: code(*training_code(w.run)),
    shell:
        "{params.launch} pretrain train --settings {params.settings:q} --run {wildcards.run} --seed {wildcards.seed}"
        " {params.cells} {params.vectors} {params.start} --ontology {input.ontology} --work {params.work} --out {params.out}"
        " --code {params.code:q} {params.where} {params.limit} 2>&1 | tee {log}"


# The same for systems that have no error of each gene.
use rule train as train_system with:
    output:
        expand(RESULTS / "pretrain" / "{{run}}" / "{{seed}}" / "{file}", file=MODEL_FILES),
    wildcard_constraints:
        run="|".join(run for run in STUDY.runs if not STUDY.runs[run].model.tracks_genes) or "none",


# Cell vectors of the corpus by a trained run, for systems that read them.
rule vectors:
    input:
        shards=CORPUS / "shards" / "manifest.json",
        model=RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
    output:
        RESULTS / "pretrain" / "{run}" / "{seed}" / "vectors_{pooling}.npy",
    log:
        LOGS / "pretrain" / "{run}" / "{seed}-vectors_{pooling}.log",
    benchmark:
        RESULTS / "benchmark" / "pretrain" / "vectors-{run}-{seed}-{pooling}.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=16000 if PAPER_SCALE else 3000,
        runtime=1440 if PAPER_SCALE else 30,
    params:
        model=lambda w: model_folder(w.run, w.seed),
        shards=CORPUS / "shards",
        device=STUDY.shared.device,
        code=lambda w: code("scfm.pretrain.commands:vectors", "scfm.model", training_code(w.run)[1]),
    shell:
        "python -m scfm pretrain vectors --model {params.model} --pooling {wildcards.pooling} --shards {params.shards}"
        " --device {params.device} --out {output} 2>&1 | tee {log}"


if not STUDY.file.code_reruns and workflow.is_main_process and models_of_edited_code():
    print(
        f"scfm: warning: the code of training was edited since {', '.join(models_of_edited_code())} were trained; study"
        f" {STUDY.name} does not train again for that, `snakemake all --forcerun train` does",
        file=sys.stderr,
    )
