"""`bigmodel init --plugin`: a package with a model and a dataset of one's own, ready to install."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from bigmodel_cli import components
from bigmodel_cli.errors import UsageError

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "{name}.yaml": "config.yaml",
    "{name}/__init__.py": "__init__.py",
    "{name}/model.py": "model.py",
    "{name}/dataset.py": "dataset.py",
    "tests/test_{name}.py": "test_plugin.py",
}
"""Place in the package -> template."""


def write(name: str, folder: Path | None = None) -> list[Path]:
    """Write the package.

    Args:
        name: of the package and of its model, in lower case; `-` counts as `_`.
        folder: where to; new or empty. None for a new one of that name in the working folder.

    Returns:
        What was written, in the order of reading.

    Raises:
        UsageError: the name cannot be one of a package, or is taken; the folder holds something, or cannot be
            written. Nothing is overwritten, and a wrong call writes nothing.
    """
    module = name.replace("-", "_")
    _check_name(name, module)
    folder = folder or Path(name)
    _check_folder(folder)
    templates = resources.files("bigmodel_cli") / "plugin_template"
    written = []
    try:
        for place, template in _FILES.items():
            path = folder / place.format(name=module)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (templates / f"{template}.template").read_text("utf-8")
            text = text.replace("@name@", module).replace("@distribution@", module.replace("_", "-"))
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return written


def _check_name(name: str, module: str) -> None:
    if not re.fullmatch(r"[a-z](_?[a-z0-9])*", module) or keyword.iskeyword(module):
        raise UsageError(
            f"--plugin {name}: cannot be the name of a package; take lower-case letters, digits and single "
            "underscores, a letter first, as in `two_towers`"
        )
    wanted: tuple[tuple[components.Kind, str], ...] = (("models", module), ("datasets", f"{module}_rings"))
    for kind, taken in wanted:
        if taken in components.names(kind):
            raise UsageError(
                f"--plugin {name}: there is a {kind.removesuffix('s')} `{taken}` already "
                f"(`bigmodel list {kind}`); take another name"
            )
    if module in sys.stdlib_module_names or module == "tests" or _importable(module):
        raise UsageError(
            f"--plugin {name}: there is a Python module `{module}` already, and one would hide the other; "
            "take another name"
        )


def _importable(module: str) -> bool:
    found = find_spec(module)
    # A folder without __init__.py counts as a package: that of data or runs beside is no module to hide.
    return found is not None and found.origin is not None


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a new folder: bigmodel init --plugin NAME FOLDER")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"{folder}: is there already and not empty; name a new folder: bigmodel init --plugin NAME FOLDER"
        )
