"""Recipes, averages and correlations of images, and arrays of images in files."""

import numpy as np
import pytest
from PIL import Image

from gahr.data import files, resizing


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
    found = resizing.similarity(resizing.signatures(images), levels=(0.95, 0.1), block=block)
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
