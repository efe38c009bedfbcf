"""Geometry numbers against plain Fourier bases, white noise and hand-made images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import geometry

SIDE = 24
ROWS, COLUMNS = jnp.meshgrid(jnp.arange(SIDE), jnp.arange(SIDE), indexing="ij")
NOISE = jax.random.normal(jax.random.key(0), (50, SIDE, SIDE, 1))
BASIS = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (SIDE**2, SIDE**2)))[0].T.reshape(-1, SIDE, SIDE, 1)


def wave(down, right):
    image = jnp.sin(2 * jnp.pi * (down * ROWS + right * COLUMNS) / SIDE + 0.3)[..., None]
    return image / jnp.linalg.norm(image)


def test_mean_frequency_of_waves_and_of_white_noise():
    waves = jnp.stack([wave(0, 1), wave(3, 0), wave(3, 4)])
    np.testing.assert_allclose(geometry.mean_frequency(waves), np.array([1, 3, 5]) / SIDE, rtol=1e-4)
    square = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE)] * 2)).mean()
    assert abs(geometry.mean_frequency(NOISE).mean() - square) < 0.002
    assert abs(square - 0.3826) < 0.01


def test_participation_ratio():
    one = jnp.zeros((SIDE, SIDE, 1)).at[3, 4].set(2.0)
    found = geometry.participation_ratio(jnp.stack([jnp.ones_like(one), wave(0, 3), wave(2, 3), one]))
    np.testing.assert_allclose(found, [1, 2 / 3, 2 / 3, 1 / SIDE**2], rtol=1e-3)
    assert abs(geometry.participation_ratio(NOISE).mean() - 1 / 3) < 0.02


def test_rank_correlation():
    values = jax.random.normal(jax.random.key(2), (40,))
    assert geometry.rank_correlation(values, jnp.exp(values)) == pytest.approx(1)
    assert geometry.rank_correlation(values, -values) == pytest.approx(-1)
    assert abs(geometry.rank_correlation(jax.random.normal(jax.random.key(3), (2000,)), jnp.arange(2000))) < 0.08


def test_orientation_agreement_is_one_across_contours_and_minus_one_along_them():
    edge = jax.nn.sigmoid((ROWS - SIDE / 2) / 1.0)[..., None]  # varies down
    found = geometry.orientation_agreement(jnp.stack([wave(3, 0), wave(0, 3), wave(3, 3)]), edge)
    np.testing.assert_allclose(found, [1, -1, 0], atol=0.02)
    assert abs(geometry.orientation_agreement(NOISE, edge).mean()) < 0.03


def test_contour_share_and_its_control():
    edge = (ROWS > SIDE // 2).astype(jnp.float32)[..., None] + 1e-3 * NOISE[0]
    mask = geometry.contour_mask(edge, share=2 / SIDE)
    assert abs(mask.mean() - 2 / SIDE) < 0.01
    assert mask[SIDE // 2 : SIDE // 2 + 2, 1:-1].all()
    on_edge = jnp.zeros((1, SIDE, SIDE, 1)).at[:, SIDE // 2].set(1.0)
    assert geometry.contour_share(on_edge, mask)[0] > 0.9
    moved = geometry.shifted_mask(jax.random.key(5), mask)
    assert moved.sum() == mask.sum()
    assert geometry.contour_share(on_edge, moved)[0] < 0.5
    assert abs(geometry.contour_share(NOISE, mask).mean() - mask.mean()) < 0.01


def test_coefficients_and_energies_obey_parseval():
    clean = wave(1, 2) + 0.3 * NOISE[1]
    np.testing.assert_allclose(jnp.sum(geometry.coefficients(BASIS, clean) ** 2), jnp.sum(clean**2), rtol=1e-4)
    shrinkage = jnp.where(jnp.arange(SIDE**2) < 144, 1.0, 0.0)
    share = geometry.preserved_energy(BASIS, shrinkage, clean)
    assert abs(share - 0.25) < 0.1  # m / d for a random basis
    assert geometry.preserved_energy(BASIS, jnp.ones(SIDE**2), clean) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
def test_oracle_and_best_projection(sigma):
    clean = 3 * BASIS[0] + 0.1 * BASIS[7]
    energy = np.array([9, 0.01])
    expected = np.sum(sigma**2 * energy / (energy + sigma**2)) / SIDE**2
    oracle, projection = (
        geometry.oracle_mse(BASIS, clean, sigma=sigma),
        geometry.threshold_mse(BASIS, clean, sigma=sigma),
    )
    np.testing.assert_allclose(oracle, expected, rtol=1e-4)
    np.testing.assert_allclose(projection, np.minimum(energy, sigma**2).sum() / SIDE**2, rtol=1e-4)
    assert oracle <= projection <= 2 * oracle


def test_principal_cosines():
    np.testing.assert_allclose(geometry.principal_cosines(BASIS[:4], 2 * BASIS[:4][::-1]), 1, atol=1e-5)
    np.testing.assert_allclose(geometry.principal_cosines(BASIS[:4], BASIS[4:6]), 0, atol=1e-5)
    turned = jnp.cos(0.4) * BASIS[0] + jnp.sin(0.4) * BASIS[9]
    found = geometry.principal_cosines(BASIS[:2], jnp.stack([turned, BASIS[1]]))
    np.testing.assert_allclose(found, [1, jnp.cos(0.4)], atol=1e-5)
    assert geometry.overlap(BASIS[:2], jnp.stack([turned, BASIS[1]])) == pytest.approx(
        (1 + np.cos(0.4) ** 2) / 2, abs=1e-5
    )
