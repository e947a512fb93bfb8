"""Pictures of an autoencoder: what it gives back, where its latents lie, and what it draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bigmodel_cli import plots
from bigmodel_cli.assembly import Restored
from bigmodel_cli.data import contents
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.evaluation.latent_space import Coder, Seen
from bigmodel_cli.model_pictures import MAPPED
from bigmodel_cli.pictures import RECONSTRUCTED, reconstructions
from bigmodel_cli.plots import Theme
from bigmodel_cli.projection import Projection, project
from bigmodel_cli.reconstruction import labelled

SAMPLES, MANIFOLD = 10, 16
"""Rows and columns of images that are drawn from the prior, and of the map of two latents."""


def of_examples(
    restored: Restored, split: SplitData, seen: Seen, folder: Path, *, title: str, theme: Theme
) -> list[Path]:
    """Images above their reconstructions: the first ones, and the worst."""
    found = []
    for name, chosen, what in (
        (
            "reconstructions",
            np.arange(min(RECONSTRUCTED, split.size)),
            "each above its reconstruction",
        ),
        ("worst_reconstructions", np.argsort(-seen.squared, kind="stable")[:RECONSTRUCTED], "the worst"),
    ):
        images = _images(split, chosen)
        given = restored.predict(images)
        captions = [f"rmse {value:.3f}" for value in np.sqrt(seen.squared[chosen])]
        found.append(
            reconstructions(
                images, given, captions, folder / f"{name}.png", title=f"{title}: {what}", theme=theme
            )
        )
    return found


def _images(split: SplitData, chosen: np.ndarray) -> np.ndarray:
    order = np.argsort(chosen)
    images = contents.picked(split, chosen[order]).arrays()[0]
    return np.asarray(images[np.argsort(order)])


def of_latents(
    restored: Restored,
    latents: np.ndarray,
    classes: np.ndarray | None,
    folder: Path,
    *,
    method: Projection,
    title: str,
    theme: Theme,
) -> list[Path]:
    """Where up to 2,000 examples lie, by their class where they have one; two latents as they are.

    Args:
        restored: the run.
        latents: (n, latents), finite.
        classes: of the examples (n,); None where they have none.
        folder: where the PNG goes.
        method: how more than two latents come into the plane.
        title: above all.
        theme: light or dark.
    """
    if len(latents) < 3:
        return []
    seed, names = restored.config.seed, labelled(restored.spec).target.names
    chosen = np.arange(len(latents))
    if len(latents) > MAPPED:
        chosen = np.sort(np.random.default_rng(seed).choice(len(latents), MAPPED, replace=False))
    if latents.shape[1] == 2 and method == "pca":
        points, axes, told = latents[chosen], ("latent 0", "latent 1"), "the two latents"
    else:
        points, axes = project(latents[chosen], method, seed)
        told = f"{latents.shape[1]} latents, " + {"pca": "two principal components", "tsne": "t-SNE"}[method]
    path = plots.embedding_map(
        points, None if classes is None else classes[chosen], names, folder / "latents.png",
        title=f"{title}: {told}", axes_names=axes, theme=theme,
    )  # fmt: skip
    return [path]


def of_prior(restored: Restored, coder: Coder, folder: Path, *, title: str, theme: Theme) -> list[Path]:
    """What a variational model draws: images of latents from the prior, and of two latents what lies where.

    The map as in Kingma and Welling 2014, figure 4: the latents are those places of the normal distribution
    that have equal shares between them.
    """
    from scipy.stats import norm

    rng = np.random.default_rng(restored.config.seed)
    drawn = rng.standard_normal((SAMPLES * SAMPLES, coder.latents)).astype(np.float32)
    found = [
        plots.image_mosaic(
            _grid(coder.decoded(drawn), SAMPLES), folder / "samples.png",
            title=f"{title}: drawn from the prior", theme=theme,
        )
    ]  # fmt: skip
    if coder.latents != 2:
        return found
    places = norm.ppf((np.arange(MANIFOLD) + 0.5) / MANIFOLD).astype(np.float32)
    # The second latent upwards, as on an axis.
    grid = np.stack(np.meshgrid(places, places[::-1]), axis=-1).reshape(-1, 2)
    path = plots.image_mosaic(
        _grid(coder.decoded(grid), MANIFOLD), folder / "manifold.png",
        title=f"{title}: what lies where, by the quantiles of the two latents",
        axes_names=("quantile of latent 0", "quantile of latent 1"), extent=(0, 1, 0, 1), theme=theme,
    )  # fmt: skip
    return [*found, path]


def _grid(images: np.ndarray, columns: int) -> np.ndarray:
    pixels = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return np.asarray(pixels.reshape(-1, columns, *images.shape[1:]))
