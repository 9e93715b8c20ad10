"""`scfm annotation`: families and programs of the genes of a vocabulary."""

from pathlib import Path
from typing import Annotated

import typer

from scfm.annotation.settings import AnnotationSettings
from scfm.files import whole
from scfm.settings import parse

app = typer.Typer(no_args_is_help=True)


@app.callback()
def annotation() -> None:
    """Gene families and expression programs."""


@app.command()
def genes(
    genes: Annotated[Path, typer.Option(help="Parquet table with the columns gene and ensembl.")],
    hgnc: Annotated[Path, typer.Option(help="HGNC complete set.")],
    gene_ontology: Annotated[Path, typer.Option(help="Gene Ontology, OBO.")],
    go_annotation: Annotated[Path, typer.Option(help="Human GO annotation, GAF 2.2.")],
    tfclass: Annotated[Path, typer.Option(help="TFClass, genus labels (.csv) or ontology (.obo).")],
    protein_atlas: Annotated[Path, typer.Option(help="Human Protein Atlas, proteinatlas.tsv.")],
    housekeeping: Annotated[Path, typer.Option(help="Housekeeping genes, one a line.")],
    settings: Annotated[str, typer.Option(help="Families, programs and readings as JSON.")],
    out_genes: Annotated[Path, typer.Option(help="Parquet: family and program of each gene.")],
    out_families: Annotated[Path, typer.Option(help="CSV: our count of each family beside the published one.")],
    out_programs: Annotated[Path, typer.Option(help="CSV: our count of each program beside the published one.")],
    record: Annotated[list[Path] | None, typer.Option(help="Record of a fetched resource, for its release.")] = None,
) -> None:
    """Give each gene its functional family and its expression program."""
    rules = parse(AnnotationSettings, settings, "--settings")

    from scfm.annotation.assign import misplaced
    from scfm.annotation.genes import Files, annotate, read_vocabulary
    from scfm.resources import read_record

    releases = {entry.name: entry.release for entry in map(read_record, record or [])}
    files = Files(hgnc, gene_ontology, go_annotation, tfclass, protein_atlas, housekeeping)
    annotated, families, programs = annotate(read_vocabulary(genes), files, rules, releases)
    for path, table in ((out_families, families), (out_programs, programs)):
        with whole(path) as temporary:
            table.to_csv(temporary, index=False)
    with whole(out_genes) as temporary:
        annotated.to_parquet(temporary, index=False)
    print(
        f"annotation genes: {len(annotated):,} genes, {(families['n'] > 0).sum()} of {len(families)} families and "
        f"{(programs['n'] > 0).sum()} of {len(programs)} programs present; scaled to the paper's "
        f"{families['n_paper'].sum():,} genes, the counts put {misplaced(families):,.0f} in another family"
    )
