"""The methods by name, and which inputs each is for; imports nothing heavy, so that help can list them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bigmodel_cli.contracts import DataSpec, InputSpec
from bigmodel_cli.errors import UsageError

LIMIT = 25
"""Inputs that get a picture, where no number is given."""

Subject = Literal["images", "texts", "tabular vectors", "tables"]


@dataclass(frozen=True)
class Method:
    """One way to explain.

    Attributes:
        subjects: what it explains.
        rows: whether it explains the model over many rows, in one picture, instead of each input.
        targets: whether it compares with the true targets.
    """

    subjects: tuple[Subject, ...]
    rows: bool = False
    targets: bool = False


METHODS: Mapping[str, Method] = {
    "grad_cam": Method(("images",)),
    "integrated_gradients": Method(("images", "texts", "tabular vectors")),
    "occlusion": Method(("images", "texts")),
    "permutation_importance": Method(("tabular vectors", "tables"), rows=True, targets=True),
    "partial_dependence": Method(("tabular vectors", "tables"), rows=True),
}


@dataclass(frozen=True)
class Asked:
    """What is to be explained, and how.

    Attributes:
        method: one of `METHODS`.
        folder: where the pictures and numbers go.
        target: the class, or the target of a regression; None for the predicted class or the first target.
        layer: of `grad_cam`; None for the last that has a place in the image.
        limit: inputs that get a picture.
    """

    method: str
    folder: Path
    target: str | None = None
    layer: str | None = None
    limit: int = LIMIT

    def check(self, spec: DataSpec) -> None:
        """Make sure that the method fits the inputs.

        Args:
            spec: of the data.

        Raises:
            UsageError: it does not, or there is no such class or target.
        """
        method, found = METHODS[self.method], subjects(spec.input)
        if not set(found) & set(method.subjects):
            fitting = [name for name, other in METHODS.items() if set(found) & set(other.subjects)]
            raise UsageError(
                f"--explain {self.method}: is for {' and '.join(method.subjects)}, but {spec.name} has "
                f"{' and '.join(found)}; for these there {'are' if len(fitting) > 1 else 'is'} "
                f"{', '.join(fitting)}"
            )
        if self.layer is not None and self.method != "grad_cam":
            raise UsageError(f"--layer {self.layer}: --explain {self.method} looks at no layer; leave it out")
        if method.targets and self.target is not None:
            raise UsageError(
                f"--explain-class {self.target}: {self.method} measures all classes or targets at once; "
                "leave it out"
            )
        self.index(spec)

    def index(self, spec: DataSpec) -> int | None:
        """Position of the class or target asked for; None where none is.

        Raises:
            UsageError: there is none of this name.
        """
        if self.target is None:
            return None
        names = spec.target.names
        if self.target not in names:
            what = "target" if spec.task == "regression" else "class"
            raise UsageError(
                f"--explain-class {self.target}: there is no such {what}; there {_listed(names)}"
            )
        return names.index(self.target)


def subjects(spec: InputSpec) -> tuple[Subject, ...]:
    """What an input is; a table with columns of texts is both."""
    if spec.kind == "image":
        return ("images",)
    if spec.kind == "tabular":
        return ("tabular vectors",)
    texts = [column.kind == "text" for column in spec.columns]
    if all(texts):
        return ("texts",)
    return ("texts", "tables") if any(texts) else ("tables",)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:20])
    return f"{'is' if len(names) == 1 else 'are'} {shown}{', ...' if len(names) > 20 else ''}"
