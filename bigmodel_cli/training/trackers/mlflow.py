"""Runs in MLflow."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from bigmodel_cli.contracts import TrackedRun
from bigmodel_cli.errors import UsageError
from bigmodel_cli.training.trackers import memory
from bigmodel_cli.training.trackers.flattening import flattened, text

if TYPE_CHECKING:
    import keras

T = TypeVar("T")

# What an MLflow server takes in one request and in one value.
_ITEMS = 100
_LENGTH = 5000
_STATUS = {"finished": "FINISHED", "stopped": "FINISHED", "interrupted": "KILLED"}


def mlflow(
    run: TrackedRun, *, experiment: str | None = None, tracking_uri: str | None = None
) -> keras.callbacks.Callback:
    """Follow a run in MLflow: config as parameters, metrics of every epoch, environment as tags, status.

    Needs the package `mlflow`: pip install bigmodel-cli[mlflow]. The key of a value is its path, such as
    `optimizer.learning_rate` or the tag `environment.packages.keras`; what a resumed run has changed in
    its config are tags, `changed.training.epochs`, since MLflow never changes a parameter.

    Args:
        experiment: where the run stands in MLflow; by default the config's `name`.
        tracking_uri: an MLflow server, such as http://localhost:5000, or a database, such as
            sqlite:///mlflow.db; by default what MLflow itself is set to (MLFLOW_TRACKING_URI, else mlflow.db
            in the working folder).
    """
    import keras

    if find_spec("mlflow") is None:
        raise UsageError(
            "training.tracking: `mlflow` needs the package mlflow, which is not installed: "
            "pip install bigmodel-cli[mlflow]"
        )
    # A server that is gone is asked again after every epoch; MLflow's own seven times take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow as library

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = tracking_uri or library.get_tracking_uri()
    _check_store(uri)
    entry = _Entry(run, experiment or run.name, uri)
    return keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: entry.begin(),
        on_epoch_end=entry.log,
        on_train_end=lambda logs: entry.end(logs),
    )


def _check_store(uri: str) -> None:
    """Refuse a store that this installation cannot open.

    Raises:
        UsageError: packages are missing, or MLflow refuses it.
    """
    import mlflow as library

    scheme = uri.split(":", 1)[0].split("+")[0]
    if scheme in ("sqlite", "postgresql", "mysql", "mssql"):
        # Opening it would make its tables; that is left to the run.
        if find_spec("sqlalchemy") and find_spec("alembic"):
            return
        raise UsageError(
            f"training.tracking: `mlflow` keeps its runs in {uri}, for which the packages sqlalchemy and "
            "alembic are missing: pip install bigmodel-cli[mlflow], or give the tracking_uri of a server"
        )
    try:
        library.MlflowClient(tracking_uri=uri)
    except library.MlflowException as error:
        raise UsageError(
            f"training.tracking: MLflow refuses tracking_uri {uri}: {str(error).splitlines()[0]}"
        ) from None


class _Entry:
    """A run's entry in MLflow."""

    def __init__(self, run: TrackedRun, experiment: str, uri: str):
        self._run = run
        self._experiment = experiment
        self._uri = uri
        self._client: Any = None
        self._id = ""

    def begin(self) -> None:
        """Make the entry, or open that of an earlier sitting, and describe the run."""
        import mlflow as library

        self._client = library.MlflowClient(tracking_uri=self._uri)
        before = self._before()
        if before is None:
            found = self._client.get_experiment_by_name(self._experiment)
            place = found.experiment_id if found else self._client.create_experiment(self._experiment)
            before = self._client.create_run(place, run_name=self._run.path.name)
            memory.keep(self._run.path, "mlflow", run_id=before.info.run_id)
        self._id = before.info.run_id
        self._client.update_run(self._id, status="RUNNING")
        config = _short(self._run.config)
        known = before.data.params
        self._parameters({key: value for key, value in config.items() if key not in known})
        changed = {f"changed.{key}": value for key, value in config.items() if known.get(key, value) != value}
        self._tags({**_short(self._run.environment, "environment."), **changed})

    def _before(self) -> Any:
        """The entry of an earlier sitting, unless somebody has deleted it."""
        from mlflow.exceptions import MlflowException

        run_id = memory.recall(self._run.path, "mlflow").get("run_id")
        if run_id is None:
            return None
        try:
            entry = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return entry if entry.info.lifecycle_stage == "active" else None

    def log(self, epoch: int, logs: Mapping[str, float]) -> None:
        """The metrics of an epoch, whose steps are counted from 1."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_key(key), float(value), now, epoch + 1) for key, value in logs.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self, summary: Mapping[str, Any]) -> None:
        """How the run ended."""
        self._tags(_short(summary, "summary."))
        self._client.set_terminated(self._id, status=_STATUS.get(summary["status"], "FAILED"))

    def _parameters(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        for part in _batches([Param(key, value) for key, value in values.items()]):
            self._client.log_batch(self._id, params=part)

    def _tags(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for part in _batches([RunTag(key, value) for key, value in values.items()]):
            self._client.log_batch(self._id, tags=part)


def _short(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    return {_key(key): text(value)[:_LENGTH] for key, value in flattened(document, prefix).items()}


def _key(name: str) -> str:
    """MLflow takes few characters besides letters and digits."""
    return re.sub(r"[^\w.:/ -]", "_", name)[:250]


def _batches(items: Sequence[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, _ITEMS)):
        yield part
