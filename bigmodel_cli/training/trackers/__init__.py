"""Services that follow a run, such as MLflow and Weights & Biases.

A tracker is built by a function of the config (`contracts.TrackerBuilder`) and gives a Keras callback. A
`Follower` calls that callback, in a thread of its own, so that a service that is slow or gone neither
holds up training nor ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bigmodel_cli import components
from bigmodel_cli.config.schema import Component, Config
from bigmodel_cli.contracts import TrackedRun
from bigmodel_cli.errors import BigmodelError, UsageError

if TYPE_CHECKING:
    import keras

    from bigmodel_cli.rundir import Run
    from bigmodel_cli.training.trackers.follower import Follower


def check_trackers(config: Config) -> None:
    """Build each tracker once for nothing, before the run is made: a missing package shows here.

    Raises:
        UsageError: one cannot be built.
    """
    run = TrackedRun(config.name, Path(), config.model_dump(mode="json"), {})
    for index, item in enumerate(config.training.tracking):
        _built(index, item, run)


def build_trackers(
    config: Config, run: Run, environment: Mapping[str, Any], note: Callable[[str], None]
) -> list[Follower]:
    """The callbacks of `training.tracking`, for `fit`; each must be closed when the run has ended.

    Args:
        config: complete.
        run: where the run lies; what has been delivered is kept there, so that a resumed run goes on with
            the same entry of the service.
        environment: what environment.json holds.
        note: tells the user that a service does not answer.

    Raises:
        UsageError: one cannot be built.
    """
    from bigmodel_cli.training.trackers.follower import Follower

    tracked = TrackedRun(config.name, run.path, config.model_dump(mode="json"), environment)
    return [
        Follower(item.name, _built(index, item, tracked), run, note)
        for index, item in enumerate(config.training.tracking)
    ]


def _built(index: int, item: Component, run: TrackedRun) -> keras.callbacks.Callback:
    import keras

    definition = components.find("trackers", item.name)
    assert definition.builder is not None
    place = f"training.tracking[{index}]: `{item.name}`"
    try:
        callback = definition.builder(run, **item.parameters)
    except BigmodelError:
        raise
    except Exception as error:
        raise UsageError(f"{place} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(callback, keras.callbacks.Callback):
        raise UsageError(f"{place} gave a {type(callback).__name__}, not a keras.callbacks.Callback")
    return callback
