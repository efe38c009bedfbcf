"""Geometry numbers against plain Fourier bases, white noise and hand-made images."""

import jax
import numpy as np
import pytest
import scipy.stats

from gahr.analysis import geometry

SHAPE, SIZE = (24, 18, 2), 24 * 18 * 2
ROWS, COLUMNS = np.meshgrid(np.arange(24), np.arange(18), indexing="ij")
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(50, *SHAPE)).astype(np.float32)
BASIS = np.linalg.qr(RNG.normal(size=(SIZE, SIZE)))[0].reshape(-1, *SHAPE).astype(np.float32)


def wave(down, right):
    image = np.repeat(np.sin(2 * np.pi * (down * ROWS / 24 + right * COLUMNS / 18) + 0.3)[..., None], 2, axis=-1)
    return (image / np.linalg.norm(image)).astype(np.float32)


def test_mean_frequency_of_waves_and_of_white_noise():
    waves = np.stack([wave(0, 1), wave(3, 0), wave(4, 3)])
    found = jax.jit(geometry.mean_frequency)(np.concatenate([waves, NOISE]))
    np.testing.assert_allclose(found[:3], [1 / 18, 1 / 8, np.hypot(4 / 24, 3 / 18)], rtol=1e-4)
    square = np.hypot(*np.meshgrid(np.fft.fftfreq(24), np.fft.fftfreq(18))).mean()
    assert abs(found[3:].mean() - square) < 0.002
    assert abs(square - 0.3826) < 0.01


def test_participation_ratio():
    one = np.zeros(SHAPE, np.float32)
    one[3, 4, 1] = 2
    vectors = np.stack([np.ones_like(one), wave(0, 3), wave(2, 3), one, *NOISE])
    found = jax.jit(geometry.participation_ratio)(vectors)
    np.testing.assert_allclose(found[:4], [1, 2 / 3, 2 / 3, 1 / SIZE], rtol=1e-3)
    assert abs(found[4:].mean() - 1 / 3) < 0.02


def test_rank_correlation():
    correlation = jax.jit(geometry.rank_correlation)
    values, noise = RNG.normal(size=(2, 2000))
    assert correlation(values, np.exp(values)) == pytest.approx(1)
    assert correlation(values, -values) == pytest.approx(-1)
    assert abs(correlation(values, noise)) < 0.08
    tied = np.round(values), np.round(values + noise)  # with some ten values each
    assert correlation(*tied) == pytest.approx(scipy.stats.spearmanr(*tied).statistic, abs=1e-5)


def test_orientation_agreement_is_one_across_contours_and_minus_one_along_them():
    edge = np.repeat(1 / (1 + np.exp(12 - ROWS))[..., None], 2, axis=-1)  # varies down
    found = jax.jit(geometry.orientation_agreement)(np.stack([wave(3, 0), wave(0, 3), wave(4, 3), *NOISE]), edge)
    np.testing.assert_allclose(found[:3], [1, -1, 0], atol=0.02)
    assert abs(found[3:].mean()) < 0.03


def test_contour_share_and_its_control():
    edge = (ROWS > 12)[..., None] + 1e-3 * NOISE[0]
    mask = jax.jit(geometry.contour_mask)(edge, share=1 / 12)
    assert abs(mask.mean() - 1 / 12) < 0.01
    assert mask[12:14, 1:-1].all()
    on_edge = np.concatenate([np.repeat(ROWS[None, ..., None] == 12, 2, axis=-1), NOISE])
    moved = jax.jit(geometry.shifted_mask)(jax.random.key(5), mask)
    assert moved.sum() == mask.sum()
    share, control = (jax.jit(geometry.contour_share)(on_edge, each) for each in (mask, moved))
    assert share[0] == pytest.approx(16 / 18)  # all but the two on the border
    assert control[0] < 0.5
    assert abs(share[1:].mean() - mask.mean()) < 0.01


def test_coefficients_and_energies_obey_parseval():
    clean = wave(1, 2) + 0.3 * NOISE[1]
    np.testing.assert_allclose(np.sum(geometry.coefficients(BASIS, clean) ** 2), np.sum(clean**2), rtol=1e-4)
    share = jax.jit(geometry.preserved_energy)
    assert abs(share(BASIS, np.arange(SIZE) < SIZE // 4, clean) - 0.25) < 0.1  # m / d for a random basis
    assert share(BASIS, np.ones(SIZE, bool), clean) == pytest.approx(1, abs=1e-4)


def test_oracle_and_best_projection():
    clean, energy = 3 * BASIS[0] + 0.1 * BASIS[7], np.array([9, 0.01])
    for sigma in (0.01, 0.1, 1.0):
        oracle, projection = (
            jax.jit(f)(BASIS, clean, sigma=sigma) for f in (geometry.oracle_mse, geometry.threshold_mse)
        )
        np.testing.assert_allclose(oracle, np.sum(sigma**2 * energy / (energy + sigma**2)) / SIZE, rtol=1e-4)
        np.testing.assert_allclose(projection, np.minimum(energy, sigma**2).sum() / SIZE, rtol=1e-4)
        assert oracle <= projection <= 2 * oracle


def test_principal_cosines():
    cosines = jax.jit(geometry.principal_cosines)
    np.testing.assert_allclose(cosines(BASIS[:4], 2 * BASIS[:4][::-1]), 1, atol=1e-5)
    np.testing.assert_allclose(cosines(BASIS[:4], BASIS[4:8]), 0, atol=1e-5)
    turned = np.stack([np.cos(0.4) * BASIS[0] + np.sin(0.4) * BASIS[9], BASIS[1]])
    np.testing.assert_allclose(cosines(BASIS[:2], turned), [1, np.cos(0.4)], atol=1e-5)
    assert jax.jit(geometry.overlap)(BASIS[:2], turned) == pytest.approx((1 + np.cos(0.4) ** 2) / 2, abs=1e-5)
