"""Published parameter counts, and the page docs/parameters.md made of them.

`python -m bigmodel_cli.summary.published > docs/parameters.md` builds every model, which takes a minute, and
writes the page. Tests hold the page against the list, and models of every family against their counts.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bigmodel_cli.contracts import Task
from bigmodel_cli.stand_in import stand_in

Counted = Literal["trained", "all", "below the last layer"]
"""Weights that training changes, as papers and torchvision count; or with the statistics of normalization, as
Keras counts; or those trained without the layer that is made for a task."""


@dataclass(frozen=True)
class Published:
    """A model and the number of its parameters as its authors, or a reference implementation, state it.

    Attributes:
        model: the section of the config, as YAML.
        shape: of one example's input.
        outputs: classes, or tokens.
        parameters: of our model, counted as the publication does.
        stated: as published, in millions, or to the last one.
        source: who states it.
        counted: which of the weights.
        task: what the model is built for.
        tokens: of a text.
    """

    model: str
    shape: tuple[int, ...]
    outputs: int
    parameters: int
    stated: str
    source: str
    counted: Counted = "trained"
    task: Task = "classification"
    tokens: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether the count, rounded or cut off as the stated one is, is the stated one."""
        number = self.stated.removesuffix(" M").replace(",", "")
        if not self.stated.endswith(" M"):
            return int(number) == self.parameters
        decimals = len(number.partition(".")[2])
        # keras.io cuts off what papers round.
        return -0.5 <= (self.parameters / 1e6 - float(number)) * 10**decimals < 1


def _image(size: int, channels: int = 3) -> tuple[int, ...]:
    return size, size, channels


def _ours() -> Iterator[Published]:
    paper = "He et al. 2016a, table 6"
    for depth, count, stated in (
        (20, 269_722, "0.27 M"), (32, 464_154, "0.46 M"), (44, 658_586, "0.66 M"), (56, 853_018, "0.85 M"),
        (110, 1_727_962, "1.7 M"),
    ):  # fmt: skip
        yield Published(f"{{name: resnet, depth: {depth}}}", _image(32), 10, count, stated, paper)
    for depth, count in (
        (18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808),
    ):  # fmt: skip
        model = f"{{name: resnet, depth: {depth}}}"
        yield Published(model, _image(224), 1000, count, f"{count:,}", f"torchvision, resnet{depth}")
    model = "{name: resnet, depth: 50, form: imagenet_d}"
    yield Published(model, _image(224), 1000, 25_576_264, "25,576,264", "timm, resnet50d")
    paper = "Zagoruyko and Komodakis 2016, table 4"
    for depth, width, count, stated in (
        (40, 1, 563_930, "0.6 M"), (40, 2, 2_243_546, "2.2 M"), (40, 4, 8_949_210, "8.9 M"),
        (40, 8, 35_748_314, "35.7 M"), (28, 10, 36_479_194, "36.5 M"), (28, 12, 52_517_850, "52.5 M"),
        (22, 8, 17_158_106, "17.2 M"), (22, 10, 26_797_914, "26.8 M"), (16, 8, 10_961_370, "11.0 M"),
        (16, 10, 17_116_634, "17.1 M"),
    ):  # fmt: skip
        model = f"{{name: wide_resnet, depth: {depth}, width: {width}}}"
        yield Published(model, _image(32), 10, count, stated, paper)
    for name, patch, layers, width, heads, count in (
        ("vit_b_16", 16, 12, 768, 12, 86_567_656), ("vit_b_32", 32, 12, 768, 12, 88_224_232),
        ("vit_l_16", 16, 24, 1024, 16, 304_326_632), ("vit_l_32", 32, 24, 1024, 16, 306_535_400),
        ("vit_h_14", 14, 32, 1280, 16, 632_045_800),
    ):  # fmt: skip
        model = f"{{name: vit, patch: {patch}, layers: {layers}, width: {width}, heads: {heads}}}"
        yield Published(model, _image(224), 1000, count, f"{count:,}", f"torchvision, {name}")
    yield Published(
        "{name: unet, batch_norm: true}", _image(512), 2, 31_037_698, "31,037,698",
        "milesial/Pytorch-UNet, transposed convolutions", task="segmentation",
    )  # fmt: skip
    yield from _of_text()


def _of_text() -> Iterator[Published]:
    for name, layers, width, heads, count in (
        ("bert-base-uncased", 12, 768, 12, 109_482_240), ("bert-large-uncased", 24, 1024, 16, 335_141_888),
    ):  # fmt: skip
        model = f"{{name: transformer, layers: {layers}, width: {width}, heads: {heads}, pooling: cls}}"
        # Of the 30,522 tokens [CLS], [SEP] and [MASK] are the model's own; so are two of the 512 positions.
        yield Published(
            model, (510,), 2, count, f"{count:,}", f"Hugging Face, {name}", "below the last layer",
            tokens=30_519,
        )  # fmt: skip
    for name, layers, width, heads, count in (
        ("gpt2", 12, 768, 12, 124_439_808), ("gpt2-medium", 24, 1024, 16, 354_823_168),
        ("gpt2-large", 36, 1280, 20, 774_030_080), ("gpt2-xl", 48, 1600, 25, 1_557_611_200),
    ):  # fmt: skip
        model = f"{{name: gpt, layers: {layers}, width: {width}, heads: {heads}}}"
        yield Published(
            model, (1024,), 50_257, count, f"{count:,}", f"Hugging Face, {name}",
            task="language_model", tokens=50_257,
        )  # fmt: skip


_TORCHVISION = (
    ("vgg16", 224, 138_357_544), ("vgg19", 224, 143_667_240),
    ("densenet121", 224, 7_978_856), ("densenet169", 224, 14_149_480), ("densenet201", 224, 20_013_928),
    ("mobilenet_v2", 224, 3_504_872),
    ("mobilenet_v3_small", 224, 2_542_856), ("mobilenet_v3_large", 224, 5_483_032),
    ("efficientnet_b0", 224, 5_288_548), ("efficientnet_b1", 240, 7_794_184),
    ("efficientnet_b2", 260, 9_109_994), ("efficientnet_b3", 300, 12_233_232),
    ("efficientnet_b4", 380, 19_341_616), ("efficientnet_b5", 456, 30_389_784),
    ("efficientnet_b6", 528, 43_040_704), ("efficientnet_b7", 600, 66_347_960),
    ("efficientnet_v2_s", 384, 21_458_488), ("efficientnet_v2_m", 480, 54_139_356),
    ("efficientnet_v2_l", 480, 118_515_272),
    ("convnext_tiny", 224, 28_589_128), ("convnext_small", 224, 50_223_688),
    ("convnext_base", 224, 88_591_464), ("convnext_large", 224, 197_767_336),
)  # fmt: skip
"""Of keras.applications, what torchvision has, too: architecture, size of the images, trained weights."""

_KERAS_IO = (
    ("xception", 299, 22_910_480, "22.9"),
    ("resnet50", 224, 25_636_712, "25.6"), ("resnet50_v2", 224, 25_613_800, "25.6"),
    ("resnet101", 224, 44_707_176, "44.7"), ("resnet101_v2", 224, 44_675_560, "44.7"),
    ("resnet152", 224, 60_419_944, "60.4"), ("resnet152_v2", 224, 60_380_648, "60.4"),
    ("inception_v3", 299, 23_851_784, "23.9"), ("inception_resnet_v2", 299, 55_873_736, "55.9"),
    ("mobilenet", 224, 4_253_864, "4.3"),
    ("nasnet_mobile", 224, 5_326_716, "5.3"), ("nasnet_large", 331, 88_949_818, "88.9"),
    ("efficientnet_v2_b0", 224, 7_200_312, "7.2"), ("efficientnet_v2_b1", 240, 8_212_124, "8.2"),
    ("efficientnet_v2_b2", 260, 10_178_374, "10.2"), ("efficientnet_v2_b3", 300, 14_467_622, "14.5"),
    ("convnext_xlarge", 224, 350_196_968, "350.1"),
)  # fmt: skip
"""The others: architecture, size of the images, all weights, the same in millions as keras.io states it."""


def _of_keras() -> Iterator[Published]:
    for architecture, size, count in _TORCHVISION:
        # The layers of the paper, where there is more to them than the last one.
        head = ", head: original" if architecture.startswith(("vgg", "mobilenet_v3")) else ""
        model = f"{{name: application, architecture: {architecture}{head}}}"
        yield Published(model, _image(size), 1000, count, f"{count:,}", f"torchvision, {architecture}")
    for architecture, size, count, stated in _KERAS_IO:
        model = f"{{name: application, architecture: {architecture}}}"
        yield Published(model, _image(size), 1000, count, f"{stated} M", "keras.io", "all")


PUBLISHED = (*_ours(), *_of_keras())


def count(entry: Published) -> int:
    """The parameters of an entry's model, counted as its publication does; built without values.

    Raises:
        BigmodelError: it cannot be built.
    """
    import keras

    from bigmodel_cli import assembly, validation

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "published.yaml"
        path.write_text(f"dataset: digits\nmodel: {entry.model}\n", encoding="utf-8")
        config = validation.load(path).config
    data = stand_in(entry.shape, entry.outputs, task=entry.task, tokens=entry.tokens)
    model = assembly.build_model(config, data, scope=keras.StatelessScope(initialize_variables=False))
    weights: list[Any] = model.weights if entry.counted == "all" else model.trainable_weights
    if entry.counted == "below the last layer":
        head = {id(weight) for weight in model.layers[-1].weights}
        weights = [weight for weight in weights if id(weight) not in head]
    total = sum(math.prod(weight.shape) for weight in weights)
    # Keras would give them values at the end of the next scope.
    keras.utils.clear_session(free_memory=False)
    return total


def page() -> str:
    """docs/parameters.md, as Markdown."""
    lines = [
        "# Parameter counts",
        "",
        "<!-- generated: python -m bigmodel_cli.summary.published > docs/parameters.md -->",
        "Models of bigmodel beside what their papers or reference implementations state. `trained` are the",
        "weights that training changes, `all` those with the statistics of normalization, as Keras counts.",
        "",
        "| model | input | outputs | parameters | of | published | by |",
        "| --- | --- | ---: | ---: | --- | ---: | --- |",
    ]
    for entry in PUBLISHED:
        shape = "x".join(map(str, entry.shape)) + (" tokens" if entry.tokens else "")
        lines.append(
            f"| `{entry.model}` | {shape} | {entry.outputs:,} | {entry.parameters:,} | {entry.counted} | "
            f"{entry.stated} | {entry.source} |"
        )
    return "\n".join(lines) + "\n"


def _check() -> Iterator[str]:
    """What is wrong with the list."""
    for entry in PUBLISHED:
        if (found := count(entry)) != entry.parameters:
            yield f"{entry.model}: {found:,} parameters, the list has {entry.parameters:,}"
        if not entry.agrees:
            yield f"{entry.model}: {entry.parameters:,} parameters, published {entry.stated}"


def _main() -> None:
    import sys

    from bigmodel_cli import engine

    engine.start()
    if wrong := list(_check()):
        sys.exit("\n".join(wrong))
    print(page(), end="")


if __name__ == "__main__":
    _main()
