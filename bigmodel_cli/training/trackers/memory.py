"""What trackers keep in the run directory between two sittings: tracking.json, a section a service."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from bigmodel_cli import rundir

_FILE = "tracking.json"
# Several services write into one file, each from its own thread.
_ONE_AT_A_TIME = threading.Lock()


def recall(path: Path, service: str) -> dict[str, Any]:
    """What a service has kept in the run directory `path`; nothing in a new run, or in a damaged file."""
    return dict(_read(path).get(service, {}))


def keep(path: Path, service: str, **values: Any) -> None:
    """Add to it."""
    with _ONE_AT_A_TIME:
        document = _read(path)
        document[service] = {**document.get(service, {}), **values}
        rundir.write_json(path / _FILE, document)


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((path / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document
