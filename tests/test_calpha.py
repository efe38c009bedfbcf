"""C^alpha images: the statistics of the published generator, closed forms, and the parts of one image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_uniform, each

from gahr.data import calpha

SIDE, NUM = 80, 1000
# of 1000 images: pixel std; in pixels, contour std within an image, mean jump between columns, mean largest jump
STATISTICS = {
    1.0: (0.30, 9.0, 2.56, 7.9),
    2.0: (0.31, 7.0, 0.58, 1.8),
    3.0: (0.32, 6.8, 0.49, 1.3),
    5.0: (0.32, 6.4, 0.45, 1.2),
}


KEYS = jax.random.split(jax.random.key(0), NUM)


def draw(*variants, keys=KEYS):
    """Images (N, SIDE, SIDE) of each variant of the options, of the same keys."""
    return each(lambda key: [calpha.sample(key, size=SIDE, **options)[..., 0] for options in variants], keys)


def test_pixels_have_the_statistics_of_the_published_generator():
    for alpha, images in zip(STATISTICS, draw(*(dict(alpha=alpha) for alpha in STATISTICS)), strict=True):
        means = images.mean((1, 2))
        assert abs(means.mean() - 0.5) < 4 * means.std() / np.sqrt(NUM)  # the law is symmetric about 1/2
        assert images.std() == pytest.approx(STATISTICS[alpha][0], abs=0.015)
        assert images.min() >= 0
        assert images.max() <= 1 + 1e-6


def test_contours_have_the_published_statistics_and_those_of_their_spectrum():
    keys = jax.random.split(jax.random.key(1), 4000)
    contours = each(lambda key: [calpha._contour(key, SIDE, alpha) for alpha in STATISTICS], keys)
    frequency = np.arange(-SIDE // 2, SIDE // 2)
    for alpha, height in zip(STATISTICS, contours, strict=True):
        jumps = np.abs(np.diff(height))
        measured = [height.std(1).mean(), jumps.mean(), jumps.max(1).mean()]
        np.testing.assert_allclose(measured, STATISTICS[alpha][1:], rtol=0.05)
        power = np.where(frequency == 0, 1.0, np.maximum(np.abs(frequency), 1.0) ** (-2.0 * alpha)) * SIDE / 3
        assert height.std() == pytest.approx(np.sqrt(power.sum()), rel=0.025)
        assert height.mean() == pytest.approx(SIDE // 2, abs=4 * np.sqrt(power.sum() / len(height)))
        step = np.sqrt(np.sum(power * 4 * np.sin(np.pi * frequency / SIDE) ** 2))  # rounding keeps E |step|
        assert jumps.mean() == pytest.approx(np.sqrt(2 / np.pi) * step, rel=0.025)


def test_background_power_falls_as_the_frequency_to_minus_two_alpha():
    alphas = (1.0, 2.5)
    drawn = each(lambda key: [calpha._background(key, SIDE, alpha) for alpha in alphas], KEYS)
    for alpha, fields in zip(alphas, drawn, strict=True):
        np.testing.assert_allclose([fields.min((1, 2)), fields.max((1, 2))], [[0] * NUM, [1] * NUM], atol=1e-6)
        power = np.log(np.abs(np.fft.fft2(np.float64(fields))) ** 2)
        for row, column in ((0, 5), (5, 0), (4, 3), (6, 8)):
            ratio = power[:, row, column] - power[:, 0, 1]  # whatever the scale of each field
            expected = -2 * alpha * np.log(np.hypot(row, column))
            assert abs(ratio.mean() - expected) < 4 * ratio.std() / np.sqrt(NUM)


def test_the_mask_is_one_on_and_below_a_contour_of_whole_pixels_and_blurred_in_quarters(monkeypatch):
    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: jnp.ones((size, size)))

    def mask(images):  # 1 where the bright background is, v where the dark one is
        low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
        bright = (images - low) / (high - low)
        return np.where(bright[:, -1:, :1] > 0.5, bright, 1 - bright)

    sharp, blurred = map(mask, draw(dict(alpha=2.0, blur=False), dict(alpha=2.0), keys=KEYS[:20]))
    assert set(np.unique(sharp)) == {0, 1}
    assert np.all(np.diff(sharp, axis=1) >= 0)
    assert (SIDE - sharp.sum(1)).std() == pytest.approx(9.2, rel=0.4)
    assert set(np.round(4 * blurred, 3).ravel()) == {0, 1, 2, 3, 4}
    before = np.abs(np.arange(SIDE) - 1)  # reflection without repeating the edge
    rows = (sharp + sharp[:, before]) / 2
    np.testing.assert_allclose(blurred, (rows + rows[:, :, before]) / 2, atol=1e-5)


def test_a_fair_coin_puts_the_range_from_u_to_1_above_or_below_that_from_0_to_v(monkeypatch):
    """On backgrounds that are 0 at the left and 1 at the right, whose images show coin, u and v exactly."""
    monkeypatch.setattr(
        calpha, "_background", lambda key, size, alpha: jnp.broadcast_to(jnp.arange(size) > 0, (size,) * 2)
    )
    (images,) = draw(dict(alpha=2.0, blur=False))
    above, below = images[:, 0, [0, -1]], images[:, -1, [0, -1]]
    coin = above[:, 1] > below[:, 1]
    (u, one), (zero, v) = np.where(coin, above.T, below.T), np.where(coin, below.T, above.T)
    np.testing.assert_allclose([one, zero], [[1] * NUM, [0] * NUM], atol=1e-6)
    assert_uniform(u)
    assert_uniform(v)
    assert coin.mean() == pytest.approx(0.5, abs=2 / np.sqrt(NUM))
    assert np.abs(np.corrcoef([coin, u, v])[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(NUM)


def test_all_parts_are_drawn_from_different_keys(monkeypatch):
    used = []
    for name in ("uniform", "bernoulli"):
        function = getattr(jax.random, name)
        record = lambda key, *args, draw=function, **kwargs: (used.append(key), draw(key, *args, **kwargs))[1]
        monkeypatch.setattr(jax.random, name, record)

    @jax.jit
    def keys(key):
        calpha.sample(key, size=4, alpha=1.0)
        return jax.random.key_data(jnp.stack(used))

    assert len(np.unique(keys(jax.random.key(0)), axis=0)) == len(used) == 5  # contour, two backgrounds, range, coin


def test_backgrounds_have_the_exponent_of_the_contour_unless_given_and_sides_may_be_odd(monkeypatch):
    drawn = each(lambda key: [calpha.sample(key, size=size, alpha=2.0) for size in (2, 15)], KEYS[:9])
    for size, images in zip((2, 15), drawn, strict=True):
        assert images.shape == (9, size, size, 1)
        assert np.all((images >= 0) & (images <= 1 + 1e-6))
    seen = []
    monkeypatch.setattr(calpha, "_contour", lambda key, size, alpha: seen.append(alpha) or jnp.zeros(size))
    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: seen.append(alpha) or jnp.zeros((size, size)))
    for given in ({}, dict(background_alpha=4.0)):
        jax.eval_shape(functools.partial(calpha.sample, size=4, alpha=2.0, **given), jax.random.key(0))
    assert seen == [2, 2, 2, 2, 4, 4]


def test_impossible_options_are_refused():
    for options, message in (
        (dict(alpha=0.0), "alpha must be positive, got 0"),
        (dict(alpha=-1.0), "alpha must be positive, got -1"),
        (dict(alpha=float("nan")), "alpha must be positive, got nan"),
        (dict(alpha=1.0, background_alpha=0.0), "background_alpha must be positive"),
        (dict(alpha=1.0, size=1), "size must be a whole number from 2, got 1"),
        (dict(alpha="3", size=2), "alpha must be positive, got '3'"),
    ):
        with pytest.raises(ValueError, match=message):
            calpha.sample(jax.random.key(0), **options)
