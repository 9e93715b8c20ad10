"""`scfm learnability`: which genes a model learns."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.errors import ScfmError
from scfm.files import whole, write_json
from scfm.learnability.settings import Learnability
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)

Slice = Annotated[str, typer.Option("--settings", help="settings of the stage as JSON")]
Tables = Annotated[list[str], typer.Option("--genes", help="RUN:SEED=PATH of a table written by 'genes'; repeat")]


@app.command()
def genes(
    errors: Annotated[Path, typer.Option(help="gene_errors.parquet of one run and seed")],
    annotation: Annotated[Path, typer.Option(help="annotation/genes.parquet")],
    out_genes: Annotated[Path, typer.Option(help="scored genes, parquet")],
    out_families: Annotated[Path, typer.Option(help="families, CSV")],
    out_programs: Annotated[Path, typer.Option(help="programs, CSV")],
    out_crosstab: Annotated[Path, typer.Option(help="families against programs, CSV")],
    out_dynamics: Annotated[Path, typer.Option(help="medians of each epoch, CSV")],
    out_sensitivity: Annotated[Path, typer.Option(help="winners under other parameters, CSV")],
    out_summary: Annotated[Path, typer.Option(help="counts, sparsity and null models, JSON")],
    families: Annotated[Path | None, typer.Option(help="annotation/families.csv: every family gets a row")] = None,
    programs: Annotated[Path | None, typer.Option(help="annotation/programs.csv: every program gets a row")] = None,
    settings: Slice = "{}",
) -> None:
    """Trend, winners and losers, families and programs of one run."""
    chosen = parse(Learnability, settings, "--settings")
    from scfm.learnability.analysis import analyse
    from scfm.learnability.read import read_annotation, read_errors, read_names

    table = read_errors(errors)
    known = read_annotation(annotation, table.gene.drop_duplicates())
    result = analyse(table, known, chosen, read_names(families), read_names(programs))
    with whole(out_genes) as temporary:
        result.genes.to_parquet(temporary, index=False)
    outputs = {
        out_families: result.families,
        out_programs: result.programs,
        out_crosstab: result.crosstab,
        out_dynamics: result.dynamics,
        out_sensitivity: result.sensitivity,
    }
    for path, frame in outputs.items():
        _write_csv(path, frame)
    write_json(out_summary, result.summary)
    summary = result.summary
    counts = f"{summary['reliable']:,} of {summary['genes']:,} genes reliable, {summary['winners']:,} winners"
    text = f"learnability genes: {summary['run']} seed {summary['seed']}: {counts}, {summary['losers']:,} losers"
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
    from scfm.learnability.read import SCORED, TRUTH, parse_tables, read_table

    tables = {key: read_table(path, SCORED, "a table of scored genes") for key, path in parse_tables(genes).items()}
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
