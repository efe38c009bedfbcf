"""Own and swapped bases of denoisers whose bases are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr.analysis import adaptivity, geometry
from gahr.analysis.jacobian import eigenbasis_of, jacobian, singular_basis_of
from gahr.classical import analytic, cosines
from gahr.denoiser import at

SHAPE, SIZE, SIGMA = (6, 4, 2), 48, 0.3
KEY = jax.random.key(0)


def orthonormal(seed):
    return jnp.linalg.qr(jax.random.normal(jax.random.key(seed), (SIZE, SIZE)))[0]


def dimension_of(rows, image):
    return np.minimum((np.reshape(rows, (len(rows), -1)) @ np.ravel(image)) ** 2 / SIGMA**2, 1).sum()


def mse_of(gains, vectors, image):
    rows = np.reshape(vectors, (SIZE, -1))
    return np.mean((np.ravel(image) - (gains * (rows @ np.ravel(image))) @ rows) ** 2)


@pytest.fixture(scope="module")
def pair():
    """Images (3, *SHAPE), clean and noisy."""
    clean = jax.random.uniform(KEY, (3, *SHAPE))
    return clean, clean + SIGMA * jax.random.normal(KEY, clean.shape)


def test_own_is_swapped_where_the_denoiser_is_fixed_and_linear(pair):
    matrix = 0.4 * jnp.eye(SIZE) + 0.2 * jax.random.normal(KEY, (SIZE, SIZE)) / SIZE**0.5
    found = adaptivity.adaptivity([matrix] * 3, *pair, sigma=SIGMA, k=5)
    clean, noisy = (np.asarray(images).reshape(3, -1) for images in pair)
    left, values, right = np.linalg.svd(matrix)
    symmetric = (matrix + matrix.T) / 2
    bases = {"eigen": np.linalg.eigh(symmetric)[1].T[::-1], "left": left.T, "right": right}
    for kind, rows in bases.items():
        for values in found[kind]:
            assert values.shape == (3, 3)
            np.testing.assert_array_equal(values, values[:, :1] * np.ones((1, 3)))
        energy = (clean @ rows.T) ** 2
        expected = np.minimum(energy / SIGMA**2, 1).sum(1), energy[:, 5:].sum(1) / (clean**2).sum(1)
        np.testing.assert_allclose(found[kind].dimension[:, 0], expected[0], rtol=1e-4)
        np.testing.assert_allclose(found[kind].beyond[:, 0], expected[1], rtol=1e-3)
        applied = symmetric if kind == "eigen" else matrix
        np.testing.assert_allclose(found[kind].mse[:, 0], ((noisy @ applied.T - clean) ** 2).mean(1), rtol=1e-4)
    assert adaptivity.summary(found["left"].dimension).ratio == pytest.approx((1, 0), abs=1e-6)


def test_exact_posterior_of_a_mixture_has_the_basis_of_the_component_at_hand():
    bases = jnp.stack([jnp.eye(SIZE), cosines.basis(SHAPE).reshape(SIZE, -1)]).reshape(2, SIZE, *SHAPE)
    spectrum = jnp.broadcast_to(jnp.geomspace(4, 1e-3, SIZE), (2, SIZE))
    prior = jnp.full(2, 0.5), jnp.zeros((2, *SHAPE)), spectrum, bases
    clean = 6 * jnp.stack([bases[0, 0], bases[1, 0], (bases[1, 0] + bases[1, 1]) / 2**0.5])  # of one, and of the other
    denoiser = at(analytic.mixture(*prior), SIGMA)
    matrices = (jacobian(denoiser, image) for image in clean)  # made one at a time
    found = adaptivity.adaptivity(matrices, clean, clean, sigma=SIGMA, k=2)
    expected = [[dimension_of(bases[j], image) for j in (0, 1, 1)] for image in clean]
    assert np.diag(expected) == pytest.approx([1, 1, 2])  # a pixel; a constant in one channel; in both
    assert expected[0][1] > 15
    assert expected[1][0] == pytest.approx(SIZE / 2)
    for kind in ("eigen", "left", "right"):  # J is symmetric
        np.testing.assert_allclose(found[kind].dimension, expected, rtol=1e-2)
        np.testing.assert_allclose(found[kind].beyond[[0, 1, 2, 1, 2], [0, 1, 2, 2, 1]], 0, atol=1e-5)
        assert found[kind].beyond[1, 0] > 0.9
        kept = spectrum[0] / (spectrum[0] + SIGMA**2)
        missed = [[mse_of(kept, bases[j], image) for j in (0, 1, 1)] for image in clean]
        np.testing.assert_allclose(found[kind].mse, missed, rtol=1e-2)
        assert missed[1][0] > 100 * missed[1][1]


def test_images_are_sparse_in_the_left_vectors_of_what_makes_them():
    ours, theirs = orthonormal(1), orthonormal(2)
    matrix = (ours * jnp.linspace(2, 1, SIZE)[None]) @ theirs.T
    images = jnp.stack([ours[:, 0], 3 * ours[:, 1], theirs[:, 0], 0.1 * ours[:, 0]]).reshape(-1, *SHAPE)
    eigen, singular = eigenbasis_of(matrix, SHAPE), singular_basis_of(matrix, SHAPE)
    found = adaptivity.in_bases(eigen, singular, images, images, sigma=SIGMA, k=1)
    np.testing.assert_allclose(found["left"].dimension[jnp.array([0, 1, 3])], [1, 1, 1 / 9], rtol=1e-3)
    np.testing.assert_allclose(found["left"].beyond[:2], [0, 1], atol=1e-4)
    assert found["right"].dimension[2] == pytest.approx(1, rel=1e-3)
    assert min(found["right"].dimension[0], found["left"].dimension[2], found["eigen"].dimension[0]) > 4
    of_one = geometry.threshold_mse(singular.left, images[2], sigma=SIGMA) * SIZE / SIGMA**2
    assert found["left"].dimension[2] == pytest.approx(float(of_one), rel=1e-4)


def test_the_summary_takes_the_mean_over_the_images_and_the_jackknife_over_images_with_their_bases():
    matrix = np.array([[1.0, 6, 9], [4, 2, 10], [7, 12, 3]])
    wavelet, cosine = np.array([5.0, 6, 7]), np.array([2.0, 4, 6])
    found = adaptivity.summary(matrix, fixed={"wavelets": wavelet, "cosines": cosine})
    assert found.own == pytest.approx((2, (1 / 3) ** 0.5))
    left_out = np.array([11, 8, 5])  # the swapped of two, without image 0, 1, 2
    assert found.swapped == pytest.approx((8, (2 / 3 * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5))
    ratios = left_out / [2.5, 2, 1.5]
    assert found.ratio == pytest.approx((4, (2 / 3 * ((ratios - ratios.mean()) ** 2).sum()) ** 0.5))
    assert list(found.fixed) == ["cosines", "wavelets"]
    assert found.fixed["cosines"] == pytest.approx((4, 2 / 3**0.5))
    two = adaptivity.summary(matrix[:2, :2])
    assert (two.swapped.mean, two.ratio.mean) == (5, pytest.approx(10 / 3))
    assert np.isnan(two.ratio.standard_error)


def test_what_does_not_fit_is_refused(pair):
    clean, noisy = pair
    fitting = jnp.eye(SIZE).reshape(SIZE, *SHAPE)
    for vectors, images in ((fitting[:5], clean), (fitting, clean[0]), (fitting, clean[:, :3])):
        with pytest.raises(ValueError, match="all H W C vectors"):
            adaptivity.dimension(vectors, images, sigma=SIGMA)
    for number, message in ((2, "number of Jacobians must be that of the images, 3"), (4, "number of Jacobians")):
        with pytest.raises(ValueError, match=message):
            adaptivity.adaptivity([jnp.eye(SIZE)] * number, clean, noisy, sigma=SIGMA, k=1)
    with pytest.raises(ValueError, match="number of images must be at least 2"):
        adaptivity.adaptivity([jnp.eye(SIZE)], clean[:1], noisy[:1], sigma=SIGMA, k=1)
    with pytest.raises(ValueError, match=r"matrix \(n, n\)"):
        adaptivity.summary(jnp.zeros((3, 2)))
