"""Masks in prepared data."""

from __future__ import annotations

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.images.shapes import shapes
from bigmodel_cli.data.prepared import prepared, write


def test_masks_come_back(tmp_path):
    source, whole = shapes(0, examples=20, image_size=(16, 24)), Part.range("all", 0, 20)
    batches = [(x.numpy(), y.numpy()) for x, y in source.batches(whole)]
    write({"all": batches}, source.spec, source.sizes, str(tmp_path), report=lambda base, count: None)
    found = prepared(0, path=str(tmp_path))
    assert found.spec.task == "segmentation"
    assert found.spec.target == source.spec.target
    images, masks = found.arrays(whole)
    assert (images == source.arrays(whole)[0]).all()
    assert (masks == source.arrays(whole)[1]).all()
    assert (found.targets(Part.range("all", 5, 9)) == masks[5:9]).all()
