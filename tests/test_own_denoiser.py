"""A caller's own functions, with no network of gahr, through every public analysis, on an image of unequal sides."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import eigen, geometry, identities, jacobian, performance, probes
from gahr.denoiser import blind

SHAPE = (6, 9, 3)
SIZE = 6 * 9 * 3
KEY = jax.random.key(0)
CLEAN = jax.random.uniform(jax.random.key(1), (5, *SHAPE))
NOISY = CLEAN + 0.1 * jax.random.normal(jax.random.key(2), CLEAN.shape)
SIGMAS = jnp.array([0.05, 0.1, 0.2])


def binomial(noisy):
    """(1, 2, 1) / 4 along both sides, zeros outside: symmetric and linear."""
    for axis in (-3, -2):
        wide = jnp.pad(noisy, [(1, 1) if i == axis % noisy.ndim else (0, 0) for i in range(noisy.ndim)])
        parts = (jax.lax.slice_in_dim(wide, i, i + noisy.shape[axis], axis=axis % noisy.ndim) for i in range(3))
        noisy = sum(weight / 4 * part for weight, part in zip((1, 2, 1), parts, strict=True))
    return noisy


def curved(noisy):
    """Nonlinear: a smoothed square root of intensities."""
    return jnp.sqrt(0.1 + binomial(noisy) ** 2)


def matrix_of(name):
    """The Jacobian (d, d) at NOISY[0] by hand."""
    line = lambda n: (2 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)) / 4
    linear = np.kron(np.kron(line(6), line(9)), np.eye(3))
    if name == "binomial":
        return linear
    smooth = linear @ np.asarray(NOISY[0], np.float64).ravel()
    return (smooth / np.sqrt(0.1 + smooth**2))[:, None] * linear


DENOISERS = {"binomial": binomial, "curved": curved}


@pytest.fixture(params=DENOISERS)
def own(request):
    return DENOISERS[request.param], matrix_of(request.param)


def test_jacobian_and_both_bases(own):
    denoiser, matrix = own
    found = jacobian.jacobian(denoiser, NOISY[0], chunk=50)
    np.testing.assert_allclose(found, matrix, atol=1e-5)
    np.testing.assert_allclose(jacobian.columns(denoiser, NOISY[0], jnp.array([3, 70])), matrix.T[[3, 70]], atol=1e-5)
    whole = jacobian.eigenbasis(denoiser, NOISY[0])
    expected = np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1]
    np.testing.assert_allclose(whole.shrinkage, expected, atol=1e-5)
    singular = jacobian.singular_basis_of(found, SHAPE)
    values = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(singular.values, values, atol=1e-5)
    asymmetry = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)
    assert whole.asymmetry == pytest.approx(asymmetry, abs=1e-5)

    top = eigen.top_eigenbasis(denoiser, NOISY[0], 5, key=KEY)
    np.testing.assert_allclose(top.shrinkage, expected[:5], atol=2e-3)
    leading = eigen.top_singular_basis(denoiser, NOISY[0], 5, key=KEY)
    np.testing.assert_allclose(leading.values, values[:5], atol=2e-3)
    for vectors in (whole.vectors, singular.left, singular.right):
        assert vectors.shape == (SIZE, *SHAPE)
    for vectors in (top.vectors, leading.left, leading.right):
        assert vectors.shape == (5, *SHAPE)


def test_performance(own):
    denoiser, _ = own
    curve = performance.psnr_curve(denoiser, KEY, CLEAN, sigmas=SIGMAS)
    assert curve.psnr.shape == (5, 3)
    slope = performance.psnr_slope(curve.input_psnr, curve.psnr, between=(10, 30))
    assert 0 < slope.slope < 1  # error of smoothing at small noise, of noise at large
    assert performance.local_slope(curve.input_psnr, curve.psnr).shape == (3,)


def test_probes_and_sure(own):
    denoiser, matrix = own
    exact = probes.jacobian_moments(denoiser, KEY, NOISY[:1], num_probes=None)
    assert exact.trace[0] == pytest.approx(np.trace(matrix), rel=1e-4)
    assert exact.energy[0] == pytest.approx(np.sum(matrix**2), rel=1e-4)
    assert exact.slope() == pytest.approx(np.sum(matrix**2) / np.trace(matrix), rel=1e-4)
    found = identities.asymmetry(denoiser, KEY, NOISY[:1], num_probes=400)[0]
    assert found == pytest.approx(np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix), rel=0.1, abs=1e-5)
    sure = identities.sure(denoiser, KEY, NOISY[:1], sigma=0.1, num_probes=None)
    left = np.sum(np.square(NOISY[0] - denoiser(NOISY[0])))
    assert sure[0] == pytest.approx((left + 2 * 0.01 * np.trace(matrix)) / SIZE - 0.01, rel=1e-3)
    vector = CLEAN[1]
    product = identities.covariance_product(denoiser, NOISY[0], vector, sigma=0.1)
    np.testing.assert_allclose(product.ravel(), 0.01 * matrix @ np.ravel(vector), atol=1e-5)


def test_card_and_departures_from_homogeneity(own):
    denoiser, matrix = own
    card = identities.card(denoiser, KEY, CLEAN, sigmas=SIGMAS)
    assert all(np.isfinite(field).all() for field in card)
    assert len({len(line) for line in identities.card_lines(card)}) == 1
    values = identities.card_values(denoiser, KEY, CLEAN, sigma=0.1)
    assert identities.mse_slope(jnp.stack([values.mse] * 3), sigmas=SIGMAS).shape == (3, 2)
    np.testing.assert_allclose(values.mse.mean(), card.mse[1, 0], rtol=1e-4)
    linear = denoiser is binomial
    assert bool(jnp.all(card.linearity_error < 1e-5)) == linear
    assert bool(jnp.all(card.homogeneity_error < 1e-5)) == linear
    assert jnp.all((identities.homogeneity_error(denoiser, NOISY, factor=2.0) < 1e-5) == linear)
    pushed = matrix @ np.ravel(NOISY[0]) - np.ravel(denoiser(NOISY[0]))
    expected = np.linalg.norm(pushed) / np.linalg.norm(denoiser(NOISY[0]))
    assert identities.linearity_error(denoiser, NOISY)[0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_integrals_over_noise_levels(own):
    denoiser, _ = own
    told = blind(denoiser)
    zero = lambda noisy, sigma: jnp.zeros_like(noisy)
    found = identities.kl_integral(told, zero, KEY, CLEAN, sigmas=SIGMAS)
    noisy = CLEAN + 0.1 * jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(KEY, i), SHAPE))(jnp.arange(5))
    expected = jnp.sum(denoiser(noisy) ** 2, (1, 2, 3)).mean() / 0.01
    assert found.integrand[1] == pytest.approx(float(expected), rel=1e-4)
    assert identities.kl_integral(told, told, KEY, CLEAN, sigmas=SIGMAS).kl == 0
    assert np.isfinite(identities.log_likelihood(told, KEY, CLEAN, sigmas=SIGMAS)).all()


def test_geometry(own):
    denoiser, _ = own
    basis, clean = jacobian.eigenbasis(denoiser, NOISY[0]), CLEAN[0]
    vectors, mask = basis.vectors, geometry.contour_mask(clean)
    np.testing.assert_allclose(jnp.sum(geometry.coefficients(vectors, clean) ** 2), jnp.sum(clean**2), rtol=1e-4)
    energy = np.square(geometry.coefficients(vectors, clean))
    kept = energy[basis.shrinkage > 0.5].sum() / energy.sum()
    assert geometry.preserved_energy(vectors, basis.shrinkage, clean) == pytest.approx(kept, rel=1e-4)
    oracle, projection = (f(vectors, clean, sigma=0.1) for f in (geometry.oracle_mse, geometry.threshold_mse))
    assert 0 < oracle <= projection <= 2 * oracle
    assert geometry.overlap(vectors[:4], 3 * vectors[:4][::-1]) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(geometry.principal_cosines(vectors[:4], vectors[4:6]), 0, atol=1e-4)
    frequency = geometry.mean_frequency(vectors)
    assert frequency.shape == (SIZE,)
    # a smoothing filter keeps what is slow
    assert geometry.rank_correlation(frequency, jnp.arange(SIZE)) > 0.8
    assert jnp.all(geometry.participation_ratio(vectors) <= 1)
    np.testing.assert_allclose(geometry.contour_share(vectors, jnp.ones_like(mask)), 1, rtol=1e-4)
    moved = geometry.shifted_mask(KEY, mask)
    assert moved.shape == SHAPE[:2]
    assert moved.sum() == mask.sum()
    assert jnp.all(abs(geometry.orientation_agreement(vectors, clean)) <= 1)


def test_nothing_public_is_left_out():
    modules = (eigen, geometry, identities, jacobian, performance, probes)
    source = inspect.getsource(inspect.getmodule(test_nothing_public_is_left_out))
    inner = {"host_loop", "check_image", "check_images", "relative_asymmetry", "levels_between", "eigenbasis_of"}
    for module in modules:
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                assert name in inner or f".{name}" in source, f"{module.__name__}.{name}"


def test_values_are_finite_where_they_are_not_known():
    assert jacobian.known_finite(CLEAN)
    assert not jacobian.known_finite(CLEAN.at[-1, 0, 0, 0].set(jnp.inf))
    assert jax.vmap(lambda image: jnp.asarray(jacobian.known_finite(image)))(CLEAN * jnp.nan).all()


VECTORS = jnp.ones((4, *SHAPE))
WRONG = {
    "one image for many": (lambda: probes.jacobian_moments(binomial, KEY, NOISY[0]), r"\(N, H, W, C\), got shape \(6"),
    "no images": (lambda: probes.jacobian_moments(binomial, KEY, NOISY[:0]), r"got shape \(0"),
    "whole numbers": (lambda: identities.asymmetry(binomial, KEY, jnp.ones((2, *SHAPE), int)), "floating-point"),
    "another shape": (lambda: identities.sure(lambda y: y[..., :1], KEY, NOISY, sigma=0.1), "must keep it"),
    "NaN": (lambda: identities.card(binomial, KEY, CLEAN * jnp.nan, sigmas=SIGMAS), "NaN"),
    "one level": (lambda: identities.card(binomial, KEY, CLEAN, sigmas=0.1), r"noise levels .* shape \(\)"),
    "values": (
        lambda: identities.card_of(identities.card_values(binomial, KEY, CLEAN, sigma=0.1), sigmas=SIGMAS),
        r"values \(3, N\).*\(5,\)",
    ),
    "falling levels": (
        lambda: identities.kl_integral(blind(binomial), blind(curved), KEY, CLEAN, sigmas=SIGMAS[::-1]),
        "must increase",
    ),
    "one image": (
        lambda: identities.kl_integral(blind(binomial), blind(curved), KEY, CLEAN[:1], sigmas=SIGMAS),
        "two images",
    ),
    "likelihood": (lambda: identities.log_likelihood(blind(binomial), KEY, CLEAN[0], sigmas=SIGMAS), "got shape"),
    "vector": (
        lambda: identities.covariance_product(binomial, NOISY[0], NOISY[0, ..., :1], sigma=0.1),
        r"must have the shape \(6, 9, 3\)",
    ),
    "curve of one image": (lambda: performance.psnr_curve(binomial, KEY, CLEAN[0], sigmas=SIGMAS), "got shape"),
    "curve at one level": (lambda: performance.psnr_curve(binomial, KEY, CLEAN, sigmas=0.1), r"\(S,\)"),
    "turned image": (lambda: geometry.coefficients(VECTORS, CLEAN[0].transpose(1, 0, 2)), r"\(9, 6, 3\) for vectors"),
    "batch": (lambda: geometry.oracle_mse(VECTORS, CLEAN, sigma=0.1), "one image"),
    "factors": (lambda: geometry.preserved_energy(VECTORS, jnp.ones(3), CLEAN[0]), "4 shrinkage factors"),
    "one vector": (lambda: geometry.mean_frequency(VECTORS[0]), r"vector\[None\]"),
    "flat vectors": (lambda: geometry.participation_ratio(VECTORS.reshape(4, -1)), r"\(k, H, W, C\)"),
    "two shapes": (lambda: geometry.overlap(VECTORS, VECTORS[..., :1]), "one shape"),
    "grey image": (lambda: geometry.contour_mask(CLEAN[0, ..., 0]), "one image"),
    "mask": (lambda: geometry.contour_share(VECTORS, jnp.ones((9, 6), bool)), r"mask \(H, W\)"),
    "orientation": (lambda: geometry.orientation_agreement(VECTORS, CLEAN[0, ..., 0]), "one image"),
    "sequences": (lambda: geometry.rank_correlation(jnp.ones(4), jnp.ones(1)), "one length"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_shapes_are_named_in_one_line(case):
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
