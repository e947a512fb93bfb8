"""Care of run directories: tags, archive, deletion.

What is moved or deleted is locked before, so that no run that is being trained goes away under its process.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bigmodel_cli import rundir
from bigmodel_cli.errors import BigmodelError, UsageError
from bigmodel_cli.rundir import ARCHIVE, ARCHIVED, RUNS, Run

_LONGEST_TAG = 50


def named_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in these very folders, each once, in the order given.

    Unlike `rundir.find`, no config and no folder of runs stands for its newest run: what is deleted must have
    been named.

    Raises:
        UsageError: none is given, or one is no run directory.
    """
    if not paths:
        raise UsageError("RUN: name at least one run directory; `bigmodel runs` lists them")
    found = {}
    for path in paths:
        if not rundir.is_run(path):
            raise UsageError(f"{path}: is not a run directory; `bigmodel runs` lists the runs")
        # A link, such as runs/latest, stands for the run that it points to.
        found[path.resolve()] = Run(_shortest(path.resolve()) if path.is_symlink() else path)
    return list(found.values())


def _shortest(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def check_tag(tag: str) -> str:
    """The tag itself.

    Raises:
        UsageError: it could not be told apart in a list, or not be asked for in a filter.
    """
    if not tag or len(tag) > _LONGEST_TAG or not tag.isprintable() or set(tag) & set(" ,=<>!*?[]"):
        raise UsageError(
            f"tag `{tag}`: must have 1 to {_LONGEST_TAG} characters, without spaces and any of , = < > ! * ? "
            "[ ]; such as `baseline` or `paper-v2`"
        )
    return tag


def change_tags(runs: Iterable[Run], add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Give tags to runs and take others away; what is there, or not there, already stays so.

    Raises:
        UsageError: a tag's name is wrong, a run's tags.json is damaged or cannot be written.
    """
    for tag in add:
        check_tag(tag)
    for run in runs:
        before = run.read_tags()
        tags = sorted((set(before) | set(add)) - set(remove))
        if tags == before:
            continue
        try:
            rundir.write_json(run.tags, {"tags": tags})
        except OSError as error:
            raise UsageError(f"{run.tags}: cannot be written: {error.strerror}") from None


def archived_place(run: Run) -> Path:
    """Where a run goes when it is archived: its path within runs/, within runs/archive/.

    Raises:
        UsageError: it is archived already, lies elsewhere, or something lies in that place.
    """
    if (run.path / ARCHIVED).exists():
        raise UsageError(f"{run}: is archived already; `bigmodel runs --restore {run}` brings it back")
    return _free(run, RUNS / ARCHIVE / _within_runs(run))


def restored_place(run: Run) -> Path:
    """Where an archived run came from.

    Raises:
        UsageError: it is not archived, or something lies in that place.
    """
    if not (run.path / ARCHIVED).exists():
        raise UsageError(f"{run}: is not archived; `bigmodel runs --archived` lists those that are")
    _within_runs(run)
    came_from = Path(str(rundir.read_json(run.path / ARCHIVED).get("from", "")))
    if not came_from.parts or came_from.is_absolute() or ".." in came_from.parts:
        raise UsageError(f"{run.path / ARCHIVED}: is damaged; move the run back by hand and delete this file")
    target = RUNS / came_from
    # Archiving was cut off between its two steps.
    return target if target.resolve() == run.path.resolve() else _free(run, target)


def _within_runs(run: Run) -> Path:
    path, root = run.path.resolve(), RUNS.resolve()
    if path == root or not path.is_relative_to(root):
        raise UsageError(f"{run}: lies outside {RUNS}/, whose runs alone are archived")
    return path.relative_to(root)


def _free(run: Run, target: Path) -> Path:
    if target.exists():
        raise UsageError(f"{run}: cannot go to {target}, where something lies already; move that away first")
    return target


def archive(runs: Sequence[Run]) -> list[Run]:
    """Move runs to runs/archive/, where `bigmodel runs` does not list them; runs/latest to the newest left.

    Returns:
        The runs in their new places.

    Raises:
        UsageError: a run is being trained, or as `archived_place`; nothing is moved then.
        BigmodelError: the disk refused.
    """
    targets = [archived_place(run) for run in runs]
    with _kept(runs, "it is archived"), _disk_errors_told():
        for run in runs:
            # First the mark, by which it is told from the others wherever it lies.
            rundir.write_json(run.path / ARCHIVED, {"from": _within_runs(run).as_posix()})
        return _moved(runs, targets)


def restore(runs: Sequence[Run]) -> list[Run]:
    """Move archived runs back to where they came from.

    Returns:
        The runs in their old places.

    Raises:
        UsageError: as `restored_place`; nothing is moved then.
        BigmodelError: the disk refused.
    """
    targets = [restored_place(run) for run in runs]
    if len(set(targets)) < len(targets):
        raise UsageError("two of these runs came from the same place; restore one of them")
    with _kept(runs, "it is restored"), _disk_errors_told():
        restored = _moved(runs, targets)
        for run in restored:
            (run.path / ARCHIVED).unlink()
    _point_latest_to_newest()
    return restored


def _moved(runs: Sequence[Run], targets: Sequence[Path]) -> list[Run]:
    for run, target in zip(runs, targets, strict=True):
        if run.path.resolve() != target.resolve():
            target.parent.mkdir(parents=True, exist_ok=True)
            run.path.rename(target)
            _drop_empty(run.path.parent)
    _point_latest_to_newest()
    return [Run(target) for target in targets]


def delete(runs: Sequence[Run]) -> None:
    """Delete runs for good, and let runs/latest point to the newest left.

    Raises:
        UsageError: a run is being trained, or has other runs in its folder; nothing is deleted then.
        BigmodelError: the disk refused.
    """
    for run in runs:
        for archived in (False, True):
            if inside := next(rundir.all_runs(run.path, archived=archived), None):
                raise UsageError(f"{run}: holds another run, {inside}; delete that first")
    with _kept(runs, "it is deleted"), _disk_errors_told():
        for run in runs:
            # Under a name that no run has, before its files go one by one: none is ever half there.
            going = run.path.with_name(f".{run.path.name}.deleted")
            run.path.rename(going)
            shutil.rmtree(going)
            _drop_empty(run.path.parent)
    _point_latest_to_newest()


def _drop_empty(folder: Path) -> None:
    """An experiment without runs leaves no folder; RUNS itself stays."""
    if folder.resolve() != RUNS.resolve() and folder.resolve().is_relative_to(RUNS.resolve()):
        try:
            folder.rmdir()
        except OSError:
            return
        _drop_empty(folder.parent)


def _point_latest_to_newest() -> None:
    newest = next(rundir.all_runs(), None)
    link = RUNS / rundir.LATEST
    if newest is not None:
        rundir.point_latest(newest.path)
    elif link.is_symlink():
        link.unlink()


@contextmanager
def _kept(runs: Sequence[Run], before: str) -> Iterator[None]:
    """Hold the locks of all these runs: one that is trained stops the whole."""
    with ExitStack() as stack:
        for run in runs:
            try:
                stack.enter_context(rundir.locked(run, before))
            except OSError as error:
                raise UsageError(f"{run}: cannot be written: {error.strerror}") from None
        yield


@contextmanager
def _disk_errors_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BigmodelError(
            f"{error.filename or RUNS}: {error.strerror}; what is done so far stays"
        ) from None
