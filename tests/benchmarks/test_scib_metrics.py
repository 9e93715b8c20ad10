import numpy as np
import pytest
import scib_metrics

from scfm.benchmarks.metrics.silhouette import asw_batch, asw_label


@pytest.mark.parametrize("seed", [0, 1])
def test_silhouettes_agree_with_scib_metrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, batches = rng.choice(list("abc"), 150), rng.choice(list("xy"), 150)
    vectors = rng.normal(size=(150, 8)) + 1.5 * (labels == "a")[:, None] + 0.8 * (batches == "x")[:, None]
    assert asw_label(vectors, labels) == pytest.approx(scib_metrics.silhouette_label(vectors, labels), abs=1e-4)
    # Given as strings: with unused categories scib-metrics mis-scores.
    theirs = scib_metrics.silhouette_batch(vectors, labels, batches)
    assert asw_batch(vectors, labels, batches) == pytest.approx(theirs, abs=1e-4)
