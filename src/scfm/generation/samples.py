"""Whether two samples of vectors are of one law: a classifier, a kernel, and neighbourhoods."""

import numpy as np


def auroc(real: np.ndarray, made: np.ndarray, seed: int, folds: int = 3) -> float:
    """Of a random forest that tells made from real cells, on cells that it was not trained on; 0.5 if it cannot."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x, y = np.concatenate([real, made]), np.repeat([0, 1], [len(real), len(made)])
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return float(cross_val_score(forest, x, y, cv=parts, scoring="roc_auc").mean())


def mmd(real: np.ndarray, made: np.ndarray) -> float:
    """Squared maximum mean discrepancy, unbiased, by a Gaussian kernel as wide as the median distance of real cells.

    Gretton et al. 2012. Around 0, also below it, where both are of one law.
    """
    from scipy.spatial.distance import cdist, pdist

    width = np.median(pdist(real)) or 1.0
    within = [np.exp(-((pdist(x) / width) ** 2) / 2).mean() for x in (real, made)]
    return float(sum(within) - 2 * np.exp(-((cdist(real, made) / width) ** 2) / 2).mean())


def ilisi(real: np.ndarray, made: np.ndarray, neighbors: int = 90) -> float:
    """Mixing of made with real cells: 1 where every neighbourhood holds both evenly, 0 where it holds one.

    The median over cells of the inverse Simpson index of their nearest neighbours, less 1. Korsunsky et al. 2019 weigh
    neighbours by a perplexity; here each counts alike.
    """
    from sklearn.neighbors import NearestNeighbors

    x, y = np.concatenate([real, made]), np.repeat([0.0, 1.0], [len(real), len(made)])
    near = NearestNeighbors(n_neighbors=min(neighbors, len(x) - 1)).fit(x).kneighbors(return_distance=False)
    share = y[near].mean(1)
    return float(np.median(1 / (share**2 + (1 - share) ** 2)) - 1)


def proportions(real: np.ndarray, labels: np.ndarray, made: np.ndarray, neighbors: int = 15) -> float:
    """Total variation distance between the shares of cell types, made cells named by their nearest real ones.

    Args:
        labels: strings [real cells].
    """
    from sklearn.neighbors import KNeighborsClassifier

    names, codes = np.unique(labels.astype(str), return_inverse=True)
    found = KNeighborsClassifier(min(neighbors, len(real))).fit(real, codes).predict(made)
    shares = [np.bincount(own, minlength=len(names)) / len(own) for own in (codes, found)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)
