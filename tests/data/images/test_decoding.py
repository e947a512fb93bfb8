import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bigmodel_cli.data.images import decoding as image_files
from bigmodel_cli.data.images.decoding import decode, decoder, probe, reduction, way
from bigmodel_cli.errors import DataError

RANDOM = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RANDOM.integers(0, 256, (5, 6, 4), np.uint8), "RGBA").resize(
        (48, 40), Image.Resampling.BICUBIC
    )
)
GREY, COLOUR = SMOOTH[..., 0], SMOOTH[..., :3]


def turned(by: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = by
    return exif


def save(path: Path, image: Image.Image | np.ndarray, **options: object) -> str:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return str(path)


def both_ways(path: str, channels: int, size=None, resize="stretch"):
    """Decoded by Pillow, and as a training pipeline does."""
    import tensorflow as tf

    direct = decode(path, channels, size, resize)
    code = way(probe(path), channels, size)
    batch = decoder([code], channels, direct.shape, size, resize)
    return code, direct, batch(tf.constant([os.fsencode(path)]), tf.constant([code], tf.uint8)).numpy()[0]


class TestTheSamePixelsBothWays:
    @pytest.mark.parametrize("channels", [1, 3, 4])
    @pytest.mark.parametrize(
        ("name", "picture", "options"),
        [
            ("grey.png", GREY, {}),
            ("colour.png", COLOUR, {}),
            ("alpha.png", SMOOTH, {}),
            ("grey_alpha.png", Image.fromarray(SMOOTH[..., [0, 3]], "LA"), {}),
            ("deep.png", RANDOM.integers(0, 2**16, (40, 48), np.uint16), {}),
            ("two_colours.png", Image.fromarray(GREY > 128), {}),
            ("palette.png", Image.fromarray(COLOUR).quantize(64), {}),
            ("palette_with_a_clear_colour.png", Image.fromarray(COLOUR).quantize(64), {"transparency": 3}),
            (
                "palette_of_opacities.png",
                Image.fromarray(COLOUR).quantize(8),
                {"transparency": bytes(range(8))},
            ),
            ("clear_grey.png", GREY, {"transparency": int(GREY[0, 0])}),
            ("clear_colour.png", COLOUR, {"transparency": tuple(map(int, COLOUR[0, 0]))}),
        ],
    )
    def test_png(self, name, picture, options, channels, tmp_path):
        code, direct, piped = both_ways(save(tmp_path / name, picture, **options), channels)
        assert code != image_files.PILLOW
        np.testing.assert_array_equal(piped, direct)

    @pytest.mark.parametrize("channels", [1, 3, 4])
    @pytest.mark.parametrize("picture", [GREY, COLOUR])
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}])
    def test_jpeg(self, picture, options, channels, tmp_path):
        code, direct, piped = both_ways(save(tmp_path / "a.jpg", picture, **options), channels)
        assert code == image_files.JPEG
        # Two builds of libjpeg may round otherwise.
        np.testing.assert_allclose(piped.astype(int), direct.astype(int), atol=2)

    @pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
    @pytest.mark.parametrize(
        ("name", "picture"), [("a.gif", GREY), ("a.bmp", COLOUR), ("a.webp", SMOOTH), ("a.png", COLOUR)]
    )
    def test_others_and_resized(self, name, picture, resize, tmp_path):
        code, direct, piped = both_ways(save(tmp_path / name, picture), 3, (24, 30), resize)
        assert code == image_files.PILLOW
        np.testing.assert_array_equal(piped, direct)

    def test_a_mixed_batch(self, tmp_path):
        import tensorflow as tf

        paths = [
            save(tmp_path / "a.png", COLOUR),
            save(tmp_path / "b.jpg", COLOUR, quality=95),
            save(tmp_path / "c.webp", COLOUR, lossless=True),
            save(tmp_path / "d.png", GREY),
        ]
        ways = [way(probe(path), 1, None) for path in paths]
        assert len(set(ways)) == 4
        batch = decoder(ways, 1, (40, 48, 1), None, "stretch")
        images = batch(tf.constant(paths), tf.constant(ways, tf.uint8)).numpy()
        for path, image in zip(paths, images, strict=True):
            np.testing.assert_allclose(image.astype(int), decode(path, 1).astype(int), atol=2)


class TestPixels:
    def test_grey_by_luma(self, tmp_path):
        primaries = np.asarray([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
        _, direct, piped = both_ways(save(tmp_path / "a.png", primaries), 1)
        assert direct.ravel().tolist() == piped.ravel().tolist() == [76, 150, 29]

    @pytest.mark.parametrize(("channels", "kept"), [(3, [0, 1, 2]), (4, [0, 1, 2, 3])])
    def test_transparency(self, channels, kept, tmp_path):
        path = save(tmp_path / "a.png", SMOOTH)
        np.testing.assert_array_equal(decode(path, channels), SMOOTH[..., kept])

    def test_the_upper_8_of_16_bits(self, tmp_path):
        path = save(tmp_path / "a.png", np.asarray([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16))
        assert decode(path, 1).ravel().tolist() == [0, 0, 1, 0x12, 0xFF]

    @pytest.mark.parametrize("by", range(1, 9))
    def test_turned_upright(self, by, tmp_path):
        path = save(tmp_path / "a.jpg", GREY, exif=turned(by), quality=95)
        upright = {
            1: GREY, 2: GREY[:, ::-1], 3: GREY[::-1, ::-1], 4: GREY[::-1], 5: GREY.T, 6: np.rot90(GREY, -1),
            7: GREY[::-1, ::-1].T, 8: np.rot90(GREY),
        }[by]  # fmt: skip
        header = probe(path)
        assert (header.height, header.width) == upright.shape
        _, direct, piped = both_ways(path, 1)
        for image in (direct, piped):
            np.testing.assert_allclose(image[..., 0].astype(int), upright.astype(int), atol=12)

    def test_png_and_webp_turned_by_exif(self, tmp_path):
        for name in ("a.png", "a.webp"):
            path = save(tmp_path / name, COLOUR, exif=turned(6), lossless=True)
            assert (probe(path).height, probe(path).width) == (48, 40)
            np.testing.assert_array_equal(both_ways(path, 3)[2], np.rot90(COLOUR, -1))

    def test_png_turned_by_the_second_of_its_texts(self, tmp_path):
        from PIL.PngImagePlugin import PngInfo

        texts = PngInfo()
        texts.add_itxt("Software", "a camera")
        texts.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
        path = save(tmp_path / "a.png", COLOUR, pnginfo=texts)
        np.testing.assert_array_equal(both_ways(path, 3)[2], np.rot90(COLOUR, -1))

    def test_cmyk(self, tmp_path):
        path = save(tmp_path / "a.jpg", Image.fromarray(COLOUR).convert("CMYK"), quality=95)
        code, _, piped = both_ways(path, 3)
        assert code == image_files.PILLOW
        assert np.abs(piped.astype(int) - COLOUR).mean() < 12

    def test_the_first_frame(self, tmp_path):
        frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
        for name in ("a.gif", "a.png", "a.webp"):
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
            assert both_ways(str(tmp_path / name), 1)[2].tolist() == np.full((4, 4, 1), 10).tolist()

    def test_crop_keeps_the_middle(self, tmp_path):
        image = np.zeros((10, 30), np.uint8)
        image[:, 10:20] = 200
        path = save(tmp_path / "a.png", image)
        assert decode(path, 1, (10, 10), "crop").tolist() == np.full((10, 10, 1), 200).tolist()

    def test_pad_adds_black(self, tmp_path):
        padded = decode(save(tmp_path / "a.png", np.full((10, 30), 200, np.uint8)), 1, (15, 15), "pad")[
            ..., 0
        ]
        assert padded[5:10].tolist() == np.full((5, 15), 200).tolist()
        assert not padded[:5].any() and not padded[10:].any()

    def test_stretch_is_antialiased(self, tmp_path):
        stripes = np.tile(np.asarray([0, 255], np.uint8), (8, 32))
        image = decode(save(tmp_path / "a.png", stripes), 1, (8, 8))
        assert np.abs(image.astype(int) - 127).max() < 20

    def test_a_large_jpeg_is_reduced_and_looks_the_same(self, tmp_path):
        large = Image.fromarray(COLOUR).resize((960, 800), Image.Resampling.BICUBIC)
        path = save(tmp_path / "a.jpg", large, quality=95)
        for resize in ("stretch", "crop", "pad"):
            small = decode(path, 3, (40, 48), resize).astype(int)
            assert np.abs(small - COLOUR).mean() < 3

    @pytest.mark.parametrize(
        ("width", "height", "factor"),
        [(100, 100, 1), (399, 900, 1), (400, 400, 2), (800, 801, 4), (3000, 1600, 8)],
    )
    def test_reduction(self, width, height, factor):
        assert reduction(width, height, (100, 100)) == factor
        assert reduction(width, height, None) == 1


class TestHeaders:
    @pytest.mark.parametrize(
        ("name", "picture", "grey", "alpha", "deep"),
        [
            ("a.png", GREY, True, False, False),
            ("a.png", COLOUR, False, False, False),
            ("a.png", SMOOTH, False, True, False),
            ("a.png", GREY.astype(np.uint16), True, False, True),
            ("a.png", Image.fromarray(COLOUR).quantize(8), False, False, False),
            ("a.png", Image.fromarray(GREY).quantize(8), True, False, False),
            ("a.jpg", GREY, True, False, False),
            ("a.jpg", COLOUR, False, False, False),
            ("a.gif", GREY, True, False, False),
            ("a.bmp", COLOUR, False, False, False),
            ("a.webp", SMOOTH, False, True, False),
        ],
    )
    def test_what_they_say(self, name, picture, grey, alpha, deep, tmp_path):
        path = save(tmp_path / name, picture)
        header = probe(path)
        assert (header.width, header.height) == (48, 40)
        assert (header.grey, header.alpha, header.deep) == (grey, alpha, deep)
        assert header.bytes == Path(path).stat().st_size

    def test_content_counts_and_not_the_name(self, tmp_path):
        Image.fromarray(COLOUR).save(tmp_path / "a.jpg", "PNG")
        path = str(tmp_path / "a.jpg")
        assert probe(path).format == "png"
        np.testing.assert_array_equal(both_ways(path, 3)[2], COLOUR)

    def test_a_large_png_with_a_long_profile(self, tmp_path):
        noise = RANDOM.integers(0, 256, (100, 100, 3), np.uint8)
        path = save(tmp_path / "a.png", noise, icc_profile=RANDOM.bytes(40_000))
        np.testing.assert_array_equal(both_ways(path, 3)[2], noise)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


class TestBadFiles:
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.webp"])
    @pytest.mark.parametrize("size", [40, 400])
    def test_cut_off(self, name, size, tmp_path):
        noise = RANDOM.integers(0, 256, (size, size, 3), np.uint8)
        path = tmp_path / name
        save(path, noise)
        cut(path, 0.6)
        with pytest.raises(DataError, match=rf"a\{path.suffix} is broken: "):
            probe(str(path))
        with pytest.raises(DataError, match="is broken: "):
            decode(str(path), 3)

    def test_a_flipped_bit(self, tmp_path):
        path = tmp_path / "a.png"
        save(path, COLOUR)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x55
        path.write_bytes(content)
        with pytest.raises(DataError, match="is broken"):
            probe(str(path))

    def test_a_jpeg_without_its_end_mark_is_taken(self, tmp_path):
        path = tmp_path / "a.jpg"
        save(path, COLOUR, quality=95)
        whole = decode(str(path), 3)
        path.write_bytes(path.read_bytes() + b"trailer of a camera")
        assert probe(str(path)).format == "jpeg"
        np.testing.assert_allclose(both_ways(str(path), 3)[2].astype(int), whole.astype(int), atol=2)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "is empty"),
            (b"<html>404</html>", "is not an image"),
            (b"II*\0 and more of it", "is a TIFF image, which is not read; make a JPEG or PNG of it"),
            (b"\0\0\0\x18ftypheic and more", "is a HEIC image"),
            (b"\xff\xd8\xff", "is "),
        ],
    )
    def test_no_images(self, content, reason, tmp_path):
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        for read in (probe, lambda path: decode(path, 3)):
            with pytest.raises(DataError) as caught:
                read(str(path))
            assert str(caught.value).startswith(f"{path} {reason}")

    def test_not_there(self, tmp_path):
        for read in (probe, lambda path: decode(path, 3)):
            with pytest.raises(DataError, match=r"nothing\.png is not there"):
                read(str(tmp_path / "nothing.png"))

    def test_decompression_bombs(self, tmp_path, monkeypatch):
        path = save(tmp_path / "a.png", GREY)
        monkeypatch.setattr(image_files, "MAX_PIXELS", 1000)
        for read in (probe, lambda path: decode(path, 1)):
            with pytest.raises(DataError, match=r"a\.png has 48 x 40 pixels, more than 1,000"):
                read(path)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda path: path.unlink(), "is not there"),
            (lambda path: cut(path, 0.5), "is broken"),
            (lambda path: save(path, COLOUR[:10]), "has changed: it had 48 x 40 pixels and has 48 x 10"),
        ],
    )
    def test_a_file_that_changes_while_training(self, damage, message, tmp_path):
        import tensorflow as tf

        paths = [tmp_path / f"{name}.png" for name in "abc"]
        for path in paths:
            save(path, COLOUR)
        batch = decoder([image_files.PNG], 3, COLOUR.shape, None, "stretch")
        files = tf.data.Dataset.from_tensors([str(path) for path in paths])
        stream = files.map(lambda some: batch(some, tf.fill([3], tf.constant(image_files.PNG, tf.uint8))))
        assert next(iter(stream)).shape == (3, *COLOUR.shape)
        damage(paths[1])
        with pytest.raises(tf.errors.UnknownError, match=rf"DataError: {paths[1]} {message}"):
            next(iter(stream))
