"""Tables and documents as commands print them."""

from __future__ import annotations

import json
import math

from bigmodel_cli.cli import console


def test_json_has_null_for_what_is_not_finite(capsys):
    console.print_json({"a": math.inf, "b": (math.nan, 1.5), "c": "é"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.5], "c": "é"}


def test_a_table_in_a_pipe_has_a_line_a_row(capsys):
    console.table(("key", "n"), [("[bold]" + "x" * 500, "1"), (":smile:", "22")], right=(1,))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "key" + " " * 503 + "   n",
        "[bold]" + "x" * 500 + "   1",
        ":smile:" + " " * 499 + "  22",
    ]
