"""The verbs of a biologist on the command line; cells are read in blocks, and files appear only when whole."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Source = Annotated[Path, typer.Argument(metavar="IN.h5ad")]
Out = Annotated[Path, typer.Argument(metavar="OUT.h5ad")]
ModelName = Annotated[str, typer.Option("--model", help="model directory, or hf:owner/name of the Hugging Face Hub")]
Values = Annotated[str | None, typer.Option(help="what the matrix holds: counts, tpm or lognorm; told if left out")]
Layer = Annotated[str | None, typer.Option(help="layer to read instead of X")]
Raw = Annotated[bool | None, typer.Option("--raw/--no-raw", help="read raw instead of X")]
GeneColumn = Annotated[str | None, typer.Option(help="var column of gene names, instead of the index")]
Orthologs = Annotated[Path | None, typer.Option(help="homology report of MGI, or a table: gene, human")]
LeastKnown = Annotated[float, typer.Option(help="share of known genes below which the cells are refused")]


@app.command()
def embed(
    source: Source,
    out: Out,
    model: ModelName,
    pooling: Annotated[list[str] | None, typer.Option(help="cls, mean, …; repeat to put several side by side")] = None,
    key_added: Annotated[str, typer.Option(help="key of obsm")] = "X_scfm",
    group_key: Annotated[list[str] | None, typer.Option(help="obs column of cells that are read together")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed, see `scfm.load`")] = None,
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Embed the cells of an h5ad."""
    from scfm.api.cells import describe
    from scfm.api.embed import embed as run
    from scfm.api.hub import from_pretrained

    reading = _reading(values, layer, raw, gene_column, orthologs, least_known)
    adata, loaded = _open(source), from_pretrained(model, precision=precision)
    run(adata, loaded, pooling, key_added=key_added, group_key=group_key, verbose=False, **reading)
    facts, width = adata.uns[key_added], adata.obsm[key_added].shape[1]
    _write(adata, source, out)
    print(f"embed: {describe(facts, adata.n_obs)}; obsm['{key_added}'] {width} wide, in {out}")


@app.command()
def annotate(
    source: Source,
    out: Out,
    model: ModelName,
    decode: Annotated[str, typer.Option(help="leaf or greedy")] = "leaf",
    threshold: Annotated[float | None, typer.Option(help="stop at the deepest type that is so probable")] = None,
    level: Annotated[int | None, typer.Option(help="stop so many steps below the root at most")] = None,
    key_added: Annotated[str, typer.Option(help="beginning of the obs columns")] = "scfm",
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Annotate the cells of an h5ad with the labels of a model."""
    from scfm.api.annotate import annotate as run
    from scfm.api.cells import describe

    reading = _reading(values, layer, raw, gene_column, orthologs, least_known)
    adata = _open(source)
    limits = {"threshold": threshold, "level": level}
    run(adata, model, decode, **limits, key_added=key_added, verbose=False, **reading)
    top = adata.obs[f"{key_added}_name"].value_counts().head(3)
    _write(adata, source, out)
    found = ", ".join(f"{n:,} {name}" for name, n in top.items())
    print(f"annotate: {describe(adata.uns[key_added], adata.n_obs)}; {found}; in {out}")


@app.command()
def calibrate(
    source: Source,
    model: ModelName,
    column: Annotated[str, typer.Option(help="obs column of ontology ids")] = "cell_type_ontology_term_id",
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Fit the temperature of a model's probabilities on labelled cells that it has not seen."""
    from scfm.api.calibrate import calibrate as run

    run(_open(source), model, column, **_reading(values, layer, raw, gene_column, orthologs, least_known))


@app.command()
def explain(
    source: Source,
    out: Annotated[Path, typer.Argument(metavar="OUT.csv")],
    model: ModelName,
    target: Annotated[
        str, typer.Option(help="Cell Ontology id or name, a number's column, group:label, or gene:symbol")
    ],
    cells: Annotated[str | None, typer.Option(help="explain the cells of an obs column: column=value")] = None,
    baseline: Annotated[str, typer.Option(help="empty or zero")] = "empty",
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Say which genes make a model predict a target: a table of effects."""
    from scfm.api.explain import explain as run
    from scfm.files import whole

    reading = _reading(values, layer, raw, gene_column, orthologs, least_known)
    table = run(_chosen(_open(source), cells), model, target, baseline=baseline, **reading)
    with whole(out) as temporary:
        table.to_csv(temporary, index=False)
    print(f"explain: first {', '.join(table['gene'].head(5))}; {len(table):,} genes in {out}")


@app.command()
def finetune(
    source: Source,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="model directory to write")],
    model: ModelName,
    column: Annotated[str, typer.Option(help="obs column of labels or numbers")],
    task: Annotated[str | None, typer.Option(help="labels or regression; told from the column if left out")] = None,
    trainable: Annotated[str, typer.Option(help="all, last, head or lora")] = "all",
    last: Annotated[int, typer.Option(help="blocks that learn under last")] = 1,
    rank: Annotated[int, typer.Option(help="rank under lora")] = 8,
    epochs: Annotated[int, typer.Option(help="most passes over the cells")] = 30,
    learning_rate: Annotated[float | None, typer.Option(help="one that suits trainable if left out")] = None,
    seed: int = 0,
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Let a model learn the labels or numbers of an obs column, and write it as a model directory."""
    from scfm.api.finetune import finetune as run

    training = {"epochs": epochs} | ({"learning_rate": learning_rate} if learning_rate else {})
    reading = _reading(values, layer, raw, gene_column, orthologs, least_known)
    parts = {"task": task, "trainable": trainable, "last": last, "rank": rank}
    run(_open(source), model, column, out, **parts, training=training, seed=seed, **reading)


@app.command()
def predict(
    source: Source,
    out: Out,
    model: ModelName,
    key_added: Annotated[str | None, typer.Option(help="key of obs; scfm_ and the column learnt if left out")] = None,
    values: Values = None,
    layer: Layer = None,
    raw: Raw = None,
    gene_column: GeneColumn = None,
    orthologs: Orthologs = None,
    least_known: LeastKnown = 0.25,
) -> None:
    """Predict the number that a model was fine-tuned on for the cells of an h5ad."""
    from scfm.api.cells import describe
    from scfm.api.hub import from_pretrained
    from scfm.api.predict import predict as run
    from scfm.api.predict import summary
    from scfm.finetuning.target import target_of

    reading = _reading(values, layer, raw, gene_column, orthologs, least_known)
    adata, loaded = _open(source), from_pretrained(model)
    key = key_added or f"scfm_{target_of(loaded)['column']}"
    run(adata, loaded, key_added=key, verbose=False, **reading)
    _write(adata, source, out)
    print(f"predict: {describe(adata.uns[key], adata.n_obs)}; {summary(adata, key)}; in {out}")


@app.command()
def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="model directory")],
    licence: Annotated[str | None, typer.Option(help="as the Hub names it, e.g. cc-by-4.0")] = None,
) -> None:
    """Print the model card: data, objective, training, metrics and limits, from the files of a model directory."""
    from scfm.model_card import model_card

    print(model_card(model, licence), end="")


@app.command()
def push(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="model directory")],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="owner/name")],
    licence: Annotated[str | None, typer.Option(help="must be given, as the Hub names it, e.g. cc-by-4.0")] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="id on the Hub of training data, for the card; repeat")
    ] = None,
    private: Annotated[bool, typer.Option(help="for you and your organisation alone")] = False,
) -> None:
    """Publish a model directory with its card on the Hugging Face Hub."""
    from scfm.api.hub import push_to_hub

    push_to_hub(model, repo_id, private=private, licence=licence, datasets=dataset or ())


def _reading(values, layer, raw, gene_column, orthologs, least_known) -> dict:
    """Keywords of `scfm.api.cells.Reading`."""
    names = {"values": values, "layer": layer, "use_raw": raw, "gene_column": gene_column}
    return {**names, "orthologs": orthologs, "least_known": least_known}


def _open(path: Path):
    from scfm.deposit import read_h5ad

    return read_h5ad(path, "h5ad", backed=True)


def _chosen(adata, cells: str | None):
    """The cells of one value of an obs column, in memory, or all."""
    from scfm.errors import ScfmError

    if cells is None:
        return adata
    column, _, value = cells.partition("=")
    if column not in adata.obs:
        raise ScfmError(f"--cells: obs has no column '{column}'; choose among {', '.join(map(str, adata.obs))}")
    values = adata.obs[column].astype(str)
    if value not in set(values):
        raise ScfmError(f"--cells: no cell has {column} '{value}'; choose among {', '.join(values.unique()[:10])}")
    return adata[(values == value).to_numpy()].to_memory()


def _write(adata, source: Path, out: Path) -> None:
    """A copy of the source with the tables of its cells as they are now; matrices are copied as they lie there."""
    import h5py
    from anndata.io import write_elem

    from scfm.files import whole

    with whole(out) as temporary:
        shutil.copyfile(source, temporary)
        with h5py.File(temporary, "r+") as file:
            for name, table in (("obs", adata.obs), ("obsm", dict(adata.obsm)), ("uns", dict(adata.uns))):
                if name in file:
                    del file[name]
                write_elem(file, name, table)
