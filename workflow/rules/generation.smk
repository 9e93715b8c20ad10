# Cells that trained runs draw, beside held-out real cells and controls; only in studies with the key `generation` and its dataset.


if DRAWN:

    rule draw:
        input:
            RESULTS / "pretrain" / "{run}" / "{seed}" / "model.safetensors",
        output:
            GENERATION / "{run}" / "{seed}.h5ad",
        log:
            LOGS / "generation" / "{run}-{seed}.log",
        benchmark:
            RESULTS / "benchmark" / "generation" / "{run}-{seed}.tsv"
        conda:
            "../../envs/model.yaml"
        resources:
            **gpus(lambda w: min(GPUS, 1)),
            mem_mb=4000,
            runtime=240,
        params:
            model=lambda w: model_folder(w.run, w.seed),
            settings=as_json(DRAWN.drawing),
            device=STUDY.shared.device,
            code=lambda w: code("scfm.generation.commands:draw", *model_code(w.run)),
        shell:
            "python -m scfm generation draw --model {params.model} --settings {params.settings:q}"
            " --device {params.device} --out {output} 2>&1 | tee {log}"

    rule evaluate_drawn:
        input:
            drawn=drawn_cells(),
            real=BENCHMARKS / "datasets" / f"{DRAWN.dataset}.h5ad",
            shards=CORPUS / "shards" / "manifest.json",
            contamination=CONTAMINATION,
        output:
            table=GENERATION / "results.csv",
            map=GENERATION / "map.csv",
        log:
            LOGS / "generation" / "evaluate.log",
        benchmark:
            RESULTS / "benchmark" / "generation" / "evaluate.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            shards=CORPUS / "shards",
            study=STUDY.name,
            settings=as_json(DRAWN.comparison),
            code=code("scfm.generation.commands:evaluate"),
        shell:
            "python -m scfm generation evaluate {input.drawn} --real {input.real} --shards {params.shards}"
            " --contamination {input.contamination} --study {params.study} --settings {params.settings:q}"
            " --out {output.table} --out-map {output.map}"
            " 2>&1 | tee {log}"

    rule table_of_drawn:
        input:
            generation_files(),
        output:
            report(RESULTS / "tables" / "generation.csv", category="tables", caption="../report/generation.rst"),
        log:
            LOGS / "paper" / "generation.log",
        benchmark:
            RESULTS / "benchmark" / "paper" / "generation.tsv"
        conda:
            "../../envs/analysis.yaml"
        params:
            code=code("scfm.paper.optional_commands:generation"),
        shell:
            "python -m scfm paper table generation --tidy {input} --out {output} 2>&1 | tee {log}"
