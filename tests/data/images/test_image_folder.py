import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.contracts import Part
from bigmodel_cli.data.images import image_folder as module
from bigmodel_cli.data.images.image_folder import image_folder
from bigmodel_cli.errors import DataError


def picture(path: Path, value: int = 0, size: tuple[int, int] = (6, 4), mode: str = "L") -> Path:
    """A file of one colour, whose value tells it from others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes with ten images each; the value of an image is 20 * class + number."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(10):
            picture(tmp_path / "animals" / name / f"{number}.png", 20 * label + number)
    return tmp_path / "animals"


def everything(source, base="all"):
    return Part.range(base, 0, source.sizes[base])


def built(path, **options):
    return image_folder(0, path=str(path), **options)


class TestLayouts:
    def test_a_folder_for_each_class(self, folder):
        source = built(folder)
        assert source.sizes == {"all": 20}
        assert source.spec.task == "classification"
        assert (source.spec.input.shape, source.spec.input.dtype, source.spec.input.kind) == (
            (4, 6, 1),
            "uint8",
            "image",
        )
        assert source.spec.target.names == ("cat", "dog")
        images, targets = source.arrays(everything(source))
        assert (images.dtype, targets.dtype) == (np.uint8, np.int32)
        assert sorted(images[:, 0, 0, 0].tolist()) == [*range(10), *range(20, 30)]
        np.testing.assert_array_equal(targets, images[:, 0, 0, 0] // 20)
        assert (images == images[:, :1, :1]).all()

    @pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "dev", "TESTING")])
    def test_splits(self, names, tmp_path):
        for count, split in enumerate(names, 2):
            for label in ("a", "b"):
                for number in range(count):
                    picture(tmp_path / split / label / f"{number}.png")
        source = built(tmp_path)
        assert source.sizes == {"train": 4, "validation": 6, "test": 8}
        assert source.targets(everything(source, "test")).tolist().count(1) == 4

    def test_folders_within_a_class_and_odd_names(self, tmp_path):
        picture(tmp_path / "grüne Äpfel" / "in kisten" / "tief" / "ein apfel.png", 1)
        picture(tmp_path / "梨" / "1.png", 2)
        os.makedirs(os.fsencode(tmp_path) + b"/z\xff")  # noqa: PTH103 - not a text
        with open(os.fsencode(tmp_path) + b"/z\xff/\xfe.png", "wb") as file:  # noqa: PTH123
            file.write((tmp_path / "梨" / "1.png").read_bytes())
        source = built(tmp_path)
        assert source.spec.target.names == ("grüne Äpfel", "z\\xff", "梨")
        images, targets = source.arrays(everything(source))
        assert sorted(zip(targets.tolist(), images[:, 0, 0, 0].tolist(), strict=True)) == [
            (0, 1),
            (1, 2),
            (2, 2),
        ]
        assert "grüne Äpfel/in kisten/tief/ein apfel.png" in source.values("all", "file")

    def test_classes_are_sorted_as_people_count(self, tmp_path):
        for name in ("c10", "c9", "c1", "b", "2"):
            picture(tmp_path / name / "a.png")
        assert built(tmp_path).spec.target.names == ("2", "b", "c1", "c9", "c10")

    def test_links_in_circles(self, folder):
        before = built(folder).sizes["all"]
        (folder / "cat" / "again").symlink_to(folder, target_is_directory=True)
        (folder / "dog" / "self").symlink_to(folder / "dog", target_is_directory=True)
        source = built(folder)
        assert source.sizes["all"] == before
        assert "1 link to a folder around it left aside" in source.notes

    def test_a_link_to_another_place_is_followed(self, folder, tmp_path):
        before = built(folder).sizes["all"]
        picture(tmp_path / "elsewhere" / "deep" / "a.png")
        (folder / "cat" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        assert built(folder).sizes["all"] == before + 1

    def test_what_is_no_image_is_counted(self, folder):
        for name in (
            "cat/.hidden.png",
            "cat/Thumbs.db",
            "dog/notes.txt",
            "dog/more.txt",
            ".git/a.png",
            "__MACOSX/a.png",
        ):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        picture(folder / "sample.png")
        source = built(folder)
        assert source.sizes["all"] == 20
        notes = "\n".join(source.notes)
        assert "3 files of other kinds left aside (.txt 2, .db 1)" in notes
        assert "3 hidden files or folders left aside" in notes
        assert "1 image beside the class folders left aside: sample.png" in notes


class TestColoursAndSizes:
    def test_one_file_with_colours_makes_all_rgb(self, folder):
        assert built(folder).notes == ("color gray (auto: every file is grey)",)
        picture(folder / "cat" / "colour.png", 7, mode="RGB")
        source = built(folder)
        assert source.spec.input.shape == (4, 6, 3)
        assert source.notes == ("color rgb (auto: 1 of 21 files have colours)",)
        assert source.arrays(everything(source))[0].shape == (21, 4, 6, 3)

    @pytest.mark.parametrize(("color", "channels"), [("gray", 1), ("rgb", 3), ("rgba", 4)])
    def test_as_asked_for(self, color, channels, folder):
        picture(folder / "cat" / "alpha.png", 9, mode="RGBA")
        source = built(folder, color=color)
        images, _ = source.arrays(everything(source))
        assert images.shape == (21, 4, 6, channels)
        dropped = "transparency dropped in 1 file (color: rgba keeps it)"
        assert (dropped in source.notes) == (color != "rgba")

    def test_sizes_that_differ(self, folder):
        for number in range(3):
            picture(folder / "cat" / f"wide{number}.png", size=(600, 400))
        with pytest.raises(DataError) as caught:
            built(folder)
        assert str(caught.value) == (
            "dataset.image_size: the images vary in size (height x width): 4 x 6 (20), 400 x 600 (3); "
            "give the "
            "[height, width] that all are brought to, such as [4, 6]"
        )

    def test_large_sizes_get_a_handy_proposal(self, tmp_path):
        for number in range(4):
            picture(tmp_path / "ab"[number % 2] / f"{number}.png", size=(500 + number, 375))
        with pytest.raises(DataError, match=r"such as \[160, 224\]"):
            built(tmp_path)

    @pytest.mark.parametrize(("resize", "first"), [("stretch", 5), ("crop", 5), ("pad", 0)])
    def test_resized(self, resize, first, folder):
        picture(folder / "cat" / "wide.png", 5, size=(60, 10))
        source = built(folder, image_size=[4, 6], resize=resize)
        position = source.values("all", "file").tolist().index("cat/wide.png")
        images, _ = source.arrays(Part("all", np.asarray([position])))
        assert images.shape == (1, 4, 6, 1)
        assert images[0, 0, 0, 0] == first

    def test_all_kinds_of_files_together(self, tmp_path):
        for number, suffix in enumerate(("jpg", "jpeg", "png", "gif", "bmp", "webp", "PNG")):
            picture(tmp_path / "a" / f"{number}.{suffix}", 100, mode="RGB")
            picture(tmp_path / "b" / f"{number}.{suffix}", 30, mode="RGB")
        source = built(tmp_path, color="rgb")
        images, targets = source.arrays(everything(source))
        expected = np.where(targets == 0, 100, 30)
        assert np.abs(images.astype(int) - expected[:, None, None, None]).max() <= 2


class TestSource:
    def test_the_first_examples_hold_all_classes(self, tmp_path):
        for label in "abc":
            for number in range(30):
                picture(tmp_path / label / f"{number}.png")
        source = built(tmp_path)
        assert set(source.targets(Part.range("all", 0, 20)).tolist()) == {0, 1, 2}

    def test_the_order_does_not_depend_on_other_files(self, folder):
        before = built(folder).values("all", "file").tolist()
        picture(folder / "cat" / "new.png")
        after = built(folder).values("all", "file").tolist()
        assert [name for name in after if name != "cat/new.png"] == before

    def test_lookup_in_any_order(self, folder):
        import tensorflow as tf

        source = built(folder)
        images, targets = source.arrays(everything(source))
        positions = [7, 3, 3, 19, 0]
        stream = tf.data.Dataset.from_tensors(tf.constant(positions, tf.int64)).map(source.lookup("all"))
        some, labels = next(iter(stream))
        np.testing.assert_array_equal(some, images[positions])
        np.testing.assert_array_equal(labels, targets[positions])

    def test_a_part_in_batches(self, folder, monkeypatch):
        monkeypatch.setattr(module, "BATCH_BYTES", 100)
        source = built(folder)
        part = Part("all", np.asarray([1, 4, 5, 6, 11, 13, 18]))
        batches = list(source.batches(part))
        assert len(batches) > 1
        images, targets = source.arrays(part)
        np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), images)
        np.testing.assert_array_equal(source.targets(part), targets)
        np.testing.assert_array_equal(images, source.arrays(everything(source))[0][part.indices])

    def test_groups(self, folder):
        for number in range(10):
            (folder / "cat" / f"{number}.png").rename(folder / "cat" / f"p{number % 3}-{number}.png")
            (folder / "dog" / f"{number}.png").rename(folder / "dog" / f"p{number % 3 + 3}-{number}.png")
        source = built(folder, group_pattern=r"/(p\d)-")
        groups = source.values("all", "group")
        names = source.values("all", "file")
        assert all(f"/{group}-" in name for group, name in zip(groups, names, strict=True))
        assert set(source.values("all", "folder")) == {"cat", "dog"}

    def test_groups_that_are_not_found(self, folder):
        with pytest.raises(
            DataError, match=r"group_pattern: `\(9\)` finds no group in cat/0\.png, cat/1\.png"
        ):
            built(folder, group_pattern="(9)")

    @pytest.mark.parametrize(
        ("name", "reason"), [("group", "needs dataset.group_pattern"), ("age", "no column `age`")]
    )
    def test_other_columns(self, name, reason, folder):
        with pytest.raises(DataError, match=reason):
            built(folder).values("all", name)

    @pytest.mark.parametrize(("pattern", "reason"), [("(a", "regular expression"), ("abc", "needs a group")])
    def test_patterns_are_checked_before_anything_else(self, pattern, reason):
        with pytest.raises(ValueError, match=reason):
            module._pattern(pattern)

    def test_fingerprint(self, folder):
        before = built(folder).fingerprint()
        assert built(folder).fingerprint() == before
        assert built(folder, color="rgb").fingerprint() != before
        assert built(folder, image_size=[8, 8]).fingerprint() != before
        os.utime(folder / "cat" / "0.png", (1, 1))
        assert built(folder).fingerprint() != before


class TestBadInput:
    def damage(self, folder: Path) -> None:
        content = (folder / "cat" / "3.png").read_bytes()
        (folder / "cat" / "3.png").write_bytes(content[: len(content) // 2])
        (folder / "dog" / "7.png").write_text("no image")
        (folder / "dog" / "gone.png").symlink_to(folder / "nowhere.png")

    def test_strict_names_the_first(self, folder):
        self.damage(folder)
        with pytest.raises(
            DataError, match=r"cat/3\.png is broken.* \(and 2 more files cannot be read\).*on_error: skip"
        ):
            built(folder)

    def test_skip_leaves_them_out(self, folder):
        self.damage(folder)
        source = built(folder, on_error="skip")
        assert source.sizes == {"all": 18}
        assert source.arrays(everything(source))[0].shape == (18, 4, 6, 1)
        note = source.notes[0]
        assert note.startswith("3 files that cannot be read left out: cat/3.png is broken")
        assert "dog/7.png is not an image" in note
        assert "dog/gone.png is not there" in note

    def test_a_class_of_broken_files_only(self, folder):
        picture(folder / "owl" / "1.png").write_text("no image")
        with pytest.raises(DataError, match="class folder owl has no images"):
            built(folder, on_error="skip")

    def test_an_empty_class(self, folder):
        (folder / "owl").mkdir()
        (folder / "owl" / "notes.txt").write_text("none yet")
        with pytest.raises(DataError, match="the class folder owl has no images; add some, or remove"):
            built(folder)

    def test_a_class_that_is_empty_in_test_only(self, tmp_path):
        for label in "ab":
            picture(tmp_path / "train" / label / "1.png")
        picture(tmp_path / "test" / "a" / "1.png")
        (tmp_path / "test" / "b").mkdir()
        assert "class `b` has no images in test" in built(tmp_path).notes

    @pytest.mark.parametrize("in_train", [True, False])
    def test_a_class_in_test_only(self, in_train, tmp_path):
        for label in "ab":
            picture(tmp_path / "train" / label / "1.png")
        for label in "abc":
            picture(tmp_path / "test" / label / "1.png")
        if in_train:
            (tmp_path / "train" / "c").mkdir()
        with pytest.raises(DataError, match="there are images of c in test, but none in train"):
            built(tmp_path)

    def test_one_class_only(self, tmp_path):
        for label in ("cats", "dogs"):
            picture(tmp_path / "data" / label / "1.png")
        with pytest.raises(DataError, match=r"has one class only, data;.*\(cats, dogs\), give .*/data$"):
            built(tmp_path)

    def test_no_classes(self, tmp_path):
        with pytest.raises(DataError, match="has no folders of classes"):
            built(tmp_path)
        picture(tmp_path / "1.png")
        with pytest.raises(
            DataError, match="has 1 image, but no folders of classes; put the images of each class"
        ):
            built(tmp_path)

    def test_a_split_without_classes(self, tmp_path):
        for label in "ab":
            picture(tmp_path / "train" / label / "1.png")
        picture(tmp_path / "test" / "1.png")
        with pytest.raises(DataError, match="/test: has 1 image, but no folders of classes"):
            built(tmp_path)

    def test_splits_without_train(self, tmp_path):
        for split in ("val", "test"):
            picture(tmp_path / split / "a" / "1.png")
        with pytest.raises(DataError, match="has test, val, but no folder `train`"):
            built(tmp_path)

    def test_two_folders_for_a_split(self, tmp_path):
        for split in ("train", "val", "valid"):
            picture(tmp_path / split / "a" / "1.png")
        with pytest.raises(DataError, match="the folders val, valid are all validation"):
            built(tmp_path)

    def test_classes_beside_splits(self, tmp_path):
        for label in "ab":
            picture(tmp_path / "train" / label / "1.png")
        (tmp_path / "docs").mkdir()
        assert built(tmp_path).sizes == {"train": 2}
        picture(tmp_path / "extra" / "1.png")
        with pytest.raises(DataError, match=r"splits \(train\) and beside them images in extra"):
            built(tmp_path)

    def test_paths_that_are_no_folders(self, tmp_path):
        with pytest.raises(DataError, match="nowhere: there is no such folder"):
            built(tmp_path / "nowhere")
        with pytest.raises(DataError, match="is a file, not a folder"):
            built(picture(tmp_path / "a.png"))
        with pytest.raises(DataError, match="image_folder reads local folders"):
            image_folder(0, path="gs://bucket/images")

    def test_a_file_that_vanishes(self, folder):
        source = built(folder)
        (folder / "dog" / "5.png").unlink()
        with pytest.raises(DataError, match=r"dataset\.path: .*dog/5\.png is not there"):
            source.arrays(everything(source))
