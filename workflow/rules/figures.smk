# Figures: notebooks run on tables of the stages, one rule each.


# The executed notebook goes to the log first: Snakemake deletes the outputs of a failed job, and the traceback with them.
for figure in get_args(Figure):

    rule:
        name:
            figure
        input:
            **figure_tables(figure),
            notebook=f"notebooks/{figure}.ipynb",
        output:
            notebook=RESULTS / "figures" / figure / f"{figure}.ipynb",
            png=report(
                RESULTS / "figures" / figure / f"{figure}.png",
                category="figures",
                caption=f"../report/{figure}.rst",
            ),
            pdf=RESULTS / "figures" / figure / f"{figure}.pdf",
        log:
            notebook=LOGS / "paper" / f"{figure}.ipynb",
            text=LOGS / "paper" / f"{figure}.log",
        benchmark:
            RESULTS / "benchmark" / "paper" / f"{figure}.tsv"
        conda:
            "../../envs/analysis.yaml"
        params:
            parameters=parameters_of_figure(figure),
            code=code("scfm.paper.commands:notebook", "scfm.paper.style", "scfm.paper.tidy", "scfm.paper.schemes"),
        shell:
            "python -m scfm paper notebook {input.notebook} --parameters {params.parameters:q} --log {log.notebook}"
            " --out {output.notebook} 2>&1 | tee {log.text}"
