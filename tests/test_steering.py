"""Steering against linear functions, whose answers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import steering
from gahr.classical import flows

SHAPE = (6, 8, 1)
KEY = jax.random.key(0)
MATRIX = jax.random.normal(KEY, (48, 48)) / 7
NOISY = 0.5 + 2 * jax.random.normal(jax.random.key(1), (5, *SHAPE))


def linear(images):
    return (images.reshape(-1, 48) @ MATRIX.T).reshape(images.shape)


def test_sines_are_orthonormal_and_of_the_stated_amplitude():
    orders = [(n, m) for n in (1, 2) for m in (1, 2, 3)]
    rows = jnp.stack([steering.sine(n, m, SHAPE).ravel() for n, m in orders])
    np.testing.assert_allclose(rows @ rows.T, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(
        rows[0][8 * 2 + 3] * np.sqrt(48) / 2, np.sin(4 * np.pi / 6) * np.sin(6 * np.pi / 8), rtol=1e-5
    )
    other = steering.sine(1, 1, SHAPE, phases=(np.pi / 2, 0)).ravel()
    assert abs(float(other @ rows[0])) < 1e-6


def test_renormalised_noise_keeps_its_norm_and_its_derivative_lies_on_the_sphere():
    phi = steering.sine(2, 1, SHAPE)
    norm = lambda images: np.linalg.norm(np.asarray(images - 0.5).reshape(-1, 48), axis=1)
    there = steering.moved(NOISY, phi, 3.0, mean=0.5)
    np.testing.assert_allclose(norm(there), norm(NOISY), rtol=1e-6)
    np.testing.assert_allclose(
        steering.moved(NOISY, phi, 3.0, mean=0.5, renormalise=False), NOISY + 3 * phi[None], atol=1e-6
    )
    _, slope = jax.jvp(lambda a: steering.moved(NOISY, phi, a, mean=0.5), (0.0,), (1.0,))
    noise = NOISY - 0.5
    share = jnp.sum(noise * phi[None], (1, 2, 3), keepdims=True) / jnp.sum(noise**2, (1, 2, 3), keepdims=True)
    np.testing.assert_allclose(slope, phi[None] - share * noise, atol=1e-6)


@pytest.mark.parametrize("amplitude", [0.1, 10.0])
def test_a_linear_function_has_one_gain_and_additive_responses(amplitude):
    phi, psi = steering.sine(1, 1, SHAPE), steering.sine(2, 3, SHAPE)
    found = [
        steering.respond(linear, NOISY, each, amplitude, renormalise=False)
        for each in (phi, psi, 0.6 * phi + 0.8 * psi)
    ]
    np.testing.assert_allclose(found[0].gain, np.linalg.norm(MATRIX @ phi.ravel()), rtol=1e-3)
    changes = [response.output - linear(NOISY) for response in found]
    np.testing.assert_allclose(0.6 * changes[0] + 0.8 * changes[1], changes[2], atol=1e-3 * amplitude)
    np.testing.assert_allclose(
        found[0].change, np.linalg.norm(np.asarray(changes[0]).reshape(5, -1), axis=1), rtol=1e-4
    )


def test_the_gain_of_a_gaussian_flow_is_the_prediction_along_its_vectors():
    basis = jnp.linalg.qr(MATRIX)[0].T.reshape(48, *SHAPE)
    eigenvalues = jnp.geomspace(10, 1e-3, 48)
    flow = flows.gaussian_flow(jnp.full(SHAPE, 0.5), eigenvalues, basis, sigma_min=1e-6)
    for k in (0, 20):
        gain = steering.respond(lambda y: flow(y, 2.0), NOISY, basis[k], 5.0, renormalise=False).gain
        np.testing.assert_allclose(gain, steering.gaussian_gain(eigenvalues, basis, basis[k], 2.0), rtol=1e-3)


def test_a_linear_function_is_steered_to_what_its_directions_reach():
    directions = jnp.stack([steering.sine(n, m, SHAPE) for n in (1, 2) for m in (1, 2, 3)])
    inside = linear((2 * directions[1] - directions[4])[None])[0]
    found = steering.towards(lambda y: linear(y[None])[0], NOISY[0], directions, inside)
    np.testing.assert_allclose(found.direction, (2 * directions[1] - directions[4]) / np.sqrt(5), atol=1e-4)
    assert found.predicted == pytest.approx(1, abs=1e-5)
    outside = jax.random.normal(jax.random.key(3), SHAPE)
    found = steering.towards(lambda y: linear(y[None])[0], NOISY[0], directions, outside)
    span = np.linalg.qr((directions.reshape(6, -1) @ MATRIX.T).T)[0]
    share = np.linalg.norm(span.T @ outside.ravel()) / np.linalg.norm(outside.ravel())
    assert found.predicted == pytest.approx(share, abs=1e-4)
    reached = linear(found.direction[None]).ravel()
    assert reached @ outside.ravel() / np.linalg.norm(reached) / np.linalg.norm(outside) == pytest.approx(
        share, abs=1e-4
    )


def test_a_line_is_straight_and_a_corner_and_a_jump_are_not():
    ends = jnp.stack([NOISY[0], NOISY[1]])
    line = ends[:1] + jnp.linspace(0, 1, 11)[:, None, None, None] * (ends[1:] - ends[:1])
    found = steering.path(line)
    assert found.straightness == pytest.approx(1, abs=1e-5)
    assert found.jump == pytest.approx(1, abs=1e-3)
    jumps = jnp.concatenate([line[:4], line[8:]])
    assert steering.path(jumps).jump == pytest.approx(5, rel=1e-3)
    back = jnp.concatenate([line, line[::-1]])
    assert float(steering.path(back).straightness) < 1e-6
