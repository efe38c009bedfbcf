"""Sets of images as arrays or functions, in blocks of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import blocks

IMAGES = jax.random.uniform(jax.random.key(0), (23, 4, 3, 2))


def total(carry, block, start):
    """Sum over images, each weighted with one plus its number."""
    weights = 1.0 + start + jnp.arange(len(block))
    return carry + jnp.tensordot(weights, block, 1)


@pytest.mark.parametrize("chunk", [1, 6, 1000])
@pytest.mark.parametrize("images", [np.asarray(IMAGES), IMAGES.__getitem__], ids=["array", "function"])
def test_every_image_is_met_once_with_its_number(images, chunk):
    found = blocks.fold(total, jnp.zeros((4, 3, 2)), images, num_images=20, chunk=chunk)
    np.testing.assert_allclose(found, np.tensordot(np.arange(1, 21), IMAGES[:20], 1), rtol=1e-5)


def test_eight_bit_images_are_scaled_where_they_are_used():
    eight_bit = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 1), dtype=np.uint8)
    take, number = blocks.source(eight_bit)
    assert number == 7
    assert [leaf.dtype for leaf in jax.tree.leaves(take)] == [jnp.uint8]  # held as it is
    np.testing.assert_allclose(take(jnp.array([3, 0])), eight_bit[[3, 0]] / 255, atol=1e-7)
    made, _ = blocks.source(lambda numbers: jnp.asarray(eight_bit)[numbers], num_images=7)
    np.testing.assert_allclose(made(jnp.array([3, 0])), eight_bit[[3, 0]] / 255, atol=1e-7)


def test_functions_make_only_one_block_at_a_time():
    asked = []

    def images(numbers):
        asked.append(numbers.shape)
        return jnp.zeros((len(numbers), 2, 2, 1))

    blocks.fold(total, jnp.zeros((2, 2, 1)), images, num_images=10**6 + 1, chunk=10**3)
    assert set(asked) == {(1,), (1000,)}  # one for the shape and for what remains


@pytest.mark.parametrize(
    ("images", "num_images", "message"),
    [
        (lambda numbers: IMAGES[numbers], None, "needs num_images="),
        (IMAGES, 24, "at most the 23 images there are, got 24"),
        (IMAGES, 0, "one image at least, got 0"),
        (IMAGES[:0], None, "one image at least, got 0"),
        (IMAGES[..., 0], None, r"must be \(N, H, W, C\), got \(N, 4, 3\)"),
        (np.zeros((2, 4, 4, 1), np.int32), None, "floating-point or uint8, got dtype int32"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(images, num_images, message):
    with pytest.raises(ValueError, match=message):
        blocks.source(images, num_images=num_images)


def test_a_block_and_a_chunk_hold_one_image_at_least():
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        blocks.fold(total, jnp.zeros((4, 3, 2)), IMAGES, chunk=0)
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        blocks.in_chunks(jnp.sum, IMAGES, chunk=0)


def test_chunks_hold_every_row_once_with_its_key_and_little_else():
    keys, sizes = jax.random.split(jax.random.key(1), 23), set()

    def function(pair):
        sizes.add(len(pair[0]))
        return {"twice": 2 * pair[0], "key": jax.random.key_data(pair[1])}

    for chunk, size in ((1, 1), (9, 8), (22, 12), (1000, 23)):
        sizes.clear()
        found = jax.jit(lambda pair, n=chunk: blocks.in_chunks(function, pair, chunk=n))((IMAGES, keys))
        np.testing.assert_array_equal(found["twice"], 2 * np.asarray(IMAGES))
        np.testing.assert_array_equal(found["key"], jax.random.key_data(keys))
        assert sizes == {size}
