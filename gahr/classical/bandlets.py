"""Orthogonal bandlets: wavelet coefficients transformed again along the contours of an image.

Each detail band of an orthogonal wavelet transform is cut into squares by a quadtree of its own. In a square, either
the coefficients stay, or a direction orders them by their place across it, so that neighbours lie along it, and an
orthogonal transform on the ordered list follows: Haar's or, with more vanishing moments, Alpert's. Squares and
directions minimise, for a threshold T,

  L = |x - x_M|^2 + T^2 (M + price * squares with a direction + splits / 7),

x_M the M coefficients above T. As |x - x_M|^2 + T^2 M = sum_k min(c_k^2, T^2), all adds up over squares, and pruning
from small squares to large ones finds the minimum exactly. For each image the result is an orthonormal basis. Nothing
is jitted here: jit the denoiser.

Images that are C^alpha off C^alpha contours have |x - x_M|^2 <= C M^-alpha in bandlets, and C M^-1 in wavelets.

Reference: Mallat and Peyre (2008), Communications on Pure and Applied Mathematics 61, 1173-1212; straight directions
and the price of a split as Peyre and Mallat's toolbox of 2005.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gahr.classical import wavelets
from gahr.classical.squares import alpert, orders
from gahr.classical.transforms import Transform
from gahr.denoiser import as_argument
from gahr.names import require, require_whole
from gahr.noise import per_image
from gahr.types import Array, NoiseDenoiser, PyTree, with_options

_SPLIT = 1 / 7  # of T^2: a bit, where a coefficient takes seven


@dataclasses.dataclass(frozen=True)
class Design:
    """Which bandlets there are to choose from.

    `levels` and `wavelet` as `gahr.classical.wavelets`. `sizes`: sides of squares, each twice the one before; of each
    band those are used that divide it. `moments`: vanishing moments on the ordered list, 1 for Haar. `density`: of
    2 b density directions in squares of side b, those that order the pixels differently are taken.
    """

    wavelet: str = "sym4"
    levels: int = 3
    sizes: tuple[int, ...] = (4, 8, 16)
    moments: int = 1
    density: int = 1

    def __post_init__(self):
        fits = all(b >= 2 and b & (b - 1) == 0 for b in self.sizes) and len(self.sizes) > 0
        fits = fits and all(b == 2 * a for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        require(fits, "sizes", self.sizes, "powers of 2 from 2, each twice the one before")
        require_whole("moments", self.moments, most=self.sizes[0] ** 2 // 2)
        require_whole("density", self.density)


DESIGN = Design()


class Geometry(NamedTuple):
    """The bandlets chosen for images (..., H, W, C), each channel by itself."""

    squares: tuple[
        tuple[Array, ...], ...
    ]  # [scale, fine first][size] (..., C, 3, rows, columns), of three orientations:
    # -1 where another size is used, 0 for wavelets as they are, k + 1 for the direction number k
    cost: Array  # (..., C) L
    num_directed: Array  # (..., C) squares with a direction
    num_splits: Array  # (..., C)


def best_basis(images: Array, *, threshold: Array, price: float = 1.0, design: Design = DESIGN) -> Geometry:
    """The bandlets of least L.

    Args:
      images: (..., H, W, C), image units.
      threshold: T, image units, () or one per image (...,), positive.
      price: of a square with a direction, in coefficients; 1.5 to 2 where noise must not choose directions.
      design: the bandlets to choose from.

    Returns:
      Geometry. L leaves the coarse image out, which is not thresholded.

    Raises:
      ValueError: sides that cannot be halved `design.levels` times.
    """
    coefficients = wavelets.analysis(images, wavelet=design.wavelet, levels=design.levels)
    square = jnp.broadcast_to(per_image(threshold, images)[..., 0, :] ** 2, (*images.shape[:-3], 1, images.shape[-1]))
    choose = functools.partial(_choose, price=price, design=design)
    return _over_planes(choose, coefficients, jnp.moveaxis(square, -1, -2)[..., 0])


def analysis(images: Array, geometry: Geometry, *, design: Design = DESIGN) -> Array:
    """Bandlet coefficients (..., H, W, C), those of a square in its place in the layout of the wavelets.

    Args:
      images: (..., H, W, C).
      geometry: of these images, or of one for all of them, and of the same design.
    """
    coefficients = wavelets.analysis(images, wavelet=design.wavelet, levels=design.levels)
    turned = _over_planes(functools.partial(_turn, design=design), coefficients, _squares(geometry, images))
    return jnp.moveaxis(turned, -3, -1)


def synthesis(coefficients: Array, geometry: Geometry, *, design: Design = DESIGN) -> Array:
    """Images (..., H, W, C) of bandlet coefficients: the inverse, and transpose, of `analysis`."""
    back = functools.partial(_turn, design=design, back=True)
    turned = _over_planes(back, coefficients, _squares(geometry, coefficients))
    return wavelets.synthesis(jnp.moveaxis(turned, -3, -1), wavelet=design.wavelet, levels=design.levels)


def transform(geometry: Geometry, *, design: Design = DESIGN) -> Transform:
    """The basis for `gahr.classical.shrinkage`.

    `shrinkage.oracle(transform(best_basis(clean, threshold=3 * sigma)), clean)` is the oracle that knows the image, and
    `shrinkage.hard` with `bands` of the wavelets thresholds in the basis of the clean image.
    """
    return Transform(*(with_options(_swapped, geometry, to=f, design=design) for f in (analysis, synthesis)))


def denoiser(
    *, factor: float = 3.0, price: float = 2.0, pilot: NoiseDenoiser | None = None, design: Design = DESIGN
) -> NoiseDenoiser:
    """Details at most T = `factor` sigma in size set to zero in the best basis of the noisy image, or of a pilot.

    For the basis chosen it is an orthogonal projection: J is symmetric with eigenvalues 0 and 1, tr J coefficients are
    kept, and D(y) = J y, almost everywhere. With T of order sigma (log 1 / sigma)^0.5 its error on C^alpha images is
    that of the best denoiser there is, sigma^(2 alpha / (alpha + 1)), up to a logarithm.

    Args:
      factor: threshold in sigma.
      price, design: as `best_basis`; under `gahr.classical.shrinkage.cycle_spin` a price of 1 is as good or better.
      pilot: denoiser whose result chooses the basis; the noisy image itself where None.

    Returns:
      NoiseDenoiser on images (..., H, W, C), sigma () or one per image (...,), positive; a pytree.
    """
    options = dict(factor=factor, price=price, design=design)
    return with_options(_denoise, pilot if pilot is None else as_argument(pilot), **options)


def _denoise(
    pilot: NoiseDenoiser | None, noisy: Array, sigma: Array, *, factor: float, price: float, design: Design
) -> Array:
    guide = lax.stop_gradient(noisy if pilot is None else pilot(noisy, sigma))
    geometry = best_basis(guide, threshold=factor * jnp.asarray(sigma), price=price, design=design)
    coefficients = analysis(noisy, geometry, design=design)
    is_coarse = jnp.broadcast_to(wavelets.bands(noisy.shape, levels=design.levels) == 0, noisy.shape)
    is_kept = is_coarse | (jnp.abs(coefficients) > factor * per_image(sigma, noisy))
    return synthesis(jnp.where(is_kept, coefficients, 0), geometry, design=design)


def _over_planes(function: Callable[[Array, PyTree], PyTree], coefficients: Array, more: PyTree) -> PyTree:
    """function(plane (H, W), more) for each channel of images (..., H, W, C); leaves of `more` are (..., C, ...)."""
    planes = jnp.moveaxis(coefficients, -1, -3)
    lead = planes.shape[:-2]
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(lead) :]), (planes, more))
    found = jax.vmap(function)(*flat)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), found)


def _squares(geometry: Geometry, images: Array) -> tuple[tuple[Array, ...], ...]:
    lead = (*images.shape[:-3], images.shape[-1])
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*lead, *leaf.shape[-3:])), geometry.squares)


def _swapped(geometry: Geometry, images: Array, *, to: Callable[..., Array], design: Design) -> Array:
    return to(images, geometry, design=design)


def _scales(plane: Array, design: Design) -> list[tuple[Array, tuple[int, ...]]]:
    """For each scale, fine first: its three bands (3, h, w), and the sizes of squares that divide them."""
    scales = []
    for level in range(1, design.levels + 1):
        height, width = (side >> level for side in plane.shape)
        rows, columns = (slice(0, height), slice(height, 2 * height)), (slice(0, width), slice(width, 2 * width))
        bands = jnp.stack([plane[rows[i], columns[j]] for i, j in ((0, 1), (1, 0), (1, 1))])
        scales.append((bands, tuple(b for b in design.sizes if height % b == 0 and width % b == 0)))
    return scales


def _with_bands(plane: Array, scales: list[Array]) -> Array:
    """The plane with the bands of each scale in their places."""
    for bands in scales:
        height, width = bands.shape[1:]
        plane = plane.at[:height, width : 2 * width].set(bands[0])
        plane = plane.at[height : 2 * height, :width].set(bands[1])
        plane = plane.at[height : 2 * height, width : 2 * width].set(bands[2])
    return plane


def _cut(bands: Array, side: int) -> Array:
    """Squares (3, rows, columns, b^2) of bands (3, h, w)."""
    number, height, width = bands.shape
    parts = bands.reshape(number, height // side, side, width // side, side)
    return parts.swapaxes(2, 3).reshape(number, height // side, width // side, side * side)


def _joined(blocks: Array, side: int) -> Array:
    number, rows, columns, _ = blocks.shape
    return blocks.reshape(number, rows, columns, side, side).swapaxes(2, 3).reshape(number, rows * side, columns * side)


def _choose(plane: Array, square: Array, *, price: float, design: Design) -> Geometry:
    """Geometry of one plane (H, W) for T^2 (): least cost of each square of each size, then pruning."""
    cost, directed, splits = jnp.zeros_like(square), jnp.zeros((), int), jnp.zeros((), int)
    squares = []
    for bands, sizes in _scales(plane, design):
        total, found = None, []  # least cost of squares, cut as is best; choice and whether to cut, of each size
        for b in sizes:
            own, choice = _cheapest(_cut(bands, b), square, b, price, design)
            below = jnp.full_like(own, jnp.inf) if total is None else _fours(total) + _SPLIT * square
            total = jnp.minimum(own, below)
            found.append((choice, below < own))
        cost += total.sum() if sizes else jnp.sum(jnp.minimum(bands**2, square))
        marks, is_open = [], None
        for choice, is_cut in reversed(found):
            is_open = jnp.ones_like(is_cut) if is_open is None else is_open.repeat(2, 1).repeat(2, 2)
            marks.insert(0, jnp.where(is_open & ~is_cut, choice, -1))
            is_open &= is_cut
            directed, splits = directed + jnp.sum(marks[0] > 0), splits + is_open.sum()
        squares.append(tuple(marks))
    return Geometry(tuple(squares), cost, directed, splits)


def _fours(total: Array) -> Array:
    number, rows, columns = total.shape
    return total.reshape(number, rows // 2, 2, columns // 2, 2).sum((2, 4))


def _cheapest(blocks: Array, square: Array, side: int, price: float, design: Design) -> tuple[Array, Array]:
    """Least cost of squares (3, rows, columns, b^2) uncut, and the choice: 0 or 1 + number of the direction."""
    places = np.argsort(orders(side, design.density), axis=1)  # of each pixel in each order
    matrix = jnp.asarray(alpert(side * side, design.moments).T, blocks.dtype)
    vectors = lax.optimization_barrier(matrix)[places]  # (K, pixel, coefficient); slow to make while compiling
    turned = jnp.einsum("...p,kpc->...kc", blocks, vectors, precision="highest")
    directed = jnp.sum(jnp.minimum(turned**2, square), -1) + price * square
    plain = jnp.sum(jnp.minimum(blocks**2, square), -1, keepdims=True)
    costs = jnp.concatenate([plain, directed], -1)
    return costs.min(-1), jnp.argmin(costs, -1)


def _turn(plane: Array, squares: tuple[tuple[Array, ...], ...], *, design: Design, back: bool = False) -> Array:
    """Wavelet coefficients (H, W) in the squares' bandlets, or back."""
    turn = functools.partial(_turn_squares, design=design, back=back)
    scales = zip(_scales(plane, design), squares, strict=True)
    pairs = [(bands, zip(sizes, choices, strict=True)) for (bands, sizes), choices in scales]
    return _with_bands(plane, [functools.reduce(turn, chosen, bands) for bands, chosen in pairs])


def _turn_squares(bands: Array, chosen: tuple[int, Array], *, design: Design, back: bool) -> Array:
    """Bands (3, h, w) with the squares of one size that have a direction turned, or back."""
    side, choice = chosen
    blocks, order = _cut(bands, side), orders(side, design.density)
    matrix, number = jnp.asarray(alpert(side * side, design.moments), bands.dtype), jnp.maximum(choice - 1, 0)
    with jax.default_matmul_precision("highest"):
        if back:
            turned = jnp.take_along_axis(blocks @ matrix, jnp.asarray(np.argsort(order, 1))[number], -1)
        else:
            turned = jnp.take_along_axis(blocks, jnp.asarray(order)[number], -1) @ matrix.T
    return _joined(jnp.where(choice[..., None] > 0, turned, blocks), side)
