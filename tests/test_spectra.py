"""Power spectra of waves and of fields whose spectra are known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.classical import rates, shrinkage, spectra, transforms


def fields(number, size, slope, key=0, **options):
    one = functools.partial(spectra.field, size=size, slope=slope, **options)
    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(key), number))


def test_power_without_a_window_is_the_variance_at_the_frequencies_of_waves():
    row, column = np.indices((32, 32)) * 2 * np.pi / 32
    waves = jnp.asarray(np.stack([3 + np.cos(5 * column), 2 * np.cos(7 * row)])[..., None], jnp.float32)
    found = np.asarray(spectra.power(waves, window=None))
    np.testing.assert_allclose(found.mean((1, 2)), [0.5, 2], rtol=1e-5)
    assert found[0, 0, 5] + found[0, 0, -5] == pytest.approx(512, rel=1e-4)
    for angle, heights in ((0, [512, 0]), (90, [0, 2048]), (45, [0, 0])):
        rings = spectra.radial(found, angle=angle)
        members = np.array([np.nansum(rings[0, 5]), np.nansum(rings[1, 7])])
        assert np.all((members > 1) == (np.array(heights) > 0))
    rings = spectra.radial(found)
    count = np.bincount(np.round(np.hypot(*np.meshgrid(*[np.fft.fftfreq(32, 1 / 32)] * 2))).astype(int).ravel())
    np.testing.assert_allclose(rings[0] * count[:16], 512 * np.eye(16)[5], atol=1e-2)


def test_the_window_keeps_the_power_of_noise_and_takes_constants_and_borders_away():
    noise = 0.5 + 0.1 * jax.random.normal(jax.random.key(0), (100, 32, 32, 1))
    assert float(spectra.power(noise).mean()) == pytest.approx(0.01, rel=0.02)
    np.testing.assert_allclose(spectra.power(0.7 * jnp.ones((1, 32, 32, 1))), 0, atol=1e-8)
    ramp = jnp.asarray(np.indices((32, 32))[1] / 32.0, jnp.float32)[None, ..., None]
    far = [float(spectra.power(ramp, window=window)[0, 0, 8:16].sum()) for window in ("hann", None)]
    assert far[0] < 1e-3 * far[1]


@pytest.mark.parametrize("slope", [-2.0, -2.4, -3.0])
def test_slopes_of_fields_are_found(slope):
    """Within 0.05 at 128 pixels, 0.15 at 64, from crops, whose borders do not meet."""
    for size, tolerance in ((64, 0.15), (128, 0.05)):
        found = spectra.fit_slope(spectra.radial(spectra.power(fields(60, size, slope))))
        assert float(found.slope) == pytest.approx(slope, abs=tolerance)
        assert found.each.shape == (60,)
        assert float(found.each.mean()) == pytest.approx(slope, abs=2 * tolerance)


def test_intervals_are_as_wide_as_slopes_of_sets_differ():
    rings = spectra.radial(spectra.power(fields(320, 32, -2.0)))
    found = [spectra.fit_slope(part) for part in rings.reshape(40, 8, -1)]
    spread = np.std([one.slope for one in found], ddof=1)
    widths = np.sqrt(np.mean([(one.interval[1] - one.interval[0]) ** 2 for one in found])) / 2
    assert 0.7 < widths / (1.96 * spread) < 1.4


def test_an_exact_power_law_has_its_slope_and_amplitude_in_each_direction():
    frequency = np.fft.fftfreq(64, 1 / 64)
    row, column = frequency[:, None], frequency[None]
    ring = np.maximum(np.round(np.hypot(row, column)), 1)
    power = np.where(abs(row) > abs(column), 5 * ring**-3, 2 * ring**-2)
    power = jnp.asarray(np.stack([power, 3 * power]), jnp.float32)
    for angle, slope, amplitude in ((0, -2, 4), (90, -3, 10)):
        found = spectra.fit_slope(spectra.radial(power, angle=angle), between=(2, 25))
        assert float(found.slope) == pytest.approx(slope, abs=0.05)
        np.testing.assert_allclose(found.each, slope, atol=0.05)
        assert float(jnp.exp(found.log_amplitude)) == pytest.approx(amplitude, rel=0.2)


def test_signatures_see_the_direction_of_contours():
    """Fields stretched along their rows: less power at high frequency across columns."""
    images = fields(40, 64, -2.0)
    smooth = sum(jnp.roll(images, shift, 2) for shift in range(5)) / 5
    found = {angle: float(slope.slope) for angle, slope in spectra.signature(smooth).items()}
    assert found[0] < found[90] - 0.5
    assert found[45] == pytest.approx(found[135], abs=0.3)


def test_fields_have_variance_one_and_continue_over_the_border_where_they_are_not_cropped():
    for slope in (0.0, -2.0):
        assert float(jnp.mean(fields(200, 32, slope, crop=False) ** 2)) == pytest.approx(1, rel=0.1)
    whole, part = fields(50, 32, -3.0, crop=False), fields(50, 32, -3.0)
    across = [float(jnp.mean((image[:, 0] - image[:, -1]) ** 2)) for image in (whole, part)]
    assert across[0] < 0.2 * across[1]


def test_the_stationary_wiener_filter_has_the_error_of_its_spectrum():
    """And none that treats all places alike has less: not with the spectrum of other images."""
    clean, sigma = fields(400, 16, -2.0, crop=False), 0.5
    spectrum = spectra.stationary_spectrum(clean)
    noisy = clean + sigma * jax.random.normal(jax.random.key(1), clean.shape)
    mse = lambda spectrum: float(
        jnp.mean((shrinkage.wiener(transforms.fourier(), spectrum)(noisy, sigma) - clean) ** 2)
    )
    expected = float(rates.oracle_error(spectrum.ravel(), sigma)) / 256
    assert mse(spectrum) == pytest.approx(expected, rel=0.02)
    assert mse(spectra.stationary_spectrum(fields(400, 16, -1.0, crop=False))) > 1.02 * expected


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="square images"):
        spectra.power(jnp.zeros((2, 8, 9, 1)))
    with pytest.raises(ValueError, match="window must be hann or None, got 'hamming'"):
        spectra.power(jnp.zeros((2, 8, 8, 1)), window="hamming")
    with pytest.raises(ValueError, match="between must be a range of three bins"):
        spectra.fit_slope(jnp.ones((2, 32)), between=(4, 5))
    with pytest.raises(ValueError, match="the number of images must be at least 2"):
        spectra.fit_slope(jnp.ones((1, 32)))
