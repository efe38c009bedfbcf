"""3 x 3 convolution and its weight gradient in 4 / 9 of the multiplications, on 4 x 4 tiles: matrix products and sums.

A tile d of the padded image, 4 x 4 and two pixels from the next, and a kernel g give the 2 x 2 outputs
A^T [(G g G^T) * (B^T d B)] A, where * multiplies entry by entry and sums over channels: sixteen matrix products.
The gradient by g of its product with 2 x 2 cotangents t is the transpose, G^T [(B^T d B) * (A t A^T)] G.

Winograd (1980), Arithmetic complexity of computations; Lavin and Gray (2016), arXiv:1509.09308, equation 8.
"""

import jax.numpy as jnp
from jax import lax

from gahr.types import Array

_NARROW = 128  # up to so many features the weight gradient is faster with channels first
_BLOCK = 2**24  # bytes of the transformed tiles of a block of images; larger ones leave the processor's cache


def convolve(images: Array, kernel: Array) -> Array:
    """(N, H, W, C) and (3, 3, C, F) give (N, H, W, F), as `gahr.models.convolution.conv2d`; any N, H and W."""
    height, width = images.shape[1:3]
    images, weights = _even(images), _kernel_tiles(kernel)

    def block(images: Array) -> Array:
        products = [tiles @ weight for tiles, weight in zip(_image_tiles(images), weights, strict=True)]
        return _outputs(products, (*images.shape[:3], kernel.shape[-1]))

    parts = _blocks(images, max(kernel.shape[2:]))

    def put(i: Array, out: Array) -> Array:
        return lax.dynamic_update_index_in_dim(out, block(lax.dynamic_index_in_dim(parts, i, 1, keepdims=False)), i, 1)

    if parts.shape[1] == 1:
        out = block(images)
    else:
        out = lax.fori_loop(0, parts.shape[1], put, jnp.zeros((*parts.shape[:-1], kernel.shape[-1]), images.dtype))
    return out.reshape(*images.shape[:3], -1)[:, :height, :width]


def kernel_gradient(images: Array, cotangents: Array) -> Array:
    """Gradient (3, 3, C, F) of sum(convolve(images, kernel) * cotangents) by the kernel; cotangents (N, H, W, F)."""
    images, cotangents = _even(images), _even(cotangents)

    def block(images: Array, cotangents: Array) -> list[Array]:
        tiles = _image_tiles(images)
        if cotangents.shape[-1] > _NARROW:
            return [tile.T @ spread for tile, spread in zip(tiles, _cotangent_tiles(cotangents), strict=True)]
        products = [spread @ tile for tile, spread in zip(tiles, _channels_first(cotangents), strict=True)]
        return [product.T for product in lax.optimization_barrier(products)]  # else made the product above

    broad = max(images.shape[-1], cotangents.shape[-1])
    parts = [_blocks(images, broad), _blocks(cotangents, broad)]

    def add(i: Array, sums: list[Array]) -> list[Array]:
        part = [lax.dynamic_index_in_dim(each, i, 1, keepdims=False) for each in parts]
        return [a + b for a, b in zip(sums, block(*part), strict=True)]

    first = block(*(each[:, 0] for each in parts))
    return _kernel_of(lax.fori_loop(1, parts[0].shape[1], add, first) if parts[0].shape[1] > 1 else first)


def _even(images: Array) -> Array:
    """With a row or column of zeros more where their number is odd."""
    _, height, width, _ = images.shape
    return jnp.pad(images, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))


def _blocks(images: Array, channels: int) -> Array:
    """The batch in as many equal blocks as keep the tiles of `channels` channels small: (n, blocks, H, W, C).

    A block takes every so-many-th image: of a batch that is spread over devices, each has its share of every block.
    """
    number, height, width, _ = images.shape
    size = 4 * height * width * channels * images.dtype.itemsize * number
    wanted = size / _BLOCK if size > 2 * _BLOCK else 1
    blocks = next(k for k in range(1, number + 1) if number % k == 0 and (k >= wanted or k == number))
    return images.reshape(-1, blocks, *images.shape[1:])


def _image_tiles(images: Array) -> list[Array]:
    """The sixteen entries (tiles, C) of B^T d B."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def transform(axis: int, array: Array) -> tuple[Array, ...]:
        last = array.shape[axis] - 3
        first, second, third, fourth = (lax.slice_in_dim(array, i, i + last, 2, axis) for i in range(4))
        return first - third, second + third, third - second, second - fourth

    both = [entry for row in transform(1, padded) for entry in transform(2, row)]
    return [entry.reshape(-1, images.shape[-1]) for entry in both]


def _cotangent_tiles(cotangents: Array) -> list[Array]:
    """The sixteen entries (tiles, F) of A t A^T."""
    number, height, width, features = cotangents.shape
    squares = cotangents.reshape(number, height // 2, 2, width // 2, 2, features)
    rows = _spread(squares[:, :, 0], squares[:, :, 1])
    return [entry.reshape(-1, features) for row in rows for entry in _spread(row[:, :, :, 0], row[:, :, :, 1])]


def _channels_first(cotangents: Array) -> list[Array]:
    """`_cotangent_tiles` transposed, (F, tiles), also in memory: the product of two long matrices is fast then."""
    number, height, width, features = cotangents.shape
    squares = cotangents.reshape(number, height // 2, 2, width // 2, 2, features)
    unit = jnp.eye(features, dtype=cotangents.dtype)  # a product with it transposes in memory, and exactly
    flip = lambda i, j: lax.optimization_barrier(unit @ squares[:, :, i, :, j].reshape(-1, features).T)
    columns = [_spread(flip(0, j), flip(1, j)) for j in range(2)]
    return [entry for pair in zip(*columns, strict=True) for entry in _spread(*pair)]


def _spread(first: Array, second: Array) -> tuple[Array, ...]:
    """A t, of the two rows or columns of a tile of cotangents."""
    return first, first + second, first - second, -second


def _kernel_tiles(kernel: Array) -> list[Array]:
    """The sixteen entries (C, F) of G g G^T."""
    transform = lambda a, b, c: (a, (a + b + c) / 2, (a - b + c) / 2, c)
    return [entry for row in transform(*kernel) for entry in transform(*row)]


def _kernel_of(products: list[Array]) -> Array:
    """G^T u G (3, 3, C, F) of sixteen (C, F)."""
    transform = lambda a, b, c, d: (a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d)
    columns = [transform(*products[j::4]) for j in range(4)]
    return jnp.stack([jnp.stack(transform(*row)) for row in zip(*columns, strict=True)])


def _outputs(products: list[Array], shape: tuple[int, ...]) -> Array:
    """A^T m A, put side by side as images of that shape, of sixteen (tiles, F)."""
    number, height, width, features = shape
    transform = lambda a, b, c, d: (a + b + c, b - c - d)
    columns = [transform(*products[j::4]) for j in range(4)]
    squares = [
        [e.reshape(number, height // 2, width // 2, features) for e in transform(*r)]
        for r in zip(*columns, strict=True)
    ]
    return jnp.stack([jnp.stack(row, 3) for row in squares], 2).reshape(shape)
