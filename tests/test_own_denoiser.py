"""A caller's own functions, with no network of gahr, through every public analysis, on an image of unequal sides."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import checks, eigen, geometry, identities, integrals, jacobian, performance, probes
from gahr.denoiser import blind

SHAPE, SIZE = (4, 5, 3), 60
KEY = jax.random.key(0)
CLEAN = np.random.default_rng(0).uniform(size=(5, *SHAPE)).astype(np.float32)
NOISY = CLEAN + np.random.default_rng(1).normal(scale=0.1, size=CLEAN.shape).astype(np.float32)
SIGMAS = np.array([0.05, 0.1, 0.2], np.float32)


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


def test_values_are_those_of_the_jacobian_by_hand():
    line = lambda n: (2 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)) / 4
    linear = np.kron(np.kron(line(4), line(5)), np.eye(3))
    smooth = linear @ NOISY[0].ravel()
    matrix = (smooth / np.sqrt(0.1 + smooth**2))[:, None] * linear
    noisy, vector = NOISY[:1], CLEAN[1]

    @jax.jit
    def measure():
        whole = jacobian.jacobian(curved, noisy[0], chunk=50)
        return {
            "whole": whole,
            "columns": jacobian.columns(curved, noisy[0], jnp.array([3, 40])),
            "eigen": jacobian.eigenbasis_of(whole, SHAPE),
            "singular": jacobian.singular_basis_of(whole, SHAPE),
            "moments": probes.jacobian_moments(curved, KEY, noisy, num_probes=None),
            "asymmetry": identities.asymmetry(curved, KEY, noisy, num_probes=400),
            "sure": identities.sure(curved, KEY, noisy, sigma=0.1, num_probes=None),
            "product": identities.covariance_product(curved, noisy[0], vector, sigma=0.1),
            "linearity": identities.linearity_error(curved, noisy),
        }

    found, denoised = measure(), np.asarray(curved(noisy[0])).ravel()
    asymmetry = np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)
    np.testing.assert_allclose(found["whole"], matrix, atol=1e-5)
    np.testing.assert_allclose(found["columns"], matrix.T[[3, 40]], atol=1e-5)
    np.testing.assert_allclose(found["eigen"].shrinkage, np.linalg.eigvalsh((matrix + matrix.T) / 2)[::-1], atol=1e-5)
    np.testing.assert_allclose(found["singular"].values, np.linalg.svd(matrix, compute_uv=False), atol=1e-5)
    assert found["eigen"].asymmetry == pytest.approx(asymmetry, abs=1e-5)
    assert found["asymmetry"][0] == pytest.approx(asymmetry, rel=0.1, abs=1e-5)
    assert found["moments"].trace[0] == pytest.approx(np.trace(matrix), rel=1e-4)
    assert found["moments"].energy[0] == pytest.approx(np.sum(matrix**2), rel=1e-4)
    risk = (np.sum((noisy[0].ravel() - denoised) ** 2) + 0.02 * np.trace(matrix)) / SIZE - 0.01
    assert found["sure"][0] == pytest.approx(risk, rel=1e-3)
    np.testing.assert_allclose(found["product"].ravel(), 0.01 * matrix @ vector.ravel(), atol=1e-5)
    departure = np.linalg.norm(matrix @ noisy[0].ravel() - denoised) / np.linalg.norm(denoised)
    assert found["linearity"][0] == pytest.approx(departure, rel=1e-4, abs=1e-5)


CALLS = {  # of images (5, H, W, C): those of `CHECKED` refuse NaN
    eigen.top_eigenbasis: lambda x: eigen.top_eigenbasis(curved, x[4], 5, key=KEY),
    eigen.top_singular_basis: lambda x: eigen.top_singular_basis(curved, x[4], 5, key=KEY),
    jacobian.jacobian: lambda x: [jacobian.jacobian(curved, x[4], reach=reach) for reach in (None, 5)],
    jacobian.columns: lambda x: jacobian.columns(curved, x[4], np.array([3])),
    jacobian.eigenbasis: lambda x: jacobian.eigenbasis(curved, x[4]),
    performance.psnr_curve: lambda x: performance.psnr_curve(curved, KEY, x, sigmas=SIGMAS),
    probes.jacobian_moments: lambda x: [probes.jacobian_moments(curved, KEY, x, num_probes=n) for n in (None, 2)],
    probes.asymmetry: lambda x: probes.asymmetry(curved, KEY, x),
    identities.sure: lambda x: identities.sure(curved, KEY, x, sigma=0.1),
    identities.covariance_product: lambda x: identities.covariance_product(curved, x[4], x[1], sigma=0.1),
    identities.card: lambda x: identities.card(curved, KEY, x, sigmas=SIGMAS),
    identities.card_values: lambda x: identities.card_values(curved, KEY, x, sigma=0.1),
    integrals.kl_integral: lambda x: integrals.kl_integral(blind(curved), blind(binomial), KEY, x, sigmas=SIGMAS),
    integrals.log_likelihood: lambda x: integrals.log_likelihood(blind(curved), KEY, x, sigmas=SIGMAS),
}
CHECKED = set(CALLS)
CALLS |= {
    jacobian.eigenbasis_of: lambda x: jacobian.eigenbasis_of(jnp.ones((SIZE, SIZE)), x[0].shape),
    jacobian.singular_basis_of: lambda x: jacobian.singular_basis_of(jnp.ones((SIZE, SIZE)), x[0].shape),
    identities.homogeneity_error: lambda x: identities.homogeneity_error(curved, x),
    identities.linearity_error: lambda x: identities.linearity_error(curved, x),
    geometry.coefficients: lambda x: geometry.coefficients(x, x[0]),
    geometry.preserved_energy: lambda x: geometry.preserved_energy(x, np.ones(5), x[0]),
    geometry.oracle_mse: lambda x: geometry.oracle_mse(x, x[0], sigma=0.1),
    geometry.threshold_mse: lambda x: geometry.threshold_mse(x, x[0], sigma=0.1),
    geometry.principal_cosines: lambda x: geometry.principal_cosines(x, x[:2]),
    geometry.overlap: lambda x: geometry.overlap(x, x[:2]),
    geometry.mean_frequency: geometry.mean_frequency,
    geometry.rank_correlation: lambda x: geometry.rank_correlation(geometry.mean_frequency(x), np.arange(5)),
    geometry.participation_ratio: geometry.participation_ratio,
    geometry.contour_mask: lambda x: geometry.contour_mask(x[0]),
    geometry.contour_share: lambda x: geometry.contour_share(x, np.ones(SHAPE[:2])),
    geometry.shifted_mask: lambda x: geometry.shifted_mask(KEY, x[0, ..., 0] > 0.5),
    geometry.orientation_agreement: lambda x: geometry.orientation_agreement(x, x[0]),
}
OF_RESULTS = {  # not of images: their own tests
    jacobian.relative_asymmetry, identities.card_of, identities.card_lines, identities.mse_slope,
    performance.psnr_slope, performance.local_slope, performance.levels_between,
}  # fmt: skip


def missed(calls, message):
    """Names of the calls (name, function without arguments) that raise no ValueError of one line with that message."""
    for name, call in calls:
        try:
            jax.eval_shape(call)
        except ValueError as error:
            if re.search(message, str(error)) and "\n" not in str(error):
                continue
        yield name


def test_every_public_analysis_takes_images_of_numpy_and_those_known_inside_of_jit():
    for function, call in CALLS.items():
        wide, narrow = (jax.eval_shape(functools.partial(call, x)) for x in (CLEAN.astype(float), jnp.asarray(CLEAN)))
        assert wide == narrow, function.__name__
    modules = (eigen, geometry, identities, integrals, jacobian, performance, probes)
    members = [pair for module in modules for pair in inspect.getmembers(module, inspect.isfunction)]
    public = {f for name, f in members if f.__module__ in {m.__name__ for m in modules} and not name.startswith("_")}
    assert public - set(CALLS) == OF_RESULTS


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_intensities_that_are_not_finite_are_found_in_every_image(value):
    spoilt = CLEAN.copy()
    spoilt[4, 0, 0, 0] = value
    calls = [(function.__name__, functools.partial(CALLS[function], spoilt)) for function in CHECKED]
    assert list(missed(calls, "NaN or infinite")) == []
    assert list(missed([("", lambda: probes.asymmetry(curved, KEY, spoilt))], "image 4 of 5")) == []


def test_values_are_finite_where_they_are_not_known():
    assert checks.known_finite(CLEAN)
    assert not checks.known_finite(jnp.asarray(CLEAN).at[-1, 0, 0, 0].set(jnp.inf))
    assert jax.vmap(lambda image: jnp.asarray(checks.known_finite(image)))(CLEAN * np.nan).all()


VECTORS = jnp.ones((4, *SHAPE))
WRONG = {
    "one image for many": (lambda: probes.jacobian_moments(binomial, KEY, NOISY[0]), r"\(N, H, W, C\), got shape \(4"),
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
        r"must have the shape \(4, 5, 3\)",
    ),
    "curve of one image": (lambda: performance.psnr_curve(binomial, KEY, CLEAN[0], sigmas=SIGMAS), "got shape"),
    "curve at one level": (lambda: performance.psnr_curve(binomial, KEY, CLEAN, sigmas=0.1), r"\(S,\)"),
    "turned image": (lambda: geometry.coefficients(VECTORS, CLEAN[0].transpose(1, 0, 2)), r"\(5, 4, 3\) for vectors"),
    "batch": (lambda: geometry.oracle_mse(VECTORS, CLEAN, sigma=0.1), "one image"),
    "factors": (lambda: geometry.preserved_energy(VECTORS, jnp.ones(3), CLEAN[0]), "4 shrinkage factors"),
    "one vector": (lambda: geometry.mean_frequency(VECTORS[0]), r"vector\[None\]"),
    "flat vectors": (lambda: geometry.participation_ratio(VECTORS.reshape(4, -1)), r"\(k, H, W, C\)"),
    "two shapes": (lambda: geometry.overlap(VECTORS, VECTORS[..., :1]), "one shape"),
    "grey image": (lambda: geometry.contour_mask(CLEAN[0, ..., 0]), "one image"),
    "mask": (lambda: geometry.contour_share(VECTORS, jnp.ones((5, 4), bool)), r"mask \(H, W\)"),
    "orientation": (lambda: geometry.orientation_agreement(VECTORS, CLEAN[0, ..., 0]), "one image"),
    "sequences": (lambda: geometry.rank_correlation(jnp.ones(4), jnp.ones(1)), "one length"),
}


def test_wrong_shapes_are_named_in_one_line():
    assert [name for name, (call, message) in WRONG.items() for name in missed([(name, call)], message)] == []
