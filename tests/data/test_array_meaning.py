import numpy as np
import pytest

from bigmodel_cli.data import array_meaning
from bigmodel_cli.data.array_meaning import interpret
from bigmodel_cli.errors import DataError

LABELS = np.array([0, 1, 2] * 4)


def meaning_of(inputs, targets, **asked):
    return interpret_splits({"all": (inputs, targets)}, **asked)


def interpret_splits(pairs, **asked):
    arrays = {base: (np.asarray(x), np.asarray(y)) for base, (x, y) in pairs.items()}
    places = {base: f"file {base}" for base in pairs}
    return interpret(arrays, name="set", origin="test", places=places, **asked)


def numbers(*shape, dtype="float32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("inputs", "kind", "shape", "dtype"),
    [
        (numbers(12, 5, 6, dtype="uint8"), "image", (5, 6, 1), "uint8"),
        (numbers(12, 5, 6, 3, dtype="uint8"), "image", (5, 6, 3), "uint8"),
        (numbers(12, 4), "tabular", (4,), "float32"),
        (numbers(12, 4, dtype="uint8"), "tabular", (4,), "float32"),
        (numbers(12, dtype="int64"), "tabular", (1,), "float32"),
        (numbers(12, 5, 6), "tabular", (5, 6), "float32"),
        (numbers(12, 2, dtype="bool"), "tabular", (2,), "float32"),
    ],
)
def test_inputs_by_dtype_and_shape(inputs, kind, shape, dtype):
    meaning = meaning_of(inputs, LABELS)
    spec = meaning.spec.input
    assert (spec.kind, spec.shape, spec.dtype) == (kind, shape, dtype)
    taken = meaning.bases["all"][0]
    assert taken.shape == (12, *shape)
    # Nothing is copied: it may be a file of any size.
    assert np.shares_memory(taken, inputs)


def test_names_of_numbers():
    assert meaning_of(numbers(12, 3), LABELS).spec.input.names == ("x0", "x1", "x2")
    assert meaning_of(numbers(12), LABELS).spec.input.names == ("x",)


def test_the_kind_that_is_asked_for():
    images = numbers(12, 2, 5, 6, dtype="uint8")
    spec = meaning_of(images, LABELS, kind="tabular").spec.input
    assert (spec.kind, spec.shape, spec.dtype) == ("tabular", (2, 5, 6), "float32")
    with pytest.raises(DataError, match=r"dataset.kind: file all: .* \(12, 5, 6\); images must be uint8"):
        meaning_of(numbers(12, 5, 6), LABELS, kind="image")
    spec = meaning_of(numbers(12, 3, 5, 6, 1, dtype="uint8"), LABELS).spec.input
    assert (spec.kind, spec.shape, spec.dtype) == ("tabular", (3, 5, 6, 1), "float32")
    (note,) = (line for line in meaning_of(numbers(12, 5, 6), LABELS).notes if "images" in line)
    assert note.startswith("inputs float32 (5, 6) are taken as numbers")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            numbers(12, 3, 32, 40, dtype="uint8"),
            r"channels first; put them last \(numpy.moveaxis\(",
        ),
        (numbers(12, 1, 1, 1, 1, 1), r"float32 \(12, 1, 1, 1, 1, 1\); at most"),
        (np.array(["a"] * 12), "not numbers; turn them into numbers, or use a dataset for tables"),
        (np.array([object()] * 12), "the inputs are object"),
        (np.zeros((12, 0)), "an example has no numbers"),
        (np.float32(3), "a single value is no array of examples"),
        (numbers(11, 2), "file all: 11 inputs and 12 targets; there must be a target for each input"),
    ],
)
def test_inputs_that_cannot_be_used(inputs, message):
    with pytest.raises(DataError, match=message):
        meaning_of(inputs, LABELS)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_inputs_that_are_not_finite_have_their_place(value, monkeypatch):
    monkeypatch.setattr(array_meaning, "BLOCK", 5)
    inputs = np.zeros((12, 3))
    inputs[7, 1] = value
    with pytest.raises(DataError, match=r"the inputs have .* at example 7, position \[1\]"):
        meaning_of(inputs, LABELS)
    monkeypatch.setattr(array_meaning, "SEARCHED_BYTES", 100)
    assert any("not searched for NaN" in note for note in meaning_of(inputs, LABELS).notes)


def test_whole_numbers_as_classes_or_values():
    meaning = meaning_of(numbers(12, 2), LABELS + 5)
    assert meaning.spec.task == "classification"
    assert meaning.spec.target.names == ("5", "6", "7")
    assert meaning.bases["all"][1].tolist() == LABELS.tolist()
    assert meaning.bases["all"][1].dtype == np.int32
    assert meaning.notes[0].startswith("3 distinct whole numbers as targets are taken as classes; set")
    meaning = meaning_of(numbers(12, 2), np.arange(12))
    assert meaning.spec.task == "regression"
    assert "12 distinct whole numbers as targets are taken as values" in meaning.notes[0]
    assert meaning_of(numbers(12, 2), np.arange(12), task="classification").spec.outputs == 12
    assert meaning_of(numbers(12, 2), LABELS, task="regression").spec.target.names == ("y",)
    assert meaning_of(numbers(12, 2), LABELS, task="regression").notes == ()


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        (np.array(["b", "a", "c"] * 4), ("a", "b", "c")),
        (np.array([b"b", "ä".encode(), b"c"] * 4), ("b", "c", "ä")),
        (np.array(["b", "a", "c"] * 4, object), ("a", "b", "c")),
        (np.array([True, False] * 6), ("false", "true")),
        (LABELS[:, np.newaxis], ("0", "1", "2")),
        (np.eye(3)[LABELS], ("0", "1", "2")),
        (np.array([-1, 1] * 6), ("-1", "1")),
    ],
)
def test_classes(targets, names):
    meaning = meaning_of(numbers(12, 2), targets)
    assert meaning.spec.target.names == names
    found = [names[index] for index in meaning.bases["all"][1]]
    if targets.shape == (12, 3):
        assert found == [str(label) for label in LABELS]
    else:
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in targets.ravel()]
        assert found == [text.lower() for text in texts]


def test_classes_of_all_splits_together():
    train = (numbers(4, 2), ["a", "c", "a", "c"])
    meaning = interpret_splits({"train": train, "test": (numbers(2, 2), ["long name", "c"])})
    assert meaning.spec.target.names == ("a", "c", "long name")
    assert meaning.bases["train"][1].tolist() == [0, 1, 0, 1]
    assert meaning.bases["test"][1].tolist() == [2, 1]


def test_names_of_classes():
    def named(targets, *names):
        meaning = meaning_of(numbers(12, 2), targets, class_names=names, task="classification")
        assert meaning.spec.target.names == names
        return meaning.bases["all"][1].tolist()

    # A number is the place of its name; a class without examples is allowed.
    assert named(LABELS, "cat", "dog", "owl", "fox") == LABELS.tolist()
    assert named(LABELS.astype(float), "cat", "dog", "owl") == LABELS.tolist()
    assert named(np.array(["dog", "cat"] * 6), "dog", "cat") == [0, 1] * 6
    assert named(LABELS + 5, "7", "6", "5") == (2 - LABELS).tolist()
    assert named(np.eye(3)[LABELS], "cat", "dog", "owl") == LABELS.tolist()


@pytest.mark.parametrize(
    ("targets", "asked", "message"),
    [
        (
            LABELS,
            {"class_names": ["cat", "dog"]},
            r"dataset.class_names: file all has the labels `0`, `1`, `2`, for which there is no class; the "
            r"classes are `cat`, `dog`",
        ),
        (["cat", "owl"] * 6, {"class_names": ["cat", "dog"]}, "the label `owl`, for which there is no class"),
        (np.eye(3)[LABELS], {"class_names": ["a", "b"]}, "2 names for the 3 classes of the one-hot targets"),
        (LABELS, {"class_names": ["a", "b", "a"]}, "`a` is there twice"),
        (LABELS * 0, {}, "all targets are `0`; a classification needs at least two classes"),
        (LABELS / 2, {"task": "classification"}, "the target of example 1 is 0.5, which is no class"),
        (numbers(12, 3), {"task": "classification"}, r"targets float32 \(12, 3\) are no classes"),
        (numbers(12) * 0.1, {"class_names": ["a", "b"]}, "a regression has no classes; leave them out"),
        (
            ["1", "2"] * 6,
            {"task": "regression"},
            "dataset.task: .* the targets are strings, such as `1`",
        ),
        (numbers(12, 2, 2), {}, r"float32 \(12, 2, 2\); they must be \(examples,\) or \(examples, targets\)"),
        ([object()] * 12, {}, r"the targets are object \(12,\); class labels or numbers are needed"),
        ([0.5, np.nan] * 6, {}, "the target of example 1 is nan; leave out examples without a target"),
        ([0.5, 1e300] * 6, {}, r"the target of example 1, 1e\+300, is beyond what float32 can hold"),
    ],
)
def test_targets_that_cannot_be_used(targets, asked, message):
    with pytest.raises(DataError, match=message):
        meaning_of(numbers(12, 2), targets, **asked)


def test_values():
    meaning = meaning_of(numbers(12, 2), numbers(12, 3) * 0.5)
    assert meaning.spec.task == "regression"
    assert meaning.spec.target.names == ("y0", "y1", "y2")
    assert meaning.bases["all"][1].dtype == np.float32
    assert meaning.bases["all"][1][3].tolist() == [4.5, 5.0, 5.5]
    assert meaning_of(numbers(12, 2), numbers(12) * 0.5).bases["all"][1].shape == (12, 1)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            (numbers(12, 3), LABELS),
            r"differ: file train has float32 \(2,\), file test float32 \(3,\)",
        ),
        ((numbers(12, 2), LABELS.astype(str)), "the targets differ: file train has int64"),
        ((numbers(0, 2), []), "file test: there are no examples; leave out `test`"),
    ],
)
def test_splits_that_contradict_each_other(test, message):
    with pytest.raises(DataError, match=message):
        interpret_splits({"train": (numbers(12, 2), LABELS), "test": test})
