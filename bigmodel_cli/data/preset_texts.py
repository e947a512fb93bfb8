"""A text column whose tokens are those of a KerasHub preset: only their number is learned."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from bigmodel_cli import presets
from bigmodel_cli.columns import Column
from bigmodel_cli.config.schema import PrepareText
from bigmodel_cli.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf


class PresetTexts:
    """What a text column becomes with a preset, seen batch by batch."""

    def __init__(self, preset: str, wanted: PrepareText, most: int):
        """Ask for what goes with a preset.

        Args:
            preset: from `presets.read`.
            wanted: how to prepare the column.
            most: tokens that `length: auto` keeps at most.

        Raises:
            DataError: what the preset decides itself.
        """
        from bigmodel_cli.preset_tokens import PresetTokens

        for key, field in PrepareText.model_fields.items():
            if key != "length" and getattr(wanted, key) != field.default:
                raise DataError(
                    f"dataset.prepare.text.{key}: `{getattr(wanted, key)}` is for tokens that are learned "
                    "here, but model.preset brings its own; leave it out"
                )
        longest = presets.longest(preset)
        if wanted.length != "auto" and wanted.length > longest:
            raise DataError(
                f"dataset.prepare.text.length: {wanted.length} tokens are more than the preset takes; set at "
                f"most {longest}"
            )
        self._preset, self._length = preset, wanted.length
        self._layer = PresetTokens(preset, min(longest, most))
        self._lengths: list[np.ndarray] = []

    def update(self, cells: tf.Tensor) -> None:
        """Count the tokens of texts (n,)."""
        import numpy as np

        if self._length == "auto":
            self._lengths.append(np.count_nonzero(np.asarray(self._layer.call(cells)), axis=1))

    def learned(self, column: Column) -> Column:
        """The column with its preparation: `auto` keeps 99 of 100 texts whole."""
        import numpy as np

        if self._length == "auto":
            length = max(1, math.ceil(float(np.quantile(np.concatenate(self._lengths), 0.99))))
        else:
            length = self._length
        return replace(
            column,
            encoding="embedding",
            buckets=self._layer.vocabulary_size,
            length=length,
            split="preset",
            preset=self._preset,
        )
