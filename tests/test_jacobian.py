"""Whole Jacobians against linear maps and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis.jacobian import eigenbasis, eigenbasis_of, jacobian, singular_basis_of
from gahr.classical import analytic

SHAPE = (3, 5, 2)  # neither square nor grey
SIZE = 30
MATRIX = jax.random.normal(jax.random.key(0), (SIZE, SIZE))


def linear(noisy):
    return (MATRIX @ noisy.ravel()).reshape(SHAPE)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_the_jacobian_of_a_linear_map_is_its_matrix(chunk):
    found = jax.jit(functools.partial(jacobian, linear, chunk=chunk))(jnp.ones(SHAPE))
    np.testing.assert_allclose(found, MATRIX, atol=1e-5)


def test_the_eigenbasis_of_a_wiener_denoiser_is_the_prior_basis():
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (SIZE, SIZE)))[0]
    prior = jnp.geomspace(1, 1e-3, SIZE)
    denoiser = analytic.gaussian(jnp.zeros(SHAPE), prior, basis.reshape(SIZE, *SHAPE))
    find = jax.jit(lambda sigma: eigenbasis(lambda y: denoiser(y, sigma), jnp.ones(SHAPE)))
    for sigma in (0.05, 0.5):
        found = find(sigma)
        np.testing.assert_allclose(found.shrinkage, prior / (prior + sigma**2), atol=1e-5)
        assert found.asymmetry < 1e-5
        cosines = np.abs(np.sum(np.reshape(found.vectors, (SIZE, SIZE)) * np.asarray(basis), 1))
        np.testing.assert_allclose(cosines, 1, atol=1e-3)
        assert found.residuals.max() < 1e-5


def test_eigenvalues_of_the_symmetric_part_and_singular_values_differ_where_asymmetric():
    shear = jnp.array([[1.0, 2.0], [0.0, 1.0]])
    found, singular = jax.jit(lambda shear: (eigenbasis_of(shear, (1, 2, 1)), singular_basis_of(shear, (1, 2, 1))))(
        shear
    )
    np.testing.assert_allclose(found.shrinkage, [2, 0], atol=1e-6)
    np.testing.assert_allclose(singular.values, [1 + 2**0.5, 2**0.5 - 1], rtol=1e-5)
    np.testing.assert_allclose(found.asymmetry, (8 / 6) ** 0.5, rtol=1e-5)
    rebuilt = np.einsum("k,kd,ke->de", singular.values, singular.left.reshape(2, 2), singular.right.reshape(2, 2))
    np.testing.assert_allclose(rebuilt, shear, atol=1e-6)
    assert eigenbasis_of(jnp.zeros((2, 2)), (1, 2, 1)).asymmetry == 0  # and not 0 / 0


@pytest.mark.parametrize(
    ("noisy", "denoiser", "options", "message"),
    [
        (jnp.ones((2, *SHAPE)), linear, {}, "one image"),
        (jnp.ones(SHAPE, int), linear, {}, "floating-point"),
        (jnp.ones(SHAPE).at[0, 0, 0].set(jnp.nan), linear, {}, "NaN"),
        (jnp.ones(SHAPE), lambda y: y[:2], {}, "must keep"),
        (jnp.ones(SHAPE), linear, dict(chunk=0), "chunk must be at least 1, got 0"),
        (jnp.ones(SHAPE), linear, dict(chunk=0, reach=1), "chunk must be at least 1, got 0"),
        (jnp.ones(SHAPE), linear, dict(reach=-1), "reach must not be negative"),
    ],
)
def test_bad_input_is_named(noisy, denoiser, options, message):
    with pytest.raises(ValueError, match=message):
        jacobian(denoiser, noisy, **options)


@pytest.mark.parametrize(("shape", "reaches"), [((9, 12, 2), [2]), ((4, 11, 1), [3, 20])])
def test_pixels_too_far_apart_to_meet_may_be_pushed_together(shape, reaches):
    keys = jax.random.split(jax.random.key(2), 3)
    first = jax.random.normal(keys[0], (3, 3, shape[-1], 4))
    second = jax.random.normal(keys[1], (3, 3, 4, shape[-1]))

    def denoiser(noisy):
        names = ("NHWC", "HWIO", "NHWC")
        convolve = functools.partial(
            jax.lax.conv_general_dilated, window_strides=(1, 1), padding="SAME", dimension_numbers=names
        )
        return convolve(jax.nn.relu(convolve(noisy[None], first)), second)[0]

    noisy = jax.random.normal(keys[2], shape)
    exact = jax.jit(jax.jacobian(denoiser))(noisy).reshape(noisy.size, -1)
    found = {r: jax.jit(functools.partial(jacobian, denoiser, reach=r, chunk=7))(noisy) for r in [1, *reaches]}
    assert abs(found.pop(1) - exact).max() > 1  # the two layers see two pixels far
    for matrix in found.values():
        np.testing.assert_allclose(matrix, exact, atol=1e-4)


def test_singular_vectors_are_found_where_the_library_finds_none(monkeypatch):
    matrix = jnp.eye(16) + 0.1 * jax.random.normal(jax.random.key(0), (16, 16))
    expected = singular_basis_of(matrix, (4, 4, 1))
    none = lambda matrix: [jnp.full_like(part, jnp.nan) for part in (matrix, matrix[0], matrix)]
    monkeypatch.setattr(jnp.linalg, "svd", none)
    found = singular_basis_of(matrix, (4, 4, 1))
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4)
    left, right = (vectors.reshape(16, 16) for vectors in (found.left, found.right))
    np.testing.assert_allclose(left.T * found.values[None] @ right, matrix, atol=1e-5)
    np.testing.assert_allclose(right @ right.T, jnp.eye(16), atol=1e-4)
