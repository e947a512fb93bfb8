"""`bigmodel predict`."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bigmodel_cli.cli import continuing, explaining, options
from bigmodel_cli.errors import BigmodelError, UsageError

if TYPE_CHECKING:
    from bigmodel_cli.explanation.methods import Asked
    from bigmodel_cli.prediction import Predictions
    from bigmodel_cli.rundir import Run

_SHOWN = 10


# Negative numbers are inputs, not options.
@click.command("predict", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="[RUN] [INPUT]...")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Predict for the run's own examples [test, when there is no INPUT].",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N inputs or examples.")
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="A .csv, .jsonl, .parquet or .npz file, or - [RUN/predictions/predictions.csv].",
)
@click.option("--resume", is_flag=True, help="Go on where the same command was cut off.")
@click.option(
    "--top-k",
    type=click.IntRange(1),
    metavar="K",
    help="The K likeliest classes in columns; of a language model, the tokens that it draws from.",
)
@click.option("--logits", is_flag=True, help="What the probabilities are the softmax of.")
@click.option("--probabilities", is_flag=True, help="Of every class [unless other columns are asked for].")
@click.option(
    "--calibrated", is_flag=True, help="Probabilities at the temperature that `bigmodel evaluate` fitted."
)
@click.option(
    "--threshold",
    metavar="T",
    help="Of two classes: predict the second one above this probability; a number, or `chosen` for that of "
    "`bigmodel evaluate` [0.5].",
)
@click.option("--embeddings", is_flag=True, help="Outputs of the layer before the head, or of --layer.")
@click.option("--layer", metavar="NAME", help="Of the embeddings, or of --explain grad_cam.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", help="Inputs computed at a time [256].")
@click.option(
    "--tta", type=click.IntRange(2), metavar="N", help="Mean over each image and N-1 augmented ones."
)
@click.option(
    "--ensemble", multiple=True, metavar="RUN", help="Mean over RUN and this one; may be given several times."
)
@click.option("--annotate", metavar="FOLDER", help="Write each image there with its prediction below.")
@explaining.options
@continuing.options
@options.as_json
def command(
    arguments: tuple[str, ...],
    split: str | None,
    output: str | None,
    resume: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Predict for new inputs, or for the test split.

    RUN is a run directory, a config (its newest run), or nothing (the newest run of all). INPUT is an image,
    a folder of images, a .npy, .npz or .csv file, a number (or several: 1,2,3), a pattern such as '*.png', or
    - for standard input; of a language model it is a prompt to go on with. Any number of inputs takes the
    same memory.
    """
    from bigmodel_cli import engine

    run, inputs = _run_and_inputs(arguments)
    if continuing.is_for(run, asked):
        continuing.command(run, inputs, {**asked, "split": split, "resume": resume}, output, as_json)
        return
    if inputs and split:
        raise UsageError("--split is for the run's own examples; leave it out, or the INPUTs")
    if asked["layer"] and not (asked["embeddings"] or asked["explain"]):
        raise UsageError("--layer names the layer of --embeddings or of --explain; give both")
    to_file = output not in (None, "-")
    kept = to_file or (output is None and not as_json)
    if resume and not kept:
        raise UsageError("--resume: nothing is kept of what goes to standard output; name a file by --output")
    path = Path(str(output)) if to_file else run.path / "predictions" / "predictions.csv"
    explain = explaining.asked(asked, run.path, path if to_file else None)
    engine.start()
    from bigmodel_cli import prediction

    if to_file:
        prediction.check_output(path)
    progress = _Progress()
    found = prediction.predict(
        _request(run, inputs, split, asked, explain, kept and path.suffix == ".npz"),
        path if kept else None,
        resume=resume,
        note=lambda text: click.echo(f"note: {text}", err=True),
        progress=progress,
    )
    progress.done()
    with found:
        _report(found, output, path, as_json)
        explaining.tell(found.explain(), as_json or output == "-")
    _tell_errors(found)


def _request(
    run: Run, inputs: list[str], split: str | None, asked: dict[str, Any], explain: Asked | None, room: bool
) -> Any:
    from bigmodel_cli import assembly, hidden_layers, prediction, rundir

    task = run.read_data().task
    if asked["probabilities"] and task in ("segmentation", "reconstruction"):
        what = "masks, each of whose pixels has them" if task == "segmentation" else "reconstructions"
        raise UsageError(f"--probabilities: are not written for {what}; leave it out")
    chosen = asked["top_k"] or asked["logits"] or asked["embeddings"]
    content = prediction.Content(
        probabilities=asked["probabilities"] or not chosen,
        logits=asked["logits"],
        top_k=asked["top_k"],
        embeddings=(asked["layer"] or hidden_layers.BEFORE_HEAD) if asked["embeddings"] else None,
        calibrated=asked["calibrated"],
        threshold=_threshold(asked["threshold"]),
        reconstructions=task == "reconstruction" and (room or bool(asked["annotate"])),
    )
    return prediction.Request(
        run,
        inputs,
        split or "test",  # type: ignore[arg-type]
        asked["limit"],
        asked["batch_size"] or assembly.BATCH_SIZE,
        content,
        asked["tta"] or 1,
        [rundir.find(Path(other)) for other in asked["ensemble"]],
        Path(asked["annotate"]) if asked["annotate"] else None,
        explain,
    )


def _threshold(text: str | None) -> float | Literal["chosen"] | None:
    """The option's value.

    Raises:
        UsageError: it is neither `chosen` nor a probability.
    """
    if text is None:
        return None
    if text == "chosen":
        return "chosen"
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise UsageError(f"--threshold {text}: is not a probability; give a number from 0 to 1, or `chosen`")
    return number


def _report(found: Predictions, output: str | None, path: Path, as_json: bool) -> None:
    if output == "-" and not as_json:
        found.write_csv(sys.stdout)
    elif as_json:
        if output not in (None, "-"):
            found.write(path)
        found.write_json(sys.stdout)
    else:
        folder = found.restored.run.path / "predictions"
        folder.mkdir(exist_ok=True)
        found.write(path)
        _show(found)
        click.echo(f"\n{found.size:,} prediction{'s' if found.size > 1 else ''} in {path}")
        if found.masks is not None:
            click.echo(f"masks in {found.masks}/")
        for picture in found.draw(folder):
            click.echo(f"picture in {picture}")


def _tell_errors(found: Predictions) -> None:
    """Say what could not be read or predicted.

    Raises:
        BigmodelError: there is no finite prediction.
    """
    state = found.parts.state
    for kind, error in state.errors:
        click.echo(f"{kind}: {error}", err=True)
    if state.unread:
        click.echo(f"{state.unread:,} of {state.rows:,} inputs could not be read", err=True)
    if state.not_finite:
        click.echo(f"{state.not_finite:,} of {state.rows:,} predictions are not finite", err=True)
    if not found.good:
        raise BigmodelError(f"{found.restored.run}: gives no finite number for any input; train again")


def _run_and_inputs(arguments: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The first argument is a run when it is a config, or a folder that is a run or holds runs."""
    from bigmodel_cli import rundir

    for argument in arguments:
        if argument.startswith("--") or (argument.startswith("-") and argument[1:2].isalpha()):
            raise UsageError(f"there is no option {argument}; `bigmodel predict --help` lists them")
    if arguments:
        first = Path(arguments[0])
        if first.suffix in (".yaml", ".yml") or rundir.is_run(first) or _holds_runs(first):
            return rundir.find(first), list(arguments[1:])
    return rundir.find(None), list(arguments)


def _holds_runs(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*/environment.json"))


def _show(found: Predictions) -> None:
    from bigmodel_cli import formatting
    from bigmodel_cli.cli import console

    rows = list(islice((row for row in found.rows() if not row.get("error")), _SHOWN))
    if not rows:
        return
    prefixes = ("", *(f"{one.key}_" for one in found.restored.spec.target.tasks))
    hidden = tuple(prefix + word for prefix in prefixes for word in ("probability_", "logit_", "embedding_"))
    keys = [key for key in rows[0] if not key.startswith(hidden) and key != "error"][:8]
    texts = [
        tuple(
            formatting.metric(value) if isinstance(value, float) else str(value)
            for value in map(row.get, keys)
        )
        for row in rows
    ]
    right = [index for index, key in enumerate(keys) if isinstance(rows[0][key], float)]
    console.table([formatting.label(key) for key in keys], texts, right)
    if found.size > len(rows):
        click.echo(f"... the first {len(rows)} of {found.size:,}")


class _Progress:
    """A line on a terminal that says how many inputs are done."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._begun = self._last = time.monotonic()
        self._first: int | None = None
        self._written = False

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun = done, now
        elif self._shown and now - self._last > 0.5:
            rate = (done - self._first) / (now - self._begun)
            click.echo(f"\r{done:,} inputs  {rate:,.0f} a second  ", nl=False, err=True)
            self._last, self._written = now, True

    def done(self) -> None:
        """Clear the line."""
        if self._written:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)
