"""Layers that are frozen at first and trained later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from bigmodel_cli.config.schema import Config
from bigmodel_cli.training.layer_rules import freeze, releases


class Releasing(keras.callbacks.Callback):
    """Makes layers trainable with the epoch after their `until_epoch`, also in a resumed run.

    The optimizer was built for their weights, too; the training step is made anew, as it holds what was
    trainable when it was traced. On TensorFlow only: on JAX an optimizer takes all its weights at every step.
    """

    def __init__(self, config: Config):
        super().__init__()
        self._config = config
        self._releases = releases(config)
        self._stage = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Look anew: a model that was rolled back was compiled with all frozen again."""
        self._stage = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Release what is due."""
        stage = sum(first <= epoch + 1 for first in self._releases)
        if stage != self._stage:
            self._stage = stage
            freeze(self._config, self.model, epoch + 1)
            self.model.make_train_function(force=True)
