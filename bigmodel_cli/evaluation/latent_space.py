"""What a restored autoencoder says of examples: latents, errors, and the parts of the variational bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bigmodel_cli import assembly
from bigmodel_cli.assembly import Restored
from bigmodel_cli.data.pipeline import Keeping, evaluation_batches
from bigmodel_cli.data.reading import data_errors_told
from bigmodel_cli.data.splits import SplitData
from bigmodel_cli.reconstruction import (
    LATENT,
    MOMENTS,
    Likelihood,
    as_values,
    likelihood_of,
    negative_log_likelihood,
    scaled,
)


@dataclass(frozen=True, eq=False)
class Seen:
    """Examples, as a model gives them back.

    Attributes:
        latents: (n, latents) float32; of a variational model the means.
        squared: mean squared error of each example, on the scale of `reconstruction.scaled` (n,).
        absolute: mean absolute error of each (n,).
        spread: mean squared distance of each from the mean of the training split (n,).
        bound: of a variational model the parts of the negative bound by name, nats, each (n,); else empty.
    """

    latents: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    spread: np.ndarray
    bound: dict[str, np.ndarray]

    @property
    def finite(self) -> np.ndarray:
        """Of which examples everything is finite, (n,) bool."""
        known = np.isfinite(self.latents).all(axis=1) & np.isfinite(self.squared) & np.isfinite(self.spread)
        for values in self.bound.values():
            known &= np.isfinite(values)
        return np.asarray(known)

    def of(self, chosen: np.ndarray) -> Seen:
        """Some of the examples."""
        bound = {name: values[chosen] for name, values in self.bound.items()}
        return Seen(
            self.latents[chosen], self.squared[chosen], self.absolute[chosen], self.spread[chosen], bound
        )


class Coder:
    """A restored model in its two halves.

    Attributes:
        likelihood: of a variational model; None of others.
        latents: how many.
    """

    def __init__(self, restored: Restored):
        model, spec = restored.model, restored.spec
        self._spec, self._seed = spec, restored.config.seed
        last = "intensities" if spec.input.kind == "image" else "original_units"
        raw = model.get_layer(last).input
        latent = model.get_layer(LATENT).output
        self.latents = int(latent.shape[1])
        self.likelihood = likelihood_of(restored.config.model.parameters, spec)
        found: dict[str, Any] = {"latent": latent, "outputs": raw}
        if self.likelihood is not None:
            found["moments"] = model.get_layer(MOMENTS).output
        self._encoder = keras.Model(model.input, found)
        self._decoder = keras.Model(latent, {"outputs": raw, "units": model.output})

    def decoded(self, latents: np.ndarray) -> np.ndarray:
        """What lies at latents (n, latents), in the units of the input: (n, *input.shape) float32."""
        starts = range(0, len(latents), assembly.BATCH_SIZE)
        blocks = [latents[start : start + assembly.BATCH_SIZE] for start in starts]
        return np.concatenate([_computed(self._decoder, block)["units"] for block in blocks])

    def see(self, split: SplitData, keeping: Keeping, mean: np.ndarray) -> Seen:
        """Encode and decode examples.

        Args:
            split: the examples.
            keeping: where they are kept.
            mean: of the training split, on the scale of `reconstruction.scaled`, (*input.shape).
        """
        parts = []
        rng = np.random.default_rng(self._seed)
        for inputs in raw_batches(split, keeping):
            found = _computed(self._encoder, inputs)
            true = flat(scaled(inputs.astype(np.float32), self._spec))
            error = flat(np.asarray(as_values(found["outputs"], self._spec))) - true
            away = true - mean.reshape(1, -1)
            bound = self._bound(inputs, found, self.likelihood, rng) if self.likelihood else {}
            parts.append(
                Seen(
                    found["latent"], (error**2).mean(axis=1), np.abs(error).mean(axis=1),
                    (away**2).mean(axis=1), bound,
                )
            )  # fmt: skip
        bound = {name: np.concatenate([part.bound[name] for part in parts]) for name in parts[0].bound}
        return Seen(
            np.concatenate([part.latents for part in parts]),
            np.concatenate([part.squared for part in parts]),
            np.concatenate([part.absolute for part in parts]),
            np.concatenate([part.spread for part in parts]),
            bound,
        )

    def _bound(
        self, inputs: np.ndarray, found: dict[str, np.ndarray], likelihood: Likelihood, rng: Any
    ) -> dict[str, np.ndarray]:
        """The two parts of the negative bound (Kingma and Welling 2014, equation 10), from one draw each."""
        mean, log_variance = np.split(found["moments"].astype(np.float64), 2, axis=1)
        noise = rng.standard_normal(mean.shape)
        drawn = (mean + np.exp(0.5 * log_variance) * noise).astype(np.float32)
        outputs = _computed(self._decoder, drawn)["outputs"]
        losses = negative_log_likelihood(inputs.astype(np.float32), outputs, likelihood, self._spec)
        divergence = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1)
        unlikely = np.asarray(losses, np.float64)
        return {
            "negative_elbo": unlikely + divergence,
            "negative_log_likelihood": unlikely,
            "kl": divergence,
        }


def raw_batches(split: SplitData, keeping: Keeping) -> Iterator[np.ndarray]:
    """Raw inputs (n, *input.shape) of a split, in order."""
    with data_errors_told():
        batches = evaluation_batches(split, batch_size=assembly.BATCH_SIZE, keeping=keeping)
        for inputs, _ in batches.as_numpy_iterator():
            yield inputs


def flat(values: np.ndarray) -> np.ndarray:
    """(n, values) of (n, ...)."""
    return np.asarray(values).reshape(len(values), -1)


def _computed(model: keras.Model, values: np.ndarray) -> dict[str, np.ndarray]:
    # Not `predict_on_batch`, which builds a graph for each model and size of a batch, for a few batches.
    found = model(keras.ops.convert_to_tensor(values), training=False)
    return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in found.items()}
