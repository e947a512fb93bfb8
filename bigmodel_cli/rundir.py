"""Run directories: created, found, read and written; every file whole or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bigmodel_cli.config.document import CORE_SCHEMA
from bigmodel_cli.contracts import DataSpec
from bigmodel_cli.errors import UsageError

RUNS = Path("runs")
LATEST = "latest"
ARCHIVE = "archive"
ARCHIVED = "archived.json"
"""In an archived run: the place that it came from."""
NEW_DATA = "data-"
"""How the names of evaluations on new data begin, beside those on splits."""
_TIME = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Run:
    """A run directory and the places in it."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def data(self) -> Path:
        """The `DataSpec` that the model was built on: what restoring needs besides the config."""
        return self.path / "data.json"

    @property
    def splits(self) -> Path:
        """Which examples each split holds: their number, where they come from, a hash of their positions."""
        return self.path / "splits.json"

    @property
    def environment(self) -> Path:
        """Versions, devices, command line, what `auto` chose and why."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def metrics_csv(self) -> Path:
        """The same as a table."""
        return self.path / "metrics.csv"

    @property
    def log(self) -> Path:
        """What was printed while training."""
        return self.path / "train.log"

    @property
    def model(self) -> Path:
        """The best model, whole, with probabilities or values as its output."""
        return self.path / "model.keras"

    @property
    def checkpoints(self) -> Path:
        """What resume needs."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def tags(self) -> Path:
        """Words that the user gave the run."""
        return self.path / "tags.json"

    @property
    def calibration(self) -> Path:
        """What `evaluate` fitted on the validation split: a temperature, and a threshold of two classes."""
        return self.path / "calibration.json"

    @property
    def summary(self) -> Path:
        """Status, best epoch, final metrics, wall time."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The run as one HTML page."""
        return self.path / "report.html"

    @property
    def model_card(self) -> Path:
        """The same facts in Markdown."""
        return self.path / "model_card.md"

    def evaluation(self, split: str) -> Path:
        """Metrics, predictions and pictures of one split, or of new data."""
        return self.path / "evaluation" / split

    def evaluations_on_new_data(self) -> list[str]:
        """Their names, in order."""
        found = self.evaluation("").glob(f"{NEW_DATA}*/metrics.json")
        return sorted(path.parent.name for path in found)

    def read_summary(self) -> dict[str, Any]:
        """The summary, or a status of `running` while there is none."""
        if not self.summary.exists():
            return {"status": "running"}
        return {"status": "unknown", **read_json(self.summary)}

    def read_data(self) -> DataSpec:
        """The description of the data that the model was built on.

        Raises:
            UsageError: the file is missing or damaged.
        """
        try:
            return DataSpec.from_json(read_json(self.data))
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{self.data}: is damaged ({error}); train again") from None

    def read_splits(self) -> dict[str, Any]:
        """What was recorded of the splits; nothing in runs of before they were recorded.

        Raises:
            UsageError: the file is damaged.
        """
        return read_json(self.splits) if self.splits.exists() else {}

    def read_environment(self) -> dict[str, Any]:
        """The environment that the run began in.

        Raises:
            UsageError: the file is missing or damaged.
        """
        return read_json(self.environment)

    def read_evaluation(self, split: str) -> dict[str, Any] | None:
        """What `evaluate` measured on a split; None where it has not been there.

        Raises:
            UsageError: the file is damaged.
        """
        path = self.evaluation(split) / "metrics.json"
        return read_json(path) if path.exists() else None

    def read_tags(self) -> list[str]:
        """Words that the user gave the run, sorted.

        Raises:
            UsageError: the file is damaged.
        """
        return sorted(map(str, read_json(self.tags)["tags"])) if self.tags.exists() else []

    def history(self) -> list[dict[str, Any]]:
        """The epochs of metrics.jsonl, in order; an unfinished last line is left out."""
        if not self.metrics.exists():
            return []
        epochs = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                epochs.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return epochs

    def __str__(self) -> str:
        return str(self.path)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run.

    Raises:
        UsageError: the file is missing, cannot be read or is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: is missing; {path.parent} is not a complete run directory") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is damaged ({error}); train again") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}: is damaged (not a JSON object); train again")
    return document


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name, sync it and rename it: a reader finds the old or the new one.

    Args:
        path: the final name.
        write: writes the file at the path it is given, which has the same suffix.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
        # The new name is on the disk only when the folder is.
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(run: Run, before: str = "the run goes on") -> Iterator[None]:
    """Keep a run for this process while it trains there; a process that ends, however, lets go of it.

    Args:
        run: which one.
        before: what has to wait while another process trains there, for the message.

    Raises:
        UsageError: another process trains there.
    """
    with (run.path / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UsageError(
                f"{run}: {holder} is training there; wait for it, or end it, before {before}"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document atomically."""
    text = json_text(document) + "\n"
    write_atomically(path, lambda temporary: _write_text(temporary, text))


def json_text(document: Any) -> str:
    """Strict JSON: non-finite numbers become null, which is all that JSON has for them."""
    return json.dumps(_finite(document), indent=2, ensure_ascii=False)


def write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    """Write a YAML document atomically, in the order of its keys."""
    text = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    write_atomically(path, lambda temporary: _write_text(temporary, text))


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something else than text, such as `1e-3` and `on`."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # Line breaks of other alphabets are escaped in double quotes only.
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)

for _tag, (_pattern, _first) in CORE_SCHEMA.items():
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern.pattern})$"), _first
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


_BEGUN = re.compile(
    r"config\.yaml|data\.json|splits\.json|environment\.json|train\.log|tensorboard|checkpoints|model\.keras"
    r"|summary\.json|metrics\.jsonl|metrics\.csv|tracking\.json|tags\.json|\.lock|\..*\.\d+\.\w+"
    r"|learning_rate_range\.\w+"
)
"""What a run holds before its first checkpoint."""


def create(name: str, path: Path | None = None, *, begun: bool = False) -> Run:
    """Make a new, empty run directory and point runs/latest to it when it lies there.

    Args:
        name: of the experiment; the run lies in runs/<name>/<time>.
        path: another place, which must not hold anything yet.
        begun: as `check_free`.

    Raises:
        UsageError: the place is taken or cannot be written.
    """
    try:
        if path is not None:
            check_free(path, begun=begun)
            path.mkdir(parents=True, exist_ok=True)
        else:
            path = _new_folder(RUNS / name)
        point_latest(path)
    except OSError as error:
        raise UsageError(f"{path or RUNS}: cannot be written: {error.strerror}") from None
    return Run(path)


def check_free(path: Path | None, *, begun: bool = False) -> None:
    """Make sure that a place for a run does not hold anything yet; None, for a place of our own, is fine.

    Args:
        path: the place.
        begun: let a run lie there that ended before its first checkpoint; it will be written over.

    Raises:
        UsageError: it does.
    """
    if path is None or not path.exists():
        return
    if not path.is_dir() or any(not (begun and _BEGUN.fullmatch(item.name)) for item in path.iterdir()):
        raise UsageError(
            f"--run-dir {path}: is not empty; name a new folder, or go on with `bigmodel train --resume "
            f"{path}`"
        )


def _new_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        path = parent / datetime.now().strftime(_TIME)
        try:
            path.mkdir()
        except FileExistsError:
            # Two runs started in the same second.
            time.sleep(0.1)
        else:
            return path


def point_latest(path: Path) -> None:
    """Let runs/latest point to a run, when that lies under runs/."""
    if not path.resolve().is_relative_to(RUNS.resolve()):
        return
    link = RUNS / LATEST
    temporary = RUNS / f".{LATEST}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    try:
        temporary.symlink_to(path.resolve().relative_to(RUNS.resolve()))
        temporary.replace(link)
    except OSError:
        # File systems without links (and Windows without the right to make them) live without `latest`.
        temporary.unlink(missing_ok=True)


def is_run(path: Path) -> bool:
    """Whether a folder looks like a run."""
    return (path / "config.yaml").is_file() and (path / "environment.json").is_file()


def all_runs(root: Path = RUNS, *, archived: bool = False) -> Iterator[Run]:
    """The runs in a folder and in the folders in it, newest first; and those of a series, one folder deeper.

    Args:
        root: the folder.
        archived: the archived ones instead of the others.
    """
    depths = ("*", "*/*", "*/*/*")
    patterns = [f"{ARCHIVE}/*/*/*/{ARCHIVED}", *(f"{depth}/{ARCHIVED}" for depth in depths)]
    found = [
        path.parent
        for pattern in (patterns if archived else [f"{depth}/environment.json" for depth in depths])
        for path in root.glob(pattern)
        # `latest` is there under its own name too.
        if is_run(path.parent)
        and not path.parent.is_symlink()
        and (archived or not (path.parent / ARCHIVED).exists())
    ]
    yield from (Run(path) for path in sorted(found, key=started, reverse=True))


def started(path: Path) -> str:
    """When a run began: its name, which survives copying, or where it has another one, its files' time."""
    if re.match(r"\d{8}-\d{6}", path.name):
        return path.name
    return datetime.fromtimestamp((path / "environment.json").stat().st_mtime).strftime(_TIME)


def find(reference: Path | None) -> Run:
    """The run that a command line means: a run directory, a config's newest run, or the newest of all.

    Raises:
        UsageError: there is none; the message says how to get one.
    """
    if reference is None:
        newest = next(all_runs(), None)
        if newest is None:
            raise UsageError(f"there is no run under {RUNS}/ yet; `bigmodel train CONFIG` makes one")
        return newest
    if reference.is_dir():
        if is_run(reference):
            return Run(reference.resolve() if reference.is_symlink() else reference)
        inside = next(all_runs(reference), None)
        if inside is not None:
            return inside
        raise UsageError(
            f"{reference}: is not a run directory (config.yaml or environment.json is missing), and no "
            f"run lies in it"
        )
    if reference.suffix in (".yaml", ".yml"):
        return _newest_of_config(reference)
    raise UsageError(f"{reference}: there is no such run directory or config; `bigmodel runs` lists the runs")


def _newest_of_config(path: Path) -> Run:
    from bigmodel_cli.config.reader import read_config

    name = read_config(path).values["name"]
    newest = next((run for run in all_runs() if run.path.parent.name == name), None)
    if newest is None:
        raise UsageError(
            f"{path}: has no run under {RUNS / str(name)} yet; `bigmodel train {path}` makes one"
        )
    return newest
