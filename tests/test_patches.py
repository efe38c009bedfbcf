"""Local posteriors against loops over windows, and the streamed sums that must not depend on blocks."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis.jacobian import jacobian
from gahr.classical import analytic, patches
from gahr.denoiser import at

SHAPE = HEIGHT, WIDTH, CHANNELS = 6, 5, 2
IMAGES = np.random.default_rng(0).uniform(size=(7, *SHAPE)).astype("float32")
NOISY = IMAGES[:2] + 0.2 * np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")
SIGMAS = np.array([0.2, 0.5], "float32")
denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))


def mean(distances, values, sigma):
    """sum w x with w = softmax(-distance / (2 sigma^2)), of (n,) and (n, c)."""
    exponents = -np.asarray(distances, np.float64) / (2 * sigma**2)
    weights = np.exp(exponents - exponents.max())
    return weights @ np.asarray(values) / weights.sum()


def windows(image, reach, borders):
    """{pixel: (window, how it crosses the borders)}, windows cut where they do."""
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="wrap")
    found = {}
    for i, j in np.ndindex(HEIGHT, WIDTH):
        if borders == "circular":
            found[i, j] = padded[i : i + 2 * reach + 1, j : j + 2 * reach + 1], None
        else:
            ends = [max(reach - i, 0), max(i + reach - HEIGHT + 1, 0), max(reach - j, 0), max(j + reach - WIDTH + 1, 0)]
            cut = image[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
            found[i, j] = cut, tuple(ends)
    return found


@pytest.mark.parametrize("window", [1, 3, 7])
def test_windows_of_the_same_place(window):
    found = denoise(patches.local(IMAGES, window=window, chunk=3), NOISY, SIGMAS)
    sets = [windows(image, window // 2, "cut") for image in IMAGES]
    for noisy, sigma, one in zip(NOISY, SIGMAS, found, strict=True):
        for place, (own, _) in windows(noisy, window // 2, "cut").items():
            distances = [np.sum((own - parts[place][0]) ** 2) for parts in sets]
            np.testing.assert_allclose(one[place], mean(distances, IMAGES[:, *place], sigma), atol=1e-5)


def test_a_window_that_sees_all_is_the_mean_of_point_masses():
    found = denoise(patches.local(IMAGES, window=11), NOISY, SIGMAS)
    np.testing.assert_allclose(found, denoise(analytic.points(IMAGES), NOISY, SIGMAS), atol=1e-5)


@pytest.mark.parametrize("window", [3, 11])
def test_the_best_linear_denoiser_of_windows(window):
    """By the normal equations of each value alone; where windows are cut, and of several channels, they are others."""
    _, eigenvalues, basis = analytic.fit_gaussian(jnp.asarray(IMAGES), centred=False)
    found = denoise(patches.linear(eigenvalues, basis, window=window), NOISY, SIGMAS)
    flat = IMAGES.reshape(len(IMAGES), -1).astype(np.float64)
    moment, numbers = flat.T @ flat / len(flat), np.arange(flat.shape[1]).reshape(SHAPE)
    for noisy, sigma, one in zip(NOISY, SIGMAS, found, strict=True):
        for place, (part, _) in windows(numbers, window // 2, "cut").items():
            near = part.ravel()
            weights = np.linalg.solve(moment[np.ix_(near, near)] + sigma**2 * np.eye(len(near)), moment[near])
            expected = noisy.ravel()[near] @ weights[:, numbers[place]]
            np.testing.assert_allclose(one[place], expected, atol=1e-4)
    if window == 11:
        whole = denoise(analytic.gaussian(jnp.zeros(SHAPE), eigenvalues, basis), NOISY, SIGMAS)
        np.testing.assert_allclose(found, whole, atol=1e-4)


@pytest.mark.parametrize("borders", ["circular", "matched"])
def test_windows_of_all_places(borders):
    found = denoise(patches.equivariant(IMAGES, window=3, borders=borders, chunk=3), NOISY, SIGMAS)
    every = [(part, image[place]) for image in IMAGES for place, part in windows(image, 1, borders).items()]
    for noisy, sigma, one in zip(NOISY, SIGMAS, found, strict=True):
        for place, (own, crossing) in windows(noisy, 1, borders).items():
            alike = [(part, value) for (part, other), value in every if other == crossing]
            distances, values = zip(*((np.sum((own - part) ** 2), value) for part, value in alike), strict=True)
            np.testing.assert_allclose(one[place], mean(distances, values, sigma), atol=2e-5)


def test_circular_windows_of_all_places_commute_with_shifts():
    denoiser = patches.equivariant(IMAGES, window=5)
    moved = denoise(denoiser, np.roll(NOISY, (1, 2), (1, 2)), 0.3)
    np.testing.assert_allclose(moved, np.roll(denoise(denoiser, NOISY, 0.3), (1, 2), (1, 2)), atol=1e-5)


def test_the_mask_is_where_the_wiener_filter_looks():
    smooth = np.random.default_rng(2).normal(size=(200, *SHAPE)).cumsum(1).cumsum(2).astype("float32")
    _, eigenvalues, basis = analytic.fit_gaussian(jnp.asarray(smooth))
    covariance = np.cov(smooth.reshape(200, -1).T, bias=True)
    denoiser = patches.pca_local(IMAGES, eigenvalues, basis, share=0.1, chunk=3)
    found, sizes = denoise(denoiser, NOISY, SIGMAS), []
    for noisy, sigma, one in zip(NOISY, SIGMAS, found, strict=True):
        weights = abs(covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(60)))
        weights /= weights.max(1, keepdims=True)
        clear = (abs(weights / 0.1 - 1) > 1e-3).all(1)  # rows in which no weight is nearly at the share
        square = (noisy.ravel() - IMAGES.reshape(7, -1)) ** 2
        for q in np.flatnonzero(clear):
            distances = square[:, weights[q] >= 0.1].sum(1)
            np.testing.assert_allclose(one.ravel()[q], mean(distances, IMAGES.reshape(7, -1)[:, q], sigma), atol=1e-4)
        sizes.append((weights >= 0.1).sum())
        assert clear.sum() > 30
    assert 60 < sizes[0] < sizes[1] < 3600  # more noise, more pixels to average


@pytest.mark.parametrize("kind", ["local", "equivariant", "pca_local"])
def test_sums_over_images_do_not_depend_on_the_blocks_they_are_streamed_in(kind):
    """Averages of softmaxes over blocks do: with the nearest image in one of two blocks, they lose half of it."""
    basis = jnp.eye(60).reshape(60, *SHAPE)
    options = (jnp.ones(60), basis) if kind == "pca_local" else ()
    named = {} if kind == "pca_local" else dict(window=3)
    make = lambda images, chunk: getattr(patches, kind)(images, *options, chunk=chunk, **named)
    whole, blocks = (denoise(make(IMAGES[:6], chunk), NOISY, 0.02) for chunk in (6, 4))
    np.testing.assert_allclose(blocks, whole, atol=1e-4)
    halves = [denoise(make(part, 3), NOISY, 0.02) for part in (IMAGES[:3], IMAGES[3:6])]
    assert abs(sum(halves) / 2 - whole).max() > 0.1


def test_very_small_and_large_noise():
    near = denoise(patches.local(IMAGES, window=5), IMAGES[3:4] + 1e-3, 1e-3)
    np.testing.assert_allclose(near, IMAGES[3:4], atol=1e-5)
    far = denoise(patches.local(IMAGES, window=5), NOISY, 1e3)
    np.testing.assert_allclose(far, np.broadcast_to(IMAGES.mean(0), NOISY.shape), atol=1e-3)


def test_the_jacobian_is_that_of_the_weights_and_not_symmetric():
    """J_qp = sum_i w_i(q) (x_i(q) - D_q) x_i(p) / sigma^2 for p near q, and 0 elsewhere."""
    images, noisy, sigma = IMAGES[..., :1], NOISY[0, ..., :1], 0.3
    denoiser = at(patches.local(images, window=3), sigma)
    matrix, flat = jax.jit(lambda noisy: jacobian(denoiser, noisy))(noisy), images.reshape(7, -1)
    row, column = np.divmod(np.arange(30), WIDTH)
    near = (abs(row[:, None] - row) <= 1) & (abs(column[:, None] - column) <= 1)
    expected = np.zeros((30, 30))
    for q in range(30):
        exponents = -np.sum((noisy.ravel() - flat)[:, near[q]] ** 2, 1) / (2 * sigma**2)
        weights = np.exp(exponents - exponents.max()) / np.exp(exponents - exponents.max()).sum()
        expected[q] = weights * (flat[:, q] - weights @ flat[:, q]) @ flat / sigma**2 * near[q]
    np.testing.assert_allclose(matrix, expected, atol=1e-4)
    assert np.linalg.norm(matrix - matrix.T) > 0.1 * np.linalg.norm(matrix)


def test_a_hundred_thousand_windows_take_less_than_a_second_of_one_core():
    """About 0.2 s as a product of matrices; sums over windows of squared differences take several."""
    images = np.random.default_rng(3).uniform(size=(98, 32, 32, 1)).astype("float32")
    denoiser, times = patches.equivariant(images, window=9), []
    for _ in range(3):
        start = time.process_time()
        jax.block_until_ready(denoise(denoiser, images[:1], 0.2))
        times.append(time.process_time() - start)
    assert min(times[1:]) < 1  # the first compiles


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="window must be odd, got 4"):
        patches.local(IMAGES, window=4)
    with pytest.raises(ValueError, match=r"window must be at most the sides \(6, 5\), got 7"):
        patches.equivariant(IMAGES, window=7)
    with pytest.raises(ValueError, match="borders must be circular or matched, got 'zero'"):
        patches.equivariant(IMAGES, window=3, borders="zero")
