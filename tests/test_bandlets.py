"""Bandlets: orthonormal, the exact best basis, projections, and better than wavelets along contours."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis.jacobian import jacobian
from gahr.classical import bandlets, shrinkage, squares, wavelets
from gahr.classical.bandlets import Design
from gahr.denoiser import at

SMALL = Design(levels=1, sizes=(2, 4, 8), wavelet="haar")
EDGE = jnp.asarray(np.indices((32, 32)).T @ [0.4, 0.9] > 21.3, "float32")[..., None]
choose = jax.jit(bandlets.best_basis, static_argnames=("design", "price"))
turn = jax.jit(bandlets.analysis, static_argnames="design")
back = jax.jit(bandlets.synthesis, static_argnames="design")


def test_the_orders_of_directions_are_as_many_as_differ():
    assert [[len(squares.orders(b, s)) for b in (4, 8, 16)] for s in (1, 2)] == [[8, 16, 32], [12, 32, 64]]
    for order in squares.orders(8, 1):
        np.testing.assert_array_equal(np.sort(order), np.arange(64))
    for theta, order in zip(squares.angles(8, 1), squares.orders(8, 1), strict=True):
        row, column = np.divmod(order, 8)
        assert np.all(np.diff(np.cos(theta) * row - np.sin(theta) * column) >= -1e-9)
    rows = squares.orders(8, 1)[0].reshape(8, 8)  # the first is nearly along the rows
    np.testing.assert_array_equal(np.sort(rows, 1), np.arange(64).reshape(8, 8))


@pytest.mark.parametrize(("number", "moments"), [(4, 1), (16, 2), (64, 3), (16, 4)])
def test_alperts_vectors_are_orthonormal_with_vanishing_moments(number, moments):
    matrix, place = squares.alpert(number, moments), np.linspace(-1, 1, number)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(number), atol=1e-12)
    for q in range(moments):
        np.testing.assert_allclose(matrix[moments:] @ place**q, 0, atol=1e-12)
    support, leaf = np.sum(np.abs(matrix) > 1e-9, 1), 2 ** int(np.ceil(np.log2(moments)))
    assert np.sum(support <= 2 * leaf) >= number // 2
    if moments == 1:
        haar = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [2**0.5, -(2**0.5), 0, 0], [0, 0, 2**0.5, -(2**0.5)]]) / 2
        np.testing.assert_allclose(np.abs(matrix @ haar.T), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("design", [Design(levels=2, sizes=(2, 4, 8)), Design(levels=2, sizes=(8, 16), moments=2)])
@pytest.mark.parametrize("bits", [32, 64])
def test_analysis_keeps_the_energy_and_synthesis_is_its_inverse(design, bits):
    """Also of other images than those the bandlets were chosen for; scales that no square divides stay wavelets."""
    tolerance = {32: 2e-6, 64: 1e-12}[bits]
    with jax.enable_x64(bits == 64):
        images = jnp.stack([EDGE, EDGE.swapaxes(0, 1)[::-1]], -1)[..., 0, :].astype(f"float{bits}")
        images = jnp.stack([images, jnp.flip(images, 1)])[:, 8:24]  # (2, 16, 32, 2)
        geometry = choose(images, threshold=jnp.array([0.1, 0.3]), design=design)
        assert geometry.num_directed.sum() > 0
        other = jnp.asarray(np.random.default_rng(0).uniform(size=images.shape), images.dtype)
        for given in (images, other):
            found = turn(given, geometry, design=design)
            energies = [np.sum(np.asarray(array, np.float64) ** 2) for array in (found, given)]
            assert abs(energies[0] / energies[1] - 1) < tolerance
            assert abs(back(found, geometry, design=design) - given).max() < 2 * tolerance


def least(band, threshold, price):
    """Least L of one band (8, 8), by writing down all trees of squares of 8, 4 and 2."""

    def own(block):
        side, costs = len(block), [np.minimum(block**2, threshold**2).sum()]
        matrix = squares.alpert(side * side, 1)
        for order in squares.orders(side, 1):
            turned = matrix @ block.ravel()[order]
            costs.append(np.minimum(turned**2, threshold**2).sum() + price * threshold**2)
        return min(costs)

    def cut(block):
        half = len(block) // 2
        return [block[i : i + half, j : j + half] for i in (0, half) for j in (0, half)]

    split = threshold**2 / 7
    trees = [own(band)]
    for is_cut in itertools.product([False, True], repeat=4):
        parts = [
            split + sum(map(own, cut(four))) if again else own(four)
            for four, again in zip(cut(band), is_cut, strict=True)
        ]
        trees.append(split + sum(parts))
    return min(trees)


@pytest.mark.parametrize("price", [0.2, 1.0])
def test_the_best_basis_is_that_of_all_trees(price):
    smooth = 0.1 * np.random.default_rng(1).normal(size=(16, 16, 1)).cumsum(0).cumsum(1)
    image, threshold = jnp.asarray(smooth + EDGE[::2, ::2], jnp.float32), 0.15
    geometry = choose(image, threshold=threshold, price=price, design=SMALL)
    coefficients = np.asarray(wavelets.analysis(image, wavelet="haar", levels=1), np.float64)[..., 0]
    bands = coefficients[:8, 8:], coefficients[8:, :8], coefficients[8:, 8:]
    expected = sum(least(band, threshold, price) for band in bands)
    np.testing.assert_allclose(geometry.cost[0], expected, rtol=1e-4)
    assert geometry.num_splits[0] > 1


def cost(coefficients, threshold, geometry, price, labels):
    """L from the coefficients themselves, of images (n, H, W, 1)."""
    details = np.asarray(coefficients)[:, labels[..., 0] > 0, 0]
    kept = np.abs(details) > threshold
    price_of_geometry = price * np.asarray(geometry.num_directed) + np.asarray(geometry.num_splits) / 7
    return np.sum(details**2 * ~kept, 1) + threshold**2 * (kept.sum(1) + price_of_geometry[:, 0])


@pytest.mark.parametrize("moments", [1, 2])
def test_the_cost_is_recomputed_and_never_above_that_of_wavelets(moments, images):
    design, labels = Design(levels=2, sizes=(2, 4), moments=moments), wavelets.bands((16, 16, 1), levels=2)
    clean = images(jax.random.key(5), 8)
    for threshold in (0.02, 0.1, 0.5):
        geometry = choose(clean, threshold=threshold, design=design)
        found = cost(turn(clean, geometry, design=design), threshold, geometry, 1.0, labels)
        np.testing.assert_allclose(geometry.cost[:, 0], found, rtol=1e-3, atol=1e-5)
        details = np.asarray(wavelets.analysis(clean, levels=2))[:, labels[..., 0] > 0, 0]
        assert np.all(geometry.cost[:, 0] <= np.minimum(details**2, threshold**2).sum(1) * (1 + 1e-6))


def test_every_square_is_used_once():
    design = Design(levels=1, sizes=(4, 8, 16))
    (marks,) = choose(EDGE, threshold=0.05, design=design).squares
    used = sum(np.kron(np.asarray(mark[0]) >= 0, np.ones((3, b, b))) for mark, b in zip(marks, (4, 8, 16), strict=True))
    np.testing.assert_array_equal(used[:, :16, :16], 1)


def test_a_straight_edge_takes_far_fewer_coefficients_than_in_wavelets():
    row, column = np.indices((64, 64))
    edge = jnp.asarray(np.clip(0.9 * row - 0.4 * column - 15, 0, 1), "float32")[..., None]  # one pixel wide
    threshold, labels = 0.05, wavelets.bands((64, 64, 1), levels=2)[..., 0] > 0
    design = Design(levels=2)
    geometry = choose(edge, threshold=threshold, design=design)
    number, plain = (
        np.sum(abs(np.asarray(found)[labels]) > threshold)
        for found in (turn(edge, geometry, design=design), wavelets.analysis(edge, levels=2))
    )
    assert number + float(geometry.num_directed[0]) < 0.75 * plain


def test_the_denoiser_is_an_orthogonal_projection_in_the_basis_of_the_noisy_image():
    design, clean = Design(levels=1, sizes=(2, 4)), EDGE[10:18, 10:18]
    noisy = clean + 0.1 * jax.random.normal(jax.random.key(0), clean.shape)
    denoiser = jax.jit(at(bandlets.denoiser(design=design, price=0.2), 0.1))
    matrix = jax.jit(functools.partial(jacobian, denoiser))(noisy)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-5)
    np.testing.assert_allclose(matrix @ noisy.ravel(), denoiser(noisy).ravel(), atol=1e-5)
    geometry = choose(noisy, threshold=0.3, price=0.2, design=design)
    coefficients = turn(noisy, geometry, design=design)
    is_kept = (wavelets.bands(noisy.shape, levels=1) == 0) | (abs(np.asarray(coefficients)) > 0.3)
    assert geometry.num_directed[0] > 0
    np.testing.assert_allclose(jnp.trace(matrix), is_kept.sum(), atol=1e-3)


def test_images_and_noise_levels_are_treated_each_by_itself():
    design = Design(levels=1, sizes=(4, 8))
    noisy = jnp.stack([EDGE, jnp.flip(EDGE, 0)]) + 0.1 * jax.random.normal(jax.random.key(0), (2, 32, 32, 1))
    denoiser, sigmas = jax.jit(bandlets.denoiser(design=design)), jnp.array([0.1, 0.2])
    found = denoiser(noisy, sigmas)
    for one, image, sigma in zip(found, noisy, sigmas, strict=True):
        np.testing.assert_allclose(denoiser(image, sigma), one, atol=1e-5)
    colours = denoiser(jnp.moveaxis(noisy, 0, -1)[..., 0, :], 0.1)
    np.testing.assert_allclose(colours[..., :1], found[0], atol=1e-5)


def test_pilots_and_clean_images_choose_better_bases_than_the_noisy_image():
    """With a pilot that is the clean image the denoiser is a threshold in the oracle's basis."""
    design, sigma = Design(levels=1, sizes=(4, 8)), 0.15
    clean = jnp.stack([jnp.roll(EDGE, shift, 1) for shift in range(8)])
    noisy = clean + sigma * jax.random.normal(jax.random.key(2), clean.shape)
    options = dict(design=design, price=1.0)
    told = jax.jit(bandlets.denoiser(pilot=jax.tree_util.Partial(lambda x, *_: x, clean), **options))(noisy, sigma)
    transform = bandlets.transform(choose(clean, threshold=3 * sigma, design=design), design=design)
    bands = wavelets.bands(clean.shape, levels=1)
    by_hand = jax.jit(shrinkage.hard(transform, bands=bands))(noisy, sigma)
    np.testing.assert_allclose(told, by_hand, atol=1e-5)
    error = lambda denoised: float(jnp.mean((denoised - clean) ** 2))
    alone = error(jax.jit(bandlets.denoiser(**options))(noisy, sigma))
    assert error(jax.jit(shrinkage.oracle(transform, clean))(noisy, sigma)) < error(told) < alone


def test_designs_that_cannot_be_are_refused():
    for sizes in ((3,), (4, 16), (8, 4), ()):
        with pytest.raises(ValueError, match="sizes must be powers of 2 from 2, each twice the one before"):
            Design(sizes=sizes)
    with pytest.raises(ValueError, match="moments must be a whole number from 1 to 8"):
        Design(moments=0)
    with pytest.raises(ValueError, match="levels must be a whole number from 0 to 5"):
        bandlets.best_basis(EDGE, threshold=0.1, design=Design(levels=6))
