from __future__ import annotations

import pytest

from bigmodel_cli.errors import DataError
from bigmodel_cli.rundir import Run


def test_changed_data_are_noticed(copied: Run) -> None:
    from bigmodel_cli import assembly

    copied.config.write_text(copied.config.read_text().replace("limit: 64", "limit: 60"))
    restored = assembly.restore(copied)
    with pytest.raises(
        DataError, match=r"dataset digits: is not what .*moved was trained on \(then 64 train.*now 60 train"
    ):
        assembly.restored_data(restored)


def test_data_as_they_were(trained: Run) -> None:
    from bigmodel_cli import assembly

    found = assembly.restored_data(assembly.restore(trained))
    assert {name: assembly.split_record(part) for name, part in found.splits.items()} == trained.read_splits()
