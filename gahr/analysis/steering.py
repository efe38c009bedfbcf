"""What structured changes of its input noise do to the output of a generator f of noisy images y = m + z.

Amplitudes are Euclidean norms, image units times sqrt(d); divided by the noise level they are standard deviations of
the one coefficient that moves. Directions are unit images (H, W, C).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.types import Array


class Response(NamedTuple):
    output: Array  # (n, H, W, C) f(y(a))
    change: Array  # (n,) |f(y(a)) - f(y)|
    gain: Array  # (n,) the same over |y(a) - y|: a directional Lipschitz quotient


def sine(rows: int, columns: int, shape: tuple[int, int, int], *, phases: tuple[float, float] = (0.0, 0.0)) -> Array:
    """sin(2 pi n i / H + p) sin(2 pi m j / W + q), equal in all channels, of norm 1, (H, W, C).

    Orthogonal for different (n, m) below half the sides. The sine of amplitude 1 has norm sqrt(d) / 2.

    Args:
      rows, columns: n and m, periods down and right.
      shape: (H, W, C).
      phases: p and q, radians.
    """
    down, right = (np.arange(side) for side in shape[:2])
    waves = (
        np.sin(2 * np.pi * rows * down / shape[0] + phases[0]),
        np.sin(2 * np.pi * columns * right / shape[1] + phases[1]),
    )
    image = np.broadcast_to(np.outer(*waves)[..., None], shape)
    return jnp.asarray(image / np.linalg.norm(image), jnp.float32)


def moved(noisy: Array, direction: Array, amplitude: Array, *, mean: float | Array, renormalise: bool = True) -> Array:
    """y(a) = m + (z + a phi) |z| / |z + a phi| with z = y - m, (n, H, W, C); without the last factor where not wanted.

    Noise of level sigma has the norm sigma sqrt(d) nearly always, which the factor keeps. Its derivative at a = 0 is
    phi - <phi, z> z / |z|^2.
    """
    noise = noisy - mean
    changed = noise + amplitude * direction.reshape(-1, *noisy.shape[1:])
    norm = lambda images: jnp.sqrt(jnp.sum(images**2, (-3, -2, -1), keepdims=True))
    return mean + (changed * norm(noise) / norm(changed) if renormalise else changed)


def respond(
    function: Callable[[Array], Array],
    noisy: Array,
    direction: Array,
    amplitude: Array,
    *,
    mean: float | Array = 0.5,
    renormalise: bool = True,
) -> Response:
    """How far the output of f moves when its input does.

    Args:
      function: f, images (n, H, W, C) -> (n, H, W, C).
      noisy: y, (n, H, W, C), image units.
      direction: phi, (H, W, C), or one for each image, (n, H, W, C).
      amplitude: a, image units times sqrt(d), ().
      mean, renormalise: of `moved`.
    """
    other = moved(noisy, direction, amplitude, mean=mean, renormalise=renormalise)
    output = function(other)
    change, way = (jnp.sqrt(jnp.sum(each**2, (1, 2, 3))) for each in (output - function(noisy), other - noisy))
    return Response(output, change, change / way)


def gaussian_gain(eigenvalues: Array, basis: Array, direction: Array, sigma: Array) -> Array:
    """Gain of the flow of Gaussian images along a direction, roughly: sqrt(S / (S + sigma^2)), S = phi . C phi, ().

    What the spectrum of the images alone predicts; exact where phi is an eigenvector of C = sum_k l_k u_k u_k^T.
    """
    variance = jnp.sum(eigenvalues * jnp.tensordot(basis, direction, 3) ** 2)
    return jnp.sqrt(variance / (variance + sigma**2))


class Steering(NamedTuple):
    direction: Array  # (H, W, C) of norm 1, in the span of those allowed
    predicted: Array  # () cosine of J phi with the wanted change


def towards(function: Callable[[Array], Array], noisy: Array, directions: Array, wanted: Array) -> Steering:
    """The combination of directions that moves f most nearly along a wanted change, to first order.

    Least squares: c minimises |sum_k c_k J phi_k - g|^2, and the direction is sum_k c_k phi_k over its norm.

    Args:
      function: f, one image (H, W, C) -> (H, W, C).
      noisy: y, (H, W, C).
      directions: phi_k, (K, H, W, C).
      wanted: g, (H, W, C), such as a target image less f(y).
    """
    _, push = jax.linearize(function, noisy)
    columns = jax.vmap(push)(directions).reshape(len(directions), -1)  # (K, d)
    with jax.default_matmul_precision("highest"):
        weights = jnp.linalg.lstsq(columns.T, wanted.ravel(), rcond=1e-4)[0]
        direction, reached = jnp.tensordot(weights, directions, 1), weights @ columns
    cosine = reached @ wanted.ravel() / (jnp.linalg.norm(reached) * jnp.linalg.norm(wanted.ravel()))
    return Steering(direction / jnp.linalg.norm(direction.ravel()), cosine)


class Path(NamedTuple):
    straightness: Array  # () |p(1) - p(0)| over the length, 1 for a straight line
    jump: Array  # () largest step over the median one: large where the path falls into another basin


def path(points: Array) -> Path:
    """How straight and how even a path of images (P, H, W, C) is, of three points at least."""
    steps = jnp.sqrt(jnp.sum(jnp.diff(points, axis=0) ** 2, (1, 2, 3)))
    return Path(jnp.linalg.norm((points[-1] - points[0]).ravel()) / steps.sum(), steps.max() / jnp.median(steps))
