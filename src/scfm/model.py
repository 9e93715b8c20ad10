"""The model directory: written by pretraining, loaded by everything else, without executing code from it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scfm.errors import ScfmError
from scfm.files import must_exist, whole
from scfm.ontology import LabelTree
from scfm.settings import parse

if TYPE_CHECKING:
    from anndata import AnnData

    from scfm.models.bmfm.network import Network

FILES = ("model.safetensors", "config.json", "genes.parquet", "labels.json")
VALUES = ("counts", "tpm", "lognorm")
LARGEST_LOG = 25.0
"""No natural logarithm of expression comes near it: its exponential is 7e10."""


def write_model(
    path: Path,
    network: "Network",
    about: dict,
    genes: pd.DataFrame,
    tree: LabelTree | None,
    metrics: pd.DataFrame,
    gene_errors: pd.DataFrame,
    classes: dict[str, list[str]] | None = None,
) -> None:
    """Write a whole model directory, or nothing.

    Args:
        about: settings, run, seed and sizes for `config.json`.
        genes: one row per gene index with columns gene and ensembl.
        tree: of the cell types, where a head predicts them. classes: labels of each group that a flat head predicts.
    """
    from safetensors.torch import save_file

    with whole(path) as folder:
        folder.mkdir()
        weights = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
        labels = {"cell_type": tree.to_json()} if tree else {}
        for group, names in (classes or {}).items():
            labels[group] = labels.get(group, {}) | {"classes": names}
        (folder / "labels.json").write_text(json.dumps(labels, indent=1, sort_keys=True) + "\n")
        genes.to_parquet(folder / "genes.parquet", index=False)
        metrics.to_csv(folder / "metrics.csv", index=False)
        gene_errors.to_parquet(folder / "gene_errors.parquet", index=False)


def load(path: Path | str, device: str = "auto") -> "Model":
    """Load a model directory.

    Args:
        device: `auto` (a GPU if one is visible), `cpu` or `gpu`.

    Raises:
        ScfmError: a file is missing or damaged, the weights do not fit the configuration, or no GPU is visible where
            one is asked for.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from scfm.models.bmfm.gene_vectors import vectors_among
    from scfm.models.bmfm.network import Network
    from scfm.models.bmfm.settings import Bmfm

    path, chosen = Path(path), _device(device)
    for name in FILES:
        must_exist(path / name, "part of a model directory")
    try:
        about, labels = (json.loads((path / name).read_text()) for name in ("config.json", "labels.json"))
        model, genes = about["settings"]["model"], pd.read_parquet(path / "genes.parquet")
        weights = load_file(path / "model.safetensors")
        tree = LabelTree.from_json(labels["cell_type"]) if "cell_type" in labels else None
        classes = {group: entry["classes"] for group, entry in labels.items() if "classes" in entry}
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ScfmError(
            f"{path}: the model directory is damaged ({reason}); copy it again or retrain the run"
        ) from error
    settings = parse(Bmfm, model, f"{path / 'config.json'}: settings.model")
    trees = [torch.from_numpy(table) for table in (tree.membership, tree.lineage)] if tree else [None, None]
    sizes = {group: len(names) for group, names in classes.items()}
    try:
        given, values = vectors_among(weights), sum(map(len, about.get("metadata", {}).values()))
        network = Network(settings, len(genes), trees[0], 0, given, values, sizes, trees[1])
        network.load_state_dict(weights)
    except (RuntimeError, ValueError, LookupError) as error:
        raise ScfmError(f"{path / 'model.safetensors'}: weights do not fit config.json; retrain the run") from error
    return Model(network.to(chosen).eval(), genes, tree, about, classes)


def _device(name: str) -> str:
    """Torch's name of a device."""
    import torch

    if name not in ("auto", "cpu", "gpu"):
        raise ScfmError(f"device: '{name}' is not known; choose auto, cpu or gpu")
    there = torch.cuda.is_available()
    if name == "gpu" and not there:
        raise ScfmError("device: 'gpu' is asked for and none is visible; choose auto or cpu")
    return "cuda" if there and name != "cpu" else "cpu"


class Model:
    """A trained model: cell embeddings, and label probabilities where a head predicts cell types."""

    def __init__(self, network: "Network", genes: pd.DataFrame, tree: LabelTree | None, about: dict, classes: dict):
        self.network, self._genes, self.tree, self.about, self.classes = network, genes, tree, about, classes

    @property
    def genes(self) -> list[str]:
        """Approved symbols of the vocabulary."""
        return self._genes["gene"].tolist()

    @property
    def ensembl(self) -> list[str]:
        """Ensembl ids of the vocabulary, in the same order; empty where there is none."""
        return self._genes["ensembl"].tolist()

    @property
    def poolings(self) -> tuple[str, ...]:
        """Names of the cell embeddings."""
        return self.network.settings.poolings

    def embed(
        self,
        adata: "AnnData",
        pooling: str | Sequence[str] | None = None,
        values: str = "counts",
        batch_cells: int = 256,
    ) -> dict[str, np.ndarray]:
        """Cell embeddings by pooling name, float32 [cells, hidden], in one pass.

        Without `mean` among them, the last block works for the CLS tokens alone.

        Args:
            adata: genes named as `find` knows them; any subset of the vocabulary. A model with metadata tokens or
                perturbations reads their columns of obs; a missing one, or a value that training did not see, is shown
                as unknown, and without a column no gene is perturbed.
            pooling: names among `poolings`; all of them if None.
            values: what `adata.X` holds: `counts`, `tpm` (linear) or `lognorm` (natural log of 1 + linear).

        Raises:
            ScfmError: unknown pooling or kind of values, no X, values of another kind, no cell, no known gene, one
                gene twice, or a cell without any.
        """
        names = self.poolings if pooling is None else (pooling,) if isinstance(pooling, str) else tuple(pooling)
        for name in names:
            if name not in self.poolings:
                offered = ", ".join(self.poolings)
                raise ScfmError(f"pooling: '{name}' is not offered by this model; choose among {offered}")

        def pool(hidden, view) -> dict:
            return self.network.pool(hidden, view, names)

        pooled = self._run(adata, values, batch_cells, pool, every_token="mean" in names)
        return {name: pooled[name] for name in names}

    def node_probabilities(self, adata: "AnnData", values: str = "counts", batch_cells: int = 256) -> np.ndarray:
        """Probabilities of the label tree's leaves, float32 [cells, leaves].

        Raises:
            ScfmError: the model has no head of cell types; and as `embed`.
        """
        if self.tree is None:
            raise ScfmError(f"run '{self.about['run']}': it has no label head for cell types; annotate with an HCE run")

        from scfm.models.bmfm.label_losses import leaf_probabilities

        head = next(head for head in self.network.settings.heads if head.label == "cell_type")

        def leaves(hidden, view) -> dict:
            logits = self.network.label_logits(hidden, view)["cell_type"].float()
            return {"cell_type": leaf_probabilities(logits, head.loss, self.tree, self.classes.get("cell_type", []))}

        return self._run(adata, values, batch_cells, leaves)["cell_type"]

    def _run(
        self, adata: "AnnData", values: str, batch_cells: int, read, every_token: bool = False
    ) -> dict[str, np.ndarray]:
        """Encode all cells, longest together, and collect what `read(hidden, view)` returns, in their order.

        Args:
            read: is given the vectors of all tokens, or of the CLS tokens alone.
        """
        import torch

        from scfm.models.bmfm.batches import batches, ragged
        from scfm.models.bmfm.metadata import metadata_codes
        from scfm.models.bmfm.perturbation import perturbed_genes
        from scfm.models.bmfm.view import make_view
        from scfm.pretrain.precision import autocast

        counts = self._match(adata, values)
        device = next(self.network.parameters()).device
        there = np.isin(np.arange(len(self._genes)), self.find(adata.var_names))
        measured = torch.from_numpy(there)[None].to(device)
        labels = metadata_codes(adata.obs, self.about.get("metadata", {}))
        settings = self.network.settings
        perturbation = settings.input.perturbation
        if perturbation:
            labels[perturbation.column] = perturbed_genes(adata.obs, self.genes, perturbation)
        tables: dict[str, np.ndarray] = {}
        with torch.inference_mode():
            for rows in batches(np.diff(counts.indptr), settings.input.inference_tokens, batch_cells):
                cells = ragged(counts[rows], {name: codes[rows] for name, codes in labels.items()}).to(device)
                view = make_view(cells, settings, measured, None, "embed")
                with autocast(device, self._precision(device.type)):
                    encoded = (self.network.encode(view), view) if every_token else self.network.encode_targets(view)
                    for name, tensor in read(*encoded).items():
                        table = tables.setdefault(name, np.empty((adata.n_obs, tensor.shape[1]), np.float32))
                        table[rows] = tensor.float().cpu().numpy()
        return tables

    def _precision(self, device: str) -> str:
        """Of training on a GPU, whose attention over ragged cells needs half precision; a CPU gains little by it."""
        return self.about["settings"]["training"]["precision"] if device == "cuda" else "32-true"

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Gene index of each name, int64; -1 where unknown.

        Args:
            names: approved symbols, or Ensembl ids with or without version.
        """
        names = pd.Index(names).astype(str)
        by_symbol = pd.Index(self._genes["gene"]).get_indexer(names)
        by_ensembl = pd.Series(np.arange(len(self._genes)), index=self._genes["ensembl"])
        by_ensembl = by_ensembl[by_ensembl.index.notna() & (by_ensembl.index != "") & ~by_ensembl.index.duplicated()]
        ids = by_ensembl.reindex(names.str.replace(r"\.\d+$", "", regex=True)).fillna(-1).to_numpy(np.int64)
        return np.where(by_symbol >= 0, by_symbol, ids)

    def _match(self, adata: "AnnData", values: str):
        """CSR [cells, vocabulary] of linear values; genes outside the vocabulary are left out."""
        import scipy.sparse as sp

        if values not in VALUES:
            raise ScfmError(f"values: '{values}' is not known; choose among {', '.join(VALUES)}")
        if not adata.n_obs:
            raise ScfmError("obs: there is no cell; give at least one")
        if adata.X is None:
            raise ScfmError(f"X: the cells have no expression matrix; put {values} there")
        index = self.find(adata.var_names)
        known = np.flatnonzero(index >= 0)
        if not len(known):
            raise ScfmError(
                f"var_names: none of {adata.n_vars:,} genes is in the model's vocabulary "
                f"(first: {', '.join(map(str, adata.var_names[:3]))}); expected human gene symbols or Ensembl ids"
            )
        self._check_unique(adata.var_names[known], index[known])
        x = sp.csr_matrix(adata.X[:, known]).astype(np.float32)
        _check_values(x.data, values)
        if values == "lognorm":
            x.data = np.expm1(x.data)
        place = sp.csr_matrix(
            (np.ones(len(known), np.float32), (np.arange(len(known)), index[known])),
            shape=(len(known), len(self._genes)),
        )
        matched = (x @ place).tocsr()
        matched.eliminate_zeros()
        matched.sort_indices()
        empty = np.flatnonzero(np.diff(matched.indptr) == 0)
        if len(empty):
            raise ScfmError(
                f"cell '{adata.obs_names[empty[0]]}' and {len(empty) - 1:,} more: no known gene is expressed; "
                "remove these cells first"
            )
        return matched

    def _check_unique(self, names: pd.Index, index: np.ndarray) -> None:
        """Raise a sentence if two names mean one gene of the vocabulary."""
        again = np.flatnonzero(pd.Index(index).duplicated())
        if len(again):
            first, second = names[index == index[again[0]]][:2]
            raise ScfmError(
                f"var_names: '{first}' and '{second}' are both gene '{self.genes[index[again[0]]]}' of the model "
                f"({len(again):,} of {len(index):,} known columns repeat a gene); merge or remove them first"
            )


def _check_values(x: np.ndarray, values: str) -> None:
    """Raise a sentence if `x` cannot be what `values` says."""
    if not np.isfinite(x).all() or (x < 0).any():
        raise ScfmError(f"X: holds negative or missing values; expected {values}, which a scaled matrix is not")
    if values == "counts" and (x % 1).any():
        odd = x[x % 1 != 0][0]
        raise ScfmError(f"X: holds {odd:g}, which is not a count; say values lognorm or tpm, or give the raw counts")
    if values == "lognorm" and x.max(initial=0) > LARGEST_LOG:
        raise ScfmError(f"X: holds {x.max():g}, which is no log-normalised value; say values counts or tpm")
