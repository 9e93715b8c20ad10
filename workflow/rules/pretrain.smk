# One training per run and seed; resumes from its last checkpoint under the work folder.
MODEL_FILES = [
    "model.safetensors",
    "config.json",
    "genes.parquet",
    "labels.json",
    "metrics.csv",
    "gene_errors.parquet",
]
GPUS = STUDY.shared.gpus if STUDY.shared.device == "gpu" or (PAPER_SCALE and STUDY.shared.device == "auto") else 0


def model_folder(run, seed):
    return RESULTS / "pretrain" / run / str(seed)


rule train:
    input:
        shards=RESULTS / "corpus" / "shards" / "manifest.json",
        ontology=ancient(resource("cell_ontology")),
    output:
        expand(RESULTS / "pretrain" / "{{run}}" / "{{seed}}" / "{file}", file=MODEL_FILES),
    params:
        settings=lambda w: as_json(STUDY.runs[w.run]),
        launch=f"torchrun --standalone --nproc-per-node={GPUS} -m scfm" if GPUS > 1 else SCFM,
        shards=RESULTS / "corpus" / "shards",
        work=lambda w: WORK / "pretrain" / w.run / w.seed,
        out=lambda w: model_folder(w.run, w.seed),
        where=f"--device {STUDY.shared.device} --gpus {STUDY.shared.gpus}" + (" --need-gpu" if PAPER_SCALE else ""),
        code=code("scfm.pretrain.train"),
    log:
        LOGS / "pretrain" / "{run}" / "{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "pretrain" / "train-{run}-{seed}.tsv"
    threads: STUDY.shared.threads
    resources:
        mem_mb=64000 if PAPER_SCALE else 3000,
        runtime=2880 if PAPER_SCALE else 60,
        gpu=GPUS,
        nodes=1,
    shell:
        "{params.launch} pretrain train --settings {params.settings:q} --run {wildcards.run} --seed {wildcards.seed}"
        " --shards {params.shards} --ontology {input.ontology} --work {params.work} --out {params.out}"
        " {params.where} 2>&1 | tee {log}"
