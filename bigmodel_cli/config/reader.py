"""A config file, what it extends and the command line's overrides, as one document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bigmodel_cli.config.document import DEFAULT, Document, parse_override, read
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
    for argument in overrides:
        try:
            document = document.merged(parse_override(argument))
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(str(path), mistakes)
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
    for base in bases:
        if not isinstance(base, str):
            raise ConfigError(
                document.name,
                [document.mistake(("extends",), "must be the path of a config, or a list of paths")],
            )
        base_path = path.parent / base
        if base_path.resolve() in {item.resolve() for item in (*above, path)}:
            circle = " -> ".join(str(item) for item in (*above, path, base_path))
            raise ConfigError(document.name, [document.mistake(("extends",), f"goes round in a circle: {circle}")])
        if not base_path.is_file():
            message = f"there is no file {base_path}; the path counts from the folder of {path}"
            raise ConfigError(document.name, [document.mistake(("extends",), message)])
        found = _with_bases(base_path, (*above, path))
        found.values.pop("name", None)
        below = found if below is None else below.merged(found)
    return document if below is None else below.merged(document)
