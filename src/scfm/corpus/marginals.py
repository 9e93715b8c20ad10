"""Statistics of each gene over cells of the corpus."""

import numpy as np

from scfm.corpus.reader import Reader


def marginals(corpus: Reader, rows: np.ndarray, block: int = 4096) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per-gene statistics of cells: running sums only.

    Returns:
        n measured (int64), zero fraction among them (float64, 1 where never measured) and mean of
        log1p(1e4 · x / total) where above 0 (float64, 0 where never expressed), each [genes].
    """
    genes = len(corpus.genes)
    nonzero, total = np.zeros(genes), np.zeros(genes)
    rows = corpus.reading_order(rows)
    for gene, count, lengths in corpus.stream(rows[start : start + block] for start in range(0, len(rows), block)):
        cell = np.repeat(np.arange(len(lengths)), lengths)
        depth = np.bincount(cell, weights=count, minlength=len(lengths))
        nonzero += np.bincount(gene, minlength=genes)
        total += np.bincount(gene, weights=np.log1p(1e4 * count / depth[cell]), minlength=genes)
    per_dataset = np.bincount(corpus.dataset_codes[rows], minlength=len(corpus.measured))
    n = per_dataset @ corpus.measured.astype(np.int64)
    zero_fraction = 1 - np.divide(nonzero, n, out=np.zeros(genes), where=n > 0)
    return n, zero_fraction, np.divide(total, nonzero, out=np.zeros(genes), where=nonzero > 0)


def mean_counts(corpus: Reader, rows: np.ndarray, block: int = 4096) -> np.ndarray:
    """Mean raw count of each gene over the cells that measured it, float64 [genes]; 0 where none did."""
    genes = len(corpus.genes)
    total, rows = np.zeros(genes), corpus.reading_order(rows)
    for gene, count, _ in corpus.stream(rows[start : start + block] for start in range(0, len(rows), block)):
        total += np.bincount(gene, weights=count, minlength=genes)
    n = np.bincount(corpus.dataset_codes[rows], minlength=len(corpus.measured)) @ corpus.measured.astype(np.int64)
    return np.divide(total, n, out=np.zeros(genes), where=n > 0)
