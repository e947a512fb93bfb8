"""What a tracker is told, and what happens when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Service:
    """Stands behind a tracker: remembers what it heard, and may be away."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.away: Exception | None = None
        self.threads: set[str] = set()

    def hear(self, what: Any) -> None:
        self.threads.add(threading.current_thread().name)
        if self.away:
            raise self.away
        self.heard.append(what)

    def tracker(self) -> Any:
        import keras

        return keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: self.hear("begin"),
            on_epoch_end=lambda epoch, logs: self.hear((epoch, logs["loss"])),
            on_train_end=lambda logs: self.hear(logs["status"]),
        )


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_every_epoch_is_told_once_in_another_thread(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    first = sitting(service, notes)
    first.begin()
    first.epoch(1, 0.5)
    first.begin()
    first.epoch(2, 0.25)
    first.close("interrupted")
    second = sitting(service, notes)
    second.begin()
    second.epoch(3, 0.125)
    second.close()
    assert service.heard == [
        "begin", (0, 0.5), (1, 0.25), "interrupted", "begin", (2, 0.125), "finished",
    ]  # fmt: skip
    assert service.threads == {"tracking service"} and notes == []


def test_an_epoch_that_is_trained_again_is_told_again(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    followed = sitting(service, notes)
    followed.begin()
    for number, loss in ((1, 0.5), (2, 0.4), (2, 0.3)):
        followed.epoch(number, loss)
        wait_until(lambda loss=loss: service.heard != [] and service.heard[-1][1] == loss)
    followed.close()
    assert service.heard[1:-1] == [(0, 0.5), (1, 0.4), (1, 0.3)]


def test_a_service_that_comes_back_gets_what_it_missed(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    service.away = ConnectionError("refused\nby somebody")
    followed = sitting(service, notes)
    followed.begin()
    for number in (1, 2, 3):
        followed.epoch(number, 1 / number)
        wait_until(lambda: followed.trackers[0]._trouble != "" and followed.trackers[0]._events.empty())
    assert service.heard == []
    (note,) = notes
    assert note.startswith(
        "tracking: `service` does not take the run (ConnectionError: refused); training goes"
    )
    service.away = None
    followed.close()
    assert service.heard == ["begin", (0, 1.0), (1, 0.5), (2, 1 / 3), "finished"]
    assert len(notes) == 1


def test_a_resumed_run_delivers_what_the_sitting_before_could_not(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    first = sitting(service, notes)
    first.begin()
    first.epoch(1, 0.5)
    wait_until(lambda: len(service.heard) == 2)
    service.away = TimeoutError()
    first.epoch(2, 0.25)
    first.close("interrupted")
    assert notes[-1].startswith(
        "tracking: `service` did not take everything (TimeoutError: ); what is missing"
    )
    service.away = None
    second = sitting(service, notes)
    second.begin()
    second.close()
    assert service.heard == ["begin", (0, 0.5), "begin", (1, 0.25), "finished"]


def test_a_service_that_hangs_is_not_waited_for_long(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    free = threading.Event()
    service.hear = lambda what: free.wait(120)  # type: ignore[method-assign]
    followed = sitting(service, notes, patience=0.1)
    began = time.monotonic()
    followed.begin()
    followed.epoch(1, 0.5)
    followed.close()
    assert time.monotonic() - began < 30
    assert notes == [
        "tracking: `service` did not take everything (no answer within 0.1 s); what is missing stands in "
        f"{followed.run.metrics}"
    ]
    free.set()


def test_nothing_trained_nothing_told(sitting: Callable[..., Any]) -> None:
    service, notes = Service(), []
    sitting(service, notes).close()
    assert service.heard == notes == []
