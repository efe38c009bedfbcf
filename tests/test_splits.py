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


@pytest.mark.parametrize(("num_images", "num_test"), [(100, 10), (101, 10), (3, 1), (50, 48)])
def test_a_finite_set_is_split_into_test_images_and_the_halves_of_the_rest(num_images, num_test):
    split = splits.of_files(num_images, num_test=num_test, seed=0)
    half = (num_images - num_test) // 2
    assert {name: len(numbers) for name, numbers in split.items()} == {"a": half, "b": half, "test": num_test}
    together = np.concatenate(list(split.values()))
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(num_images))


def test_halves_are_counted_from_the_ends_of_the_order():
    split = splits.of_files(11, num_test=2, seed=0, shuffle=False)
    assert {name: numbers.tolist() for name, numbers in split.items()} == {
        "test": [0, 1],
        "a": [2, 3, 4, 5],
        "b": [10, 9, 8, 7],
    }


def test_the_seed_alone_chooses_the_order():
    one, same, other = (splits.of_files(1000, num_test=100, seed=seed)["a"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.mean(one == other) < 0.05
    assert abs(one.mean() - 499.5) < 5 * 289 / np.sqrt(450)  # not sorted by number: five standard errors


@pytest.mark.parametrize("shuffle", [True, False])
def test_no_group_is_in_two_subsets_and_halves_are_near_equal(shuffle):
    sizes = np.r_[20, 20, 10, 10, 5, 5, 3, np.ones(60, int)]
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = splits.of_files(len(groups), num_test=25, seed=0, groups=groups, shuffle=shuffle)
    assert sorted(np.concatenate(list(split.values()))) == list(range(len(groups)))
    seen = [set(groups[numbers]) for numbers in split.values()]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert len(split["test"]) == 25
    assert abs(len(split["a"]) - len(split["b"])) <= 1
    if shuffle:  # a small set is of many groups, not of the largest first
        assert len(set(groups[split["a"][:20]])) > 5
    else:
        assert np.all(np.diff(split["a"]) > 0)
        assert np.all(np.diff(split["b"]) < 0)


def test_names_serve_as_groups():
    names = np.array(["ann", "bob", "cem", "dee"]).repeat(5)
    split = splits.of_files(20, num_test=5, seed=0, groups=names)
    assert sum(len(set(names[numbers])) for numbers in split.values()) == 4
    assert len(split["test"]) == 5


@pytest.mark.parametrize("num_test", [0, 9, 10])
def test_a_test_set_that_leaves_nothing_is_refused(num_test):
    with pytest.raises(ValueError, match=f"num_test must be from 1 to 8, got {num_test}"):
        splits.of_files(10, num_test=num_test, seed=0)


def test_groups_that_cannot_be_dealt_out_are_refused():
    with pytest.raises(ValueError, match="too few or too large for num_test = 3: no image for test"):
        splits.of_files(20, num_test=3, seed=0, groups=np.repeat(np.arange(4), 5))
    with pytest.raises(ValueError, match="no image for b"):
        splits.of_files(20, num_test=10, seed=0, groups=np.repeat([0, 1], 10))
