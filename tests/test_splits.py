"""Disjoint, nested subsets of an endless image set, and of a finite one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.data import splits

KEY = jax.random.key(0)


def sample(key):
    return jax.random.uniform(key, (2, 2, 1))


def make(index, subset):
    return np.asarray(splits.images(sample, KEY, jnp.asarray(index), splits.STARTS[subset]))


def test_the_three_subsets_share_no_image():
    images = np.concatenate([make(np.arange(500), subset) for subset in ("a", "b", "test")])
    assert len(np.unique(images.reshape(1500, -1), axis=0)) == 1500


def test_the_largest_subset_ends_before_the_next_begins():
    last = make([2**30 - 1], "a")
    assert not np.array_equal(last, make([0], "b"))
    assert not np.array_equal(make([2**30 - 1], "b"), make([0], "test"))
    np.testing.assert_array_equal(last[0], sample(jax.random.fold_in(KEY, 2**30 - 1)))


def test_sets_are_nested_and_come_in_the_order_asked_for():
    for subset in ("a", "b", "test"):
        larger = make(np.arange(10), subset)
        np.testing.assert_array_equal(make([0, 1, 2], subset), larger[:3])
        np.testing.assert_array_equal(make([2, 0, 1], subset), larger[[2, 0, 1]])
    other = splits.images(sample, jax.random.key(1), jnp.arange(10), splits.STARTS["test"])
    assert np.abs(other - larger).min() > 0


def test_halves_are_counted_from_the_ends_of_the_order_that_the_key_chooses():
    ordered, whole, odd = (splits.of_files(11, num_test=test, key=KEY, shuffle=False) for test in (2, 9, 3))
    expected = {"test": [0, 1], "a": [2, 3, 4, 5], "b": [10, 9, 8, 7]}
    assert {name: numbers.tolist() for name, numbers in ordered.items()} == expected
    assert [len(numbers) for numbers in (*whole.values(), *odd.values())] == [1, 1, 9, 4, 4, 3]
    one, same, other = (splits.of_files(1000, num_test=100, key=jax.random.key(seed)) for seed in (1, 1, 2))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert sorted(np.concatenate(list(one.values()))) == list(range(1000))
    assert np.mean(one["a"] == other["a"]) < 0.05
    assert abs(one["a"].mean() - 499.5) < 5 * 289 / np.sqrt(450)  # not sorted by number: five standard errors


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_in_two_subsets_and_halves_are_near_equal(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 10, rng.integers(6, 20))
    groups = rng.permutation(np.repeat([f"person {i}" for i in range(len(sizes))], sizes))
    num_test = rng.integers(9, max(10, sizes.sum() - 18))  # so that two groups at least are left
    split = splits.of_files(len(groups), num_test=num_test, key=KEY, groups=groups, shuffle=False)
    assert sorted(np.concatenate(list(split.values()))) == list(range(len(groups)))
    assert sum(len(set(groups[numbers])) for numbers in split.values()) == len(sizes)
    assert num_test - 9 < len(split["test"]) <= num_test
    assert abs(len(split["a"]) - len(split["b"])) <= max(sizes)
    assert np.all(np.diff(split["a"]) > 0)
    assert np.all(np.diff(split["b"]) < 0)


def test_random_groups_fill_the_test_set_and_small_sets_are_of_many_groups():
    sizes = np.r_[20, 20, 10, 10, 5, 5, 3, np.ones(60, int)]
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = splits.of_files(len(groups), num_test=25, key=KEY, groups=groups)
    assert sum(len(set(groups[numbers])) for numbers in split.values()) == len(sizes)
    assert len(split["test"]) == 25
    assert abs(len(split["a"]) - len(split["b"])) <= 1
    assert len(set(groups[split["a"][:20]])) > 5


def test_splits_that_leave_a_subset_empty_are_refused():
    for num_images, num_test, group_size, message in (
        (10, 0, 1, "num_test must be a whole number from 1 to 8, got 0"),
        (10, 9, 1, "num_test must be a whole number from 1 to 8, got 9"),
        (20, 3, 5, "too few or too large for num_test = 3: no image for test"),
        (20, 10, 10, "no image for b"),
    ):
        groups = np.arange(num_images) // group_size
        with pytest.raises(ValueError, match=message):
            splits.of_files(num_images, num_test=num_test, key=KEY, groups=groups, shuffle=False)
