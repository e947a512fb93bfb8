"""From a config file to a complete, checked `Config`, or to all its mistakes at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bigmodel_cli import catalogue, components
from bigmodel_cli.components import Definition, Kind, UnknownComponentError
from bigmodel_cli.config import messages
from bigmodel_cli.config.document import Document, KeyPath, dotted
from bigmodel_cli.config.reader import read_config
from bigmodel_cli.config.rules import contradictions
from bigmodel_cli.config.schema import Component, Config, Dataset
from bigmodel_cli.contracts import expand_path
from bigmodel_cli.errors import ConfigError, Mistake, UsageError

_DEPTH = 5
"""Sections and lists lie within each other no deeper than this."""

# Stands in for the name of a component that could not be read; no document can hold it.
_ABSENT = "\0"


@dataclass(frozen=True)
class Loaded:
    """A config without mistakes.

    Attributes:
        config: every component's parameters complete, defaults included.
        document: what was written, and where.
    """

    config: Config
    document: Document


def load(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read and check a config.

    Raises:
        ConfigError: every mistake in it.
    """
    return check(read_config(path, overrides))


RESUMABLE = (
    "training.epochs", "training.checkpoint", "training.early_stopping", "training.max_minutes",
    "training.divergence", "training.resume", "training.tensorboard", "training.tracking",
)  # fmt: skip
"""What may differ when a run goes on; anything else would make another run of it."""

_WHERE = (
    "training.backend", "training.devices", "training.steps_per_execution", "training.jit",
    "dataset.path", "dataset.data_dir", "dataset.cache_dir", "dataset.cache_limit_gb",
)  # fmt: skip
"""Where it is computed and where the data lies, which may differ as well: that the examples are the same is
checked by what was recorded of them."""


def load_resumed(path: Path, overrides: Sequence[str]) -> Loaded:
    """Read the config of a run to go on with.

    Raises:
        ConfigError: as `load`.
        UsageError: an override of something that was fixed when the run began.
    """
    for argument in overrides:
        key = argument.partition("=")[0]
        if not _within(key, (*RESUMABLE, *_WHERE)):
            raise UsageError(
                f"{key}: cannot change when a run goes on; only {', '.join((*RESUMABLE, *_WHERE))} can. "
                "Train anew for anything else"
            )
    return load(path, overrides)


def _within(key: str, keys: Sequence[str]) -> bool:
    return any(key == known or key.startswith((known + ".", known + "[")) for known in keys)


def fixed_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two configs of what must stay the same when a run goes on.

    Args:
        then: the config of the run, as `Config.model_dump` gives it.
        now: the config to go on with; where it leaves to `auto` what the run has decided, they agree.

    Returns:
        A text for each key: `model.filters: [4] then, [8] now`.
    """
    left, right = (dict(_walk((), dict(config))) for config in (then, now))
    differences = []
    for path in {**left, **right}:
        key = dotted(path)
        decided = key in _DECIDED and right.get(path) == "auto"
        if decided or _within(key, (*RESUMABLE, *_WHERE)):
            continue
        if left.get(path) != right.get(path):
            differences.append(f"{key}: {_shown(left, path)} then, {_shown(right, path)} now")
    return differences


_DECIDED = ("optimizer.learning_rate", "training.batch_size")
"""Whose `auto` is replaced by what was decided in the config of a run."""


def decided(config: Config, then: Config) -> Config:
    """A config with what its run has decided in place of `auto`."""
    optimizer, training = config.optimizer, config.training
    if optimizer.learning_rate == "auto":
        optimizer = optimizer.model_copy(update={"learning_rate": then.optimizer.learning_rate})
    if training.batch_size == "auto":
        training = training.model_copy(update={"batch_size": then.training.batch_size})
    return config.model_copy(update={"optimizer": optimizer, "training": training})


def _shown(values: Mapping[KeyPath, Any], path: KeyPath) -> str:
    return json.dumps(values[path], ensure_ascii=False) if path in values else "nothing"


def check(document: Document) -> Loaded:
    """Check a document that has been read.

    Raises:
        ConfigError: every mistake in it.
    """
    checker = _Checker(document)
    config = checker.config()
    if config is None or checker.mistakes:
        raise ConfigError(document.name, checker.mistakes)
    return Loaded(config.read_from(document), document)


def dataset_definition(name: str, data_dir: Any = None) -> tuple[Definition, dict[str, Any]]:
    """The source behind `dataset.name`, and the parameters that the name itself gives it.

    A name that is no component is one of TensorFlow Datasets': known to it, or prepared in the data
    folder.

    Raises:
        UnknownComponentError: neither.
    """
    try:
        return components.find("datasets", name), {}
    except UnknownComponentError:
        # `package.module:function`, rather than `mnist:3.0.1`.
        if re.fullmatch(r"[\w.]+:[A-Za-z_]\w*", name):
            raise
        base = name.split("/")[0].split(":")[0]
        known = catalogue.tfds_names()
        folder = (
            data_dir
            if isinstance(data_dir, str)
            else os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        )
        try:
            prepared = base.isidentifier() and (Path(expand_path(folder)) / base).is_dir()
        except (ValueError, OSError):
            prepared = False
        if base not in known and not prepared:
            near = components.suggestion(base, [*components.names("datasets"), *known])
            raise UnknownComponentError(
                f"there is no dataset `{name}`{near} (`bigmodel list datasets`)"
            ) from None
        return components.find("datasets", "tfds"), {"dataset": name}


class _Checker:
    """Collects mistakes from the fixed sections, the components and the rules, in one pass."""

    def __init__(self, document: Document):
        self.document = document
        self.mistakes: list[Mistake] = []

    def config(self) -> Config | None:
        """The complete config, or None where it has mistakes in its fixed sections."""
        values = self.document.values
        try:
            return self._complete(Config.model_validate(values))
        except ValidationError as error:
            self.mistakes += messages.mistakes(error, self.document, (), self._known)
            wrong = set(messages.by_path(error, values))
        # Go on without what is wrong, so that the components' mistakes are found in the same pass.
        for _ in range(_DEPTH):
            sound = _without(values, wrong)
            try:
                self._complete(Config.model_validate(sound))
                break
            except ValidationError as error:
                # What cannot do without them goes, too: the item or section that they stand in.
                found = set(messages.by_path(error, sound))
                lacking = {path for path in wrong if any(item[: len(path)] == path for item in found)}
                wrong = wrong - lacking | {path[:-1] or path for path in lacking}
                wrong |= {item for item in found if not any(item[: len(path)] == path for path in lacking)}
        return None

    def _known(self, path: KeyPath) -> list[str]:
        keys = messages.section_keys(Config, path)
        return [*keys, "extends"] if not path else keys

    def _complete(self, config: Config) -> Config:
        optimizer = self._component("optimizers", config.optimizer, ("optimizer",))
        rate = config.optimizer.learning_rate
        if isinstance(rate, Component):
            rate = self._component("schedules", rate, ("optimizer", "learning_rate"))
        if rate is None and (entry := catalogue.find("optimizers", optimizer.name)) is not None:
            rate = catalogue.learning_rate(entry.name)
        augment = [
            self._component("augmentations", item, ("dataset", "augment", index))
            for index, item in enumerate(config.dataset.augment)
        ]
        metrics: Any = config.metrics
        if metrics != "auto":
            metrics = [
                self._component("metrics", item, ("metrics", index)) for index, item in enumerate(metrics)
            ]
        loss = config.loss
        if loss.name != "auto":
            loss = self._component("losses", loss, ("loss",))
        elif loss.parameters:
            self._refuse(("loss",), "`auto` takes no parameters; name the loss to give it some")
        tracking = [
            self._component("trackers", item, ("training", "tracking", index))
            for index, item in enumerate(config.training.tracking)
        ]
        dataset = self._dataset(config.dataset)
        complete = config.model_copy(
            update={
                "dataset": dataset.model_copy(update={"augment": augment}),
                "model": self._component("models", config.model, ("model",)),
                "optimizer": optimizer.model_copy(update={"learning_rate": rate}),
                "loss": loss,
                "metrics": metrics,
                "training": config.training.model_copy(update={"tracking": tracking}),
            }
        )
        wrong = {re.split(r"[.[]", mistake.path)[0] for mistake in self.mistakes}
        self.mistakes += [self.document.mistake(*found) for found in contradictions(complete, wrong)]
        return complete

    def _dataset(self, dataset: Dataset) -> Dataset:
        if dataset.name == _ABSENT:
            return dataset
        try:
            definition, given = dataset_definition(dataset.name, dataset.parameters.get("data_dir"))
        except UnknownComponentError as error:
            self._refuse(("dataset", "name"), str(error))
            return dataset
        complete: Dataset = self._parameters(definition, dataset, ("dataset",), given)
        return complete

    def _component(self, kind: Kind, component: Any, path: KeyPath) -> Any:
        if component.name == _ABSENT:
            return component
        try:
            definition = components.find(kind, component.name)
        except UnknownComponentError as error:
            # `optimizer: adam` has no key `name` of its own.
            self._refuse((*path, "name"), str(error))
            return component
        # `Adam` and `adam` are one optimizer, and metrics are called by their canonical name.
        named = component.model_copy(update={"name": definition.name})
        return self._parameters(definition, named, path, {})

    def _parameters(
        self, definition: Definition, component: Any, path: KeyPath, given: dict[str, Any]
    ) -> Any:
        """The component with its parameters checked and complete; those in `given` are left out again."""
        fixed = type(component).model_fields
        known = [*fixed, *(key for key in definition.parameters.model_fields if key not in given)]
        for key in given.keys() & component.parameters.keys():
            self.mistakes.append(messages.unknown_key(self.document, (*path, key), known))
        try:
            checked = definition.parameters.model_validate({**component.parameters, **given})
        except ValidationError as error:
            self.mistakes += messages.mistakes(
                error,
                self.document,
                path,
                lambda inner: messages.section_keys(definition.parameters, inner[:1]) if inner else known,
            )
            return component
        parameters = {
            key: list(value) if isinstance(value := getattr(checked, key), tuple) else value
            for key in definition.parameters.model_fields
            if key not in given
        }
        return component.with_parameters(parameters)

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.mistakes.append(self.document.mistake(path, message))


def _without(values: dict[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """A copy of a config's values that its schema takes: what lies at these paths is left to the defaults.

    What must be there gets a stand-in instead, and so do list items, so that the indices of the others hold.
    """
    sound = deepcopy(values)
    # The innermost first: afterwards what they lie in may be gone.
    for path in sorted(paths, key=len, reverse=True):
        parent: Any = sound
        for part in path[:-1]:
            parent = parent[part]
        if path == ("name",):
            parent["name"] = "absent"
        elif path[-1] == "name":
            parent["name"] = _ABSENT
        elif isinstance(path[-1], int) or path in (("dataset",), ("model",)):
            parent[path[-1]] = {"name": _ABSENT}
        else:
            parent.pop(path[-1], None)
    return sound


def resolved_values(config: Config) -> Iterator[tuple[KeyPath, Any]]:
    """Every value of a config with its path, in the order of the schema."""
    yield from _walk((), config.model_dump(mode="json"))


def _walk(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _walk((*path, key), item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _walk((*path, index), item)
    else:
        yield path, value
