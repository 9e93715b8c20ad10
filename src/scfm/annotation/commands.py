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


Genes = Annotated[Path, typer.Option("--genes", help="Parquet table with the columns gene and ensembl.")]
Hgnc = Annotated[Path, typer.Option(help="HGNC complete set.")]
GeneOntology = Annotated[Path, typer.Option(help="Gene Ontology, OBO.")]
GoAnnotation = Annotated[Path, typer.Option(help="Human GO annotation, GAF 2.2.")]
Tfclass = Annotated[Path, typer.Option(help="TFClass, genus labels (.csv) or ontology (.obo, .ttl).")]
ProteinAtlas = Annotated[Path, typer.Option(help="Human Protein Atlas, proteinatlas.tsv.")]
Housekeeping = Annotated[Path, typer.Option(help="Housekeeping genes, one a line.")]
SettingsText = Annotated[str, typer.Option("--settings", help="Families, programs and readings as JSON.")]


@app.command()
def genes(
    genes: Genes,
    hgnc: Hgnc,
    gene_ontology: GeneOntology,
    go_annotation: GoAnnotation,
    tfclass: Tfclass,
    protein_atlas: ProteinAtlas,
    housekeeping: Housekeeping,
    settings: SettingsText,
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
    _write({out_families: families, out_programs: programs})
    with whole(out_genes) as temporary:
        annotated.to_parquet(temporary, index=False)
    print(
        f"annotation genes: {len(annotated):,} genes, {(families['n'] > 0).sum()} of {len(families)} families and "
        f"{(programs['n'] > 0).sum()} of {len(programs)} programs present; scaled to the paper's "
        f"{families['n_paper'].sum():,} genes, the counts put {misplaced(families):,.0f} in another family"
    )


@app.command()
def readings(
    genes: Genes,
    hgnc: Hgnc,
    gene_ontology: GeneOntology,
    go_annotation: GoAnnotation,
    tfclass: Tfclass,
    protein_atlas: ProteinAtlas,
    housekeeping: Housekeeping,
    settings: SettingsText,
    alternatives: Annotated[Path, typer.Option(help="config/readings.yaml.")],
    out: Annotated[Path, typer.Option(help="CSV: how far each reading is from the paper and from this study.")],
    out_counts: Annotated[Path, typer.Option(help="CSV: genes of each family and program under each reading.")],
    other: Annotated[list[str] | None, typer.Option(help="NAME=FILE: resource that a reading asks; repeat.")] = None,
) -> None:
    """Compare the readings that the paper leaves open."""
    rules = parse(AnnotationSettings, settings, "--settings")

    from scfm.annotation.genes import Files, read_vocabulary
    from scfm.annotation.readings import compare
    from scfm.annotation.settings import read_alternatives
    from scfm.options import named

    files = Files(hgnc, gene_ontology, go_annotation, tfclass, protein_atlas, housekeeping)
    others = named(other or [], "--other")
    table, numbers = compare(
        read_vocabulary(genes)["gene"], files, rules, read_alternatives(alternatives, rules), others
    )
    _write({out: table, out_counts: numbers})
    possible = table["most_changed"].notna().sum() - 1
    print(f"annotation readings: {possible} of {len(table) - 1} readings compared with this study's")


def _write(tables: dict) -> None:
    for path, table in tables.items():
        with whole(path) as temporary:
            table.to_csv(temporary, index=False)
