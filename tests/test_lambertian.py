"""Shading in spherical harmonics: energies, orthonormality, and the nine images that hold all lights."""

import jax.numpy as jnp
import numpy as np
import pytest

from gahr.classical import lambertian

HEIGHTS, WEIGHTS = np.polynomial.legendre.leggauss(40)  # quadrature over the whole sphere, and in angle
TURNS = (np.arange(80) + 0.5) * np.pi / 40
NORMALS = np.stack(
    [
        np.sqrt(1 - HEIGHTS[:, None] ** 2) * np.cos(TURNS),
        np.sqrt(1 - HEIGHTS[:, None] ** 2) * np.sin(TURNS),
        HEIGHTS[:, None] * np.ones(80),
    ],
    -1,
).astype("float32")
AREA = np.sqrt(WEIGHTS[:, None] * np.ones(80) * np.pi / 40).astype("float32")  # squares sum to 4 pi
LIGHTS = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
LIGHTS /= np.linalg.norm(LIGHTS, axis=1, keepdims=True)


def test_energies_are_those_of_basri_and_jacobs():
    orders = (0, 1, 2, 3, 4, 6, 8)
    kernels = [lambertian.kernel(n) for n in orders]
    np.testing.assert_allclose(kernels, [0.8862, 1.0233, 0.4954, 0, -0.1108, 0.0499, -0.0285], atol=5e-5)
    shares = [100 * lambertian.energy(n) for n in orders]
    np.testing.assert_allclose(shares, [37.5, 50, 11.72, 0, 0.586, 0.119, 0.039], atol=5e-3)
    gains = [lambertian.gain(n) for n in range(5)]
    np.testing.assert_allclose(gains, [np.pi, 2 * np.pi / 3, np.pi / 4, 0, -np.pi / 24], atol=1e-12)
    with pytest.raises(ValueError, match="order must be a whole number from 0, got -1"):
        lambertian.kernel(-1)


def test_harmonics_are_orthonormal_on_the_sphere_and_of_their_orders():
    values = np.asarray(lambertian.harmonics(NORMALS)).reshape(-1, 9)
    np.testing.assert_allclose((values * AREA.ravel()[:, None] ** 2).T @ values, np.eye(9), atol=1e-5)
    one, other = lambertian.harmonics(LIGHTS[:2])
    cosine = float(LIGHTS[0] @ LIGHTS[1])
    sums = [float(jnp.sum(part)) for part in jnp.split(one * other, [1, 4])]  # the addition theorem
    expected = np.array([1, 3 * cosine, 5 * (3 * cosine**2 - 1) / 2]) / (4 * np.pi)
    np.testing.assert_allclose(sums, expected, atol=1e-6)


def test_nine_images_hold_all_but_the_energy_of_higher_orders():
    """Whatever the light: 99.22 % over all normals, where albedo stands for the area of a pixel."""
    images = np.asarray(lambertian.shade(NORMALS, AREA, LIGHTS))
    spanning = lambertian.harmonic_images(jnp.asarray(NORMALS), jnp.asarray(AREA))
    made = np.tensordot(lambertian.harmonics(LIGHTS), spanning, 1)
    left = np.sum((images - made) ** 2, (1, 2, 3)) / np.sum(images**2, (1, 2, 3))
    np.testing.assert_allclose(left, 1 - 0.9922, atol=2e-4)
    np.testing.assert_allclose(lambertian.share_in(images, spanning), 0.9922, atol=2e-4)
    np.testing.assert_allclose(lambertian.share_in(images, spanning[:4]), 0.875, atol=2e-4)


def test_a_ball_is_seen_from_the_front_and_lies_near_nine_dimensions():
    normals = lambertian.sphere(24)
    np.testing.assert_allclose(jnp.sum(normals**2, -1)[12, 12], 1, rtol=1e-5)
    assert normals[2, 12, 1] > 0.7
    assert normals[12, 21, 0] > 0.7
    assert not normals[0, 0].any()
    albedo = np.random.default_rng(1).uniform(0.2, 1, size=(24, 24)).astype("float32")
    front = LIGHTS * np.where(LIGHTS[:, 2:] < 0, -1, 1)
    images = lambertian.shade(normals, jnp.asarray(albedo), front)
    assert not lambertian.shade(normals, jnp.asarray(albedo), jnp.array([[0.0, 0, -1]])).any()
    held = np.asarray(lambertian.held_energy(images))
    shares = lambertian.share_in(images, lambertian.harmonic_images(normals, jnp.asarray(albedo)))
    assert held[8] >= float(jnp.sum(shares * jnp.sum(images**2, (1, 2, 3))) / jnp.sum(images**2)) > 0.97
    assert held[0] < 0.9 < held[2] < held[8]
    np.testing.assert_allclose(held[-1], 1, rtol=1e-5)


def test_without_attached_shadows_three_dimensions_hold_all():
    normals = lambertian.sphere(16)
    lights = jnp.asarray(LIGHTS * [0.05, 0.05, 0] + [0, 0, 1], jnp.float32)
    bright = normals * (normals[..., 2:] > 0.3)
    images = lambertian.shade(bright, jnp.ones((16, 16)), lights)
    np.testing.assert_allclose(lambertian.held_energy(images)[2], 1, atol=1e-5)
    np.testing.assert_allclose(images[0], (bright @ lights[0])[..., None], atol=1e-5)
