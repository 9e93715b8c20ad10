"""Which donors are most alike: cosine neighbours of donor vectors, exact, and approximate where there are very many."""

import numpy as np

from scfm.errors import ScfmError

MANY = 100_000
"""Donors beyond which an approximate index is searched."""
BLOCK = 2**24
"""Cosines held at once in exact search, which bounds its memory."""
EPSILON = 0.4
"""How far beyond the best so far the index is searched; on normal vectors the library's 0.1 misses a tenth."""


def nearest_donors(
    queries: np.ndarray, references: np.ndarray, neighbors: int, seed: int = 0, approximate: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The reference donors nearest to each query by cosine, most alike first.

    Args:
        queries: float [queries, width]. references: float [donors, width].
        neighbors: how many of each query; at most the number of references.
        seed: of the approximate index.
        approximate: search an index by nearest-neighbour descent (Dong et al. 2011); None does so beyond `MANY`
            references.

    Returns:
        int64 [queries, neighbors], rows of `references`, and float32 cosines of the same shape.

    Raises:
        ScfmError: widths differ; a vector is zero or not finite; not so many references.
    """
    queries, references = _unit(queries, "queries"), _unit(references, "references")
    if queries.shape[1] != references.shape[1]:
        widths = f"{queries.shape[1]} and {references.shape[1]}"
        raise ScfmError(f"queries and references have widths {widths}; embed both with one model")
    if not 1 <= neighbors <= len(references):
        raise ScfmError(f"neighbors is {neighbors}, expected 1 to {len(references)}, the number of references")
    if len(references) > MANY if approximate is None else approximate:
        return _approximate(queries, references, neighbors, seed)
    return _exact(queries, references, neighbors)


def _exact(queries: np.ndarray, references: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    rows, cosines = [], []
    size = max(1, BLOCK // len(references))
    for start in range(0, len(queries), size):
        cosine = queries[start : start + size] @ references.T
        best = np.sort(np.argpartition(-cosine, neighbors - 1, axis=1)[:, :neighbors], axis=1)
        best, cosine = _sorted(best, np.take_along_axis(cosine, best, axis=1))
        rows.append(best)
        cosines.append(cosine)
    empty = np.empty((0, neighbors))
    return np.concatenate([empty.astype(np.int64), *rows]), np.concatenate([empty.astype(np.float32), *cosines])


def _approximate(
    queries: np.ndarray, references: np.ndarray, neighbors: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from pynndescent import NNDescent

    index = NNDescent(references, metric="cosine", n_neighbors=max(30, neighbors), random_state=seed)
    rows, _ = index.query(queries, k=neighbors, epsilon=EPSILON)
    # The index rounds its distances; cosines are those of the vectors.
    return _sorted(rows.astype(np.int64), np.einsum("qd,qkd->qk", queries, references[rows]))


def _sorted(rows: np.ndarray, cosine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most alike first."""
    order = np.argsort(-cosine, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(cosine, order, axis=1)


def _unit(vectors: np.ndarray, name: str) -> np.ndarray:
    """float32 of length 1."""
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2:
        raise ScfmError(f"{name}: vectors have shape {vectors.shape}, expected [donors, width]")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(wrong):
        raise ScfmError(
            f"{name}: the vector of row {wrong[0]} is zero or not finite, as are {len(wrong)} in all; leave them out"
        )
    return vectors / length
