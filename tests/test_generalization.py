"""Searches against brute force, collages of planted patches, distances of denoisers in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import metrics
from gahr.analysis import generalization, performance
from gahr.classical import analytic
from gahr.denoiser import at, blind

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (50, 6, 4, 2))
SAMPLES = jax.random.uniform(jax.random.key(2), (9, 6, 4, 2))
EIGHT_BIT = np.asarray(IMAGES * 255).astype(np.uint8)


def correlations(samples, images, *, centred):
    """Similarity of every pair in float64, (S, N)."""
    rows = [np.asarray(part, np.float64).reshape(len(part), -1) for part in (samples, images)]
    if centred:
        rows = [part - part.mean(1, keepdims=True) for part in rows]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows]
    return units[0] @ units[1].T


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_nearest_is_the_best_of_all_pairs(chunk, centred):
    found = generalization.nearest(SAMPLES, IMAGES, centred=centred, chunk=chunk)
    expected = correlations(SAMPLES, IMAGES, centred=centred)
    np.testing.assert_array_equal(found.index, expected.argmax(1))
    np.testing.assert_allclose(found.similarity, expected.max(1), atol=1e-6)
    pairs = metrics.cosine_similarity(SAMPLES, IMAGES[found.index], centred=centred)
    np.testing.assert_allclose(found.similarity, pairs, atol=1e-6)


def test_nearest_takes_eight_bit_arrays_and_functions_and_first_images_alike():
    plain = generalization.nearest(SAMPLES, EIGHT_BIT / np.float32(255), chunk=8)
    for images, number in ((EIGHT_BIT, None), (jnp.asarray(EIGHT_BIT).__getitem__, 50)):
        found = jax.jit(lambda samples, i=images, n=number: generalization.nearest(samples, i, num_images=n, chunk=8))
        np.testing.assert_array_equal(found(SAMPLES).index, plain.index)
        np.testing.assert_allclose(found(SAMPLES).similarity, plain.similarity, atol=1e-6)
    first = generalization.nearest(SAMPLES, IMAGES, num_images=10, chunk=8)
    np.testing.assert_array_equal(first.index, correlations(SAMPLES, IMAGES[:10], centred=True).argmax(1))


def test_nearest_follows_a_permutation_of_the_images():
    order = np.random.default_rng(0).permutation(50)
    found, moved = (generalization.nearest(SAMPLES, images, chunk=8) for images in (IMAGES, IMAGES[order]))
    np.testing.assert_array_equal(order[moved.index], found.index)


def test_copies_are_found_whatever_their_contrast_and_the_first_of_equals_is_named():
    doubled = jnp.concatenate([IMAGES, IMAGES])
    found = generalization.nearest(0.3 * IMAGES + 0.2, doubled, chunk=16)
    np.testing.assert_array_equal(found.index, np.arange(50))
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)


def test_a_constant_image_is_near_to_none():
    constant = jnp.full((1, 6, 4, 2), 0.3)
    np.testing.assert_allclose(generalization.nearest(constant, IMAGES).similarity, 0, atol=1e-6)
    np.testing.assert_allclose(generalization.nearest(constant, constant).similarity, 0, atol=1e-6)


@pytest.mark.parametrize(("chunk", "centred"), [(4, True), (100, False)])
def test_closest_pairs_are_the_largest_similarities_of_the_rows(chunk, centred):
    expected = correlations(SAMPLES, IMAGES, centred=centred).max(1)
    found = generalization.closest_pairs(SAMPLES, IMAGES, centred=centred, chunk=chunk)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    made = generalization.closest_pairs(SAMPLES.__getitem__, IMAGES.__getitem__, num_images=9, chunk=chunk)
    np.testing.assert_allclose(made, correlations(SAMPLES, IMAGES[:9], centred=True).max(1), atol=1e-6)


@pytest.mark.parametrize("chunk", [3, 1000])
def test_a_collage_of_training_patches_is_put_together_again(chunk):
    rng = np.random.default_rng(1)
    index = rng.integers(0, 50, (5, 3, 2))
    pieces = np.asarray(IMAGES).reshape(50, 3, 2, 2, 2, 2).swapaxes(2, 3)  # (N, rows, columns, 2, 2, C)
    rows, columns = np.meshgrid(np.arange(3), np.arange(2), indexing="ij")
    samples = jnp.asarray(pieces[index, rows, columns].swapaxes(2, 3).reshape(5, 6, 4, 2))
    found = generalization.patch_collage(samples, IMAGES, patch=2, chunk=chunk)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)
    np.testing.assert_array_equal(found.images, samples)
    assert generalization.nearest(samples, IMAGES).similarity.max() < 0.95  # no whole image is near


def test_patches_are_compared_at_their_place_by_brute_force():
    found = generalization.patch_collage(SAMPLES, IMAGES, patch=2, centred=False, chunk=9)
    for row, column in np.ndindex(3, 2):
        place = (slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        expected = correlations(SAMPLES[place], IMAGES[place], centred=False)
        np.testing.assert_array_equal(found.index[:, row, column], expected.argmax(1))
        np.testing.assert_allclose(found.similarity[:, row, column], expected.max(1), atol=1e-6)
        np.testing.assert_array_equal(found.images[place], IMAGES[place][expected.argmax(1)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generalization.nearest(SAMPLES[0], IMAGES), r"samples must be \(S, 6, 4, 2\), got \(6, 4, 2\)"),
        (lambda: generalization.nearest(SAMPLES[:, 1:], IMAGES), r"samples must be \(S, 6, 4, 2\), got \(9, 5, 4, 2\)"),
        (lambda: generalization.patch_collage(SAMPLES, IMAGES, patch=4), "one of 1, 2, got 4; the nearest is 2"),
        (lambda: generalization.patch_collage(SAMPLES, IMAGES, patch=0), "one of 1, 2, got 0; the nearest is 1"),
        (lambda: generalization.distances(blind(jnp.tanh), {}, KEY, SAMPLES[:1], sigmas=[0.1]), "two images at least"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SIGMAS = jnp.array([0.05, 0.2, 1.0])


def test_distances_of_linear_denoisers_have_closed_forms():
    """D = a y against b y: E |D - D_other|^2 / d = (a - b)^2 (x^2 + sigma^2), and a constant c moves it by c^2."""
    clean = jnp.full((400, 4, 4, 1), 0.5)
    others = {
        "half": blind(lambda noisy: 0.5 * noisy),
        "moved": lambda noisy, sigma: noisy + 0.1,
        "same": blind(lambda y: y),
    }
    found = generalization.distances(blind(lambda noisy: noisy), others, KEY, clean, sigmas=SIGMAS)
    mean, error = found["half"].mse.T
    assert np.all(np.abs(mean - 0.25 * (0.25 + SIGMAS**2)) < 4 * error)
    # per pixel (x + sigma z)^2 has variance 4 x^2 sigma^2 + 2 sigma^4
    spread = 0.25 * np.sqrt((SIGMAS**2 + 2 * SIGMAS**4) / 16 / 400)
    np.testing.assert_allclose(error, spread, rtol=4 / np.sqrt(2 * 400))
    np.testing.assert_allclose(found["moved"].mse, [[0.01, 0]] * 3, atol=1e-6)
    np.testing.assert_allclose(found["moved"].psnr, [[20, 0]] * 3, atol=1e-3)
    np.testing.assert_array_equal(found["same"].mse, 0)
    np.testing.assert_array_equal(found["same"].psnr[:, 0], np.inf)


def test_distances_are_means_over_images_with_their_standard_errors():
    levels = np.array([0.1, 0.2, 0.4])
    other = jnp.asarray(levels, jnp.float32)[:, None, None, None] * jnp.ones((1, 4, 4, 1))
    zero = blind(jnp.zeros_like)
    found = generalization.distances(zero, {"o": lambda noisy, sigma: other}, KEY, jnp.ones_like(other), sigmas=SIGMAS)
    for measure, values in zip(found["o"], (levels**2, -20 * np.log10(levels)), strict=True):
        np.testing.assert_allclose(measure, [[values.mean(), values.std(ddof=1) / np.sqrt(3)]] * 3, rtol=1e-5)


def test_a_memorizing_denoiser_is_near_its_own_points_and_far_from_its_twins():
    halves = [analytic.points(part) for part in (IMAGES[:25], IMAGES[25:])]
    found = generalization.distances(
        halves[0],
        {"empirical": analytic.points(EIGHT_BIT[:25]), "twin": halves[1]},
        KEY,
        IMAGES[:25],
        sigmas=SIGMAS[:2],
    )
    assert np.all(found["empirical"].mse[:, 0] < 1e-5)
    assert np.all(found["twin"].mse[:, 0] > 0.05)
    # the closest training image of the twin bounds what it can do at small noise
    gaps = jnp.mean((IMAGES[:25, None] - IMAGES[None, 25:]) ** 2, (2, 3, 4)).min(1)
    assert found["twin"].mse[0, 0] == pytest.approx(float(gaps.mean()), rel=0.02)


def test_point_masses_give_the_nearest_image_at_small_and_the_mean_at_large_noise():
    noisy = IMAGES[:9] + 0.01 * SAMPLES
    for sigma in (1e-7, 1e-3):
        np.testing.assert_allclose(analytic.points(IMAGES, chunk=7)(noisy, sigma), IMAGES[:9], atol=1e-6)
    mean = jnp.broadcast_to(IMAGES.mean(0, keepdims=True), noisy.shape)
    np.testing.assert_allclose(analytic.points(IMAGES, chunk=7)(noisy, 1e3), mean, atol=1e-5)


@pytest.mark.parametrize("sigma", [1e-4, 0.1, 0.4, 5.0])
def test_point_masses_do_not_depend_on_the_blocks_nor_on_what_holds_the_images(sigma):
    whole = analytic.points(EIGHT_BIT / np.float32(255), chunk=50)(SAMPLES, sigma)
    order = np.random.default_rng(2).permutation(50)
    for streamed in (
        analytic.points(EIGHT_BIT, chunk=7),
        analytic.points(EIGHT_BIT[order], chunk=1),
        analytic.points(jnp.asarray(EIGHT_BIT).__getitem__, num_images=50, chunk=16),
    ):
        np.testing.assert_allclose(streamed(SAMPLES, sigma), whole, atol=2e-5)


@pytest.mark.parametrize("derivative", [jax.jacfwd, jax.jacrev])
def test_the_jacobian_of_streamed_point_masses_by_both_modes(derivative):
    sigma = 0.3
    denoiser = analytic.points(EIGHT_BIT, chunk=7)
    found = derivative(functools.partial(denoiser, sigma=sigma))(SAMPLES[0]).reshape(48, 48)
    expected = analytic.points_jacobian(jnp.asarray(EIGHT_BIT).__getitem__, SAMPLES[0], sigma, num_images=50, chunk=9)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.trace(expected) > 0.1


def test_point_masses_are_tweedies_step():
    sigma, flat = 0.3, IMAGES.reshape(50, -1)

    def log_density(noisy):
        return jax.nn.logsumexp(-jnp.sum((noisy.reshape(1, -1) - flat) ** 2, 1) / (2 * sigma**2))

    expected = SAMPLES[0] + sigma**2 * jax.grad(log_density)(SAMPLES[0])
    np.testing.assert_allclose(analytic.points(IMAGES, chunk=8)(SAMPLES[0], sigma), expected, atol=1e-5)


def test_the_psnr_curve_of_point_masses_is_that_of_each_level():
    empirical = analytic.points(EIGHT_BIT, chunk=16)
    curve = performance.psnr_curve(at(empirical, SIGMAS), KEY, SAMPLES, sigmas=SIGMAS, chunk=len(SAMPLES))
    single = performance.psnr_curve(at(empirical, SIGMAS[1]), KEY, SAMPLES, sigmas=SIGMAS[1:2])
    np.testing.assert_allclose(curve.psnr[:, 1], single.psnr[:, 0], atol=1e-3)
    trained = performance.psnr_curve(at(empirical, SIGMAS), KEY, IMAGES[:9], sigmas=SIGMAS)
    assert np.all(trained.psnr[:, 0] > 40)  # training images to their 8 bits, up to -20 log10(1 / 255) = 48 dB
    assert np.all(curve.psnr[:, 0] < 15)
