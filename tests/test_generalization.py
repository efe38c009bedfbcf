"""Searches against brute force, collages of planted patches, distances of denoisers in closed form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gahr import metrics
from gahr.analysis import generalization, performance
from gahr.classical import analytic
from gahr.denoiser import at, blind

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (50, 6, 4, 2))
SAMPLES = jax.random.uniform(jax.random.key(2), (9, 6, 4, 2))
EIGHT_BIT = np.asarray(IMAGES * 255).astype(np.uint8)
nearest = jax.jit(generalization.nearest, static_argnames=("centred", "chunk"))
denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))


def correlations(samples, images, *, centred):
    """Similarity of every pair in float64, (S, N)."""
    rows = [np.asarray(part, np.float64).reshape(len(part), -1) for part in (samples, images)]
    if centred:
        rows = [part - part.mean(1, keepdims=True) for part in rows]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in rows]
    return units[0] @ units[1].T


@pytest.mark.parametrize(("chunk", "centred"), [(7, True), (1000, False)])
def test_nearest_is_the_best_of_all_pairs(chunk, centred):
    found = nearest(SAMPLES, IMAGES, centred=centred, chunk=chunk)
    expected = correlations(SAMPLES, IMAGES, centred=centred)
    np.testing.assert_array_equal(found.index, expected.argmax(1))
    np.testing.assert_allclose(found.similarity, expected.max(1), atol=1e-6)
    pairs = metrics.cosine_similarity(SAMPLES, IMAGES[found.index], centred=centred)
    np.testing.assert_allclose(found.similarity, pairs, atol=1e-6)


def test_nearest_takes_eight_bit_arrays_and_functions_and_first_images_alike():
    for images, number in ((EIGHT_BIT, None), (EIGHT_BIT, 10), (jnp.asarray(EIGHT_BIT).__getitem__, 50)):
        found = jax.jit(lambda s, i=images, n=number: generalization.nearest(s, i, num_images=n, chunk=8))(SAMPLES)
        expected = correlations(SAMPLES, EIGHT_BIT[:number], centred=True)
        np.testing.assert_array_equal(found.index, expected.argmax(1))
        np.testing.assert_allclose(found.similarity, expected.max(1), atol=1e-6)


def test_copies_are_found_whatever_their_contrast_and_the_first_of_equals_is_named():
    found = nearest(0.3 * IMAGES + 0.2, jnp.concatenate([IMAGES, IMAGES]), chunk=16)
    np.testing.assert_array_equal(found.index, np.arange(50))
    np.testing.assert_allclose(found.similarity, 1, atol=1e-6)


def test_a_constant_image_is_near_to_none():
    constant = jnp.full_like(SAMPLES, 0.3).at[1:].set(SAMPLES[1:])
    for images in (IMAGES, jnp.full_like(IMAGES, 0.3)):
        np.testing.assert_allclose(nearest(constant, images, chunk=7).similarity[0], 0, atol=1e-6)


@pytest.mark.parametrize(("chunk", "centred"), [(4, True), (100, False)])
def test_closest_pairs_are_the_largest_similarities_of_the_rows(chunk, centred):
    closest = functools.partial(generalization.closest_pairs, centred=centred, chunk=chunk)
    expected = correlations(SAMPLES, IMAGES, centred=centred).max(1)
    np.testing.assert_allclose(jax.jit(closest)(SAMPLES, IMAGES), expected, atol=1e-6)
    made = jax.jit(lambda a, b: closest(a.__getitem__, b.__getitem__, num_images=9))(SAMPLES, IMAGES)
    np.testing.assert_allclose(made, correlations(SAMPLES, IMAGES[:9], centred=centred).max(1), atol=1e-6)


collage = jax.jit(generalization.patch_collage, static_argnames=("patch", "centred", "chunk"))


def test_a_collage_of_training_patches_is_put_together_again():
    index = np.random.default_rng(1).integers(0, 50, (9, 3, 2))
    pieces = np.asarray(IMAGES).reshape(50, 3, 2, 2, 2, 2).swapaxes(2, 3)  # (N, rows, columns, 2, 2, C)
    rows, columns = np.meshgrid(np.arange(3), np.arange(2), indexing="ij")
    samples = pieces[index, rows, columns].swapaxes(2, 3).reshape(9, 6, 4, 2)
    for chunk in (9, 1000):
        found = collage(samples, IMAGES, patch=2, chunk=chunk)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_allclose(found.similarity, 1, atol=1e-6)
        np.testing.assert_array_equal(found.images, samples)
    assert nearest(samples, IMAGES, chunk=7).similarity.max() < 0.95  # no whole image is near


def test_patches_are_compared_at_their_place_by_brute_force():
    found = jax.tree.map(np.asarray, collage(SAMPLES, IMAGES, patch=2, centred=False, chunk=9))
    samples, images = np.asarray(SAMPLES), np.asarray(IMAGES)
    for row, column in np.ndindex(3, 2):
        place = (slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        expected = correlations(samples[place], images[place], centred=False)
        np.testing.assert_array_equal(found.index[:, row, column], expected.argmax(1))
        np.testing.assert_allclose(found.similarity[:, row, column], expected.max(1), atol=1e-6)
        np.testing.assert_array_equal(found.images[place], images[place][expected.argmax(1)])


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


SIGMAS = np.array([0.05, 0.2, 1.0], np.float32)


def test_distances_of_linear_denoisers_have_closed_forms():
    """D = a y against b y: E |D - D_other|^2 / d = (a - b)^2 (x^2 + sigma^2), and a constant c moves it by c^2."""
    clean = jnp.full((400, 4, 4, 1), 0.5)
    others = {
        "half": blind(lambda noisy: 0.5 * noisy),
        "moved": lambda noisy, sigma: noisy + 0.1,
        "same": blind(lambda y: y),
    }
    measure = jax.jit(lambda c: generalization.distances(blind(lambda y: y), others, KEY, c, sigmas=SIGMAS))
    found = jax.tree.map(np.asarray, measure(clean))
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
    other = jnp.asarray(np.multiply.outer(levels, np.ones((4, 4, 1))), jnp.float32)
    measure = jax.jit(functools.partial(generalization.distances, blind(jnp.zeros_like), sigmas=SIGMAS))
    found = measure({"o": Partial(lambda noisy, sigma: other)}, KEY, jnp.ones_like(other))
    for measured, values in zip(found["o"], (levels**2, -20 * np.log10(levels)), strict=True):
        np.testing.assert_allclose(measured, [[values.mean(), values.std(ddof=1) / np.sqrt(3)]] * 3, rtol=1e-5)


def test_a_memorizing_denoiser_is_near_its_own_points_and_far_from_its_twins():
    halves = [analytic.points(part) for part in (IMAGES[:25], IMAGES[25:])]
    others = {"empirical": analytic.points(EIGHT_BIT[:25]), "twin": halves[1]}
    found = jax.jit(generalization.distances)(halves[0], others, KEY, IMAGES[:25], sigmas=SIGMAS[:2])
    assert np.all(found["empirical"].mse[:, 0] < 1e-5)
    assert np.all(found["twin"].mse[:, 0] > 0.05)
    # the closest training image of the twin bounds what it can do at small noise
    gaps = np.mean((np.asarray(IMAGES)[:25, None] - np.asarray(IMAGES)[None, 25:]) ** 2, (2, 3, 4)).min(1)
    assert found["twin"].mse[0, 0] == pytest.approx(float(gaps.mean()), rel=0.02)


def test_point_masses_give_the_nearest_image_at_small_and_the_mean_at_large_noise():
    noisy, points = IMAGES[:9] + 0.01 * SAMPLES, analytic.points(IMAGES, chunk=7)
    for sigma in (1e-7, 1e-3):
        np.testing.assert_allclose(denoise(points, noisy, sigma), IMAGES[:9], atol=1e-6)
    np.testing.assert_allclose(denoise(points, noisy, 1e3), [np.mean(IMAGES, 0)] * 9, atol=1e-5)


def test_point_masses_do_not_depend_on_the_blocks_nor_on_what_holds_the_images():
    whole = analytic.points(EIGHT_BIT / np.float32(255), chunk=50)
    parts = (
        analytic.points(EIGHT_BIT, chunk=7),
        analytic.points(EIGHT_BIT[np.random.default_rng(2).permutation(50)], chunk=1),
        analytic.points(jnp.asarray(EIGHT_BIT).__getitem__, num_images=50, chunk=16),
    )
    for sigma in (1e-4, 0.1, 0.4, 5.0):
        for streamed in parts:
            expected = denoise(whole, SAMPLES, sigma)
            np.testing.assert_allclose(denoise(streamed, SAMPLES, sigma), expected, atol=2e-5)


def test_the_jacobian_of_streamed_point_masses_by_both_modes():
    sigma, images = 0.3, jnp.asarray(EIGHT_BIT)
    find = jax.jit(functools.partial(analytic.points_jacobian, num_images=50, chunk=9), static_argnums=0)
    expected = find(images.__getitem__, SAMPLES[0], sigma)
    denoiser = functools.partial(analytic.points(EIGHT_BIT, chunk=7), sigma=sigma)
    for derivative in (jax.jacfwd, jax.jacrev):
        np.testing.assert_allclose(jax.jit(derivative(denoiser))(SAMPLES[0]).reshape(48, 48), expected, atol=1e-5)
    assert np.trace(expected) > 0.1


def test_the_psnr_curve_of_point_masses_is_that_of_each_level():
    empirical = analytic.points(EIGHT_BIT, chunk=16)
    measure = jax.jit(lambda images, s: performance.psnr_curve(at(empirical, s), KEY, images, sigmas=s, chunk=9).psnr)
    curve = measure(SAMPLES, SIGMAS)
    np.testing.assert_allclose(curve[:, 1], measure(SAMPLES, SIGMAS[1:2])[:, 0], atol=1e-3)
    assert np.all(measure(IMAGES[:9], SIGMAS)[:, 0] > 40)  # training images to 8 bits, up to -20 log10(1 / 255) = 48 dB
    assert np.all(curve[:, 0] < 15)
