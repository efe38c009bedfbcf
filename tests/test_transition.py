"""Shares, medians and crossings against planted ones, and the coverage of their intervals."""

import jax
import numpy as np
import pytest
import scipy.stats

from gahr.analysis.transition import Interval, memorization_index, on_grid, transition_point

KEY = jax.random.key(0)
SIZES = np.array([1, 10, 100, 1000, 10000])


def test_memorized_is_what_is_near_a_training_image_and_nearer_than_the_twin():
    nearest = np.array([0.99, 0.99, 0.94, 0.96, 0.95, 0.2, 0.97, 0.98])
    twins = np.array([0.50, 0.995, 0.1, 0.90, 0.10, 0.3, 0.97, 0.2])
    found = memorization_index(nearest, twins)
    assert found.share.value == 3 / 8  # the first, fourth and last
    assert found.nearest.value == pytest.approx(0.965)
    assert found.twin.value == pytest.approx(0.4)
    assert memorization_index(nearest, twins, threshold=0.9).share.value == 5 / 8


@pytest.mark.parametrize("number", [6, 51, 3000])
def test_the_interval_of_a_median_is_the_narrowest_pair_of_order_statistics_that_covers(number):
    ordered = np.arange(1, number + 1) / number
    found = memorization_index(np.random.default_rng(1).permutation(ordered), ordered).nearest
    rank = round(found.low * number)  # of the lower end
    assert found.low + found.high == pytest.approx(1 + 1 / number)
    assert 2 * scipy.stats.binom.cdf(rank - 1, number, 0.5) <= 0.05 < 2 * scipy.stats.binom.cdf(rank, number, 0.5)


@pytest.mark.parametrize(("memorized", "number"), [(0, 20), (7, 20), (20, 20), (300, 1000)])
def test_the_interval_of_a_share_is_wilsons(memorized, number):
    """Its ends p are the two values whose own standard errors z sqrt(p (1 - p) / S) reach the share."""
    nearest = np.where(np.arange(number) < memorized, 0.99, 0.5)
    found = memorization_index(nearest, np.zeros(number), level=0.9).share
    ends, z = np.array([found.low, found.high]), scipy.stats.norm.ppf(0.95)
    assert 0 <= found.low < found.high <= 1
    np.testing.assert_allclose((found.value - ends) ** 2, z**2 * ends * (1 - ends) / number, atol=1e-12)


def planted(lead, *, spread=0.0, number=40):
    """Similarities (K, S) whose medians differ by `lead` (K,)."""
    noise = spread * np.random.default_rng(2).normal(size=(2, len(lead), number))
    return 0.5 + noise[0], 0.5 + np.asarray(lead)[:, None] + noise[1]


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        ([-0.3, -0.2, -0.1, 0.1, 0.2], 10**2.5),
        ([-0.3, -0.2, -0.1, 0.3, 0.2], 10**2.25),
        ([-0.3, -0.2, 0.0, 0.1, 0.2], 100),
        ([-0.1, 0.2, -0.1, 0.1, 0.2], 10**2.5),  # the last crossing counts
        ([0.1, 0.2, 0.1, 0.1, 0.2], 0),
        ([-0.1, 0.2, 0.1, 0.1, -0.2], np.inf),
    ],
)
def test_the_transition_is_where_medians_cross(lead, expected):
    found = transition_point(SIZES, *planted(lead), key=KEY, num_resamples=200)
    np.testing.assert_allclose(found, [expected] * 3, rtol=1e-12)  # without spread the interval has no width


def test_the_transition_does_not_depend_on_the_order_of_the_samples():
    nearest, twins = planted([-0.2, -0.1, -0.05, 0.05, 0.1], spread=0.1)
    pairs = (nearest, twins), (nearest[:, np.random.default_rng(3).permutation(40)], twins)
    found = [transition_point(SIZES, *pair, key=KEY, num_resamples=200) for pair in pairs]
    assert found[0].value == found[1].value
    assert found[0].low < found[0].value < found[0].high


@pytest.mark.parametrize(
    ("point", "ends"),
    [
        ((50, 40, 60), (10, 100)),  # what is known is that it lies between these sizes
        ((50, 5, 300), (1, 1000)),
        ((100, 100, 100), (100, 100)),
        ((0, 0, 3), (0, 10)),
        ((np.inf, 2000, np.inf), (1000, np.inf)),
    ],
)
def test_no_transition_is_known_better_than_the_grid_of_sizes(point, ends):
    assert on_grid(SIZES, Interval(*point)) == (point[0], *ends)


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_the_interval_of_the_transition_covers_it_as_often_as_it_says(level):
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        nearest, twins = rng.normal(size=(2, 2, 40))
        shifted = twins + np.array([[-1], [1]])
        found = transition_point([1, 100], nearest, shifted, key=KEY, level=level, num_resamples=200)
        hits += found.low <= 10 <= found.high
    assert abs(hits / 200 - level) < 4 * np.sqrt(level * (1 - level) / 200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memorization_index(np.ones(5), np.ones(5)), "5 samples are too few .* level 0.95"),
        (lambda: memorization_index(np.ones(8), np.ones(7)), r"both be \(S,\), got \(8,\) and \(7,\)"),
        (lambda: memorization_index(np.full(8, np.nan), np.ones(8)), "NaN"),
        (lambda: memorization_index(np.ones(8), np.ones(8), level=95), "level must be between 0 and 1, got 95"),
        (lambda: transition_point([1, 2], np.ones(2), np.ones(2), key=KEY), r"both be \(K, S\)"),
        (lambda: transition_point([2, 1], np.ones((2, 3)), np.ones((2, 3)), key=KEY), "2 positive .* increase"),
        (lambda: transition_point([0, 1], np.ones((2, 3)), np.ones((2, 3)), key=KEY), "2 positive .* increase"),
        (lambda: transition_point([1], np.ones((2, 3)), np.ones((2, 3)), key=KEY), "2 positive .* increase"),
        (lambda: transition_point([1], np.ones((1, 3)), np.ones((1, 3)), key=KEY, num_resamples=0), "num_resamples"),
    ],
)
def test_bad_similarities_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
