"""The reference page of configs, docs/config.md, generated from the schema and the components.

`python -m bigmodel_cli.reference > docs/config.md` writes it; a test holds it against the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from bigmodel_cli import components
from bigmodel_cli.components import Definition, Kind
from bigmodel_cli.config.schema import (
    About,
    AugmentationItem,
    Checkpoint,
    Config,
    Dataset,
    Divergence,
    EarlyStopping,
    Fold,
    Initialize,
    LayerRule,
    Loss,
    Optimizer,
    Prepare,
    PrepareCategorical,
    PrepareDate,
    PrepareNumeric,
    PrepareTarget,
    PrepareText,
    ReduceOnPlateau,
    Section,
    SplitBy,
    Splits,
    Training,
)

_SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("Top level", "", Config),
    ("dataset", "Besides these, the parameters of the dataset of that `name`.", Dataset),
    ("dataset.splits", "In the slicing syntax of TensorFlow Datasets; what is not given is made.", Splits),
    ("dataset.split_by", "`null`: as `splits` and the fractions say.", SplitBy),
    ("dataset.fold", "`null`: no cross-validation.", Fold),
    (
        "dataset.prepare",
        "For tables. Learned on the training split, kept in the run, and part of the saved model, which "
        "takes raw rows.",
        Prepare,
    ),
    ("dataset.prepare.numeric", "", PrepareNumeric),
    ("dataset.prepare.categorical", "", PrepareCategorical),
    ("dataset.prepare.date", "", PrepareDate),
    ("dataset.prepare.text", "", PrepareText),
    ("dataset.prepare.target", "", PrepareTarget),
    (
        "dataset.augment",
        "Each item, besides the parameters of the augmentation of that `name`.",
        AugmentationItem,
    ),
    ("optimizer", "Besides these, the parameters of the optimizer of that `name`.", Optimizer),
    ("optimizer.layers", "Each item.", LayerRule),
    ("loss", "Besides these, the parameters of the loss of that `name`.", Loss),
    ("training", "", Training),
    ("training.early_stopping", "`null`: train all epochs.", EarlyStopping),
    ("training.reduce_on_plateau", "`null`: the learning rate goes its own way.", ReduceOnPlateau),
    ("training.divergence", "", Divergence),
    ("training.checkpoint", "", Checkpoint),
    ("initialize", "`null`: random weights.", Initialize),
    ("about", "`null`: nothing is stated.", About),
)
_OWN: tuple[tuple[str, Kind], ...] = (
    ("Models", "models"),
    ("Datasets", "datasets"),
    ("Augmentations", "augmentations"),
    ("Schedules", "schedules"),
    ("Trackers", "trackers"),
)
_KERAS: tuple[tuple[str, Kind], ...] = (
    ("Optimizers", "optimizers"),
    ("Losses", "losses"),
    ("Metrics", "metrics"),
    ("Layers", "layers"),
    ("Initializers", "initializers"),
    ("Regularizers", "regularizers"),
    ("Constraints", "constraints"),
)


def reference() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Configs: every key"
    yield ""
    yield "<!-- generated: python -m bigmodel_cli.reference > docs/config.md -->"
    yield "A config is YAML 1.2. A component is a `name` and its own parameters; `adam` is short for"
    yield "`{name: adam}`. `extends: base.yaml` builds on other configs. `bigmodel explain CONFIG` prints"
    yield "what a config comes to."
    for title, text, section in _SECTIONS:
        yield f"\n## {title}\n"
        if text:
            yield f"{text}\n"
        yield from _table(_fields(section))
    for title, kind in _OWN:
        yield f"\n# {title}"
        for name in components.names(kind):
            yield from _component(components.find(kind, name))
    for title, kind in _KERAS:
        yield f"\n# {title}\n"
        yield "From Keras; `bigmodel list " + kind + " NAME` tells what each parameter means.\n"
        yield "| name | parameters |"
        yield "|---|---|"
        for name in components.names(kind):
            parameters = components.find(kind, name).parameters.model_fields
            yield f"| `{name}` | {', '.join(f'`{key}`' for key in parameters)} |"


def _component(definition: Definition) -> Iterator[str]:
    yield f"\n## {definition.name}\n"
    yield definition.description
    rows = _fields(definition.parameters)
    if rows:
        yield ""
        yield from _table(rows)


def _fields(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    return [
        (key, _default(field.default), field.description or "") for key, field in model.model_fields.items()
    ]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "must be given"
    if isinstance(value, Section):
        return "see below"
    if isinstance(value, BaseModel):
        return f"`{getattr(value, 'name', '')}`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield "| key | default | what it is |"
    yield "|---|---|---|"
    for key, default, text in rows:
        cell = text.replace("|", "\\|")
        yield f"| `{key}` | {default} | {cell} |"


if __name__ == "__main__":
    print(reference(), end="")
