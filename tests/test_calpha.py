"""C^alpha images: the statistics of the published generator, closed forms, and the parts of one image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.data import calpha

SIDE, NUM = 80, 1000
# of 1000 images: pixel std; in pixels, contour std within an image, mean jump between columns, mean largest jump
STATISTICS = {
    1: (0.30, 9.0, 2.56, 7.9),
    2: (0.31, 7.0, 0.58, 1.8),
    3: (0.32, 6.8, 0.49, 1.3),
    5: (0.32, 6.4, 0.45, 1.2),
}


def draw(number, **options):
    keys = jax.random.split(jax.random.key(0), number)
    return np.asarray(jax.jit(jax.vmap(functools.partial(calpha.sample, **options)))(keys))[..., 0]


def contours(alpha, number=4000):
    keys = jax.random.split(jax.random.key(1), number)
    return np.asarray(jax.jit(jax.vmap(lambda key: calpha._contour(key, SIDE, alpha)))(keys))


@pytest.fixture
def flat_backgrounds(monkeypatch):
    """Backgrounds equal to 1 everywhere: an image is then 1 where the bright one is, v where the dark one is."""
    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: jnp.ones((size, size)))


def masks(**options):
    """The masks (number, size, size) of images of flat backgrounds, 1 in the last row."""
    images = draw(20, **options)
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    bright = (images - low) / (high - low)
    return np.where(bright[:, -1:, :1] > 0.5, bright, 1 - bright)


@pytest.mark.parametrize("alpha", STATISTICS)
def test_pixels_have_the_statistics_of_the_published_generator(alpha):
    images = draw(NUM, size=SIDE, alpha=float(alpha))
    means = images.mean((1, 2))
    assert abs(means.mean() - 0.5) < 4 * means.std() / np.sqrt(NUM)  # the law is symmetric about 1/2
    assert images.std() == pytest.approx(STATISTICS[alpha][0], abs=0.015)
    assert images.min() >= 0
    assert images.max() <= 1 + 1e-6


@pytest.mark.parametrize("alpha", STATISTICS)
def test_contours_have_the_statistics_of_the_published_generator(alpha):
    height = contours(float(alpha))
    jumps = np.abs(np.diff(height))
    measured = [height.std(1).mean(), jumps.mean(), jumps.max(1).mean()]
    np.testing.assert_allclose(measured, STATISTICS[alpha][1:], rtol=0.05)


@pytest.mark.parametrize("alpha", STATISTICS)
def test_contour_variance_and_steps_follow_from_its_spectrum(alpha):
    frequency = np.arange(-SIDE // 2, SIDE // 2)
    power = np.where(frequency == 0, 1.0, np.maximum(np.abs(frequency), 1.0) ** (-2.0 * alpha)) * SIDE / 3
    height = contours(float(alpha))
    assert height.std() == pytest.approx(np.sqrt(power.sum()), rel=0.025)
    assert height.mean() == pytest.approx(SIDE // 2, abs=4 * np.sqrt(power.sum() / len(height)))
    step = np.sqrt(np.sum(power * 4 * np.sin(np.pi * frequency / SIDE) ** 2))  # rounding keeps E |step|
    assert np.abs(np.diff(height)).mean() == pytest.approx(np.sqrt(2 / np.pi) * step, rel=0.025)


@pytest.mark.parametrize("alpha", [1.0, 2.5])
def test_background_power_falls_as_the_frequency_to_minus_two_alpha(alpha):
    keys = jax.random.split(jax.random.key(2), NUM)
    fields = np.asarray(jax.jit(jax.vmap(lambda key: calpha._background(key, SIDE, alpha)))(keys), np.float64)
    np.testing.assert_allclose([fields.min((1, 2)), fields.max((1, 2))], [[0] * NUM, [1] * NUM], atol=1e-6)
    power = np.log(np.abs(np.fft.fft2(fields)) ** 2)
    for row, column in ((0, 5), (5, 0), (4, 3), (6, 8)):
        ratio = power[:, row, column] - power[:, 0, 1]  # whatever the scale of each field
        expected = -2 * alpha * np.log(np.hypot(row, column))
        assert abs(ratio.mean() - expected) < 4 * ratio.std() / np.sqrt(NUM)


@pytest.mark.usefixtures("flat_backgrounds")
def test_mask_is_one_on_and_below_a_contour_of_whole_pixels():
    sharp = masks(size=SIDE, alpha=2.0, blur=False)
    assert set(np.unique(sharp)) == {0, 1}
    assert np.all(np.diff(sharp, axis=1) >= 0)
    height = SIDE - sharp.sum(1)
    assert height.std() == pytest.approx(9.2, rel=0.4)


@pytest.mark.usefixtures("flat_backgrounds")
def test_blurred_mask_is_the_mean_over_two_by_two_pixels_in_quarters():
    sharp, blurred = masks(size=SIDE, alpha=2.0, blur=False), masks(size=SIDE, alpha=2.0)
    assert set(np.round(4 * blurred, 3).ravel()) == {0, 1, 2, 3, 4}
    before = np.abs(np.arange(SIDE) - 1)  # reflection without repeating the edge
    rows = (sharp + sharp[:, before]) / 2
    np.testing.assert_allclose(blurred, (rows + rows[:, :, before]) / 2, atol=1e-5)


@pytest.mark.usefixtures("flat_backgrounds")
def test_the_bright_background_lies_above_the_contour_for_half_of_the_images():
    images = draw(NUM, size=SIDE, alpha=2.0, blur=False)
    above, below = images[:, 0, 0], images[:, -1, 0]
    np.testing.assert_allclose(np.maximum(above, below), 1, atol=1e-6)
    assert np.mean(above > below) == pytest.approx(0.5, abs=2 / np.sqrt(NUM))
    dark = np.sort(np.minimum(above, below))  # v, uniform: Kolmogorov-Smirnov, 0.1 %
    assert np.abs(dark - (np.arange(NUM) + 0.5) / NUM).max() < 1.95 / np.sqrt(NUM)


def test_bright_background_starts_at_a_uniform_level(monkeypatch):
    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: jnp.zeros((size, size)))
    images = draw(NUM, size=16, alpha=2.0, blur=False)  # 0 where the dark background is, u where the bright one is
    assert np.all(images.min((1, 2)) == 0)
    bright = np.sort(images.max((1, 2)))
    assert np.abs(bright - (np.arange(NUM) + 0.5) / NUM).max() < 1.95 / np.sqrt(NUM)


def test_contour_and_backgrounds_are_drawn_from_different_keys(monkeypatch):
    keys = []

    def record(key, size):
        keys.append(tuple(jax.random.key_data(key).tolist()))
        return size

    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: jnp.zeros((record(key, size), size)))
    monkeypatch.setattr(calpha, "_contour", lambda key, size, alpha: jnp.zeros(record(key, size)))
    calpha.sample(jax.random.key(0), size=4, alpha=1.0)
    assert len(keys) == len(set(keys)) == 3


def test_contour_does_not_depend_on_the_exponent_of_the_backgrounds(monkeypatch):
    monkeypatch.setattr(calpha, "_background", lambda key, size, alpha: jnp.full((size, size), 1 / alpha))
    rough, smooth = (draw(20, size=32, alpha=2.0, background_alpha=beta, blur=False) for beta in (1.0, 4.0))
    other = draw(20, size=32, alpha=5.0, background_alpha=1.0, blur=False)

    def edges(images):
        return np.abs(np.diff(images, axis=1)) > 1e-6

    assert not np.array_equal(rough, smooth)
    np.testing.assert_array_equal(edges(rough), edges(smooth))
    assert not np.array_equal(edges(rough), edges(other))


def test_backgrounds_take_the_exponent_of_the_contour_unless_given():
    default = draw(3, size=16, alpha=2.0)
    np.testing.assert_array_equal(default, draw(3, size=16, alpha=2.0, background_alpha=2.0))
    assert np.abs(default - draw(3, size=16, alpha=2.0, background_alpha=4.0)).max() > 0.01


def test_an_image_of_a_batch_is_the_image_of_its_key():
    batch = draw(5, size=16, alpha=3.0)
    single = jax.jit(functools.partial(calpha.sample, size=16, alpha=3.0))
    for image, key in zip(batch, jax.random.split(jax.random.key(0), 5), strict=True):
        np.testing.assert_allclose(image, single(key)[..., 0], atol=1e-5)
    assert np.abs(np.diff(batch, axis=0)).max((1, 2)).min() > 0.05


@pytest.mark.parametrize("size", [2, 15, 81])
def test_any_side_from_two_pixels_gives_an_image_in_the_unit_range(size):
    image = calpha.sample(jax.random.key(3), size=size, alpha=2.0)
    assert image.shape == (size, size, 1)
    assert image.dtype == jnp.float32
    assert jnp.all((image >= 0) & (image <= 1 + 1e-6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(alpha=0.0), "alpha must be positive, got 0"),
        (dict(alpha=-1.0), "alpha must be positive, got -1"),
        (dict(alpha=float("nan")), "alpha must be positive, got nan"),
        (dict(alpha=1.0, background_alpha=0.0), "background_alpha must be positive"),
        (dict(alpha=1.0, size=1), "size must be at least 2, got 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        calpha.sample(jax.random.key(0), **options)
