"""The page as a browser shows it: whole, quiet, readable on a phone, for everybody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bigmodel_cli import report, validation

pytestmark = pytest.mark.curves

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

TEXT = """\
name: a-name-that-is-rather-long-for-the-small-screen-of-a-phone-held-upright
dataset: {name: digits, limit: 300}
model: {name: logistic_regression, flatten: true}
optimizer: {name: adam, learning_rate: 0.01}
training: {epochs: 3, tensorboard: false}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bigmodel_cli.cli.progress import TrainingProgress
    from bigmodel_cli.evaluation import evaluate
    from bigmodel_cli.training import planning, starting, trainer

    folder = tmp_path_factory.mktemp("browser")
    (folder / "c.yaml").write_text(TEXT)
    plan = planning.prepare(validation.load(folder / "c.yaml").config)
    run = starting.start(plan, folder / "run")
    trainer.train(plan, run, TrainingProgress(quiet=True, stderr=True))
    evaluate(run, "test", by=["class"])
    return report.write(run).page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        # The page is our own; a container has no user that the sandbox could fall back to.
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser: Any, page: Path, width: int, **options: Any) -> tuple[Any, list[str]]:
    """The page in a window, and what it complained of or asked the network for."""
    shown = browser.new_context(viewport={"width": width, "height": 800}, **options).new_page()
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda asked: complaints.append(asked.url))
    shown.goto(page.as_uri())
    return shown, [text for text in complaints if not text.startswith("data:") and text != page.as_uri()]


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1200])
def test_it_is_whole_and_quiet_and_fits_the_screen(browser: Any, page: Path, width: int) -> None:
    shown, complaints = opened(browser, page, width)
    assert not complaints
    pictures = shown.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(pictures) > 5 and all(pictures)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    sizes = shown.evaluate(
        "[...document.querySelectorAll('p,td,th,dd,figcaption')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 14


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1200])
def test_it_passes_the_accessibility_check(browser: Any, page: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    shown, _ = opened(browser, page, width, color_scheme=scheme)
    found = axe.run(shown).response
    assert [(item["id"], item["nodes"][0]["html"]) for item in found["violations"]] == []
    assert len(found["passes"]) > 10
