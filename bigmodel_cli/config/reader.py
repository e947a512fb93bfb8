"""A config file, what it extends and the command line's overrides, as one document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigmodel_cli.config.document import COMMAND_LINE, DEFAULT, Document, KeyPath, parse_override, read
from bigmodel_cli.config.messages import show
from bigmodel_cli.contracts import expand_path
from bigmodel_cli.errors import ConfigError, Mistake


def read_config(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Read a config with everything that stands above and below it.

    Precedence, lowest first: the files of `extends`, the file, the overrides. A config without a
    `name` is called after its file.

    Args:
        path: of the YAML file.
        overrides: `key=value` arguments.

    Raises:
        ConfigError: a file that cannot be read or parsed, a circle of `extends`, a malformed override.
    """
    document = _with_bases(path, ())
    mistakes: list[Mistake] = []
    # Among themselves first: `model.depth=20 model.name=resnet` means the same in either order.
    above = Document(COMMAND_LINE.file, {})
    for argument in overrides:
        try:
            above = above.merged(parse_override(argument))
        except ConfigError as error:
            mistakes += error.mistakes
    if "extends" in above.values:
        mistakes.append(above.mistake(("extends",), "stands in a file, not on the command line"))
    if mistakes:
        raise ConfigError(str(path), mistakes)
    document = document.merged(above)
    document.name = str(path)
    if "name" not in document.values:
        document.values = {"name": path.stem, **document.values}
        document.places[("name",)] = DEFAULT
    return document


def _with_bases(path: Path, above: tuple[Path, ...]) -> Document:
    document = read(path)
    if "extends" not in document.values:
        return document
    extended = document.values.pop("extends")
    bases = extended if isinstance(extended, list) else [extended]
    below: Document | None = None
    for index, base in enumerate(bases):
        place = ("extends", index) if isinstance(extended, list) else ("extends",)

        def fail(message: str, place: KeyPath = place) -> ConfigError:
            return ConfigError(document.name, [document.mistake(place, message)])

        if not isinstance(base, str):
            raise fail(f"must be the path of a config, or a list of paths, got {show(base)}")
        try:
            base_path = path.parent / expand_path(base)
            readable = base_path.is_file()
        except (ValueError, OSError) as error:
            raise fail(str(error)) from None
        if not readable:
            raise fail(f"there is no file `{base_path}`; the path counts from the folder of {path}")
        if base_path.resolve() in {item.resolve() for item in (*above, path)}:
            raise fail(f"goes round in a circle: {' -> '.join(map(str, (*above, path, base_path)))}")
        found = _with_bases(base_path, (*above, path))
        found.values.pop("name", None)
        below = found if below is None else below.merged(found)
    return document if below is None else below.merged(document)
