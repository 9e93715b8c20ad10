"""`scfm learnability`: which genes a model learns."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.errors import ScfmError
from scfm.files import whole
from scfm.learnability.settings import Learnability
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)

Slice = Annotated[str, typer.Option("--settings", help="settings of the stage as JSON")]
Tables = Annotated[list[str], typer.Option("--genes", help="RUN:SEED=PATH of a table written by 'genes'; repeat")]


@app.command()
def table(
    errors: Annotated[Path, typer.Argument(help="per-gene errors of one run: CSV, TSV or parquet")],
    out: Annotated[Path, typer.Option(help="folder to write")],
    annotation: Annotated[Path | None, typer.Option(help="family, family_group and program of each gene")] = None,
    settings: Slice = "{}",
) -> None:
    """The same as 'genes' for any model: needs gene, n_nonzero, zero_fraction and rescaled_mae."""
    chosen = parse(Learnability, settings, "--settings")
    from scfm.learnability.any_model import analyse_model
    from scfm.learnability.figures import counts
    from scfm.learnability.write import write

    result, said = analyse_model(errors, annotation, chosen)
    files = write(result, chosen, out)
    said += [result.summary["note"].rstrip(".")] if result.summary["note"] else []
    print("; ".join([f"learnability table: {errors}: {counts(result.summary)}", *said, f"{len(files)} files in {out}"]))


@app.command()
def genes(
    errors: Annotated[Path, typer.Option(help="gene_errors.parquet of one run and seed")],
    annotation: Annotated[Path, typer.Option(help="annotation/genes.parquet")],
    out: Annotated[Path, typer.Option(help="folder to write")],
    families: Annotated[Path | None, typer.Option(help="annotation/families.csv: every family gets a row")] = None,
    programs: Annotated[Path | None, typer.Option(help="annotation/programs.csv: every program gets a row")] = None,
    settings: Slice = "{}",
) -> None:
    """Trend, winners and losers, families and programs of one run."""
    chosen = parse(Learnability, settings, "--settings")
    from scfm.learnability.analysis import analyse
    from scfm.learnability.figures import counts
    from scfm.learnability.read import read_annotation, read_errors, read_names
    from scfm.learnability.write import write

    table = read_errors(errors)
    known = read_annotation(annotation, table.gene.drop_duplicates())
    result = analyse(table, known, chosen, read_names(families), read_names(programs))
    write(result, chosen, out)
    summary = result.summary
    text = f"learnability genes: {summary['run']} seed {summary['seed']}: {counts(summary)}"
    print(f"{text}. {summary['note']}".rstrip(" ."))


@app.command()
def agreement(
    genes: Tables,
    pairs: Annotated[list[str], typer.Option(help="FIRST:SECOND runs to compare; repeat")],
    out: Annotated[Path, typer.Option(help="agreement of every pair and seed, CSV")],
) -> None:
    """Overlap of the winners and losers of two runs, seed by seed."""
    from scfm.learnability.agreement import agreements
    from scfm.learnability.read import SCORED, parse_tables, read_table

    wanted = [_pair(text) for text in pairs]
    tables = {key: read_table(path, SCORED, "a table of scored genes") for key, path in parse_tables(genes).items()}
    table = agreements(tables, wanted)
    _write_csv(out, table)
    shared = ", ".join(f"{row.first}:{row.second} seed {row.seed} {row.shared:,}" for row in _winners(table))
    print(f"learnability agreement: winners in common: {shared}")


@app.command()
def check(
    truth: Annotated[Path, typer.Option(help="truth.parquet of the synthetic census")],
    genes: Tables,
    out: Annotated[Path, typer.Option(help="winner rates of the planted programs, CSV")],
    settings: Slice = "{}",
    strict: Annotated[bool, typer.Option("--strict", help="fail if a required difference does not hold")] = False,
) -> None:
    """Are the programs planted in the synthetic census found again?"""
    chosen = parse(Learnability, settings, "--settings")
    from scfm.learnability.check import check as compare
    from scfm.learnability.read import TRUTH, WITH_NULLS, parse_tables, read_table

    tables = {key: read_table(path, WITH_NULLS, "a table of scored genes") for key, path in parse_tables(genes).items()}
    table = compare(read_table(truth, TRUTH, "the planted truth"), tables, chosen)
    _write_csv(out, table)
    required = table[table.required]
    failed = required[required.holds == "no"]
    if strict and len(failed):
        row = failed.iloc[0]
        raise ScfmError(
            f"{row.check}: the winner rate of the planted program does not exceed that of noise "
            f"({row.value:.3f}, 95 % interval {row.low:.3f} to {row.high:.3f}); train longer or look at {out}"
        )
    print(f"learnability check: {len(required) - len(failed)} of {len(required)} required differences hold")


def _pair(text: str) -> tuple[str, str]:
    first, colon, second = text.partition(":")
    if not (first and colon and second) or first == second:
        raise ScfmError(f"--pairs: {text!r} is not of the form FIRST:SECOND with two different runs, e.g. mlm:wced")
    return first, second


def _winners(table):
    return table[(table.universe == "both") & (table.outcome == "winner")].itertuples()


def _write_csv(path: Path, table) -> None:
    with whole(path) as temporary:
        table.to_csv(temporary, index=False)
