"""Filters, perfect reconstruction and energy of orthogonal wavelets; cosines against SciPy's transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

from gahr.classical import cosines, wavelets

IMAGES = jax.random.uniform(jax.random.key(0), (2, 24, 16, 2))
EACH = pytest.mark.parametrize("wavelet", wavelets.FILTERS)


@EACH
def test_filters_are_orthogonal_to_their_even_shifts_and_their_high_passes_to_polynomials(wavelet):
    low = np.array(wavelets.FILTERS[wavelet])
    correlation = np.correlate(low, low, "full")[len(low) - 1 :: 2]
    np.testing.assert_allclose(correlation, np.eye(len(correlation))[0], atol=1e-11)
    assert low.sum() == pytest.approx(2**0.5, abs=1e-12)
    high = (-1.0) ** np.arange(len(low)) * low[::-1]
    moments = [high @ np.arange(len(low)) ** q for q in range(len(low) // 2)]
    np.testing.assert_allclose(moments, 0, atol=1e-9)


@EACH
@pytest.mark.parametrize("levels", [None, 0, 3])
def test_analysis_keeps_the_energy_and_synthesis_is_its_inverse_and_transpose(wavelet, levels):
    options = dict(wavelet=wavelet, levels=levels)
    found = wavelets.analysis(IMAGES, **options)
    np.testing.assert_allclose((found**2).sum((1, 2, 3)), (IMAGES**2).sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(wavelets.synthesis(found, **options), IMAGES, atol=1e-5)
    vectors = wavelets.basis((24, 16, 2), **options).reshape(768, -1)
    np.testing.assert_allclose(vectors @ vectors.T, jnp.eye(768), atol=1e-5)
    coefficients = np.sort(vectors @ IMAGES[0].ravel())
    np.testing.assert_allclose(coefficients, np.sort(found[0].ravel()), atol=1e-4)


def test_coefficients_stand_in_mallats_layout():
    image = jnp.array([[1.0, 2, 5, 5], [3, 6, 5, 5]])[..., None]
    found = wavelets.analysis(image, wavelet="haar", levels=1)[..., 0]
    # sums; differences of columns; of rows
    expected = [[6, 10, 2, 0], [3, 0, 1, 0]]
    np.testing.assert_allclose(jnp.abs(found), expected, atol=1e-6)
    assert found[0, 2] * found[1, 0] > 0  # of one sign where both rise


@pytest.mark.parametrize(
    ("wavelet", "expected"),
    [
        ("db2", [4.5962, 5.4928, 6.364, 9.0029, 2.2161, 4.1479, -1.7424, 2.4495]),
        ("sym4", [4.2928, 7.5542, 6.6804, 6.9284, 3.5766, 2.8602, 3.0283, -2.394]),
    ],
)
def test_places_and_signs_are_those_of_pywavelets(wavelet, expected):
    column = jnp.array([1.0, 5, 2, 8, 3, 4, 7, 6])[:, None, None] * jnp.ones((8, 8, 1))
    found = wavelets.analysis(column, wavelet=wavelet, levels=1)[:, 0, 0]  # the sum of the low-pass is the root of 2
    np.testing.assert_allclose(found / 2**0.5, expected, atol=1e-4)  # as pywt.dwt(mode="periodization")


@pytest.mark.parametrize(("wavelet", "degree"), [("haar", 0), ("db2", 1), ("sym4", 3)])
def test_details_of_a_polynomial_are_at_the_border_alone(wavelet, degree):
    ramp = ((jnp.arange(32) / 32) ** degree)[:, None, None] * jnp.ones((32, 32, 1))
    details = jnp.abs(wavelets.analysis(ramp, wavelet=wavelet, levels=1)[16:, :16, 0])
    inside = slice(0, None) if degree == 0 else slice(4, 12)
    assert details[inside].max() < 1e-5
    assert wavelet != "db2" or details.max() > 0.1


def test_the_basis_goes_from_coarse_to_fine():
    vectors = wavelets.basis((16, 32, 1))
    constant = vectors.reshape(512, -1).sum(1) ** 2 / 512  # energy of a constant
    np.testing.assert_allclose(constant[: 4 * 8].sum(), 1, atol=1e-5)
    extent = jnp.abs(vectors[..., 0]).max(2).astype(bool).sum(1) * 1.0
    assert (jnp.abs(vectors) > 1e-6).sum((1, 2, 3))[-384:].max() <= 64  # the finest are 8 x 8
    assert extent[0] == 16


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="did you mean sym4"):
        wavelets.analysis(IMAGES, wavelet="sym")
    for levels in (4, -1):
        with pytest.raises(ValueError, match="levels must be a whole number from 0 to 3"):
            wavelets.basis((24, 16, 2), levels=levels)


def test_cosines_are_those_of_the_discrete_cosine_transform_by_rising_frequency():
    vectors = np.asarray(cosines.basis((6, 4, 2)))
    transformed = scipy.fft.dctn(vectors, axes=(1, 2), norm="ortho").reshape(48, -1)
    places = np.argmax(transformed, 1)  # of cosines along rows and columns, and of the channel
    np.testing.assert_allclose(transformed, np.eye(48)[places], atol=1e-5)
    assert len(set(places)) == 48
    row, column, _ = np.unravel_index(places, (6, 4, 2))
    assert (np.diff(np.hypot(row / 6, column / 4)) >= 0).all()
