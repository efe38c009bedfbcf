"""Where samples start: images of a Gaussian prior in noise, drawn and weighed."""

import jax
import jax.numpy as jnp

from gahr.sampling.sampler import normal
from gahr.types import Array, Key


def draw(
    keys: Key, shape: tuple[int, int, int], *, sigma: float | Array, mean: float | Array, factor: Array | None = None
) -> Array:
    """Images (n, H, W, C) of N(m, C + sigma^2 I), C = sum_k f_k f_k^T, each from its own of n keys.

    Noise of level sigma alone stands for noisy images only where sigma^2 is far above the largest variance of the
    images in any direction; 36 is usual for 40 x 40 intensities in [0, 1].

    Args:
      keys: (n,).
      shape: (H, W, C).
      sigma: noise level, image units.
      mean: m, image units: a number or an image (H, W, C).
      factor: f_k, (K, H, W, C), image units, such as `factor_of` principal components. None for C = 0.

    Raises:
      ValueError: a mean or factor of another shape than the images.
    """
    _check(shape, mean, factor)
    images = jnp.broadcast_to(mean, (len(keys), *shape)) + sigma * normal(keys, shape)
    if factor is None:
        return images
    weights = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), (len(factor),)))(keys)
    return images + jnp.einsum("nk,khwc->nhwc", weights, factor)


def factor_of(eigenvalues: Array, basis: Array) -> Array:
    """f_k = sqrt(l_k) u_k, (K, H, W, C), whose squares sum to the covariance sum_k l_k u_k u_k^T.

    Args:
      eigenvalues, basis: l_k (K,) and u_k (K, H, W, C), such as `gahr.classical.analytic.fit_gaussian` gives.
    """
    return jnp.sqrt(eigenvalues)[:, None, None, None] * basis


def log_density(images: Array, *, sigma: float | Array, mean: float | Array, factor: Array | None = None) -> Array:
    """ln of the density of N(m, C + sigma^2 I) at images (n, H, W, C), in nats, (n,). Arguments as in `draw`.

    With the K x K matrix G = F F^T + sigma^2 I: |C + sigma^2 I| = |G| sigma^(2 (d - K)), and the exponent is
    (|r|^2 - (F r) . G^-1 (F r)) / (2 sigma^2).
    """
    _check(images.shape[1:], mean, factor)
    flat = (images - jnp.broadcast_to(mean, images.shape)).reshape(len(images), -1)
    size, square, log_det = flat.shape[1], jnp.sum(flat**2, 1), 0.0
    if factor is not None:
        with jax.default_matmul_precision("highest"):
            rows = factor.reshape(len(factor), -1)
            root = jnp.linalg.cholesky(rows @ rows.T + sigma**2 * jnp.eye(len(rows)))
            along = jax.scipy.linalg.solve_triangular(root, rows @ flat.T, lower=True)
        square = square - jnp.sum(along**2, 0)
        log_det = 2 * jnp.sum(jnp.log(jnp.diag(root) / sigma))
    return -square / (2 * sigma**2) - log_det / 2 - size * jnp.log(sigma * jnp.sqrt(2 * jnp.pi))


def _check(shape: tuple[int, ...], mean: float | Array, factor: Array | None) -> None:
    if jnp.shape(mean) not in ((), shape):
        raise ValueError(f"mean must be a number or an image of shape {shape}, got shape {jnp.shape(mean)}")
    if factor is not None and factor.shape[1:] != shape:
        raise ValueError(f"factor must be images (K, {', '.join(map(str, shape))}), got shape {factor.shape}")
