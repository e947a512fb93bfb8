"""The shape of the code: which way imports run, and what the light commands never import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bigmodel_cli
from bigmodel_cli.components import KINDS

PACKAGE = Path(bigmodel_cli.__file__).parent
CONFIGS = Path(__file__).parents[1] / "configs"

# Lowest first. A module imports from its own layer and from those below.
LAYERS = (
    ("", "errors", "columns", "contracts", "formatting"),
    ("config",),
    (
        "catalogue",
        "layer_parameters",
        "components",
        "validation",
        "json_schema",
        "reference",
        "plugin_package",
        "stand_in",
        "rundir",
        "run_care",
        "run_listing",
        "cluster",
        "devices",
        "jax_devices",
        "engine",
        "workers",
    ),
    (
        "data",
        "models",
        "targets",
        "token_targets",
        "reconstruction",
        "latent_draw",
        "text_pieces",
        "presets",
        "preset_tokens",
        "flops",
        "metrics",
        "projection",
        "linear_weights",
        "plots",
        "pictures",
        "evaluation_pictures",
        "inputs",
        "pages",
    ),
    ("assembly",),
    ("single_tasks", "hidden_layers", "continuation", "model_pictures", "explanation"),
    ("training", "evaluation", "comparison", "prediction", "data_report", "doctor", "report"),
    # Trains and evaluates, again and again; asks the parts of training what they cost.
    ("repeats", "summary"),
    ("cli", "__main__"),
)
STAGES = LAYERS[6]
EXCEPTIONS = {
    # The generator of the catalogue, run by hand and by a test, asks the TFDS source for its names.
    ("catalogue", "data.tfds"),
}
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "numpy", "sklearn", "pyarrow", "PIL")


def modules() -> dict[str, Path]:
    """Dotted name inside the package -> file; the package itself is the empty name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{item.name}" for item in node.names]
        for name in names:
            if name.split(".")[0] == "bigmodel_cli":
                inner = name.removeprefix("bigmodel_cli").removeprefix(".")
                yield inner if inner in MODULES else inner.rpartition(".")[0]


EDGES = sorted({(name, target) for name, path in MODULES.items() for target in imports(path)} - EXCEPTIONS)


def part(module: str) -> str:
    return module.split(".")[0]


def layer(module: str) -> int:
    found = [number for number, parts in enumerate(LAYERS) if part(module) in parts]
    assert found, f"{module} stands in no layer; give it one here"
    return found[0]


def test_every_module_has_a_layer():
    assert {part(name) for name in MODULES} == {item for parts in LAYERS for item in parts}


def test_imports_run_one_way():
    assert [edge for edge in EDGES if layer(edge[1]) > layer(edge[0])] == []


@pytest.mark.parametrize("siblings", [("data", "models"), STAGES])
def test_siblings_never_import_each_other(siblings):
    inside = [(a, b) for a, b in EDGES if part(a) in siblings and part(b) in siblings and part(a) != part(b)]
    assert inside == []


def test_exceptions_are_still_needed():
    everything = {(name, target) for name, path in MODULES.items() for target in imports(path)}
    assert everything >= EXCEPTIONS


def test_no_module_is_a_drawer_for_leftovers():
    assert {name.rpartition(".")[2] for name in MODULES}.isdisjoint(
        {"utils", "util", "helpers", "common", "misc"}
    )


def run_without(heavy: tuple[str, ...], code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    poison = f"import sys; sys.modules.update(dict.fromkeys({heavy!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", poison + code],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


LIGHT = [
    ("--help",),
    ("--version",),
    ("train", "--help"),
    ("validate", *map(str, sorted(CONFIGS.rglob("*.yaml")))),
    ("explain", str(CONFIGS / "mnist_cnn.yaml"), "training.epochs=2"),
    *(("list", kind) for kind in KINDS),
    ("list", "models", "cnn"),
    ("runs",),
    ("runs", "--sort", "name", "--filter", "dataset=iris"),
    ("compare", "--help"),
    ("schema",),
    ("init",),
    ("init", "digits_cnn"),
    ("init", "--plugin", "two_towers"),
]


def test_light_commands_run_without_the_heavy_packages(tmp_path):
    code = f"""
from bigmodel_cli.cli import main
for arguments in {LIGHT!r}:
    try:
        main(list(arguments))
    except SystemExit as stop:
        if stop.code:
            sys.exit(f"{{arguments}}: {{stop.code}}")
"""
    done = run_without(HEAVY, code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("validate", str(CONFIGS / "mnist_cnn.yaml"))])
def test_start_up_imports_little(arguments, tmp_path):
    code = f"""
import sys
from bigmodel_cli.cli import main
try:
    main({list(arguments)!r})
except SystemExit as stop:
    assert not stop.code
print(sorted({set(HEAVY) | {"rich"}!r} & set(sys.modules)), file=sys.stderr)
"""
    assert run_without((), code, tmp_path).stderr.strip() == "[]"


def test_data_and_models_import_without_tensorflow(tmp_path):
    wanted = [f"bigmodel_cli.{name}" for name in MODULES if part(name) in ("data", "models")]
    code = f"import importlib\nfor name in {wanted!r}: importlib.import_module(name)"
    done = run_without(("tensorflow", "keras", "tensorflow_datasets"), code, tmp_path)
    assert done.returncode == 0, done.stderr
