# A perturbed atlas: every cell type of a reference under every perturbation of a screen, by a run trained on the screen.
from scfm.perturbation.settings import Atlas


# The model directory serves any other reference by hand.
rule learn_screen:
    input:
        dataset_of_atlas("screen"),
    output:
        directory(BENCHMARKS / "atlas" / "model"),
    log:
        LOGS / "benchmarks" / "learn_screen.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "learn_screen.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY.shared.threads
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=64000 if PAPER_SCALE else 6000,
        runtime=2880 if PAPER_SCALE else 120,
    params:
        run=ATLAS.run if ATLAS else "",
        seed=ATLAS.seed if ATLAS else 0,
        run_settings=lambda w: as_json(STUDY.predicting[ATLAS.run].model_dump(mode="json", exclude={"description"})),
        settings=perturbation_task("by_dataset", "validation"),
        work=WORK / "atlas",
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.effect_commands:learn_screen", training_code(ATLAS.run)[1]),
    shell:
        "python -m scfm benchmarks learn-screen {input} --run-settings {params.run_settings:q} --run {params.run}"
        " --seed {params.seed} --settings {params.settings:q} --work {params.work} --device {params.device}"
        " --code {params.code:q} --out {output} 2>&1 | tee {log}"


# The classifier's confidence stands beside every cell; the table says what the cells say.
rule atlas:
    input:
        model=rules.learn_screen.output,
        screen=dataset_of_atlas("screen"),
        reference=dataset_of_atlas("reference"),
    output:
        cells=atlas_cells(),
        table=BENCHMARKS / "atlas" / "atlas.csv",
    log:
        LOGS / "benchmarks" / "atlas.log",
    benchmark:
        RESULTS / "benchmark" / "benchmarks" / "atlas.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY.shared.threads
    resources:
        **gpus(lambda w: min(GPUS, 1)),
        mem_mb=32000 if PAPER_SCALE else 4000,
        runtime=1440 if PAPER_SCALE else 60,
    params:
        settings=as_json(ATLAS.model_dump(mode="json", include=set(Atlas.model_fields))) if ATLAS else "",
        device=STUDY.shared.device,
        code=lambda w: code("scfm.benchmarks.effect_commands:atlas", training_code(ATLAS.run)[1]),
    shell:
        "python -m scfm benchmarks atlas --model {input.model} --screen {input.screen} --reference {input.reference}"
        " --settings {params.settings:q} --device {params.device} --out {output.cells} --out-table {output.table}"
        " 2>&1 | tee {log}"
