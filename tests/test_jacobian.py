"""Whole Jacobians against linear maps and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gahr.analysis.eigen import top_eigenbasis
from gahr.analysis.jacobian import eigenbasis, eigenbasis_of, jacobian, singular_basis_of
from gahr.classical import analytic

SHAPE = (3, 5, 2)  # neither square nor grey
SIZE = 30
MATRIX = jax.random.normal(jax.random.key(0), (SIZE, SIZE))


def linear(noisy):
    return (MATRIX @ noisy.ravel()).reshape(SHAPE)


@pytest.mark.parametrize("chunk", [1, 7, 30, 64])
def test_the_jacobian_of_a_linear_map_is_its_matrix(chunk):
    found = jacobian(linear, jnp.ones(SHAPE), chunk=chunk)
    np.testing.assert_allclose(found, MATRIX, atol=1e-5)


def test_columns_are_spread_over_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    found = jax.jit(lambda y: jacobian(linear, y, chunk=8, sharding=sharding))(jnp.ones(SHAPE))
    np.testing.assert_allclose(found, MATRIX, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_the_eigenbasis_of_a_wiener_denoiser_is_the_prior_basis(sigma):
    basis = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (SIZE, SIZE)))[0]
    prior = jnp.geomspace(1, 1e-3, SIZE)
    denoiser = analytic.gaussian(jnp.zeros(SHAPE), prior, basis.reshape(SIZE, *SHAPE))
    found = eigenbasis(lambda y: denoiser(y, sigma), jnp.ones(SHAPE))
    np.testing.assert_allclose(found.shrinkage, prior / (prior + sigma**2), atol=1e-5)
    assert found.asymmetry < 1e-5
    cosines = jnp.abs(jnp.sum(found.vectors.reshape(SIZE, SIZE) * basis, 1))
    np.testing.assert_allclose(cosines, 1, atol=1e-3)
    assert found.residuals.max() < 1e-5


def test_eigenvalues_of_the_symmetric_part_and_singular_values_differ_where_asymmetric():
    shear = jnp.array([[1.0, 2.0], [0.0, 1.0]])
    found, singular = eigenbasis_of(shear, (1, 2, 1)), singular_basis_of(shear, (1, 2, 1))
    np.testing.assert_allclose(found.shrinkage, [2, 0], atol=1e-6)
    np.testing.assert_allclose(singular.values, [1 + 2**0.5, 2**0.5 - 1], rtol=1e-5)
    np.testing.assert_allclose(found.asymmetry, (8 / 6) ** 0.5, rtol=1e-5)
    rebuilt = jnp.einsum("k,kd,ke->de", singular.values, singular.left.reshape(2, 2), singular.right.reshape(2, 2))
    np.testing.assert_allclose(rebuilt, shear, atol=1e-6)


def test_a_zero_map_has_no_asymmetry():
    assert eigenbasis(jnp.zeros_like, jnp.ones(SHAPE)).asymmetry == 0


@pytest.mark.parametrize(
    ("noisy", "denoiser", "message"),
    [
        (jnp.ones((2, *SHAPE)), linear, "one image"),
        (jnp.ones(SHAPE, int), linear, "floating-point"),
        (jnp.ones(SHAPE).at[0, 0, 0].set(jnp.nan), linear, "NaN"),
        (jnp.ones(SHAPE), lambda y: y[:2], "must keep"),
    ],
)
def test_bad_input_is_named(noisy, denoiser, message):
    with pytest.raises(ValueError, match=message):
        jacobian(denoiser, noisy)


def test_images_of_numpy_are_images():
    noisy = np.random.default_rng(0).uniform(size=SHAPE)  # float64
    for reach in (None, 5):
        np.testing.assert_allclose(jacobian(linear, noisy, chunk=7, reach=reach), MATRIX, atol=1e-5)
    with pytest.raises(ValueError, match="NaN"):
        jacobian(linear, np.full(SHAPE, np.nan))


def test_an_image_known_inside_of_jit_is_checked_there():
    noisy = jnp.ones(SHAPE)
    found = jax.jit(lambda key: top_eigenbasis(linear, noisy, 3, key=key))(jax.random.key(1))
    exact = eigenbasis(linear, noisy)
    np.testing.assert_allclose(found.shrinkage, exact.shrinkage[:3], rtol=1e-3)
    bad = noisy * jnp.nan
    with pytest.raises(ValueError, match="NaN"):
        jax.jit(lambda key: top_eigenbasis(linear, bad, 3, key=key))(jax.random.key(1))


def test_no_column_at_a_time_is_an_error():
    for reach in (None, 1):
        with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
            jacobian(linear, jnp.ones(SHAPE), chunk=0, reach=reach)


@pytest.mark.parametrize("shape", [(9, 12, 2), (4, 11, 1)])
def test_pixels_too_far_apart_to_meet_may_be_pushed_together(shape):
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
    exact = jax.jacobian(denoiser)(noisy).reshape(noisy.size, -1)
    for reach in (2, 3, 20):
        np.testing.assert_allclose(jacobian(denoiser, noisy, reach=reach, chunk=7), exact, atol=1e-4)
    assert abs(jacobian(denoiser, noisy, reach=1) - exact).max() > 1
    with pytest.raises(ValueError, match="reach must not be negative"):
        jacobian(denoiser, noisy, reach=-1)
