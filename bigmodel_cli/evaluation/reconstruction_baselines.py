"""What stands beside an autoencoder: the training mean, principal components, and a probe of the latents."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.data.pipeline import Keeping
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.evaluation.latent_space import Seen, flat, raw_batches
from bigmodel_cli.metrics import Baseline, reconstruction_columns, reconstruction_values
from bigmodel_cli.reconstruction import Likelihood, negative_log_likelihood, scaled

_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Sample:
    """Training examples that the baselines are fitted on.

    Attributes:
        inputs: flat, on the scale of `reconstruction.scaled`, (n, values) float32.
        classes: (n,) class indices; None where there are no classes.
        describe: how many of how many, for people.
    """

    inputs: np.ndarray
    classes: np.ndarray | None
    describe: str

    @property
    def mean(self) -> np.ndarray:
        """Of the examples, (values,) float64."""
        return np.asarray(self.inputs.mean(axis=0, dtype=np.float64))


def mean_baseline(
    seen: Seen,
    sample: Sample,
    split: SplitData,
    keeping: Keeping,
    spec: DataSpec,
    likelihood: Likelihood | None,
    classes: np.ndarray | None,
) -> Baseline:
    """What always giving the mean of the training examples reaches.

    Args:
        seen: the examples that are measured, with `spread`.
        sample: of the training split.
        split: the examples.
        keeping: where they are kept.
        spec: of a reconstruction.
        likelihood: of a variational model.
        classes: of the examples (n,); None where there are none.
    """
    more = {}
    absolute = np.concatenate(
        [
            np.abs(flat(scaled(values.astype(np.float32), spec)) - sample.mean).mean(axis=1)
            for values in raw_batches(split, keeping)
        ]
    )
    if likelihood is not None:
        outputs = _outputs_of(sample.mean, spec)
        losses = [
            np.asarray(negative_log_likelihood(values.astype(np.float32), outputs, likelihood, spec))
            for values in raw_batches(split, keeping)
        ]
        unlikely = np.concatenate(losses)
        more = {
            "negative_elbo": unlikely,
            "negative_log_likelihood": unlikely,
            "kl": np.zeros(len(unlikely)),
        }
    if classes is not None and sample.classes is not None:
        more["probe_accuracy"] = classes == np.bincount(sample.classes).argmax()
    columns = reconstruction_columns(seen.spread, absolute, seen.spread, **more)
    told = "; accuracy of the most frequent class" if "probe_accuracy" in more else ""
    return Baseline(f"the mean of {sample.describe} training examples{told}", reconstruction_values(columns))


def _outputs_of(mean: np.ndarray, spec: DataSpec) -> np.ndarray:
    """What a decoder would give for the mean, (1, *input.shape) float32: logits of pixels, or features."""
    if spec.input.kind == "image":
        shares = np.clip(mean, 1e-6, 1 - 1e-6)
        mean = np.log(shares / (1 - shares))
    return mean.reshape(1, *spec.input.shape).astype(np.float32)


def principal_components(
    seen: Seen,
    sample: Sample,
    split: SplitData,
    keeping: Keeping,
    spec: DataSpec,
    classes: np.ndarray | None,
    seed: int,
) -> tuple[Baseline | None, str | None]:
    """As many principal components as there are latents: the best linear autoencoder (Baldi and Hornik 1989).

    Returns:
        What they reach, or None and the reason.
    """
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    count = seen.latents.shape[1]
    if count >= min(sample.inputs.shape):
        return None, (
            f"no principal components: {count} latents are no fewer than "
            f"{'the features' if count >= sample.inputs.shape[1] else 'the examples to fit them on'}"
        )
    # The threads that BLAS starts cost more than they bring where cores are busy.
    with threadpool_limits(1):
        model = PCA(count, random_state=seed).fit(sample.inputs)
        squared, absolute, placed = [], [], []
        for values in raw_batches(split, keeping):
            true = flat(scaled(values.astype(np.float32), spec))
            points = model.transform(true)
            error = model.inverse_transform(points) - true
            placed.append(points)
            squared.append((error**2).mean(axis=1))
            absolute.append(np.abs(error).mean(axis=1))
        more = {}
        fitted = model.transform(sample.inputs)
    right = probe(fitted, sample.classes, np.concatenate(placed), classes)
    if right is not None:
        more["probe_accuracy"] = right
    columns = reconstruction_columns(np.concatenate(squared), np.concatenate(absolute), seen.spread, **more)
    description = f"{count} principal components, fitted on {sample.describe} training examples"
    return Baseline(description, reconstruction_values(columns)), None


def probe(
    fitted: np.ndarray, known: np.ndarray | None, latents: np.ndarray, classes: np.ndarray | None
) -> np.ndarray | None:
    """Whether a logistic regression finds the classes of examples by their latents (n,) bool.

    A linear probe (Alain and Bengio 2016): how far labels, which were not learned, are told apart by them.

    Args:
        fitted: latents of training examples (m, latents).
        known: their classes (m,).
        latents: (n, latents).
        classes: (n,).

    Returns:
        None without classes, or where the training examples have one alone.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    if known is None or classes is None or len(np.unique(known)) < 2:
        return None
    model: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS))
    with warnings.catch_warnings(), threadpool_limits(1):
        # Stopped early it is a probe, too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(fitted.astype(np.float64), known)
    return np.asarray(model.predict(latents.astype(np.float64)) == classes)
