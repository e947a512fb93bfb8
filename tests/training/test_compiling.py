from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bigmodel_cli.config.schema import Config
from bigmodel_cli.errors import UsageError

IRIS = "name: iris\ndataset: iris\nmodel: mlp\n"


def test_xla_on_several_devices_is_refused(config: Callable[..., Config]) -> None:
    from bigmodel_cli import devices
    from bigmodel_cli.training import compiling

    two = replace(devices._cpu("asked for"), count=2, description="2 x GPU")
    with pytest.raises(UsageError, match=r"training\.jit: XLA does not work on 2 x GPU"):
        compiling._jit(config(IRIS, "training.jit=true"), two)
    assert compiling._jit(config(IRIS), two) is False
    assert compiling._jit(config(IRIS), replace(two, count=1)) == "auto"
