from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.tables import image_cells
from bigmodel_cli.data.tables.csv_files import csv
from bigmodel_cli.data.tables.new_rows import read_rows
from bigmodel_cli.data.tables.parquet_files import parquet
from bigmodel_cli.errors import DataError

SIDES = (6, 5)
PIXELS = np.random.default_rng(0).integers(0, 256, (8, *SIDES, 3), np.uint8)
OPTIONS = {"target": "y", "columns": {"photo": "image"}}


def rows(names):
    return "".join(f"{name},{place},{place % 2}\n" for place, name in enumerate(names))


@pytest.fixture
def folder(tmp_path):
    """t.csv and, beside it in photos/, its 8 images."""
    (tmp_path / "photos").mkdir()
    for place, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"photos/{place}.png")
    (tmp_path / "t.csv").write_text("photo,x,y\n" + rows(f"photos/{place}.png" for place in range(8)))
    return tmp_path


def table(folder, names):
    (folder / "other.csv").write_text("photo,x,y\n" + rows(names))
    return folder / "other.csv"


def images(source, part=None):
    return source.arrays(part or Part.range("all", 0, source.sizes["all"]))[0]["photo"]


def test_cells_are_pixels(folder):
    source = csv(0, path=str(folder / "t.csv"), **OPTIONS)
    (column, other) = source.spec.input.columns
    assert (column.name, column.kind, column.shape) == ("photo", "image", (*SIDES, 3))
    assert other.kind == "numeric"
    np.testing.assert_array_equal(images(source), PIXELS)
    np.testing.assert_array_equal(images(source, Part("all", np.array([1, 6]))), PIXELS[[1, 6]])
    assert source.example_bytes == 6 * 5 * 3 + 4 + 4
    assert any("`photo`: 8 image files, 6x5x3, color rgb" in note for note in source.notes)


def test_a_stream_decodes_as_many_as_fit(folder, monkeypatch):
    monkeypatch.setattr(image_cells, "DECODED_BYTES", 3 * PIXELS[0].size)
    source = csv(0, path=str(folder / "t.csv"), **OPTIONS)
    batches = [inputs["photo"].numpy() for inputs, _ in source.batches(Part.range("all", 0, 8))]
    assert [len(batch) for batch in batches] == [3, 3, 2]
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)


def test_size_color_and_resize(folder):
    source = csv(0, path=str(folder / "t.csv"), image_size=[4, 4], color="gray", resize="pad", **OPTIONS)
    column = source.spec.input.columns[0]
    assert (column.shape, column.resize) == ((4, 4, 1), "pad")
    assert images(source).shape == (8, 4, 4, 1)
    # 6x5 becomes 4x3, with a black column.
    assert not images(source)[..., 3, 0].any()


def test_paths_are_those_of_a_folder_or_of_the_file_they_stand_in(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "t.csv").write_text("photo,x,y\n" + rows(f"{place}.png" for place in range(8)))
    source = csv(0, path=str(elsewhere / "t.csv"), image_root=str(folder / "photos"), **OPTIONS)
    np.testing.assert_array_equal(images(source), PIXELS)
    pq.write_table(
        pa.table({"photo": [str(folder / f"photos/{i}.png") for i in (2, 3)], "x": [0, 1], "y": [1, 0]}),
        elsewhere / "t.parquet",
    )
    np.testing.assert_array_equal(
        images(parquet(0, path=str(elsewhere / "t.parquet"), **OPTIONS)), PIXELS[2:4]
    )
    (folder / "test").mkdir()
    Image.fromarray(PIXELS[7]).save(folder / "test/a.png")
    Image.fromarray(PIXELS[6]).save(folder / "test/b.png")
    (folder / "test/t.csv").write_text("photo,x,y\n" + rows(["a.png", "b.png"]))
    both = csv(0, path=[str(folder / "t.csv"), str(folder / "test/t.csv")], **OPTIONS)
    np.testing.assert_array_equal(images(both), [*PIXELS, PIXELS[7], PIXELS[6]])


def test_another_image_is_other_data(folder):
    before = csv(0, path=str(folder / "t.csv"), **OPTIONS).fingerprint()
    assert csv(0, path=str(folder / "t.csv"), **OPTIONS).fingerprint() == before
    Image.fromarray(PIXELS[0][::-1]).save(folder / "photos/3.png", compress_level=0)
    assert csv(0, path=str(folder / "t.csv"), **OPTIONS).fingerprint() != before


def test_files_that_cannot_be_read(folder):
    (folder / "photos/text.png").write_text("no image")
    with pytest.raises(DataError, match=r"other\.csv:3: column `photo`: .*gone\.png is not there; mend"):
        csv(0, path=str(table(folder, ["photos/0.png", "gone.png"])), **OPTIONS)
    with pytest.raises(DataError, match=r"other\.csv:2: column `photo`: .*text\.png is not an image"):
        csv(0, path=str(table(folder, ["photos/text.png", "photos/1.png"])), **OPTIONS)
    source = csv(0, path=str(folder / "t.csv"), **OPTIONS)
    Path(folder / "photos/2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png is not there"):
        images(source)


def test_missing_cells_are_refused_or_dropped(folder):
    path = str(table(folder, ["photos/0.png", "NA", "photos/1.png"]))
    with pytest.raises(DataError, match=r"other\.csv:3: .* names no image; .*drop_missing: \[photo\]"):
        csv(0, path=path, **OPTIONS)
    with pytest.raises(DataError, match=r"`y` is `0` in every row"):
        csv(0, path=path, drop_missing=["photo"], task="classification", **OPTIONS)
    path = str(table(folder, ["photos/0.png", "NA", "photos/1.png", "photos/4.png"]))
    np.testing.assert_array_equal(images(csv(0, path=path, drop_missing="any", **OPTIONS)), PIXELS[[0, 1, 4]])


def test_images_of_several_sizes_need_one(folder):
    Image.fromarray(PIXELS[0][:4]).save(folder / "photos/0.png")
    with pytest.raises(DataError, match=r"dataset\.image_size: the images vary in size"):
        csv(0, path=str(folder / "t.csv"), **OPTIONS)


def test_a_column_of_images_is_declared(folder):
    source = csv(0, path=str(folder / "t.csv"), target="y")
    assert source.spec.input.names == ("x",)
    assert any(
        "`photo`: holds names of image files; to use them, declare it" in note for note in source.notes
    )
    with pytest.raises(DataError, match=r"dataset\.image_size: is \[4, 4\], but no column is declared"):
        csv(0, path=str(folder / "t.csv"), target="y", image_size=[4, 4])
    with pytest.raises(DataError, match=r"the target `photo` cannot be image"):
        csv(0, path=str(folder / "t.csv"), target="photo", columns={"photo": "image"})
    with pytest.raises(DataError, match=r"`x` is declared image, and the file holds int64"):
        pq.write_table(pa.table({"x": [1, 2], "y": [0, 1]}), folder / "n.parquet")
        parquet(0, path=str(folder / "n.parquet"), target="y", columns={"x": "image"})


def test_new_rows(folder, monkeypatch):
    monkeypatch.setattr(image_cells, "DECODED_BYTES", 2 * PIXELS[0].size)
    columns = csv(0, path=str(folder / "t.csv"), **OPTIONS).spec.input.columns
    path = table(folder, ["photos/5.png", "gone.png", "photos/1.png,1,1,1", "", "photos/2.png"])
    found = [*read_rows(path, columns, target=["y"])]
    errors = [error for some in found for error in some.errors]
    assert [bool(error) for error in errors] == [False, True, True, True, False]
    assert errors[1].startswith(f"{path}:3: column `photo`: ")
    assert errors[1].endswith("gone.png is not there")
    assert errors[3] == f"{path}:5: column `photo`: names no image"
    pixels = np.concatenate([some.cells["photo"] for some in found])
    np.testing.assert_array_equal(pixels, PIXELS[[5, 2]])
    assert np.concatenate([some.cells["x"] for some in found]).tolist() == [0, 4]
