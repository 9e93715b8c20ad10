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
        shards=RESULTS / "corpus" / "shards" / "manifest.json",
        ontology=resource("cell_ontology"),
    output:
        expand(RESULTS / "pretrain" / "{{run}}" / "{{seed}}" / "{file}", file=MODEL_FILES),
    log:
        LOGS / "pretrain" / "{run}" / "{seed}.log",
    benchmark:
        RESULTS / "benchmark" / "pretrain" / "train-{run}-{seed}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY.shared.threads
    resources:
        mem_mb=64000 if PAPER_SCALE else 3000,
        runtime=2880 if PAPER_SCALE else 60,
        gpu=GPUS,
        gpu_slots=1 if GPUS else 0,
        nodes=1,
    params:
        settings=lambda w: as_json(STUDY.runs[w.run].model_dump(mode="json", exclude={"description"})),
        launch=f"torchrun --standalone --nproc-per-node={GPUS} -m scfm" if GPUS > 1 else "python -m scfm",
        shards=RESULTS / "corpus" / "shards",
        work=lambda w: WORK / "pretrain" / w.run / w.seed,
        out=lambda w: model_folder(w.run, w.seed),
        where=f"--device {STUDY.shared.device} --gpus {STUDY.shared.gpus}" + (" --need-gpu" if PAPER_SCALE else ""),
        code=code("scfm.pretrain.commands:train"),
    shell:
        "{params.launch} pretrain train --settings {params.settings:q} --run {wildcards.run} --seed {wildcards.seed}"
        " --shards {params.shards} --ontology {input.ontology} --work {params.work} --out {params.out}"
        " --code {params.code:q} {params.where} 2>&1 | tee {log}"
