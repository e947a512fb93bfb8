"""Points of many dimensions in the plane."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Projection = Literal["pca", "tsne"]

_COMPONENTS = 50


def project(
    points: NDArray[np.floating], method: Projection, seed: int
) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """Bring points into the plane.

    Args:
        points: (n, e), n at least 3, finite.
        method: `pca`, the two directions of largest variance (Hotelling 1933); `tsne`, neighbours kept
            together (van der Maaten and Hinton 2008), after PCA to at most 50 dimensions (section 4.2).
        seed: of t-SNE.

    Returns:
        (n, 2), and what the two axes mean, empty for t-SNE.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    wide = np.asarray(points, np.float64)
    if method == "pca":
        count = min(2, *wide.shape)
        analysis = PCA(count, random_state=seed)
        # Points that are all the same have no variance to take shares of.
        with np.errstate(invalid="ignore"):
            found = analysis.fit_transform(wide)
        shares = [*analysis.explained_variance_ratio_, 0.0][:2]
        flat = np.zeros((len(wide), 2))
        flat[:, :count] = found
        first, second = (
            f"component {i + 1}: {np.nan_to_num(s):.0%} of the variance" for i, s in enumerate(shares)
        )
        return flat, (first, second)
    if wide.shape[1] > _COMPONENTS and len(wide) > _COMPONENTS:
        wide = PCA(_COMPONENTS, random_state=seed).fit_transform(wide)
    perplexity = min(30.0, (len(wide) - 1) / 3)
    embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(wide)
    return np.asarray(embedding, np.float64), ("", "")
