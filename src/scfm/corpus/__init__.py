"""Corpus stage: from a SOMA store (local, or the CELLxGENE Census) to training shards.

Public face: `Shards` reads what the stage leaves behind, `write_shards` writes it (of matrices by `as_counts`), and a
`Reader` is what training asks of either them or the store itself; `round_robin` lets groups take turns; `marginals`
and `mean_counts` are statistics of genes.
"""

from scfm.corpus.csr import as_counts
from scfm.corpus.marginals import marginals, mean_counts
from scfm.corpus.order import round_robin
from scfm.corpus.reader import Reader
from scfm.corpus.shards import Shards
from scfm.corpus.write import write_shards

__all__ = ["Reader", "Shards", "as_counts", "marginals", "mean_counts", "round_robin", "write_shards"]
