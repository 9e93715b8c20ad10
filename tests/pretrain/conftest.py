"""The toy corpus as the loader and the statistics see it."""

import numpy as np
import pytest

from scfm.corpus import Shards


@pytest.fixture
def shards(toy_shards):
    """Shards of the toy corpus."""
    return Shards.open(toy_shards)


@pytest.fixture
def dense(shards):
    """Their counts, int64 [cells, genes]."""
    gene, count, lengths = shards.read(np.arange(len(shards)))
    table = np.zeros((len(shards), len(shards.genes)), np.int64)
    table[np.repeat(np.arange(len(shards)), lengths), gene] = count
    return table
