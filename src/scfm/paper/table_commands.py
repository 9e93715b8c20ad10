"""`scfm paper table`: one table of the paper, or one beside them, as CSV."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.files import whole
from scfm.options import by_run_and_seed, named
from scfm.paper import optional_commands
from scfm.paper.options import Out, PublishedFile, SettingsText, TidyFiles, write

tables = typer.Typer(no_args_is_help=True)
tables.add_typer(optional_commands.app)


@tables.command("1")
def table1(
    run: Annotated[list[str], typer.Option(help="NAME=FILE: a run's settings as JSON; repeat for each run.")],
    published: PublishedFile,
    out: Out,
) -> None:
    """Hyperparameters of every run beside the published ones."""
    from scfm.paper.tables.hyperparameters import hyperparameters, read_run

    runs = {name: read_run(path) for name, path in named(run, "--run").items()}
    write(hyperparameters(runs, published), out, "paper table 1")


@tables.command("2")
def table2(
    sizes: Annotated[Path, typer.Option(help="families.csv of the annotation stage.")],
    families: Annotated[list[str], typer.Option(help="RUN/SEED=families.csv of learnability; repeat.")],
    out: Out,
) -> None:
    """Gene families: published and own sizes, winner rates and odds ratios."""
    from scfm.paper.tables.families import families as family_table

    write(family_table(sizes, by_run_and_seed(families, "--families")), out, "paper table 2")


@tables.command("3")
def table3(
    genes: Annotated[list[str], typer.Option(help="RUN/SEED=FILE: genes.parquet of learnability; repeat.")],
    out: Out,
) -> None:
    """Genes that a run learns less well than their sparsity predicts."""
    from scfm.paper.tables.genes import losers

    write(losers(by_run_and_seed(genes, "--genes")), out, "paper table 3")


@tables.command("learnability")
def learnability(
    learnability: Annotated[list[str], typer.Option(help="RUN/SEED=FOLDER: learnability tables; repeat.")],
    out: Annotated[Path, typer.Option(help="Folder of the CSV files to write.")],
) -> None:
    """Winners beside the null models, sensitivity, cross-tabulation, detection and gating of every run."""
    from scfm.paper.tables.learnability import learnability_tables

    found = learnability_tables(by_run_and_seed(learnability, "--learnability"))
    for name, table in found.items():
        with whole(out / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    print("paper table learnability: " + ", ".join(f"{name} {len(table):,} rows" for name, table in found.items()))


@tables.command("4")
def table4(
    tidy: TidyFiles,
    contrast: Annotated[list[str], typer.Option(help="RUN/POOLING-RUN/POOLING; repeat for each difference.")],
    out: Out,
) -> None:
    """Differences between runs for each dataset, e.g. WCED - MLM."""
    from scfm.paper.tables.difference import differences, parse_contrast
    from scfm.paper.tidy import read_tidy

    write(differences(read_tidy(tidy), [parse_contrast(text) for text in contrast]), out, "paper table 4")


def _by_dataset(name: str, tidy: list[Path], out: Path) -> None:
    from scfm.paper.tables.by_dataset import MEASURES, metric_by_dataset
    from scfm.paper.tidy import read_tidy

    write(metric_by_dataset(read_tidy(tidy), *MEASURES[name]), out, f"paper table {name}")


@tables.command("5")
def table5(tidy: TidyFiles, out: Out) -> None:
    """Score of zero-shot batch integration: 0.6 AvgBio + 0.4 AvgBatch."""
    _by_dataset("5", tidy, out)


@tables.command("6")
def table6(tidy: TidyFiles, out: Out) -> None:
    """AvgBio of zero-shot batch integration."""
    _by_dataset("6", tidy, out)


@tables.command("7")
def table7(tidy: TidyFiles, out: Out) -> None:
    """AvgBatch of zero-shot batch integration."""
    _by_dataset("7", tidy, out)


@tables.command("macro-f1")
def macro_f1(tidy: TidyFiles, out: Out) -> None:
    """Macro F1 of label prediction on frozen embeddings."""
    _by_dataset("macro-f1", tidy, out)


@tables.command("8")
def table8(tidy: TidyFiles, out: Out) -> None:
    """Mouse cells through one-to-one orthologs."""
    from scfm.paper.tables.mouse import mouse
    from scfm.paper.tidy import read_tidy

    write(mouse(read_tidy(tidy)), out, "paper table 8")


@tables.command("heldout")
def heldout(tidy: TidyFiles, out: Out) -> None:
    """Macro F1 on held-out batches, of linear probes and fine-tuned."""
    from scfm.paper.tables.by_dataset import held_out
    from scfm.paper.tidy import read_tidy

    write(held_out(read_tidy(tidy)), out, "paper table heldout")


def _frozen(name: str, tidy: list[Path], out: Path) -> None:
    from scfm.paper.tables.by_dataset import frozen
    from scfm.paper.tidy import read_tidy

    write(frozen(read_tidy(tidy), name), out, f"paper table {name}")


@tables.command("9")
def table9(tidy: TidyFiles, out: Out) -> None:
    """Macro F1 of label prediction, on the datasets that are clustered too."""
    _frozen("9", tidy, out)


@tables.command("10")
def table10(tidy: TidyFiles, out: Out) -> None:
    """Accuracy of label prediction, on the same datasets."""
    _frozen("10", tidy, out)


@tables.command("11")
def table11(tidy: TidyFiles, out: Out) -> None:
    """ARI of Leiden clusters at resolution 1."""
    _frozen("11", tidy, out)


@tables.command("12")
def table12(tidy: TidyFiles, out: Out) -> None:
    """NMI of the same clusters."""
    _frozen("12", tidy, out)


@tables.command("13")
def table13(tidy: TidyFiles, out: Out) -> None:
    """Silhouette of the cell types."""
    _frozen("13", tidy, out)


@tables.command("ontology")
def ontology(tidy: TidyFiles, out: Out) -> None:
    """Every metric of zero-shot annotation with the ontology."""
    from scfm.paper.tables.by_dataset import by_run
    from scfm.paper.tidy import read_tidy

    write(by_run(read_tidy(tidy), "ontology"), out, "paper table ontology")


@tables.command("donors")
def donors(tidy: TidyFiles, out: Out) -> None:
    """What vectors of donors tell of their age, disease or condition."""
    from scfm.paper.tables.donors import donors_table
    from scfm.paper.tidy import read_tidy

    write(donors_table(read_tidy(tidy)), out, "paper table donors")


@tables.command("imputation")
def imputation(tidy: TidyFiles, out: Out) -> None:
    """How well hidden counts and hidden genes are predicted."""
    from scfm.paper.tables.imputation import imputation_table
    from scfm.paper.tidy import read_tidy

    write(imputation_table(read_tidy(tidy)), out, "paper table imputation")


@tables.command("controls")
def controls(
    tidy: TidyFiles,
    out: Out,
    control: Annotated[list[str] | None, typer.Option(help="RUN=CONTROL; repeat for each run.")] = None,
) -> None:
    """Which runs beat the same network with random weights."""
    from scfm.paper.tables.controls import controls as control_table
    from scfm.paper.tidy import read_tidy

    control_of = dict(text.split("=") for text in control) if control else None
    write(control_table(read_tidy(tidy), control_of), out, "paper table controls")


@tables.command("ranks")
def ranks(tidy: TidyFiles, out: Out) -> None:
    """Mean ranks of all embeddings over the datasets."""
    from scfm.paper.tables.ranks import ranks as rank_table
    from scfm.paper.tidy import read_tidy

    write(rank_table(read_tidy(tidy)), out, "paper table ranks")


@tables.command("pairs")
def pairs(
    tidy: TidyFiles,
    contrast: Annotated[list[str], typer.Option(help="RUN/POOLING-RUN/POOLING; repeat for each comparison.")],
    out: Out,
    settings: SettingsText = "{}",
) -> None:
    """Paired comparisons over the datasets: difference, interval, test."""
    from scfm.paper.settings import Paper
    from scfm.paper.tables.difference import parse_contrast
    from scfm.paper.tables.pairs import pairs as pair_table
    from scfm.paper.tidy import read_tidy
    from scfm.settings import parse

    chosen = [parse_contrast(text) for text in contrast]
    write(pair_table(read_tidy(tidy), chosen, parse(Paper, settings, "--settings")), out, "paper table pairs")


@tables.command("inconsistencies")
def inconsistencies(
    file: Annotated[Path, typer.Argument(help="config/inconsistencies.yaml.")],
    out: Out,
) -> None:
    """Where the paper disagrees with itself or its code, and the reading taken."""
    import pandas as pd

    from scfm.paper.claims import read_inconsistencies

    points = [point.model_dump() for point in read_inconsistencies(file)]
    write(pd.DataFrame(points), out, "paper table inconsistencies")


@tables.command("14")
def table14(
    datasets: Annotated[Path, typer.Option(help="The sheet of datasets (config/datasets.tsv).")],
    published: PublishedFile,
    out: Out,
    prepared: Annotated[list[Path] | None, typer.Option(help="A prepared benchmark dataset (h5ad); repeat.")] = None,
    cells: Annotated[Path | None, typer.Option(help="cells.parquet of the corpus.")] = None,
    contamination: Annotated[Path | None, typer.Option(help="CSV of 'scfm benchmarks contamination'.")] = None,
) -> None:
    """Datasets: what is in them and what they are used for."""
    from scfm.datasets import read_datasets
    from scfm.paper.tables.datasets import datasets_table

    table = datasets_table(read_datasets(datasets), prepared or [], cells, published, contamination)
    write(table, out, "paper table 14")


@tables.command("pages")
def pages(
    table: Annotated[list[str], typer.Option(help="NAME=CSV, e.g. table5=...; repeat.")],
    captions: Annotated[Path, typer.Option(help="Folder of captions, NAME.rst for each table.")],
    out: Annotated[Path, typer.Option(help="Folder of the pages to write.")],
) -> None:
    """Every table as an HTML page, and those that the paper numbers as LaTeX."""
    from scfm.paper.pages import write_pages

    counts = write_pages(named(table, "--table"), captions, out)
    print("paper table pages: " + ", ".join(f"{number} {kind}" for kind, number in counts.items()))


@tables.command("contents")
def contents(
    out: Out,
    here: Annotated[list[str] | None, typer.Option(help="NAME=FILE of this study; repeat.")] = None,
    missing: Annotated[list[str] | None, typer.Option(help="NAME=REASON; repeat for what this study lacks.")] = None,
) -> None:
    """The paper's tables and figures by their numbers: the file, or why there is none."""
    from scfm.paper.tables.contents import contents as table_of_contents

    given = named(here or [], "--here"), {name: str(why) for name, why in named(missing or [], "--missing").items()}
    write(table_of_contents(*given), out, "paper table contents")
