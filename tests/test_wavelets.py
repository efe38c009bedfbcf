"""Filters, perfect reconstruction and energy of orthogonal wavelets; cosines against SciPy's transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft

from gahr.analysis.jacobian import jacobian
from gahr.classical import cosines, wavelets
from gahr.classical.filters import FILTERS
from gahr.denoiser import at

IMAGES = jax.random.uniform(jax.random.key(0), (2, 24, 16, 2))
EACH = pytest.mark.parametrize("wavelet", FILTERS)
SOME = pytest.mark.parametrize("wavelet", ["haar", "db2", "db10", "sym4", "coif3"])


@EACH
def test_filters_are_orthogonal_to_their_even_shifts_and_their_high_passes_to_polynomials(wavelet):
    low = FILTERS[wavelet]
    correlation = np.correlate(low, low, "full")[len(low) - 1 :: 2]
    np.testing.assert_allclose(correlation, np.eye(len(correlation))[0], atol=1e-14)
    assert low.sum() == pytest.approx(2**0.5, abs=1e-12)
    high = (-1.0) ** np.arange(len(low)) * low[::-1]
    number = len(low) // (3 if wavelet.startswith("coif") else 2)
    place = np.linspace(-1, 1, len(low))
    np.testing.assert_allclose([high @ place**q for q in range(number)], 0, atol=1e-10)
    assert abs(high @ place**number) > 1e-4 ** (number / 6)


def test_low_passes_of_coiflets_have_vanishing_moments_as_well():
    for n in (1, 2, 3):
        place = (np.arange(6 * n) - (4 * n - 1)) / (6 * n)
        np.testing.assert_allclose([FILTERS[f"coif{n}"] @ place**q for q in range(1, 2 * n)], 0, atol=1e-12)


@SOME
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


def test_reconstruction_is_perfect_in_both_precisions():
    for bits, tolerance in ((32, 1e-6), (64, 1e-12)):
        with jax.enable_x64(bits == 64):
            image = jnp.asarray(np.random.default_rng(0).uniform(size=(32, 64, 1)), f"float{bits}")
            found = wavelets.analysis(image, wavelet="sym5", levels=3)
            assert abs(wavelets.synthesis(found, wavelet="sym5", levels=3) - image).max() < tolerance
            energies = [np.sum(np.asarray(array, np.float64) ** 2) for array in (found, image)]
            assert abs(energies[0] / energies[1] - 1) < tolerance


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
        ("db2", [4.5961941, 5.4927695, 6.363961, 9.0029195, 2.2160547, 4.1479063, -1.742383, 2.4494897]),
        ("db3", [7.0657931, 4.0913763, 7.5733304, 6.7253443, -2.7227482, -2.3966171, 2.161657, -4.1133594]),
        ("sym5", [3.3811546, 7.7853535, 5.8189201, 8.4704159, -2.6585229, -4.1607512, -1.1100189, 0.8582252]),
        ("sym8", [4.1336733, 7.1990981, 6.8428109, 7.2802619, 3.8587499, 2.7530763, 2.7480159, -2.2887742]),
        ("coif1", [4.0244428, 6.1199977, 6.0518288, 9.2595748, -2.2935334, -4.3982156, 1.0965353, -1.4758541]),
        ("coif2", [7.4259583, 3.986927, 7.6601611, 6.3827978, 3.0462776, 2.5244156, -2.1449239, 3.6452986]),
        ("sym4", [4.2927549, 7.5542164, 6.6804314, 6.9284414, 3.5765861, 2.8602005, 3.0282967, -2.3940154]),
    ],
)
def test_places_and_signs_are_those_of_pywavelets(wavelet, expected):
    with jax.enable_x64(True):
        column = jnp.array([1.0, 5, 2, 8, 3, 4, 7, 6])[:, None, None] * jnp.ones((8, 8, 1))
        found = wavelets.analysis(column, wavelet=wavelet, levels=1)[:, 0, 0]  # low-passes sum to the root of 2
        np.testing.assert_allclose(found / 2**0.5, expected, atol=1e-6)  # as pywt.dwt(mode="periodization")


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


def test_bands_are_scales_and_orientations():
    labels = wavelets.bands((16, 32, 1), levels=2)[..., 0]
    np.testing.assert_array_equal(np.bincount(labels.ravel()), [32] * 4 + [128] * 3)
    rows, columns = (jnp.indices((16, 32))[axis] % 2 * 1.0 for axis in (0, 1))
    for image, label in ((columns, 4), (rows, 5), ((rows - 0.5) * (columns - 0.5), 6)):  # the finest waves
        energy = wavelets.analysis(image[..., None], levels=2)[..., 0] ** 2
        assert energy[labels == label].sum() > 0.999 * energy[labels > 0].sum()


def test_denoising_is_a_projection_on_the_coarse_image_and_on_details_above_the_threshold():
    images, sigmas = 0.5 + jax.random.normal(jax.random.key(1), (2, 16, 16, 1)), jnp.array([0.1, 0.4])
    found = jax.jit(wavelets.denoise)(images, sigmas)
    for image, sigma, one in zip(images, sigmas, found, strict=True):
        coefficients = np.array(wavelets.analysis(image))
        small = (abs(coefficients) <= 3 * sigma) & (wavelets.bands(image.shape) > 0)
        np.testing.assert_allclose(one, wavelets.synthesis(jnp.where(small, 0, coefficients)), atol=1e-5)
        assert small.any()
        assert not small.all()
    matrix = jacobian(at(wavelets.denoise, 0.4), images[1])
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-5)
    np.testing.assert_allclose(matrix @ images[1].ravel(), found[1].ravel(), atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="did you mean sym8"):
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
