"""Posterior means in closed form, as functions (noisy, sigma) -> denoised."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr.blocks import Images, fold, image_shape, source
from gahr.names import require_whole
from gahr.types import Array, NoiseDenoiser


def gaussian(mean: Array, eigenvalues: Array, basis: Array) -> NoiseDenoiser:
    """Posterior mean for a Gaussian prior, which is the best linear (Wiener) denoiser for any prior.

    D(y) = m + sum_k l_k / (l_k + sigma^2) <y - m, u_k> u_k for the covariance sum_k l_k u_k u_k^T. Its Jacobian
    is constant and symmetric, with eigenvalues l_k / (l_k + sigma^2), and D(y) = J y only where m = 0.

    Args:
      mean: m, (H, W, C), image units.
      eigenvalues: l_k, (K,), squared image units, not negative; K <= H W C, those left out are zero.
      basis: orthonormal u_k, (K, H, W, C).

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,); a pytree, as `gahr.denoiser.bind`.
    """
    return Partial(_shrink, mean, eigenvalues, basis.reshape(len(basis), -1))


def _shrink(mean: Array, eigenvalues: Array, basis: Array, noisy: Array, sigma: Array) -> Array:
    lead = noisy.shape[:-3]
    variance = jnp.broadcast_to(jnp.square(sigma), lead)[..., None]  # (..., 1)
    spectrum = jnp.broadcast_to(eigenvalues, (*lead, len(eigenvalues)))
    mean = jnp.broadcast_to(mean, noisy.shape)
    gains = spectrum / jnp.where(spectrum > 0, spectrum + variance, 1)  # 0, not 0/0, where both are zero
    coefficients = (noisy - mean).reshape(*lead, -1) @ basis.T  # (..., K)
    return mean + (coefficients * gains @ basis).reshape(noisy.shape)


def fit_gaussian(
    images: Array, *, centred: bool = True, hold_out: int = 0, rank: int | None = None
) -> tuple[Array, Array, Array]:
    """Mean, eigenvalues (descending) and basis of the images' covariance (principal components) or second moment.

    With `hold_out` the basis is still that of all images, but l_k is the mean of <x - m, u_k>^2 over images that the
    vector u_k was not fitted to: among denoisers that shrink in these vectors that is the best at every sigma, for
    E |x - D(y)|^2 = sum_k (1 - g_k)^2 E <x, u_k>^2 + g_k^2 sigma^2. A sample's own eigenvalues are too large at the
    top and too small at the end, at N = 3 d by enough to cost some tenths of a dB; what the vectors miss remains.

    Args:
      images: (N, H, W, C). With N below H W C the covariance has rank N - 1.
      centred: False for the second moment E x x^T, about 0, whose `gaussian` is the best denoiser D(y) = A y.
      hold_out: every so many-th image is held out: eigenvalue k is that of vector k of the other images, on those
        held out. 0, or more than there are images, for none.
      rank: leading vectors to keep; without the (d, d) matrix that all of them take, for few and large images.

    Returns:
      The arguments of `gaussian`: mean (H, W, C), eigenvalues (K,), basis (K, H, W, C), K = `rank` or d = H W C.

    Raises:
      ValueError: a rank that is not whole, or above N or d.

    Reference: Lam (2016), Annals of Statistics 44, 928-953.
    """
    flat = images.reshape(len(images), -1)
    mean = flat.mean(0) if centred else jnp.zeros_like(flat[0])
    rows = flat - mean[None]
    if rank is not None:
        require_whole("rank", rank, most=min(rows.shape))
    with jax.default_matmul_precision("highest"):
        eigenvalues, columns = _principal(rows, rank)
        if 0 < hold_out <= len(rows):
            held = np.arange(len(rows)) % hold_out == hold_out - 1
            _, others = _principal(rows[~held], rank)
            eigenvalues = jnp.sort(jnp.mean((rows[held] @ others) ** 2, 0))[::-1]
    return mean.reshape(images.shape[1:]), eigenvalues, columns.T.reshape(-1, *images.shape[1:])


def _principal(rows: Array, rank: int | None) -> tuple[Array, Array]:
    """Eigenvalues, descending, and vectors, as columns, of the second moment of rows (N, d)."""
    if rank is not None:
        _, values, vectors = jnp.linalg.svd(rows, full_matrices=False)
        return values[:rank] ** 2 / len(rows), vectors[:rank].T
    ascending, columns = jnp.linalg.eigh(rows.T @ rows / len(rows))
    return jnp.maximum(ascending[::-1], 0), columns[:, ::-1]


def gaussian_jacobian(eigenvalues: Array, basis: Array, sigma: Array) -> Array:
    """Jacobian (d, d) of `gaussian`: sum_k l_k / (l_k + sigma^2) u_k u_k^T, the same at every image."""
    rows = basis.reshape(len(basis), -1)
    return (rows.T * (eigenvalues / (eigenvalues + sigma**2))[None]) @ rows


def points(images: Images, *, num_images: int | None = None, chunk: int = 1024) -> NoiseDenoiser:
    """Posterior mean for a prior that is N equal point masses: what a network that memorizes perfectly computes.

    D(y) = sum_i w_i x_i with w = softmax(-|y - x_i|^2 / (2 sigma^2)), streamed over the images with a running
    maximum of the exponents. Its Jacobian is sum_i w_i (x_i - D)(x_i - D)^T / sigma^2. Every call goes through all
    images, so denoise many at a time: `psnr_curve(at(points(images), sigmas), ..., sigmas=sigmas, chunk=len(clean))`.

    Args:
      images, num_images: x_i, array or function of image numbers, as `gahr.blocks.source`.
      chunk: images treated at a time; bounds the memory.

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,), positive; a pytree.
    """
    take, number = source(images, num_images=num_images)
    return Partial(_MeanOfPoints(number, chunk), take)


@dataclasses.dataclass(frozen=True)
class _MeanOfPoints:
    """Compares equal for equal numbers, so that jitted functions serve all sets of one size."""

    number: int
    chunk: int

    def __call__(self, take: Partial, noisy: Array, sigma: Array) -> Array:
        flat = noisy.reshape(-1, math.prod(image_shape(take)))
        variance = jnp.broadcast_to(jnp.square(sigma), noisy.shape[:-3]).reshape(-1, 1)
        return _points_sums(self.number, self.chunk, take, flat, variance)[2].reshape(noisy.shape)


def _points_sums(number: int, chunk: int, take: Partial, flat: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Largest closeness c (n, 1), sum (n, 1) of exp((c_i - c) / sigma^2) and posterior mean (n, d)."""

    def add(carry: tuple, block: Array, start: Array) -> tuple:
        most, total, weighted = carry
        closeness = _closeness(flat, _flat(block))
        new = jnp.maximum(most, jax.lax.stop_gradient(closeness.max(1, keepdims=True)))
        # divided last: a compiled a * b - max(a * b) need not be zero, and sigma^2 may be very small
        weights, shrink = jnp.exp((closeness - new) / variance), jnp.exp((most - new) / variance)
        return new, total * shrink + weights.sum(1, keepdims=True), weighted * shrink + weights @ _flat(block)

    column = jnp.zeros_like(flat, shape=(len(flat), 1))
    start = column - jnp.inf, column, jnp.zeros_like(flat)
    with jax.default_matmul_precision("highest"):
        most, total, weighted = fold(add, start, take, num_images=number, chunk=chunk)
    return most, total, weighted / total


def _closeness(flat: Array, candidates: Array) -> Array:
    """-|y - x_i|^2 / 2 less what is the same for all i, (n, N)."""
    flat, candidates = flat - 0.5, candidates - 0.5  # intensities about mid-grey: less to cancel
    return flat @ candidates.T - jnp.sum(candidates**2, 1)[None] / 2


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1)


def points_jacobian(
    images: Images, noisy: Array, sigma: Array, *, num_images: int | None = None, chunk: int = 1024
) -> Array:
    """Jacobian (d, d) of `points` at one noisy image: sum_i w_i (x_i - D)(x_i - D)^T / sigma^2."""
    take, number = source(images, num_images=num_images)
    flat, variance = noisy.reshape(1, -1), jnp.square(sigma)
    most, total, mean = _points_sums(number, chunk, take, flat, variance)

    def add(moment: Array, block: Array, start: Array) -> Array:
        weights = jnp.exp((_closeness(flat, _flat(block)) - most) / variance) / total
        centred = _flat(block) - mean
        return moment + (centred.T * weights) @ centred

    with jax.default_matmul_precision("highest"):
        moment = fold(add, jnp.zeros_like(noisy, shape=(noisy.size, noisy.size)), take, num_images=number, chunk=chunk)
    return moment / variance


def mixture(weights: Array, means: Array, eigenvalues: Array, bases: Array) -> NoiseDenoiser:
    """Posterior mean for a mixture of Gaussians N(m_j, U_j diag(l_j) U_j^T) of low or full rank.

    D(y) = sum_j g_j D_j(y) with D_j as in `gaussian` and responsibilities g = softmax(ln p_j
    - r.C_j^-1 r / 2 - ln det C_j / 2), r = y - m_j, C_j the covariance plus sigma^2 I. As sigma -> 0 and with zero
    eigenvalues left out it projects on the nearest subspace.

    Args:
      weights: p_j, (M,), positive.
      means: m_j, (M, H, W, C).
      eigenvalues: l_j, (M, K), not negative.
      bases: orthonormal rows, (M, K, H, W, C).

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,), positive; a pytree.
    """
    flat = means.reshape(len(means), -1), bases.reshape(*bases.shape[:2], -1)
    return Partial(_mean_of_mixture, jnp.log(weights), flat[0], eigenvalues, flat[1])


def _mean_of_mixture(
    log_weights: Array, means: Array, eigenvalues: Array, bases: Array, noisy: Array, sigma: Array
) -> Array:
    flat = noisy.reshape(-1, means.shape[1])
    variance = jnp.broadcast_to(jnp.square(sigma), noisy.shape[:-3]).reshape(-1)

    def one(image: Array, variance: Array) -> Array:
        responsibilities, parts, _ = _components(log_weights, means, eigenvalues, bases, image, variance)
        return responsibilities @ parts

    return jax.vmap(one)(flat, variance).reshape(noisy.shape)


def _components(
    log_weights: Array, means: Array, eigenvalues: Array, bases: Array, image: Array, variance: Array
) -> tuple[Array, Array, Array]:
    """Responsibilities (M,), posterior means (M, d) and gains (M, K) at one flat image."""
    with jax.default_matmul_precision("highest"):
        differences = image[None] - means
        coefficients = jnp.einsum("jkd,jd->jk", bases, differences)
        gains = eigenvalues / (eigenvalues + variance)
        distance = (jnp.sum(differences**2, 1) - jnp.sum(gains * coefficients**2, 1)) / variance
        log_det = jnp.sum(jnp.log1p(eigenvalues / variance), 1)  # up to d ln sigma^2, common to all
        responsibilities = jax.nn.softmax(log_weights - distance / 2 - log_det / 2)
        return responsibilities, means + jnp.einsum("jk,jkd->jd", gains * coefficients, bases), gains


def mixture_jacobian(
    weights: Array, means: Array, eigenvalues: Array, bases: Array, noisy: Array, sigma: Array
) -> Array:
    """Jacobian (d, d) of `mixture` at one noisy image.

    sum_j g_j J_j + sum_j g_j (D_j - D)(D_j - D)^T / sigma^2, J_j as in `gaussian_jacobian`.
    """
    means, bases = means.reshape(len(means), -1), bases.reshape(*bases.shape[:2], -1)
    found = _components(jnp.log(weights), means, eigenvalues, bases, noisy.ravel(), jnp.square(sigma))
    responsibilities, parts, gains = found
    within = jnp.einsum("jkd,jk,jke->de", bases, responsibilities[:, None] * gains, bases)
    centred = parts - (responsibilities @ parts)[None]
    return within + (centred.T * responsibilities[None]) @ centred / sigma**2


def sphere(radius: Array) -> NoiseDenoiser:
    """Posterior mean for the uniform law on a sphere about 0: all d directions of one length.

    D(y) = r A(k) y / |y|, k = r |y| / sigma^2, A = I_{d/2} / I_{d/2-1} of modified Bessel functions.

    Args:
      radius: r, image units times sqrt(d): the Euclidean norm of the images.

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,), positive; a pytree.
    """
    return Partial(_mean_on_sphere, radius)


def _mean_on_sphere(radius: Array, noisy: Array, sigma: Array) -> Array:
    dimension = noisy.shape[-3] * noisy.shape[-2] * noisy.shape[-1]
    norm = jnp.sqrt(jnp.sum(noisy**2, axis=(-3, -2, -1)))
    ratio = _bessel_ratio(radius * norm / jnp.square(sigma), dimension)
    return (radius * ratio / norm)[..., None, None, None] * noisy


def sphere_jacobian(radius: Array, noisy: Array, sigma: Array) -> Array:
    """Jacobian (d, d) of `sphere` at one noisy image.

    (r A / |y|) (I - e e^T) + (r^2 A' / sigma^2) e e^T with e = y / |y| and A' = 1 - A^2 - (d - 1) A / k.
    """
    norm = jnp.linalg.norm(noisy.ravel())
    along = jnp.outer(noisy.ravel(), noisy.ravel()) / norm**2
    argument = radius * norm / sigma**2
    ratio = _bessel_ratio(argument, noisy.size)
    slope = 1 - ratio**2 - (noisy.size - 1) * ratio / argument
    return radius * ratio / norm * (jnp.eye(noisy.size) - along) + radius**2 * slope / sigma**2 * along


def _bessel_ratio(x: Array, dimension: int, *, terms: int = 40) -> Array:
    """I_{d/2}(x) / I_{d/2-1}(x), by R_v = x / (2 (v + 1) + x R_{v+1}) from a bound at a higher order.

    Amos (1974), Mathematics of Computation 28, 239-251: R_v ~ x / (v + 1/2 + sqrt(x^2 + (v + 3/2)^2)).
    """
    order = dimension / 2 - 1
    top = order + terms
    ratio = x / (top + 0.5 + jnp.sqrt(x**2 + (top + 1.5) ** 2))
    for i in reversed(range(terms)):
        ratio = x / (2 * (order + i + 1) + x * ratio)
    return ratio
