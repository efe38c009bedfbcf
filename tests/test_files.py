"""Recipes, averages and correlations of images, arrays of images in files, and the Dataset of a file."""

import jax
import numpy as np
import pytest
from PIL import Image

from gahr.data import DATASETS, duplicates, files, resizing
from gahr.experiment import figures

KEY = jax.random.key(0)


def test_recipes_are_the_published_ones():
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (218, 178, 3), dtype=np.uint8)
    half = np.asarray(Image.fromarray(pixels[29:-29, 9:-9]).resize((80, 80), Image.Resampling.BICUBIC), float)
    made = resizing.apply(resizing.RECIPES["celeba"], Image.fromarray(pixels))
    assert np.abs(made[..., 0] - half.mean(-1)).max() <= 0.5
    pixels = rng.integers(0, 256, (300, 280, 3), dtype=np.uint8)
    corner = np.asarray(Image.fromarray(pixels[:256, :256]).resize((80, 80), Image.Resampling.BICUBIC))
    made = resizing.apply(resizing.RECIPES["lsun"]._replace(grey="none"), Image.fromarray(pixels))
    np.testing.assert_array_equal(made, corner)
    luma = resizing.grey(Image.fromarray(pixels), how="luma")[..., 0]
    assert np.abs(luma - pixels @ [0.299, 0.587, 0.114]).max() < 0.51
    with pytest.raises(ValueError, match="255x300 pixels are too few"):
        resizing.crop(Image.new("RGB", (255, 300)), corner=256)


def test_area_averages_are_means_of_blocks_and_keep_the_mean():
    images = np.random.default_rng(3).random((2, 30, 30, 3))
    blocks = images.reshape(2, 10, 3, 10, 3, 3).mean((2, 4))
    np.testing.assert_allclose(resizing.area_average(images, size=10), blocks, atol=1e-6)
    np.testing.assert_allclose(resizing.area_average(images, size=13).mean((1, 2)), images.mean((1, 2)), atol=1e-6)


def test_a_drawing_goes_from_white_blanks_to_black(tmp_path):
    found = files.drawn("\n @\n=.\n", size=2)
    np.testing.assert_allclose(found[..., 0], [[1, 0], [1 - 4 / 9, 1 - 1 / 9]], atol=0.005)
    assert files.drawn(" @\n@ ", size=20)[[0, 0, -1], [0, -1, 0], 0].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match=r"text must be square: lengths, got \[2, 3\]"):
        files.drawn("@@\n...", size=20)
    with pytest.raises(ValueError, match="text must be of the characters"):
        files.drawn("x", size=20)


@pytest.mark.parametrize("block", [7, 64])
def test_similarity_is_the_correlation_with_all_images_before(block):
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (50, 40, 40, 1), dtype=np.uint8)
    images[30] = 255 - images[2]
    images[31], images[32] = 9, 9
    small = images.reshape(50, 20, 2, 20, 2).mean((2, 4)).reshape(50, -1)
    plain = np.setdiff1d(np.arange(50), (31, 32))
    expected = np.zeros((50, 50))
    expected[np.ix_(plain, plain)] = np.abs(np.corrcoef(small[plain]))
    expected = np.tril(expected, -1)
    found = duplicates.similarity(duplicates.signatures(images), levels=(0.95, 0.1), block=block)
    np.testing.assert_allclose(found.closest, expected.max(1), atol=1e-6)
    assert found.pairs == {0.95: 1, 0.1: np.count_nonzero(expected > 0.1)}


def test_arrays_are_read_as_they_are_or_refused(tmp_path):
    images = np.random.default_rng(5).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    for name, stored in (("bytes", images), ("floats", images / 255)):
        np.save(tmp_path / f"{name}.npy", stored)
        held = files.read_set(tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(held.images, images[..., None])
        assert (held.groups, held.recipe, held.names) == (None, {}, None)
    digests = {files.digest(images), files.digest(images[::-1]), files.digest(images, groups=np.arange(4))}
    assert len(digests) == 3
    for content, message in (
        (images.astype(int), "must hold uint8 or intensities"),
        (images / 1.0, r"intensities in \[0, 1\], not 0.0 to"),
        (images[0], r"not \(8, 8\)"),
    ):
        np.save(tmp_path / "bad.npy", content)
        with pytest.raises(ValueError, match=message):
            files.read_set(tmp_path / "bad.npy")
    np.savez(tmp_path / "bad.npz", pictures=images)
    with pytest.raises(ValueError, match="holds no array images, but pictures"):
        files.read_set(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", images=images, groups=np.arange(3))
    with pytest.raises(ValueError, match=r"4 images, but groups of shape \(3,\)"):
        files.read_set(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match=r"there is no file .*absent\.npy"):
        files.read_set(tmp_path / "absent.npy")
    (tmp_path / "text.npy").write_text("text")
    with pytest.raises(ValueError, match="cannot be read as arrays"):
        files.read_set(tmp_path / "text.npy")


@pytest.fixture
def small_set(tmp_path):
    """A bare .npy of 60 images of 16 x 16."""
    np.save(tmp_path / "faces.npy", np.random.default_rng(6).integers(0, 256, (60, 16, 16), dtype=np.uint8))
    return tmp_path / "faces.npy"


def of(file, **options):
    return DATASETS["file"](KEY, **dict(path=str(file), size=16, num_test=10, split="order") | options)


def test_images_of_a_file_are_scaled_split_and_resized(small_set):
    pixels = np.load(small_set)[..., None] / np.float32(255)
    whole, half = of(small_set), of(small_set, size=8)
    assert (whole.shape, half.shape, whole.sizes) == ((16, 16, 1), (8, 8, 1), {"a": 25, "b": 25, "test": 10})
    assert whole.digest == f"faces.npy sha256:{files.read_set(small_set).digest}"
    index = np.arange(25)
    for subset, size, expected in (
        ("test", 10, pixels[index % 10]),
        ("a", 25, pixels[10:35]),
        ("b", 25, pixels[:34:-1]),
        ("b", 1, np.repeat(pixels[-1:], 25, 0)),
    ):
        np.testing.assert_allclose(whole.take(index, subset=subset, set_size=size), expected, atol=1e-7)
    blocks = pixels.reshape(60, 8, 2, 8, 2, 1).mean((2, 4))
    assert np.abs(half.take(index, subset="a", set_size=25) - blocks[10:35]).max() < 0.51 / 255


def test_the_images_of_a_file_are_held_once_and_no_part_of_compiled_code(small_set):
    one, other = (of(small_set, split="random", num_test=number) for number in (10, 20))
    assert one.take.args[0] is other.take.args[0]
    shared = {}
    assert figures.placed(one.take, shared).args[0] is figures.placed(other.take, shared).args[0]
    held = jax.tree.map(jax.numpy.asarray, one.take)
    take = jax.jit(lambda take, index: take(index, subset="a", set_size=20))
    np.testing.assert_array_equal(take(held, np.arange(3)), one.take(np.arange(3), subset="a", set_size=20))
    text = take.lower(held, np.arange(3)).as_text()
    assert "tensor<60x16x16x1xui8>" in text
    assert not [line for line in text.splitlines() if "constant" in line and "60x16x16" in line]


def test_what_does_not_fit_a_file_is_named(small_set):
    for options, message in (
        (dict(num_test=59), "num_test must be a whole number from 1 to 58, got 59"),
        (dict(split="groups"), "unknown split 'groups'; did you mean group"),
        (dict(split="group"), r"faces\.npy holds no groups; it can be random or order"),
        (dict(size=32), r"size 32 needs square images at least as large, but .*faces\.npy holds 16x16"),
        (dict(size=0), "size must be a whole number from 1, got 0"),
        (dict(channels=3), r"channels must be 1 for the images of .*faces\.npy, got 3"),
        (dict(path="absent.npy"), r"there is no file absent\.npy"),
        (dict(digest="x"), r"faces\.npy is not the file that is meant: digest is x, its own is faces\.npy sha256:"),
    ):
        with pytest.raises(ValueError, match=message):
            of(small_set, **options)


def test_people_are_in_one_subset_only(tmp_path):
    pixels = np.random.default_rng(7).integers(0, 256, (59, 16, 16), dtype=np.uint8)
    groups = np.arange(59) % 12
    np.savez(tmp_path / "set.npz", images=pixels, groups=groups)
    assert of(tmp_path / "set.npz").sizes == {"a": 24, "b": 24, "test": 10}  # groups are left out of account
    made = of(tmp_path / "set.npz", split="group")
    person = {image.tobytes(): label for image, label in zip(pixels, groups, strict=True)}
    seen = []
    for subset, size in made.sizes.items():
        images = np.asarray(made.take(np.arange(size), subset=subset, set_size=size))
        seen.append({person[np.rint(255 * image).astype(np.uint8).tobytes()] for image in images})
    assert sum(map(len, seen)) == len(set.union(*seen)) == 12
    assert made.sizes["test"] in (9, 10)  # two people, of five images or four
    assert abs(made.sizes["a"] - made.sizes["b"]) <= 5
