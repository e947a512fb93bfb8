from __future__ import annotations

import pytest

from bigmodel_cli.training.callbacks import clock
from bigmodel_cli.training.callbacks.clock import Clock
from bigmodel_cli.training.callbacks.stops import TimeBudget, TimeIsUpError


def test_a_budget_ends_between_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    budget = TimeBudget(0.5, Clock(0, 3, 0), steps=10, epochs=2)
    now[0] = 129.9
    budget.on_train_batch_end(2)
    now[0] = 130.0
    with pytest.raises(TimeIsUpError):
        budget.on_train_batch_end(2)
    # The last step of an epoch is followed by its validation, the last epoch by nothing.
    done = TimeBudget(0.5, Clock(0, 10, 0), steps=10, epochs=2)
    now[0] = 200.0
    done.on_train_batch_end(9)
    done.on_epoch_end(1)
