from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.contracts import InputSpec
from bigmodel_cli.data.images.decoding import decode
from bigmodel_cli.errors import DataError
from bigmodel_cli.inputs import Inputs, arrays, images
from bigmodel_cli.inputs.blocks import Block, recut

GREY = InputSpec((4, 6, 1), "uint8", "image")
COLOUR = InputSpec((4, 6, 3), "uint8", "image")
TABLE = InputSpec((3,), "float32", "tabular", ("a", "b", "c"))
SINGLE = InputSpec((1,), "float32", "tabular", ("x",))


@dataclass
class Row:
    """An input of a block."""

    id: str
    value: Any
    error: str


def taken(block: Block) -> list[Row]:
    """The inputs of a block, one by one."""
    order = iter(range(len(block)))

    def value(error: str) -> Any:
        if error:
            return None
        row = next(order)
        return (
            {key: cells[row] for key, cells in block.values.items()}
            if isinstance(block.values, dict)
            else (block.values[row])
        )

    return [Row(name, value(error), error) for name, error in zip(block.ids, block.errors, strict=True)]


def inputs(spec: InputSpec, *arguments: object, standard_input: str = "") -> Inputs:
    return Inputs(
        [str(argument) for argument in arguments],
        spec,
        io.StringIO(standard_input),
        parameters={},
        note=print,
    )


def rows(spec: InputSpec, *arguments: object, standard_input: str = "") -> list[Row]:
    blocks = inputs(spec, *arguments, standard_input=standard_input).blocks()
    return [row for block in blocks for row in taken(block)]


def values(found: list[Row]) -> list[Any]:
    assert [row.error for row in found] == [""] * len(found)
    return [np.asarray(row.value).tolist() for row in found]


def picture(path: Path, mode: str = "L", size: tuple[int, int] = (6, 4), **options: Any) -> np.ndarray:
    """A picture of noise, written; its pixels are returned."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], *channels), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


class TestImages:
    def test_grey_png(self, tmp_path: Path) -> None:
        pixels = picture(tmp_path / "a.png")
        (row,) = rows(GREY, tmp_path / "a.png")
        assert row.id == "a.png"
        assert row.value is not None
        assert (row.value.dtype, row.value.shape) == (np.uint8, (4, 6, 1))
        np.testing.assert_array_equal(row.value[..., 0], pixels)

    def test_colour_png(self, tmp_path: Path) -> None:
        pixels = picture(tmp_path / "a.png", "RGB")
        (row,) = rows(COLOUR, tmp_path / "a.png")
        np.testing.assert_array_equal(row.value, pixels)

    def test_jpeg(self, tmp_path: Path) -> None:
        path = tmp_path / "a.JPG"
        Image.new("RGB", (6, 4), (200, 100, 50)).save(path, "JPEG", quality=95)
        (row,) = rows(COLOUR, path)
        np.testing.assert_allclose(
            np.asarray(row.value, int), np.broadcast_to([200, 100, 50], (4, 6, 3)), atol=4
        )

    def test_grey_for_a_colour_model(self, tmp_path: Path) -> None:
        pixels = picture(tmp_path / "a.png")
        (row,) = rows(COLOUR, tmp_path / "a.png")
        np.testing.assert_array_equal(row.value, np.stack([pixels] * 3, axis=-1))

    def test_transparency_is_dropped(self, tmp_path: Path) -> None:
        pixels = picture(tmp_path / "a.png", "RGBA")
        (row,) = rows(COLOUR, tmp_path / "a.png")
        np.testing.assert_array_equal(row.value, pixels[..., :3])

    def test_turned_upright(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
        pixels = picture(tmp_path / "a.png", size=(4, 6), exif=exif)
        (row,) = rows(GREY, tmp_path / "a.png")
        assert row.value is not None
        np.testing.assert_array_equal(row.value[..., 0], np.rot90(pixels, -1))

    def test_another_size(self, tmp_path: Path) -> None:
        Image.new("L", (60, 40), 77).save(tmp_path / "a.png")
        (row,) = rows(GREY, tmp_path / "a.png")
        np.testing.assert_array_equal(row.value, np.full((4, 6, 1), 77))

    def test_a_nested_folder_in_order(self, tmp_path: Path) -> None:
        for name in ("b.png", "a/z.jpeg", "a/deep/y.bmp"):
            picture(tmp_path / "pictures" / name)
        (tmp_path / "pictures" / "notes.md").write_text("no image")
        assert [row.id for row in rows(GREY, tmp_path / "pictures")] == ["a/deep/y.bmp", "a/z.jpeg", "b.png"]

    def test_a_broken_one_among_good_ones(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png", "c.png", "d.png"):
            picture(tmp_path / name)
        (tmp_path / "b.png").write_bytes(b"no image")
        content = (tmp_path / "c.png").read_bytes()
        (tmp_path / "c.png").write_bytes(content[: len(content) // 2])
        found = rows(GREY, tmp_path)
        assert [row.value is not None for row in found] == [True, False, False, True]
        assert found[1].error == f"{tmp_path / 'b.png'} is not an image"
        assert found[2].error.startswith(f"{tmp_path / 'c.png'} is broken: ")

    def test_a_folder_without_images(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"holds no images \(\.bmp, "):
            rows(GREY, tmp_path)

    def test_an_image_for_a_table_model(self, tmp_path: Path) -> None:
        picture(tmp_path / "a.png")
        with pytest.raises(
            DataError, match=r"a\.png: is an image, but this model takes 3 features \(a, b, c\)"
        ):
            rows(TABLE, tmp_path / "a.png")


class TestArrays:
    @pytest.mark.parametrize(
        ("spec", "shape", "count"),
        [
            (GREY, (2, 4, 6, 1), 2),
            (GREY, (2, 4, 6), 2),
            (GREY, (4, 6), 1),
            (GREY, (4, 6, 1), 1),
            (COLOUR, (5, 4, 6, 3), 5),
            (COLOUR, (4, 6, 3), 1),
            (TABLE, (2, 3), 2),
            (TABLE, (3,), 1),
            (SINGLE, (5,), 5),
            (SINGLE, (5, 1), 5),
            (SINGLE, (), 1),
        ],
    )
    def test_shapes(self, spec: InputSpec, shape: tuple[int, ...], count: int, tmp_path: Path) -> None:
        array = np.arange(int(np.prod(shape))).reshape(shape).astype(spec.dtype)
        np.save(tmp_path / "x.npy", array)
        found = rows(spec, tmp_path / "x.npy")
        assert [row.id for row in found] == [f"x.npy[{index}]" for index in range(count)]
        np.testing.assert_array_equal(
            np.stack([row.value for row in found if row.value is not None]).ravel(), array.ravel()
        )
        assert all(row.value is not None and row.value.shape == spec.shape for row in found)

    @pytest.mark.parametrize("dtype", ["float64", "int8", "uint16"])
    def test_numbers_of_any_kind_for_a_table(self, dtype: str, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.asarray([[1, 2, 3]], dtype))
        (row,) = rows(TABLE, tmp_path / "x.npy")
        assert row.value is not None
        assert row.value.dtype == np.float32

    def test_whole_numbers_for_images(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.full((1, 4, 6, 1), 255, np.int64))
        assert rows(GREY, tmp_path / "x.npy")[0].value is not None

    @pytest.mark.parametrize(
        "array", [np.zeros((1, 4, 6, 1)), np.full((1, 4, 6, 1), 256), np.full((1, 4, 6, 1), -1)]
    )
    def test_other_numbers_for_images(self, array: np.ndarray, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(
            DataError, match=rf"has dtype {array.dtype}; images must be whole numbers from 0 to 255"
        ):
            rows(GREY, tmp_path / "x.npy")

    def test_another_shape(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((2, 5)))
        with pytest.raises(DataError, match=r"x\.npy: has shape \(2, 5\), but this model takes \(n, 3\)"):
            rows(TABLE, tmp_path / "x.npy")

    def test_text(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.asarray([["a", "b", "c"]]))
        with pytest.raises(DataError, match="has dtype <U1, not numbers"):
            rows(TABLE, tmp_path / "x.npy")

    def test_pickled_objects_are_never_loaded(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.asarray([{}], object), allow_pickle=True)
        with pytest.raises(DataError, match=r"x\.npy: cannot be read as an array"):
            rows(TABLE, tmp_path / "x.npy")

    def test_not_finite(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.asarray([[1, 2, 3], [1, np.nan, 3], [4, 5, np.inf]]))
        found = rows(TABLE, tmp_path / "x.npy")
        assert [bool(row.error) for row in found] == [False, True, True]
        assert found[1].error == "x.npy[1] holds a number that is not finite"

    def test_archives(self, tmp_path: Path) -> None:
        array = np.ones((2, 3))
        np.savez(tmp_path / "one.npz", anything=array)
        np.savez(tmp_path / "named.npz", y=np.zeros(2), x=array)
        np.savez(tmp_path / "unclear.npz", y=np.zeros(2), z=array)
        assert len(rows(TABLE, tmp_path / "one.npz")) == len(rows(TABLE, tmp_path / "named.npz")) == 2
        with pytest.raises(DataError, match="holds the arrays y, z; name the one to use `inputs` or `x`"):
            rows(TABLE, tmp_path / "unclear.npz")

    @pytest.mark.parametrize("name", ["x.npy", "x.npz"])
    def test_damaged(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
        with pytest.raises(DataError, match="cannot be read as an array"):
            rows(TABLE, tmp_path / name)


class TestTables:
    def write(self, tmp_path: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    def test_a_header_in_another_order_and_more_columns(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "c,id,a,b\n3,x,1,2\n6,y,4,5\n")
        found = rows(TABLE, path)
        assert values(found) == [[1, 2, 3], [4, 5, 6]]
        assert [row.id for row in found] == [f"{path}:2", f"{path}:3"]

    def test_without_a_header(self, tmp_path: Path) -> None:
        assert values(rows(TABLE, self.write(tmp_path, "1,2,3\n\n-4,5e1, 6 \n"))) == [[1, 2, 3], [-4, 50, 6]]

    def test_tabs_a_byte_order_mark_and_carriage_returns(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "a\tb\tc\r\n1\t2\t3\r\n", "t.tsv", "utf-8-sig")
        assert values(rows(TABLE, path)) == [[1, 2, 3]]

    def test_features_that_are_named_by_numbers(self, tmp_path: Path) -> None:
        spec = InputSpec((2,), "float32", "tabular", ("1", "2"))
        assert values(rows(spec, self.write(tmp_path, "2,1\n20,10\n"))) == [[10, 20]]

    def test_a_missing_column(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv:1: lacks the columns b, c; this model takes 3 features"):
            rows(TABLE, self.write(tmp_path, "a,x\n1,2\n"))

    def test_bad_rows_among_good_ones(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "a,b,c\n1,2,3\n1,two,3\n1,2\n1,2,nan\n4,5,6\n")
        found = rows(TABLE, path)
        assert [row.error for row in found] == [
            "",
            f"{path}:3: `two` in column 2 is not a number",
            f"{path}:4: `` in column 3 is not a number",
            f"{path}:5 holds a number that is not finite",
            "",
        ]

    def test_a_bad_first_row_is_no_header(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, "1,x,3\n4,5,6\n7,8\n")
        found = rows(TABLE, path)
        assert found[0].error == f"{path}:1: `x` in column 2 is not a number"
        assert found[1].error == ""
        assert found[2].error == f"{path}:3: has 2 cells, but this model takes 3 features (a, b, c)"

    @pytest.mark.parametrize("text", ["", "\n\n"])
    def test_an_empty_file(self, text: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv: is empty"):
            rows(TABLE, self.write(tmp_path, text))

    def test_another_encoding(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"t\.csv: is not UTF-8 text"):
            rows(TABLE, self.write(tmp_path, "a,b,ü\n", encoding="latin-1"))

    def test_standard_input(self) -> None:
        found = rows(TABLE, "-", standard_input="1,2,3\n4,5,6\n")
        assert values(found) == [[1, 2, 3], [4, 5, 6]]
        assert [row.id for row in found] == ["standard input:1", "standard input:2"]

    def test_for_an_image_model(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="is a table, but this model takes images of 4x6x1"):
            rows(GREY, self.write(tmp_path, "1,2\n"))


class TestNumbers:
    def test_single_and_several(self) -> None:
        assert values(rows(SINGLE, "0.5", "-2", "1e3")) == [[0.5], [-2], [1000]]
        assert values(rows(TABLE, "1,-2,3")) == [[1, -2, 3]]

    def test_too_few(self) -> None:
        with pytest.raises(
            DataError, match=r"1,2: is 2 numbers, but this model takes 3 features \(a, b, c\)"
        ):
            rows(TABLE, "1,2")

    def test_not_finite(self) -> None:
        assert rows(SINGLE, "nan")[0].error == "nan holds a number that is not finite"

    def test_a_file_named_like_a_number(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "7").mkdir()
        picture(tmp_path / "7" / "a.png")
        assert [row.id for row in rows(GREY, "7")] == ["a.png"]


def test_in_the_order_of_the_arguments(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("7,8,9\n")
    assert values(rows(TABLE, "1,2,3", tmp_path / "t.csv", "4,5,6")) == [[1, 2, 3], [7, 8, 9], [4, 5, 6]]


def test_what_is_not_there() -> None:
    with pytest.raises(DataError, match=r"nowhere\.png: there is no such file or folder"):
        rows(GREY, "nowhere.png")


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(DataError, match=r"a\.pdf: `\.pdf` files cannot be read"):
        rows(GREY, tmp_path / "a.pdf")


class TestManyFiles:
    """More than are read at once, in threads."""

    def test_they_are_what_pillow_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "BLOCK_FILES", 4)
        expected = []
        for index in range(11):
            pixels = np.random.default_rng(index).integers(0, 256, (4, 6, 3), np.uint8)
            # Blocks of plain PNGs, of others, and of both.
            how = {4: "RGBA", 6: "jpg", 9: "L", 10: "larger"}.get(index, "RGB")
            path = tmp_path / f"{index:02d}.{'jpg' if how == 'jpg' else 'png'}"
            image = Image.fromarray(pixels).convert("RGB" if how in ("jpg", "larger") else how)
            (image.resize((12, 8)) if how == "larger" else image).save(path)
            expected.append(decode(str(path), 3, (4, 6)))
        found = rows(COLOUR, tmp_path)
        assert [row.id[:2] for row in found] == [f"{index:02d}" for index in range(11)]
        np.testing.assert_array_equal([row.value for row in found], expected)

    def test_plain_ones_need_no_pillow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "BLOCK_FILES", 70)
        expected = np.random.default_rng(0).integers(0, 256, (140, 4, 6), np.uint8)
        for index, pixels in enumerate(expected):
            Image.fromarray(pixels).save(tmp_path / f"{index:03d}.png")
        monkeypatch.setattr(images, "decode", None)
        found = [block.values for block in inputs(GREY, tmp_path).blocks()]
        assert [len(values) for values in found] == [70, 70]
        np.testing.assert_array_equal(np.concatenate(found)[..., 0], expected)

    @pytest.mark.parametrize("damage", ["cut", "text", "empty", "gone", "spoilt"])
    def test_a_broken_one_is_named(
        self, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(images, "BLOCK_FILES", 4)
        paths = [tmp_path / f"{index}.png" for index in range(9)]
        for path in paths:
            picture(path)
        content = paths[5].read_bytes()
        spoilt = bytearray(content)
        spoilt[43] ^= 255
        damaged = {"cut": content[:50], "text": b"no image", "empty": b"", "spoilt": bytes(spoilt)}
        found = inputs(GREY, *paths)
        if damage == "gone":
            paths[5].unlink()
        else:
            paths[5].write_bytes(damaged[damage])
        read = [row for block in found.blocks() for row in taken(block)]
        assert [bool(row.error) for row in read] == [index == 5 for index in range(9)]
        assert read[5].error.startswith(str(paths[5]))
        np.testing.assert_array_equal(read[8].value[..., 0], picture(tmp_path / "again.png"))

    def test_what_is_left_out_is_not_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "BLOCK_FILES", 2)
        for index in range(5):
            picture(tmp_path / f"{index}.png")
        (tmp_path / "0.png").write_bytes(b"no image")
        heard: list[Any] = []
        read = [row for block in inputs(GREY, tmp_path).blocks(3, heard.append) for row in taken(block)]
        assert [(row.id, row.error) for row in read] == [("3.png", ""), ("4.png", "")]
        assert heard == [images.File(f"{index}.png", str(tmp_path / f"{index}.png")) for index in range(3)]

    def test_between_other_inputs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(images, "BLOCK_FILES", 2)
        np.save(tmp_path / "x.npy", np.zeros((2, 4, 6), np.uint8))
        for index in range(3):
            picture(tmp_path / f"{index}.png")
        files = [tmp_path / f"{index}.png" for index in range(3)]
        found = rows(GREY, *files, tmp_path / "x.npy", files[0])
        assert [row.id for row in found] == ["0.png", "1.png", "2.png", "x.npy[0]", "x.npy[1]", "0.png"]

    def test_names_that_are_images(self, tmp_path: Path) -> None:
        names = ["a.png", ".a.png", "a..png", "b.JPG", "ä.png", ".png", "..png", "png", "a.png.", "a.txt"]
        for name in names:
            (tmp_path / name).write_bytes(b"")
        found = [file.id for file in images.files_of(tmp_path)]
        assert found == sorted(["a.png", ".a.png", "a..png", "b.JPG", "ä.png"])

    def test_a_pattern(self, tmp_path: Path) -> None:
        for name in ("b/1.png", "a/1.png", "a/2.jpg"):
            picture(tmp_path / name)
        found = rows(GREY, tmp_path / "*" / "*.png")
        assert [row.id for row in found] == [str(tmp_path / "a" / "1.png"), str(tmp_path / "b" / "1.png")]
        with pytest.raises(DataError, match=r"\*\.gif: no file fits this pattern"):
            rows(GREY, tmp_path / "*.gif")


class TestLargeArrays:
    @pytest.mark.parametrize("name", ["x.npy", "x.npz", "small.npz", "fortran.npy"])
    def test_pieces(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(arrays, "BLOCK_BYTES", 100)
        array = np.arange(60, dtype=np.float32).reshape(20, 3)
        np.save(tmp_path / "x.npy", array)
        np.savez(tmp_path / "x.npz", y=np.zeros(2), x=array)
        np.savez_compressed(tmp_path / "small.npz", x=array)
        np.save(tmp_path / "fortran.npy", np.asfortranarray(array))
        blocks = list(inputs(TABLE, tmp_path / name).blocks())
        assert [len(block) for block in blocks] == [8, 8, 4]
        np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), array)
        assert blocks[1].ids[0] == f"{name}[8]"

    def test_a_later_number_that_is_no_byte(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(arrays, "BLOCK_BYTES", 100)
        array = np.zeros((9, 4, 6), np.int64)
        array[-1, -1, -1] = 256
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(DataError, match="images must be whole numbers from 0 to 255"):
            rows(GREY, tmp_path / "x.npy")

    def test_cut_off(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((9, 3)))
        content = (tmp_path / "x.npy").read_bytes()
        (tmp_path / "x.npy").write_bytes(content[:-8])
        with pytest.raises(DataError, match="cannot be read as an array: it is cut off"):
            rows(TABLE, tmp_path / "x.npy")


class TestRecut:
    def blocks(self) -> list[Block]:
        """Ten inputs, the numbers 0 to 9, of which 2, 3 and 7 cannot be read."""
        sizes, found, start = (3, 1, 4, 2), [], 0
        for size in sizes:
            numbers = list(range(start, start + size))
            errors = ["bad" if number in (2, 3, 7) else "" for number in numbers]
            good = [number for number, error in zip(numbers, errors, strict=True) if not error]
            found.append(Block([str(number) for number in numbers], errors, np.array(good) if good else None))
            start += size
        return found

    @pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10, 11])
    @pytest.mark.parametrize("limit", [None, 1, 5, 10, 20])
    def test_all_sizes(self, size: int, limit: int | None) -> None:
        found = list(recut(self.blocks(), size, limit))
        count = min(limit or 10, 10)
        assert [len(block) for block in found] == [size] * (count // size) + [count % size] * bool(
            count % size
        )
        read = [row for block in found for row in taken(block)]
        assert [row.id for row in read] == [str(number) for number in range(count)]
        assert [row.value for row in read] == [
            None if number in (2, 3, 7) else number for number in range(count)
        ]


def test_all_arguments_are_looked_at_first(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="nowhere"):
        inputs(GREY, tmp_path / "a.png", tmp_path / "nowhere.png")
