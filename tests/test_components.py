"""Names to what they name: built-ins, plug-ins, Keras classes and one's own functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import ValidationError

from bigmodel_cli import components
from bigmodel_cli.components import KINDS, UnknownComponentError

OWN = '''
from __future__ import annotations
from collections.abc import Sequence
from typing import Annotated, TYPE_CHECKING
from pydantic import Field
if TYPE_CHECKING:
    import keras

def good(data: keras.Nothing, *, width: Annotated[int, Field(ge=1)] = 3, sizes: Sequence[int] = (1,)):
    """My model.

    More of it.

    Args:
        data: what to build on.
        width: of the layers,
            at least 1.
        sizes: of the others.

    Returns:
        width: no parameter.
    """

def bare(data, *, anything, model_size=3): ...
def unknown_annotation(data, *, width: Nowhere = 3): ...
def no_schema(data, *, width: Nothing = 3): ...
def underscore(data, *, _width: int = 3): ...
def too_few(): ...
def too_many(data, seed): ...
def seed_and_more(data, seed=3, *, width: int = 3): ...
class Nothing: ...
NUMBER = 3
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module into the working folder; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    written = []

    def write(text: str = OWN) -> str:
        name = f"own_module_{abs(hash(tmp_path))}_{len(written)}"
        written.append(name)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def refused(kind, name):
    with pytest.raises(UnknownComponentError) as caught:
        components.find(kind, name)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_is_found_and_described(kind):
    names = components.names(kind)
    assert names == sorted(names)
    assert names
    for name in names:
        found = components.find(kind, name)
        assert (found.kind, found.name) == (kind, name)
        assert found.summary, name
        assert "\n" not in found.summary
        assert (found.builder is None) == (found.keras_class is not None)
        for key, field in found.parameters.model_fields.items():
            assert field.description, f"{name}: {key} has no description"


def test_built_ins():
    assert {"cnn", "mlp", "resnet", "linear_regression"} <= set(components.names("models"))
    assert {"adam", "sgd"} <= set(components.names("optimizers"))
    assert {"cosine", "exponential_decay"} <= set(components.names("schedules"))


def test_a_keras_class_by_other_letters():
    assert components.find("optimizers", "AdamW").name == "adamw"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("models", "resnett",
         "there is no model `resnett`; did you mean `resnet`? (`bigmodel list models`)"),
        ("losses", "mean_square_error", "there is no loss `mean_square_error`; did you mean "
         "`mean_squared_error`"),
        ("optimizers", "xyz", "there is no optimizer `xyz` (`bigmodel list optimizers`)"),
        ("optimizers", "package.module:function", "there is no optimizer `package.module:function`"),
        ("models", ":", "`:` is not of the form package.module:function"),
        ("models", ".a:b", "`.a:b` is not of the form package.module:function"),
        ("models", "a:b:c", "`a:b:c` is not of the form package.module:function"),
        ("models", "nowhere.at_all:f",
         "`nowhere.at_all:f`: module `nowhere.at_all` does not import: No module named 'nowhere'"),
        ("models", "math:pow2", "module `math` has no `pow2`; did you mean `pow`"),
        ("models", "math:pi", "`math:pi` is a float, not a function"),
    ],
)  # fmt: skip
def test_refused(kind, name, message):
    assert refused(kind, name).startswith(message)


class TestOwnFunctions:
    def test_is_found_in_the_working_folder(self, own):
        found = components.find("models", f"{own()}:good")
        assert (found.summary, found.description) == ("My model.", "My model.\n\nMore of it.")
        fields = found.parameters.model_fields
        assert {key: field.description for key, field in fields.items()} == {
            "width": "of the layers, at least 1.",
            "sizes": "of the others.",
        }
        assert found.parameters().width == 3

    @pytest.mark.parametrize("values", [{"width": 0}, {"width": "3"}, {"sizes": 3}, {"depth": 1}])
    def test_its_annotations_are_checked(self, own, values):
        parameters = components.find("models", f"{own()}:good").parameters
        with pytest.raises(ValidationError):
            parameters.model_validate(values)

    def test_parameters_without_annotations_take_anything(self, own):
        parameters = components.find("models", f"{own()}:bare").parameters
        assert parameters(anything=[None]).model_size == 3
        with pytest.raises(ValidationError):
            parameters()

    def test_positional_parameters_with_defaults_are_none_of_the_config(self, own):
        found = components.find("models", f"{own()}:seed_and_more")
        assert set(found.parameters.model_fields) == {"width"}

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            ("unknown_annotation", ": an annotation cannot be resolved: name 'Nowhere' is not defined"),
            ("no_schema", ": its parameters cannot be checked: Unable to generate pydantic-core schema"),
            ("underscore", ": its parameters cannot be checked: "),
            ("too_few", " cannot build a model; it must look like `def too_few(data, *, parameter=3)`"),
            ("too_many", " cannot build a model; it must look like `def too_many(data, *, parameter=3)`"),
            ("NUMBER", " is a int, not a function"),
        ],
    )
    def test_refused(self, own, function, message):
        name = f"{own()}:{function}"
        assert refused("models", name).startswith(f"`{name}`{message}")

    def test_what_a_builder_gets_depends_on_its_kind(self, own):
        name = own("def f(total_steps, steps_per_epoch, *, x: int = 3): ...\n")
        assert components.find("schedules", f"{name}:f").builder is not None
        assert "def f(seed, *, parameter=3)" in refused("datasets", f"{name}:f")
        assert "def f(*, parameter=3)" in refused("augmentations", f"{name}:f")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found'"),
            ("def f(:\n", "SyntaxError: invalid syntax"),
            ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ],
    )
    def test_a_module_that_fails(self, own, text, message):
        name = own(text)
        assert refused("models", f"{name}:f").startswith(
            f"`{name}:f`: module `{name}` does not import: {message}"
        )


class TestPlugIns:
    @pytest.fixture
    def plug_in(self, own, monkeypatch):
        def install(value):
            point = EntryPoint("mine", value, "bigmodel.models")
            monkeypatch.setattr(components, "entry_points", lambda group: [point])
            components._entry_points.cache_clear()

        yield install
        monkeypatch.undo()
        components._entry_points.cache_clear()

    def test_is_found_and_listed(self, own, plug_in, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        plug_in(f"{own()}:good")
        assert components.names("models") == ["mine"]
        assert components.find("models", "mine").summary == "My model."

    @pytest.mark.parametrize("value", ["nowhere_at_all:f", "math:nothing"])
    def test_that_does_not_load(self, plug_in, value):
        plug_in(value)
        assert refused("models", "mine").startswith(
            "the plug-in `mine` of the package unknown does not load: "
        )


def test_suggestions():
    assert components.suggestion("resnt", ["resnet", "cnn"]) == "; did you mean `resnet`?"
    assert components.suggestion("xyz", ["resnet", "cnn"]) == ""
    assert components.suggestion("ab", ["abc", "abd", "abe"]).count("`") == 4
