"""`scfm corpus`: the steps from a source of cells to training shards."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)

Out = Annotated[Path, typer.Option(help="directory to write")]
Part = Annotated[int, typer.Option(help="number of the contiguous range, from 0")]
Parts = Annotated[int, typer.Option(help="number of ranges")]
LocalSoma = Annotated[Path | None, typer.Option(help="local SOMA, for sources of kind synthetic")]
Deposits = Annotated[list[Path] | None, typer.Argument(help="deposits, in the order of the rows in --datasets")]
Rows = Annotated[
    str, typer.Option(help='JSON {"datasets": [rows of the sheet of datasets]}, for sources of kind files')
]
NO_ROWS = '{"datasets": []}'
Selection = Annotated[Path, typer.Option(help="directory written by 'corpus select'")]


@app.command()
def synthesize(settings: Annotated[str, typer.Option(help="JSON of the synthetic source")], out: Out) -> None:
    """Draw the synthetic census: h5ad files, annotation files, truth."""
    from scfm.corpus.settings import Synthetic
    from scfm.corpus.synthetic import synthesize as run

    done = run(parse(Synthetic, settings, "--settings"), out)
    print(
        f"corpus synthesize: {done['cells']:,} cells, {done['genes']:,} genes, {done['datasets']} datasets, "
        f"{done['holdout']:,} held-out cells"
    )


@app.command()
def plant(
    kind: Annotated[str, typer.Argument(help="perturbation, disease, screen or cytokine")],
    settings: Annotated[str, typer.Option(help="JSON of the synthetic source")],
    out: Annotated[Path, typer.Option(help="h5ad to write")],
) -> None:
    """Draw a dataset beside the synthetic census whose answer is known: drugs, a disease, a screen, a cytokine."""
    from scfm.corpus.settings import Synthetic
    from scfm.corpus.synthetic.kinds import PLANTED
    from scfm.errors import ScfmError
    from scfm.files import whole

    if kind not in PLANTED:
        raise ScfmError(f"corpus plant: kind '{kind}' is unknown; write one of {', '.join(PLANTED)}")
    adata = PLANTED[kind](parse(Synthetic, settings, "--settings"))
    with whole(out) as temporary:
        adata.write_h5ad(temporary)
    print(f"corpus plant {kind}: {adata.n_obs:,} cells, {adata.n_vars:,} genes")


@app.command()
def build(
    files: Annotated[list[Path], typer.Argument(help="deposits, in the order of the rows in the settings")],
    settings: Annotated[str, typer.Option(help='JSON {"datasets": [rows of the sheet of datasets]}')],
    out: Out,
) -> None:
    """Build a local SOMA laid out as the CELLxGENE Census."""
    from scfm.corpus.build import build_soma
    from scfm.corpus.settings import BuildSettings

    done = build_soma(files, parse(BuildSettings, settings, "--settings").datasets, out)
    print(f"corpus build: {done['cells']:,} cells, {done['genes']:,} features, {done['datasets']} datasets")


@app.command("datasets")
def list_datasets(
    settings: Annotated[str, typer.Option(help="JSON with source")],
    out: Annotated[Path, typer.Option(help="CSV to write")],
    soma: LocalSoma = None,
    deposits: Deposits = None,
    datasets: Rows = NO_ROWS,
) -> None:
    """List the datasets of the store with their DOIs."""
    from scfm.corpus.settings import SourceSettings
    from scfm.corpus.stored import stored_datasets
    from scfm.files import whole

    table = stored_datasets(parse(SourceSettings, settings, "--settings"), soma, _paired(deposits, datasets))
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"corpus datasets: {len(table):,} datasets, {(table['doi'] != '').sum():,} with a DOI")


@app.command()
def scan(
    settings: Annotated[str, typer.Option(help="JSON with source, qc, block")],
    out: Out,
    part: Part = 0,
    parts: Parts = 1,
    soma: LocalSoma = None,
    deposits: Deposits = None,
    datasets: Rows = NO_ROWS,
) -> None:
    """Measure quality over one range of the store."""
    from scfm.corpus.scan import scan as run
    from scfm.corpus.settings import ScanSettings
    from scfm.memory import keep_freed_memory

    keep_freed_memory()
    done = run(parse(ScanSettings, settings, "--settings"), part, parts, out, soma, _paired(deposits, datasets))
    print(f"corpus scan: part {part} of {parts}, {done['rows']:,} of {done['stop'] - done['start']:,} cells")


def _paired(files: list[Path] | None, datasets: str) -> list:
    """Deposits with their rows of the sheet of datasets."""
    from scfm.corpus.settings import BuildSettings
    from scfm.errors import ScfmError

    rows = parse(BuildSettings, datasets, "--datasets").datasets
    if len(rows) != len(files or []):
        raise ScfmError(f"--datasets: {len(rows)} rows for {len(files or [])} files; give one row for each file")
    return list(zip(files or [], rows, strict=True))


@app.command()
def convert(
    folder: Annotated[Path, typer.Argument(help="folder of matrix.mtx, features.tsv and barcodes.tsv")],
    out: Annotated[Path, typer.Option(help="h5ad to write")],
) -> None:
    """Write a 10x folder as h5ad, so that ranges of its cells can be read."""
    from scfm.corpus.tenx import convert_mtx

    done = convert_mtx(folder, out)
    print(f"corpus convert: {done['cells']:,} cells, {done['genes']:,} genes, {done['entries']:,} entries")


@app.command()
def select(
    parts: Annotated[list[Path], typer.Argument(help="directories written by 'corpus scan', all parts")],
    settings: Annotated[str, typer.Option(help="JSON with qc, exclude_datasets, sampling, split, layout, shard_cells")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set")],
    out: Out,
    orthologs: Annotated[list[str] | None, typer.Option(help="SPECIES=FILE, for a species other than human")] = None,
) -> None:
    """Choose cells and genes, sample, split."""
    from scfm.corpus.select import select as run
    from scfm.corpus.settings import SelectSettings

    files = {species: Path(file) for species, _, file in (pair.partition("=") for pair in orthologs or [])}
    done = run(parse(SelectSettings, settings, "--settings"), parts, hgnc, out, files)
    names = ", ".join(f"{n:,} {how}" for how, n in done["features_by_name"].items())
    print(
        f"corpus select: {done['cells']:,} cells ({done['train']:,} train, {done['validation']:,} validation) of "
        f"{done['datasets']} datasets, {done['genes']:,} genes (features: {names})"
    )


@app.command()
def scatter(
    settings: Annotated[str, typer.Option(help="JSON with source, block")],
    selection: Selection,
    out: Out,
    part: Part = 0,
    parts: Parts = 1,
    soma: LocalSoma = None,
    deposits: Deposits = None,
    datasets: Rows = NO_ROWS,
) -> None:
    """Bring the chosen counts of one range into shard order."""
    from scfm.corpus.scatter import scatter as run
    from scfm.corpus.settings import ScatterSettings
    from scfm.memory import keep_freed_memory

    keep_freed_memory()
    done = run(
        parse(ScatterSettings, settings, "--settings"), selection, part, parts, out, soma, _paired(deposits, datasets)
    )
    print(f"corpus scatter: part {part} of {parts}, {done['cells']:,} cells")


@app.command()
def gather(
    parts: Annotated[list[Path], typer.Argument(help="directories written by 'corpus scatter', all parts")],
    selection: Selection,
    out: Out,
) -> None:
    """Merge the scattered parts into training shards."""
    from scfm.corpus.gather import gather as run
    from scfm.memory import keep_freed_memory

    keep_freed_memory()
    done = run(selection, parts, out)
    print(f"corpus gather: {done['cells']:,} cells, {done['genes']:,} genes, {len(done['shards'])} shards")


@app.command()
def check(
    selection: Selection,
    shards: Annotated[Path, typer.Option(help="directory written by 'corpus gather'")],
    out: Annotated[Path, typer.Option(help="CSV to write")],
) -> None:
    """Check that nothing stands on both sides of the split."""
    from scfm.corpus.check import check_written
    from scfm.files import whole

    table = check_written(selection, shards)
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    apart = ", ".join(f"{unit}s" for unit in table.loc[table["must_not_cross"], "unit"].unique())
    print(f"corpus check: no crossing of {apart} in the selection and the shards")


@app.command()
def figures(
    selection: Selection,
    out_sampling: Annotated[Path, typer.Option(help="directory for the images of what is left from stage to stage")],
    out_qc: Annotated[Path, typer.Option(help="directory for the histograms of quality control")],
    dpi: Annotated[int, typer.Option(help="resolution of the images")] = 150,
) -> None:
    """Draw what quality control and sampling did."""
    from scfm.corpus.figures import draw_figures

    done = draw_figures(selection, out_sampling, out_qc, dpi)
    print(f"corpus figures: {done['sampling']} of the cells from stage to stage, {done['qc']} of quality control")


@app.command()
def verify(shards: Annotated[Path, typer.Argument(help="directory written by 'corpus gather'")]) -> None:
    """Check digests, sizes, ids, totals and labels of training shards."""
    from scfm.corpus.verify import verify as run

    done = run(shards)
    print(
        f"corpus verify: {done['cells']:,} cells of {done['datasets']} datasets, {done['genes']:,} genes, "
        f"{done['shards']} shards, {done['bytes']:,} bytes, all as in the manifest"
    )
