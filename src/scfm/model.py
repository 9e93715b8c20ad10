"""A trained model, loaded from its directory without executing code from there."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.device import torch_device
from scfm.errors import ScfmError
from scfm.files import must_exist
from scfm.matching import find, match
from scfm.ontology import LabelTree
from scfm.settings import parse

if TYPE_CHECKING:
    import torch
    from anndata import AnnData
    from torch import nn

    from scfm.models.bmfm.view import View

FILES = ("model.safetensors", "config.json", "genes.parquet", "labels.json")
CALIBRATION = "calibration.json"
"""What `scfm.calibrate` adds to a model directory."""


def load(path: Path | str, device: str = "auto", precision: str | None = None) -> "Model":
    """Load a model directory.

    Args:
        device: `auto` (a GPU if one is visible), `cpu` or `gpu`.
        precision: of matrix products, `32-true`, `bf16-mixed` or `16-mixed`; left out, that of training on a GPU, and
            `32-true` on a CPU. Vectors in half precision differ in the third digit, also with the batch size.

    Raises:
        ScfmError: a file is missing or damaged, the weights do not fit the configuration, no GPU is visible where one
            is asked for, an unknown precision.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from scfm.donor_model import DonorModel
    from scfm.models.system import load_system, settings_of, systems
    from scfm.pretrain.precision import must_know
    from scfm.set_model import SetModel

    path, chosen = Path(path), torch_device(device)
    must_know(precision)
    for name in FILES:
        must_exist(path / name, "part of a model directory")
    try:
        about, labels = (json.loads((path / name).read_text()) for name in ("config.json", "labels.json"))
        system, model = about["settings"]["system"], about["settings"]["model"]
        genes = pd.read_parquet(path / "genes.parquet")
        weights = load_file(path / "model.safetensors")
        tree = LabelTree.from_json(labels["cell_type"]) if "names" in labels.get("cell_type", {}) else None
        calibration = json.loads((path / CALIBRATION).read_text()) if (path / CALIBRATION).exists() else {}
        classes = {group: entry["classes"] for group, entry in labels.items() if "classes" in entry}
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ScfmError(
            f"{path}: the model directory is damaged ({reason}); copy it again or retrain the run"
        ) from error
    if system not in systems():
        raise ScfmError(f"{path / 'config.json'}: this version has no system '{system}'; install a newer scfm")
    settings = parse(settings_of(system), model, f"{path / 'config.json'}: settings.model")
    try:
        network = load_system(system).restore(settings, weights, len(genes), about, tree, classes)
        network.load_state_dict(weights)
    except (RuntimeError, ValueError, LookupError) as error:
        raise ScfmError(f"{path / 'model.safetensors'}: weights do not fit config.json; retrain the run") from error
    kind = Model if settings.reads_tokens else DonorModel if settings.embeds == "donors" else SetModel
    return kind(network.to(chosen).eval(), genes, tree, about, classes, calibration, precision)


class Model:
    """A trained model: cell embeddings, and label probabilities where a head predicts cell types."""

    def __init__(
        self,
        network: "nn.Module",
        genes: pd.DataFrame,
        tree: LabelTree | None,
        about: dict,
        classes: dict,
        calibration: dict | None = None,
        precision: str | None = None,
    ):
        self.network, self.gene_table, self.tree, self.about, self.classes = network, genes, tree, about, classes
        self.calibration, self.asked_precision = calibration or {}, precision

    @property
    def temperature(self) -> float:
        """What the logits of cell types are divided by for probabilities that hold; 1 without calibration."""
        return float(self.calibration.get("temperature", 1.0))

    @property
    def genes(self) -> list[str]:
        """Approved symbols of the vocabulary."""
        return self.gene_table["gene"].tolist()

    @property
    def ensembl(self) -> list[str]:
        """Ensembl ids of the vocabulary, in the same order; empty where there is none."""
        return self.gene_table["ensembl"].tolist()

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings."""
        return self.network.settings.poolings

    def must_offer(self, poolings: Sequence[str]) -> None:
        """Raise a sentence if a pooling is none of the model's, or none is named.

        Raises:
            ScfmError: it is not.
        """
        for name in poolings or ("",):
            if name not in self.poolings:
                offered = ", ".join(self.poolings)
                raise ScfmError(f"pooling: '{name}' is not offered by this model; choose among {offered}")

    def embed(
        self,
        adata: "AnnData",
        pooling: str | Sequence[str] | None = None,
        values: str = "counts",
        batch_cells: int = 256,
    ) -> dict[str, np.ndarray]:
        """Cell embeddings by pooling name, float32 [cells, hidden] (wider for concat_cls), in one pass.

        Without `mean` among them, the last block works for the CLS tokens alone.

        Args:
            adata: genes named as `find` knows them; any subset of the vocabulary. A model with metadata tokens or
                perturbations reads their columns of obs; a missing one, or a value that training did not see, is shown
                as unknown, and without a column no gene is perturbed.
            pooling: names among `poolings`; all of them if None.
            values: what `adata.X` holds: `counts`, `tpm` (linear) or `lognorm` (natural log of 1 + linear).
            batch_cells: most cells at once, which changes memory and speed alone.

        Raises:
            ScfmError: unknown pooling or kind of values, no X, values of another kind, no cell, no known gene, one
                gene twice, or a cell without any.
        """
        names = self.poolings if pooling is None else (pooling,) if isinstance(pooling, str) else tuple(pooling)
        self.must_offer(names)

        def pool(hidden, view) -> dict:
            return self.network.pool(hidden, view, names)

        pooled = self.run(adata, values, batch_cells, pool, every_token="mean" in names)
        return {name: pooled[name] for name in names}

    @property
    def reads_tokens(self) -> bool:
        """Whether each cell is read by itself, as tokens of its genes."""
        return self.network.settings.reads_tokens

    def must_read_tokens(self, verb: str) -> None:
        """Raise a sentence if the system does not read each cell by itself, as tokens, which a verb builds on.

        Raises:
            ScfmError: it does not.
        """
        if not self.reads_tokens:
            system = self.about["settings"]["system"]
            raise ScfmError(f"run '{self.about['run']}': {verb} needs a system of gene tokens, '{system}' is none")

    def must_expect_counts(self, verb: str) -> None:
        """Raise a sentence if the system gives no expected counts, which a verb asks for.

        Raises:
            ScfmError: it does not.
        """
        if not self.network.settings.expects_counts:
            system = self.about["settings"]["system"]
            raise ScfmError(
                f"run '{self.about['run']}': {verb} needs a system with expected counts, '{system}' is none"
            )

    def must_annotate(self) -> None:
        """Raise a sentence if the model has no head of cell types.

        Raises:
            ScfmError: it has none.
        """
        if self.tree is None:
            number = self.about.get("target", {}).get("column")
            instead = f"it predicts the number '{number}', see scfm.predict" if number else "annotate with an HCE run"
            raise ScfmError(f"run '{self.about['run']}': it has no label head for cell types; {instead}")

    def node_probabilities(self, adata: "AnnData", values: str = "counts", batch_cells: int = 256) -> np.ndarray:
        """Probabilities of the label tree's leaves, float32 [cells, leaves].

        Raises:
            ScfmError: the model has no head of cell types; and as `embed`.
        """
        self.must_annotate()

        from scfm.models.bmfm.label_losses import leaf_probabilities

        head = next(head for head in self.network.settings.heads if head.label == "cell_type")

        def leaves(hidden, view) -> dict:
            logits = self.network.label_logits(hidden, view)["cell_type"].float()
            return {"cell_type": leaf_probabilities(logits, head.loss, self.tree, self.classes.get("cell_type", []))}

        return self.run(adata, values, batch_cells, leaves)["cell_type"]

    def run(
        self, adata: "AnnData", values: str, batch_cells: int, read, every_token: bool = False
    ) -> dict[str, np.ndarray]:
        """Encode all cells, longest together, and collect what `read(hidden, view)` returns, in their order.

        Args:
            read: is given the vectors of all tokens, or of the CLS tokens alone.
        """
        import torch

        tables: dict[str, np.ndarray] = {}
        with torch.inference_mode():
            for rows, view in self.views(adata, values, batch_cells):
                with self.autocast():
                    encoded = (self.network.encode(view), view) if every_token else self.network.encode_targets(view)
                    for name, tensor in read(*encoded).items():
                        table = tables.setdefault(name, np.empty((adata.n_obs, tensor.shape[1]), np.float32))
                        table[rows] = tensor.float().cpu().numpy()
        return tables

    def views(self, adata: "AnnData", values: str, batch_cells: int) -> Iterator[tuple[np.ndarray, "View"]]:
        """Row numbers and tokens of each batch, on the network's device; cells of like length together.

        Raises:
            ScfmError: as `embed`.
        """
        from scfm.models.bmfm.batches import batches
        from scfm.models.bmfm.view import make_view
        from scfm.models.cells import ragged

        counts, labels, measured = self.inputs(adata, values)
        device, settings = self.device, self.network.settings
        for rows in batches(np.diff(counts.indptr), settings.input.inference_tokens, batch_cells, device.type):
            cells = ragged(counts[rows], {name: codes[rows] for name, codes in labels.items()}).to(device)
            yield rows, make_view(cells, settings, measured.to(device), None, "embed")

    @property
    def device(self) -> "torch.device":
        """Where the network is."""
        return next(self.network.parameters()).device

    def autocast(self):
        """The context in which the network computes: see `precision`."""
        from scfm.pretrain.precision import autocast

        return autocast(self.device, self.precision(self.device.type))

    def inputs(self, adata: "AnnData", values: str) -> tuple:
        """What the network reads of cells: linear values, CSR [cells, vocabulary]; codes of metadata and perturbations
        by column; and bool [1, vocabulary], the genes that are there.

        Raises:
            ScfmError: as `embed`.
        """
        import torch

        from scfm.models.bmfm.metadata import metadata_codes
        from scfm.models.bmfm.perturbation import perturbed_genes

        index = self.find(adata.var_names)
        counts = match(adata, index, self.genes, values)
        there = np.isin(np.arange(len(self.gene_table)), index)
        labels = metadata_codes(adata.obs, self.about.get("metadata", {}))
        perturbation = self.network.settings.input.perturbation
        if perturbation:
            labels[perturbation.column] = perturbed_genes(adata.obs, self.genes, perturbation)
        return counts, labels, torch.from_numpy(there)[None]

    def precision(self, device: str) -> str:
        """What was asked for; else of training on a GPU, whose attention over ragged cells needs half precision."""
        usual = self.about["settings"]["training"]["precision"] if device == "cuda" else "32-true"
        return self.asked_precision or usual

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Gene index, int64, -1 where unknown, of approved symbols or of Ensembl ids with or without version."""
        return find(names, self.gene_table)
