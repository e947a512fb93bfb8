"""How fast a run's report opens in a headless Chromium, and how large it is, beside an empty page.

    python bench/report_page.py RUN [--repeats 5] [--json]

Needs playwright and a Chromium (`chromium` or `google-chrome` on the path).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from bigmodel_cli import report, rundir

WIDTHS = (375, 1200)
_LOAD = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def opened(browser: Browser, page: Path, width: int) -> tuple[float, int]:
    """Milliseconds until everything is loaded, and the width that the page takes, in a fresh window."""
    window = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    window.goto(page.as_uri())
    found = float(window.evaluate(_LOAD)), int(window.evaluate("document.documentElement.scrollWidth"))
    window.context.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        written = report.write(rundir.find(asked.run), Path(folder) / "report.html", Path(folder) / "card.md")
        empty = Path(folder) / "empty.html"
        empty.write_text("<!doctype html><html lang='en'><title>empty</title></html>")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened(browser, empty, WIDTHS[0])
        rows = {}
        for width in WIDTHS:
            # In turn, so that both meet the same machine.
            pairs = [
                (opened(browser, written.page, width), opened(browser, empty, width))
                for _ in range(asked.repeats)
            ]
            rows[width] = {
                "report_ms": statistics.median(page[0] for page, _ in pairs),
                "empty_ms": statistics.median(plain[0] for _, plain in pairs),
                "sideways": max(page[1] for page, _ in pairs) - width,
            }
        browser.close()
        result = {"bytes": written.bytes, "repeats": asked.repeats, "widths": rows}
    if asked.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{written.bytes / 1e6:.2f} MB, median of {asked.repeats}")
    for width, row in rows.items():
        print(
            f"{width} pixels: {row['report_ms']:.0f} ms, an empty page {row['empty_ms']:.0f} ms; "
            f"{max(0, row['sideways'])} pixels to scroll sideways"
        )


if __name__ == "__main__":
    main()
