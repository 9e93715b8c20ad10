"""Stage benchmarks: prepare datasets, embed them, and score the embeddings.

The tasks know nothing of models: everything that embeds, a trained model, PCA or a file of precomputed vectors, is
an `Embedder`, and every task reads the embeddings it left behind.
"""

from scfm.benchmarks.settings import Benchmarks, Preparation

__all__ = ["Benchmarks", "Preparation"]
