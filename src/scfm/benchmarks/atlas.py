"""A perturbed atlas from prepared datasets: a system trained on a screen, and the cell types of a reference."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from scfm.benchmarks.anew import run_on
from scfm.benchmarks.fold_shards import write_fold
from scfm.benchmarks.perturbation import cells_of, notation
from scfm.benchmarks.read import read_prepared
from scfm.benchmarks.task_settings import PerturbationTask
from scfm.errors import ScfmError
from scfm.perturbation import CONTROL, Atlas, canonical
from scfm.perturbation.atlas import build
from scfm.perturbation.stored import stored
from scfm.pretrain.settings import Run

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scfm.set_model import SetModel


def learn_screen(
    dataset: Path,
    run: Run,
    settings: PerturbationTask,
    name: str,
    seed: int,
    work: Path,
    out: Path,
    devices: int,
    code: str = "",
) -> str:
    """Train a run on all cells of a screen, write its model directory, and return a line about it.

    Args:
        dataset: prepared. run: as it is trained, but for what `settings.by_dataset` says. name: of the run, for
            messages. work: folder of checkpoints.
        devices: 1 to train on a GPU, 0 on the CPU. code: digest of the code, a checkpoint of other code is not resumed.

    Raises:
        ScfmError: what `scfm.benchmarks.perturbation.cells_of`, `run_on` and the training raise.
    """
    from scfm.pretrain.train import train

    cells = cells_of(read_prepared(dataset), settings)
    run = run_on(run, str(cells.uns["scfm"]["name"]), settings)
    with TemporaryDirectory() as temporary:
        shards = Path(temporary) / "shards"
        write_fold(cells, np.ones(cells.n_obs, dtype=bool), settings.validation, seed, shards)
        return train(run, f"{name}/{seed} {dataset.stem}", seed, shards, None, work, out, devices, code)


def atlas(model: "SetModel", screen: Path, reference: Path, settings: Atlas, out: Path) -> "tuple[pd.DataFrame, str]":
    """Write a perturbed atlas; its table, and which cells are left out, if any. See `scfm.perturbation.atlas.build`.

    Args:
        model: of a system that predicts by prompts. screen, reference: prepared datasets; of the reference the cell
            type is what the atlas calls it, and cells under a perturbation, where it has such, are passed over.

    Raises:
        ScfmError: a model that is shown no prompts; datasets of two organisms, or without counts; a screen without
            perturbations or control; what `stored` and `build` raise.
    """
    from scfm.models.system import load_system

    if model.network.settings.predicts != "prompts":
        raise ScfmError(
            "an atlas needs a model that predicts by prompts of cells; train one of system 'stack' with model.prompt"
        )
    shown, rewritten = (read_prepared(path, backed=True) for path in (screen, reference))
    organisms = [str(adata.uns["scfm"]["organism"]) for adata in (shown, rewritten)]
    if organisms[0] != organisms[1]:
        raise ScfmError(f"atlas: a screen of {organisms[0]} for a reference of {organisms[1]}; take one organism")
    rewrite = load_system(model.about["settings"]["system"]).rewrite
    names = {"screen": screen_names(shown), "reference": reference_names(rewritten)}
    parts = [
        stored(adata, names[what], model.genes, settings.min_genes, what)
        for what, adata in (("screen", shown), ("reference", rewritten))
    ]
    empty = " and ".join(f"{part.empty:,} of the {part.what}" for part in parts if part.empty)
    table = build(lambda query, prompt, seed: rewrite(model.network, query, prompt, seed), *parts, settings, out)
    return table, f"{empty} without a count in the model's genes left out" if empty else ""


def screen_names(adata: "AnnData") -> "pd.DataFrame":
    """perturbation and background of the cells of a prepared dataset, in the common form.

    Raises:
        ScfmError: what `notation` raises.
    """
    control, separator = notation(adata)
    names = canonical(adata.obs["perturbation"], control, separator)
    background = adata.obs["background" if "background" in adata.obs else "cell_type"]
    return adata.obs[[]].assign(perturbation=names, background=background.astype(str).to_numpy())


def reference_names(adata: "AnnData") -> "pd.DataFrame":
    """The same of a reference: the cell type, and no perturbation where it names none.

    Raises:
        ScfmError: it holds no counts.
    """
    facts = adata.uns["scfm"]
    if facts["values"] != "counts":
        raise ScfmError(f"dataset '{facts['name']}': an atlas needs raw counts, it holds {facts['values']}")
    perturbed = "perturbation" in adata.obs and facts.get("control", "")
    names = screen_names(adata)["perturbation"] if perturbed else CONTROL
    return adata.obs[[]].assign(perturbation=names, background=adata.obs["cell_type"].astype(str).to_numpy())
