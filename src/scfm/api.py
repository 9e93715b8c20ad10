"""What a biologist calls: embed cells, annotate them."""

from pathlib import Path
from typing import TYPE_CHECKING

from scfm.errors import ScfmError
from scfm.model import Model, load

if TYPE_CHECKING:
    from anndata import AnnData


def embed(
    adata: "AnnData",
    model: Model | Path | str,
    pooling: str = "cls",
    values: str = "counts",
    key_added: str = "X_scfm",
) -> "AnnData":
    """Write cell embeddings to `adata.obsm[key_added]` (float32 [cells, width]) and return `adata`.

    Args:
        model: a loaded model or its directory.
        pooling: one of the model's `poolings`, e.g. `cls` or `mean`.
        values: what `adata.X` holds: `counts`, `tpm` or `lognorm`.

    `adata.uns[key_added]` says which run, pooling and how many genes were used.

    Raises:
        ScfmError: unknown pooling or kind of values, no X, values of another kind, no cell, no known gene, one gene
            twice, or a cell without any.
    """
    model = _loaded(model)
    adata.obsm[key_added] = model.embed(adata, pooling, values)[pooling]
    adata.uns[key_added] = {**_about(model, adata), "pooling": pooling, "values": values}
    return adata


def annotate(
    adata: "AnnData",
    model: Model | Path | str,
    decode: str = "leaf",
    values: str = "counts",
    key_added: str = "scfm",
) -> "AnnData":
    """Annotate cells with the Cell Ontology and return `adata`.

    Writes to obs: `{key}_id` and `{key}_name` of the type, `{key}_probability`, and `{key}_lineage`, the names
    from the root down, joined by " > ".

    Args:
        model: a model with an HCE head, loaded or its directory.
        decode: `leaf` (most probable leaf) or `greedy` (from the root to the most probable child).

    Raises:
        ScfmError: the model has no label head, `decode` is unknown, or as `embed`.
    """
    if decode not in ("leaf", "greedy"):
        raise ScfmError(f"decode: '{decode}' is not known; choose leaf or greedy")
    model = _loaded(model)
    probabilities = model.node_probabilities(adata, values)
    tree = model.tree
    chosen = tree.leaf_argmax(probabilities) if decode == "leaf" else [p[-1] for p in tree.greedy(probabilities)]
    order = {term: i for i, term in enumerate(tree.nodes)}
    lineage = {
        term: " > ".join(tree.names[t] for t in sorted(tree.ancestors(term) | {term}, key=order.get))
        for term in set(chosen)
    }
    column = {leaf: i for i, leaf in enumerate(tree.leaves)}
    adata.obs[f"{key_added}_id"] = chosen
    adata.obs[f"{key_added}_name"] = [tree.names[term] for term in chosen]
    adata.obs[f"{key_added}_probability"] = probabilities[range(len(chosen)), [column[term] for term in chosen]]
    adata.obs[f"{key_added}_lineage"] = [lineage[term] for term in chosen]
    adata.uns[key_added] = {**_about(model, adata), "decode": decode, "values": values}
    return adata


def _loaded(model: Model | Path | str) -> Model:
    return model if isinstance(model, Model) else load(model)


def _about(model: Model, adata: "AnnData") -> dict:
    known = model.find(adata.var_names) >= 0
    return {
        "run": model.about["run"],
        "seed": model.about["seed"],
        "genes_known": int(known.sum()),
        "genes_given": adata.n_vars,
    }
