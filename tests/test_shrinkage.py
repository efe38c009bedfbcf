"""Shrinkage in orthonormal bases against its formulas, and the errors of power laws against their constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis.geometry import oracle_mse, threshold_mse
from gahr.analysis.jacobian import jacobian
from gahr.classical import cosines, rates, shrinkage, transforms, wavelets
from gahr.denoiser import at

SHAPE, DIMENSION = (8, 16, 1), 128
CLEAN = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE) * np.geomspace(2, 0.01, 16)[None, :, None], "float32")
NOISY = CLEAN[None] + 0.3 * jax.random.normal(jax.random.key(1), (3, *SHAPE))
BASIS = jnp.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSION, DIMENSION)))[0], "float32")
TRANSFORMS = {
    "pixels": transforms.pixels(),
    "fourier": transforms.fourier(),
    "cosines": transforms.cosines(),
    "wavelets": transforms.wavelets(levels=2),
    "vectors": transforms.vectors(BASIS.reshape(DIMENSION, *SHAPE)),
}
EACH = pytest.mark.parametrize("name", TRANSFORMS)
denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))


@EACH
def test_transforms_are_orthonormal_bases(name):
    analysis, synthesis = TRANSFORMS[name]
    rows = np.reshape(analysis(jnp.eye(DIMENSION).reshape(-1, *SHAPE)), (DIMENSION, DIMENSION))
    np.testing.assert_allclose(rows @ rows.T, np.eye(DIMENSION), atol=1e-5)
    np.testing.assert_allclose(synthesis(analysis(NOISY)), NOISY, atol=1e-5)
    assert analysis(NOISY).ndim == 4


def test_coefficients_are_of_the_frequency_of_their_place():
    row, column = jnp.indices((8, 16)) * 2 * jnp.pi
    for phase in (0.0, 1.0):
        wave = jnp.cos(2 * row / 8 + 3 * column / 16 + phase)[..., None]
        energy = np.square(transforms.fourier().analysis(wave)[..., 0])
        np.testing.assert_allclose(energy[2, 3] + energy[-2, -3], DIMENSION / 2, rtol=1e-4)
    sorted_ = np.sort(np.abs(cosines.basis(SHAPE).reshape(DIMENSION, -1) @ CLEAN.ravel()))
    found = np.sort(np.abs(transforms.cosines().analysis(CLEAN).ravel()))
    np.testing.assert_allclose(found, sorted_, atol=1e-4)


@EACH
def test_the_errors_of_the_oracles_are_those_of_their_formulas(name):
    """The mean error over noise is linear in the noise's square: from D at the image, and from the Jacobian."""
    transform, sigma = TRANSFORMS[name], 0.3
    vectors = transform.synthesis(jnp.eye(DIMENSION).reshape(DIMENSION, *transform.analysis(CLEAN).shape))
    for make, error, formula in (
        (shrinkage.oracle, rates.oracle_error, oracle_mse),
        (shrinkage.projection_oracle, rates.projection_error, threshold_mse),
    ):
        denoiser = at(make(transform, CLEAN), sigma)
        matrix = jacobian(denoiser, CLEAN)
        expected = jnp.sum((denoiser(CLEAN) - CLEAN) ** 2) + sigma**2 * jnp.sum(matrix**2)
        np.testing.assert_allclose(error(transform.analysis(CLEAN).ravel() ** 2, sigma), expected, rtol=1e-4)
        np.testing.assert_allclose(formula(vectors, CLEAN, sigma=sigma) * DIMENSION, expected, rtol=1e-4)


def test_oracles_and_wiener_filters_take_a_sigma_and_an_image_each():
    sigmas = jnp.array([0.1, 0.3, 1.0])
    for name, transform in TRANSFORMS.items():
        for make in (shrinkage.oracle, shrinkage.projection_oracle):
            found = denoise(make(transform, NOISY), NOISY, sigmas)
            for clean, noisy, sigma, one in zip(NOISY, NOISY, sigmas, found, strict=True):
                np.testing.assert_allclose(make(transform, clean)(noisy, sigma), one, atol=1e-5, err_msg=name)


def test_a_wiener_filter_of_a_power_spectrum_multiplies_the_fourier_transform():
    power = np.random.default_rng(2).uniform(size=SHAPE)
    power = power + np.roll(power[::-1, ::-1], (1, 1), (0, 1))  # of k and -k alike, as of real images
    mean = 0.5 * jnp.ones(SHAPE)
    found = shrinkage.wiener(transforms.fourier(), jnp.asarray(power, jnp.float32), mean=mean)(NOISY, 0.4)
    gains = power / (power + 0.16)
    for noisy, one in zip(np.asarray(NOISY), found, strict=True):
        expected = np.fft.ifft2(gains * np.fft.fft2(noisy - 0.5, axes=(0, 1)), axes=(0, 1)).real + 0.5
        np.testing.assert_allclose(one, expected, atol=1e-5)
    none = shrinkage.wiener(transforms.pixels(), jnp.zeros(SHAPE))(NOISY, 0.0)
    np.testing.assert_array_equal(none, jnp.zeros_like(NOISY))


def test_a_wiener_filter_of_a_covariance_is_the_matrix_formula():
    factor = np.random.default_rng(4).normal(size=(DIMENSION, 60)) / 8  # of rank 60
    covariance, mean = factor @ factor.T, np.full(SHAPE, 0.5)
    denoiser = shrinkage.wiener_of_covariance(jnp.asarray(covariance, jnp.float32), jnp.asarray(mean, jnp.float32))
    gain = np.linalg.solve(covariance + 0.09 * np.eye(DIMENSION), covariance)
    expected = (np.reshape(NOISY, (3, -1)) - 0.5) @ gain + 0.5
    np.testing.assert_allclose(np.reshape(denoise(denoiser, NOISY, 0.3), (3, -1)), expected, atol=1e-4)


def test_thresholds_in_a_jacobians_eigenbasis_are_those_of_a_matrix():
    rows, sigma = np.asarray(BASIS), 0.3
    coefficients = np.reshape(NOISY, (3, -1)) @ rows.T
    kept = np.where(abs(coefficients) > 3 * sigma, coefficients, 0)
    shrunk = np.sign(coefficients) * np.maximum(abs(coefficients) - 3 * sigma, 0)
    for make, expected in ((shrinkage.hard, kept), (shrinkage.soft, shrunk)):
        found = denoise(make(TRANSFORMS["vectors"]), NOISY, sigma)
        np.testing.assert_allclose(np.reshape(found, (3, -1)), expected @ rows, atol=1e-4)
    matrix = jacobian(at(shrinkage.hard(TRANSFORMS["vectors"]), sigma), NOISY[0])
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-5)
    assert round(float(jnp.trace(matrix))) == (kept[0] != 0).sum()


def test_thresholds_of_bands_are_bayes_and_steins():
    """In two bands of pixels, and one that is kept, against loops over all thresholds."""
    bands = np.repeat([0, 1, 2, 2], 4)[None, :, None]
    sigmas = jnp.array([0.3, 0.1, 1.0])
    results = {make: denoise(make(transforms.pixels(), bands=bands), NOISY, sigmas) for make in
               (shrinkage.bayes, shrinkage.sure, shrinkage.hard, shrinkage.soft)}  # fmt: skip
    for found in results.values():
        np.testing.assert_array_equal(found[:, :, :4], NOISY[:, :, :4])
        assert (found[:, :, 8:] != NOISY[:, :, 8:]).any()
    for i, sigma in enumerate(sigmas):
        for part in (slice(4, 8), slice(8, 16)):
            values = np.asarray(NOISY[i, :, part, 0])
            soften = lambda threshold, values=values: np.sign(values) * np.maximum(abs(values) - threshold, 0)
            signal = np.mean(values**2) - sigma**2
            bayes = soften(sigma**2 / np.sqrt(signal)) if signal > 0 else 0 * values
            np.testing.assert_allclose(results[shrinkage.bayes][i, :, part, 0], bayes, atol=1e-5)

            def risk(threshold, values=values, sigma=sigma):
                within = abs(values) <= threshold
                return np.where(within, values**2 - 2 * sigma**2, threshold**2).sum()

            allowed = [t for t in (0, *abs(values).ravel()) if t <= sigma * shrinkage.universal(values.size)]
            best = min(allowed, key=risk)
            np.testing.assert_allclose(results[shrinkage.sure][i, :, part, 0], soften(best), atol=1e-5)


def test_steins_estimate_is_not_taken_beyond_the_universal_threshold():
    """Of 64 values whose squares grow so that the estimate falls up to the largest, above (2 ln 64)^0.5 = 2.88."""
    squares = 8.7 - np.cumsum(1.85 / np.maximum(np.arange(64), 1)) + 1.85
    noisy = jnp.asarray(np.sqrt(np.maximum(squares, 0)).reshape(8, 8, 1), jnp.float32)
    found = denoise(shrinkage.sure(transforms.pixels()), noisy, 1.0)
    expected = jnp.zeros((8, 8, 1)).at[0, 0, 0].set(8.7**0.5 - 6.85**0.5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_steins_estimate_chooses_no_worse_than_fixed_thresholds():
    """On 4096 coefficients, one in ten of them large, the error is within 2 % of the best soft threshold's."""
    keys = jax.random.split(jax.random.key(3), 3)
    clean = 3 * jax.random.normal(keys[0], (64, 64, 1)) * jax.random.bernoulli(keys[1], 0.1, (64, 64, 1))
    noisy = clean + jax.random.normal(keys[2], clean.shape)
    mse = lambda denoiser: float(jnp.mean((denoise(denoiser, noisy, 1.0) - clean) ** 2))
    best = min(mse(shrinkage.soft(transforms.pixels(), factor=factor)) for factor in np.linspace(0, 4, 21))
    assert mse(shrinkage.sure(transforms.pixels())) < 1.02 * best
    assert mse(shrinkage.bayes(transforms.pixels())) < 1.3 * best


def test_cycle_spinning_over_all_shifts_commutes_with_shifts():
    plain = shrinkage.hard(transforms.wavelets(wavelet="haar", levels=2), bands=wavelets.bands(SHAPE, levels=2))
    spun = shrinkage.cycle_spin(plain, shifts=tuple((i, j) for i in range(4) for j in range(4)))
    found, moved = (denoise(spun, jnp.roll(NOISY, shift, 2), 0.3) for shift in (0, 1))
    np.testing.assert_allclose(jnp.roll(found, 1, 2), moved, atol=1e-5)
    alone = denoise(plain, NOISY, 0.3)
    by_hand = (alone + jnp.roll(denoise(plain, jnp.roll(NOISY, (1, 3), (1, 2)), 0.3), (-1, -3), (1, 2))) / 2
    twice = denoise(shrinkage.cycle_spin(plain, shifts=((0, 0), (1, 3))), NOISY, 0.3)
    np.testing.assert_allclose(twice, by_hand, atol=1e-5)


@pytest.mark.parametrize(("alpha", "constant"), [(0.5, 2.4184), (1, 1.5708), (2, 1.2092), (3, 1.11072), (5, 1.0472)])
def test_the_constants_of_power_laws(alpha, constant):
    assert rates.oracle_constant(alpha) == pytest.approx(constant, abs=1e-5)
    amplitude, sigma = 0.7, 1e-2
    energy = amplitude * np.arange(1.0, 1e6) ** -(alpha + 1)
    variance, tail = sigma**2, amplitude / (alpha * 1e6**alpha)  # beyond the sum energies are far below the noise
    total = np.sum(variance * energy / (variance + energy)) + tail
    assert total == pytest.approx(float(rates.power_law_error(sigma, alpha=alpha, amplitude=amplitude)), rel=2e-4)
    chosen = np.sum(np.minimum(energy, variance)) + tail
    leading = rates.projection_constant(alpha) * amplitude ** (1 / (alpha + 1)) * variance ** (alpha / (alpha + 1))
    assert chosen == pytest.approx(leading, abs=variance)


def test_slopes_of_power_laws_in_finite_dimension():
    """The limit alpha / (alpha + 1) is reached between the largest and the smallest energy alone."""
    sigmas = jnp.sqrt(jnp.array([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]))
    for alpha, expected in ((1, [0.50, 0.52, 0.57, 0.72, 0.93, 0.99]), (2, [0.654, 0.661, 0.664, 0.667, 0.672, 0.695])):
        energy = jnp.asarray(rates.power_law(1600, alpha=alpha))
        assert energy.mean() == pytest.approx(1, rel=1e-5)
        np.testing.assert_allclose(rates.oracle_slope(energy, sigmas), expected, atol=6e-3)
        errors = rates.oracle_error(energy, sigmas * 1.01) / rates.oracle_error(energy, sigmas / 1.01)
        steps = jnp.log(errors) / (4 * np.log(1.01))
        np.testing.assert_allclose(steps, rates.oracle_slope(energy, sigmas), atol=2e-3)


def test_the_error_of_an_inverse_square_spectrum_is_a_logarithm():
    rows, columns = np.meshgrid(np.arange(-200, 201), np.arange(-200, 201))
    square = (rows**2 + columns**2)[(rows**2 + columns**2 < 200**2) & (rows**2 + columns**2 > 0)]
    for amplitude, sigma in ((50.0, 0.5), (50.0, 0.05)):
        found = rates.oracle_error(jnp.asarray(amplitude / square, jnp.float32), sigma)
        expected = rates.inverse_square_error(sigma, amplitude=amplitude, limit=200.0)
        np.testing.assert_allclose(found + sigma**2, expected, rtol=5e-3)
    assert rates.alpha_of_power_slope(2.4) == pytest.approx(0.2)
