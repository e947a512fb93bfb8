"""KerasHub's presets: a trained backbone with the tokens that it was trained on.

What of a preset is no weight (the description of its layers, and its tokenizer with its files) is kept as
one text in the data's description, `Column.preset`, so that a run needs neither the preset nor a network
later on.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli import components
from bigmodel_cli.errors import ModelError

if TYPE_CHECKING:
    import keras

MODEL = "keras_hub"
"""The model whose texts become the tokens of a preset."""

_PACKAGES = ("keras_hub", "tensorflow_text")


def library() -> Any:
    """The package keras_hub.

    Raises:
        ModelError: it is not installed.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"model.name: `{MODEL}` needs the package{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(name.replace('_', '-') for name in missing)}, not installed here: "
            "pip install 'bigmodel-cli[text]'"
        )
    # Kaggle's client asks on the network whether there is a newer one.
    os.environ.setdefault("DISABLE_KAGGLE_VERSION_CHECK", "1")
    import keras_hub

    return keras_hub


def read(handle: str) -> str:
    """All of a preset but its weights.

    Args:
        handle: a folder that `save_to_preset` wrote, a name that KerasHub knows, or a handle of a hub.

    Returns:
        A JSON object of file -> its bytes in base64, as `opened` takes it.

    Raises:
        ModelError: it is not there, cannot be read, or is not for texts; or KerasHub is not installed.
    """
    import keras

    hub = library()
    _check_there(handle, hub)
    with told(handle), tempfile.TemporaryDirectory(prefix="bigmodel-preset-") as folder:
        preprocessor = hub.models.TextClassifierPreprocessor.from_preset(handle)
        # Weights without values: only the description is wanted.
        with keras.StatelessScope(initialize_variables=False):
            backbone = hub.models.Backbone.from_preset(handle, load_weights=False)
        # Keras would give them values at the end of the next scope.
        keras.utils.clear_session(free_memory=False)
        preprocessor.save_to_preset(folder)
        described = json.dumps(keras.saving.serialize_keras_object(backbone))
        Path(folder, "config.json").write_text(described, encoding="utf-8")
        return json.dumps(
            {
                path.relative_to(folder).as_posix(): base64.b64encode(path.read_bytes()).decode("ascii")
                for path in sorted(Path(folder).rglob("*"))
                if path.is_file()
            }
        )


def _check_there(handle: str, hub: Any) -> None:
    """Say what is wrong with a name, where that shows without a network.

    Raises:
        ModelError: a folder that is not there, or a name that KerasHub does not know.
    """
    if "://" in handle or handle in hub.models.Backbone.presets:
        return
    folder = Path(handle)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"model.preset: the folder {handle} has no config.json, so it is no preset; `save_to_preset` "
                "of a KerasHub model writes one"
            )
        return
    near = components.suggestion(handle, list(hub.models.Backbone.presets))
    raise ModelError(
        f"model.preset: there is no folder {handle}, and KerasHub knows no preset of this name{near}; name a "
        "folder that `save_to_preset` wrote, one of keras_hub.models.Backbone.presets, or a handle such as "
        "hf://USER/MODEL or kaggle://USER/MODEL/keras/VARIANT"
    )


@contextmanager
def told(handle: str) -> Iterator[None]:
    """Make what reading a preset raises a message.

    Raises:
        ModelError: the preset cannot be read.
    """
    try:
        yield
    # requests' and huggingface_hub's errors are OSErrors.
    except (ValueError, OSError, ImportError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"model.preset: {handle} cannot be used: {first}; it must be an encoder of texts with its "
            "tokenizer (of BERT, RoBERTa, ALBERT, DistilBERT, DeBERTa, ...), and a hub needs a network: "
            "where there is none, name a folder that holds the preset"
        ) from error


@contextmanager
def opened(preset: str) -> Iterator[str]:
    """A folder with the files of a preset, without weights, as long as it is needed.

    Args:
        preset: from `read`.
    """
    with tempfile.TemporaryDirectory(prefix="bigmodel-preset-") as folder:
        for name, content in json.loads(preset).items():
            path = Path(folder, name)
            # A run may come from elsewhere: nothing is written outside.
            if not path.resolve().is_relative_to(Path(folder).resolve()):
                raise ModelError(f"data.json: the preset holds a file {name} outside of its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
        yield folder


def backbone(preset: str, weights: str | None) -> keras.Model:
    """The layers of a preset, in the precision that is set.

    Args:
        preset: from `read`.
        weights: the handle of the preset to take them from; None for random ones.

    Raises:
        ModelError: the weights are not there or do not fit.
    """
    import keras

    hub = library()
    dtype = keras.config.dtype_policy().name
    if weights is not None:
        _check_there(weights, hub)
        with told(weights):
            model: keras.Model = hub.models.Backbone.from_preset(weights, dtype=dtype)
        return model
    with opened(preset) as folder:
        random: keras.Model = hub.models.Backbone.from_preset(folder, load_weights=False, dtype=dtype)
    return random


def longest(preset: str) -> int:
    """Tokens of a text that a preset takes at most: its positions, or what its tokenizer cuts at."""
    files = json.loads(preset)
    layers = json.loads(base64.b64decode(files["config.json"]))["config"]
    tokens = json.loads(base64.b64decode(files["preprocessor.json"]))["config"]
    # Backbones with relative positions have no such number.
    return int(layers.get("max_sequence_length") or tokens["sequence_length"])
