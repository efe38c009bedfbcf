"""Disjoint, nested subsets of an endless image set."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.data import splits

KEY = jax.random.key(0)


def sample(key):
    return jax.random.uniform(key, (2, 2, 1))


def make(index, subset, set_size):
    return np.asarray(splits.images(sample, KEY, jnp.asarray(index), subset=subset, set_size=set_size))


def test_the_three_subsets_share_no_image():
    images = np.concatenate([make(np.arange(500), subset, 500) for subset in ("a", "b", "test")])
    assert len(np.unique(images.reshape(1500, -1), axis=0)) == 1500


def test_the_largest_subset_ends_before_the_next_begins():
    last = make([2**30 - 1], "a", 2**30)
    assert not np.array_equal(last, make([0], "b", 2**30))
    assert not np.array_equal(make([2**30 - 1], "b", 2**30), make([0], "test", 2**30))
    np.testing.assert_array_equal(last[0], sample(jax.random.fold_in(KEY, 2**30 - 1)))


@pytest.mark.parametrize("subset", ["a", "b", "test"])
def test_a_small_set_is_the_start_of_a_larger_one(subset):
    np.testing.assert_array_equal(make(np.arange(3), subset, 3), make(np.arange(10), subset, 10)[:3])


def test_image_numbers_beyond_the_set_wrap_around():
    np.testing.assert_array_equal(make([3, 5, 11], "b", 4), make([3, 1, 3], "b", 4))


def test_images_come_in_the_order_asked_for_and_depend_on_the_key():
    np.testing.assert_array_equal(make([2, 0], "a", 5), make([0, 1, 2], "a", 5)[[2, 0]])
    other = splits.images(sample, jax.random.key(1), jnp.arange(3), subset="a", set_size=5)
    assert np.abs(other - make([0, 1, 2], "a", 5)).min() > 0


def test_an_unknown_subset_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="a, b, test, got 'train'"):
        make([0], "train", 5)


@pytest.mark.parametrize("set_size", [0, -1, 2**30 + 1])
def test_a_set_size_out_of_range_is_refused(set_size):
    with pytest.raises(ValueError, match="between 1 and 2\\^30"):
        make([0], "a", set_size)
