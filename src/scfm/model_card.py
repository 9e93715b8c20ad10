"""The model card: what a model directory says about its model, in words, with the front matter that the Hub reads."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.finetuning.target import TARGET
from scfm.model import Model, load
from scfm.models.description import Description, describe, smaller

METRICS = "metrics.csv"
TUNING = {
    "train_loss": "mean loss of the fine-tuning",
    "dev_loss": "the same of held-out cells",
}


def model_card(
    folder: Path | str, licence: str | None = None, source: str | None = None, datasets: Sequence[str] = ()
) -> str:
    """Markdown with YAML front matter; every number is read from the files of the model directory.

    Args:
        licence: identifier as the Hub knows it, e.g. `cc-by-4.0`; without one, the card says that there is none.
        source: how others name the model, e.g. `hf:owner/name`; the directory itself where left out.
        datasets: what the cells come from, by their ids on the Hub, where known; the directory does not record it.

    Raises:
        ScfmError: a file is missing or damaged, or `config.json` lacks what pretraining writes; as `scfm.load`.
    """
    folder = Path(folder)
    model = load(folder, "cpu")
    metrics = pd.read_csv(must_exist(folder / METRICS, "part of a model directory"))
    try:
        parts = [
            _front(model, licence, datasets),
            _title(model),
            _use(model, source or str(folder)),
            _data(model, datasets),
            _objective(model),
            _architecture(model),
            _training(model),
            _metrics(model, metrics),
            _labels(model),
            _licence(licence),
            _limits(model),
        ]
    except KeyError as error:
        raise ScfmError(
            f"{folder / 'config.json'}: lacks the key {error}; expected what training writes, train the run again"
        ) from error
    return "\n".join(parts)


def _front(model: Model, licence: str | None, datasets: Sequence[str]) -> str:
    front = {"license": licence} if licence else {}
    front |= {"library_name": "scfm", "tags": ["biology", "single-cell", "transcriptomics", *_words(model).tags]}
    if datasets:
        front["datasets"] = list(datasets)
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n"


def _title(model: Model) -> str:
    about, tuned = model.about, model.about.get("finetuned")
    lines = [f"# {about['run']}, seed {about['seed']}", ""]
    if about["settings"].get("description"):
        lines += [about["settings"]["description"], ""]
    if tuned:
        origin = about["run"].removesuffix(f", {tuned['column']}")
        lines += [
            f"Fine-tuned from the run `{origin}`, seed {about['seed']}, on the column `{tuned['column']}`.",
            "",
        ]
    if not about["settings"]["trained"]:
        lines += ["Its weights are random: a control for comparisons, of no use for cells.", ""]
    lines += [f"{_words(model).what}, made with the library `scfm`.", ""]
    return "\n".join(lines)


def _use(model: Model, source: str) -> str:
    settings = model.network.settings
    code, remark = {"cells": _use_of_cells, "donors": _use_of_donors}[settings.embeds](model)
    return f"""## Use

```python
import scanpy, scfm
model = scfm.from_pretrained("{source}")
adata = scanpy.read_h5ad("cells.h5ad")
{code}
```

{remark}Weights are safetensors, the other files JSON, CSV and Parquet; loading executes no code.
"""


def _use_of_cells(model: Model) -> tuple[str, str]:
    if model.reads_tokens:
        verb = "scfm.annotate" if model.tree else "scfm.predict" if TARGET in model.about else "scfm.embed"
        return f"adata = {verb}(adata, model)", ""
    sets = model.network.settings.sets
    remark = (
        f"Name the columns of obs whose cells belong together as `group_key`; it was trained on sets of up to "
        f"{sets.cells:,} cells that agree in {', '.join(f'`{name}`' for name in sets.by)}. The vector of a cell "
        "depends on the cells that are read with it: embed whole samples.\n\n"
    )
    return 'adata = scfm.embed(adata, model, group_key="donor_id")  # in obsm["X_scfm"]', remark


def _use_of_donors(model: Model) -> tuple[str, str]:
    encoder = model.network.settings.cell_encoder
    whose = f"of the run `{encoder.run}`, embedding `{encoder.pooling}`" if encoder else "of the kind it was trained on"
    remark = f'`obsm["X_cells"]` holds a vector for each cell, {whose}; no others can be read.\n\n'
    return 'donors, vectors = model.embed_donors(adata, "donor_id", "X_cells")', remark


def _data(model: Model, datasets: Sequence[str]) -> str:
    about, table = model.about, model.gene_table
    named = f"Datasets: {', '.join(datasets)}." if datasets else "The model directory does not record its datasets."
    ids = int((table["ensembl"].fillna("") != "").sum())
    share, taken = about["settings"]["corpus_fraction"], about["settings"].get("cells")
    lines = [
        f"- {_pretraining(model)}: {about['train_cells']:,} cells, validation on {about['validation_cells']:,} others.",
        *([f"- That is a share of {share:g} of the corpus."] if share < 1 else []),
        *([f"- Of these only cells whose `{taken['column']}` is {' or '.join(taken['values'])}."] if taken else []),
        f"- Vocabulary: {len(table):,} genes, {ids:,} of them with an Ensembl id (`genes.parquet`).",
        *(
            f"- Column `{name}` is a token: {len(values):,} values."
            for name, values in about.get("metadata", {}).items()
        ),
        f"- {named}",
    ]
    if tuned := about.get("finetuned"):
        lines.append(f"- Fine-tuning: {tuned['cells']:,} cells, {tuned['held_out']['cells']:,} others held out.")
    return _section("Data", lines)


def _objective(model: Model) -> str:
    first = "Before the fine-tuning: " if "finetuned" in model.about else ""
    lines = [f"- {line}" for line in _words(model).objectives] or [f"- The losses under Metrics, of `{METRICS}`."]
    return _section("Objective", [lines[0].replace("- ", f"- {first}", 1), *lines[1:]])


def _architecture(model: Model) -> str:
    settings = model.network.settings
    named = ", ".join(f"`{name}`" for name in model.poolings) or "none"
    return _section(
        "Architecture",
        [
            f"- {_parameters(model):,} parameters.",
            *(f"- {line}" for line in _words(model).architecture),
            f"- {'Cell' if settings.embeds == 'cells' else 'Donor'} embeddings: {named}.",
        ],
    )


def _training(model: Model) -> str:
    about, training = model.about, model.about["settings"]["training"]
    decay = training.get("average")  # of no model that is older than the setting
    averaged = f", their moving average (decay {decay:g})" if decay else ""
    lines = [
        f"- {_pretraining(model)}: {training['epochs']} epochs, {about['updates']:,} updates, learning rate "
        f"{training['learning_rate']:g}, precision `{training['precision']}`, seed {about['seed']}; weights of epoch "
        f"{about['weights_of_epoch']}{averaged}."
    ]
    if start := about["settings"].get("start"):
        lines.append(f"- Began with the weights of the run `{start['run']}`, with whose data it was trained first.")
    if not about["settings"]["trained"]:
        lines = [f"- None; weights drawn with seed {about['seed']}."]
    if tuned := about.get("finetuned"):
        own, parts = tuned["training"], tuned["parts"]
        lines.append(
            f"- Fine-tuning: what learns: `{parts['trainable']}`, at most {own['epochs']} epochs, learning rate "
            f"{own['learning_rate']:g}, seed {tuned['seed']}."
        )
    return _section("Training", lines)


def _metrics(model: Model, metrics: pd.DataFrame) -> str:
    meanings = TUNING | _words(model).losses
    if "finetuned" in model.about:
        row = metrics[metrics["kept"]].iloc[0]
        values = row[["train_loss", "dev_loss"]]
    else:
        row = metrics[metrics["epoch"] == model.about["weights_of_epoch"]].iloc[-1]
        values = row[[name for name in metrics if name.startswith("validate_")]]
    lines = [f"Of epoch {int(row['epoch'])}, whose weights these are (`{METRICS}` has every epoch):", ""]
    lines += ["| metric | value | meaning |", "|---|---|---|"]
    for name, value in values.items():
        meaning = meanings.get(name.removeprefix("validate_"), "mean loss of that label")
        lines.append(f"| `{name}` | {value:.6g} | {meaning} |")
    held_out = model.about.get("finetuned", {}).get("held_out", {})
    for name, meaning in (("r2", "R² of held-out cells"), ("mae", "mean absolute error of held-out cells")):
        if held_out.get(name) is not None:
            lines.append(f"| `{name}` | {held_out[name]:.6g} | {meaning} |")
    return _section("Metrics", lines)


def _labels(model: Model) -> str:
    lines = []
    if model.tree is not None:
        names, leaves = len(model.tree.names), len(model.tree.leaves)
        lines.append(f"- Cell types as a tree: {names:,} terms, {leaves:,} of them leaves.")
    lines += [f"- `{group}`: {len(names):,} labels side by side." for group, names in model.classes.items()]
    if TARGET in model.about:
        target = model.about[TARGET]
        lines.append(
            f"- The number `{target['column']}`: {target['mean']:.6g} ± {target['sd']:.6g} in the cells learnt from."
        )
    embeds = model.network.settings.embeds
    return _section("Labels", lines or [f"None: the model embeds {embeds} and names no types."])


def _licence(licence: str | None) -> str:
    return _section("Licence", [f"`{licence}`." if licence else "None is given yet; without one, nobody may use it."])


def _limits(model: Model) -> str:
    about = model.about
    lines = [
        "- The metrics above are on held-out cells of the data it learnt from. The directory records no test on other "
        "datasets, tissues, assays, diseases or species: test it on labelled cells of yours before you rely on it "
        "(`scfm bench`).",
    ]
    if model.network.settings.embeds == "cells":
        lines.append("- Genes outside the vocabulary are not seen; genes of other species need orthologs.")
    lines += [f"- {line}" for line in smaller(_words(model).sizes)]
    if "finetuned" in about:
        lines.append("- Held-out cells of the fine-tuning were drawn at random and may share donors with the others.")
    if model.tree is not None or model.classes:
        lines.append("- Cells of types that it does not know get one of its labels all the same.")
    if model.calibration:
        lines.append(
            f"- Probabilities of cell types are calibrated on {model.calibration['cells']:,} cells, temperature "
            f"{model.temperature:.3f} (`calibration.json`)."
        )
    elif model.tree is not None:
        lines.append("- Its probabilities are not calibrated (`scfm.calibrate`).")
    return _section("Limits", lines)


def _words(model: Model) -> Description:
    return describe(model.about["settings"]["system"], model.network.settings)


def _pretraining(model: Model) -> str:
    return "Pretraining" if model.about["settings"]["trained"] else "Drawn from the corpus, not learnt from"


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.network.parameters())


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])
