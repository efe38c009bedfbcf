"""The convolution against its definition and against XLA's; the norm's one-pass standard deviation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gahr.models import convolution, winograd
from gahr.models.convolution import conv2d
from gahr.models.layers import BiasFreeBatchNorm

SHAPES = [  # N, H, W, C, F: every form that the convolution and its weight gradient take on a CPU
    (2, 5, 7, 1, 6),
    (3, 4, 6, 6, 1),
    (3, 7, 5, 6, 9),
    (3, 4, 3, 33, 9),
    (7, 2, 4, 64, 33),
    (2, 1, 1, 32, 32),
    (2, 3, 4, 33, 130),
]


@pytest.fixture(autouse=True)
def forms_of_large_batches(monkeypatch):
    monkeypatch.setattr(convolution, "_LARGE", 0)


def reference(images, kernel):
    return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arguments(shape, seed=0):
    """Images and kernel, standard normal."""
    *sides, channels, features = shape
    key_images, key_kernel = jax.random.split(jax.random.key(seed))
    images = jax.random.normal(key_images, (*sides, channels))
    return images, jax.random.normal(key_kernel, (3, 3, channels, features))


def assert_close(found, expected, relative=1e-5):
    """Equal up to a fraction of the largest entry, array by array."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = np.abs(np.asarray(b, np.float64)).max()
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=0, atol=relative * scale)


def inner(a, b):
    return sum(jnp.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_is_the_defining_sum_and_both_modes_derive_it(shape):
    """J v is the product rule's, J^T u is XLA's, <u, J v> = <J^T u, v>."""
    at, direction = arguments(shape), arguments(shape, seed=1)
    images, kernel = (np.asarray(a, np.float64) for a in at)
    _, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    value = sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))

    @jax.jit
    def derive(at, direction):
        found, push = jax.linearize(conv2d, *at)
        pushed, probe = push(*direction), jnp.cos(found)
        pulled = jax.vjp(conv2d, *at)[1](probe)
        scale = jnp.linalg.norm(probe) * jnp.linalg.norm(pushed)
        gap = (inner(probe, pushed) - inner(pulled, direction)) / scale
        product = reference(direction[0], at[1]) + reference(at[0], direction[1])
        expected = product, product, jax.vjp(reference, *at)[1](probe)
        return found, gap, (pushed, jax.jvp(conv2d, at, direction)[1], pulled), expected

    found, gap, derived, expected = derive(at, direction)
    assert_close(found, value)
    assert abs(gap) < 1e-5
    assert_close(derived, expected)


@pytest.mark.parametrize("shape", [(6, 4, 5, 33, 34), (6, 3, 4, 32, 130)], ids=str)
def test_a_batch_in_blocks_gives_the_same(shape, monkeypatch):
    """Value and gradients of a function of it, where the tiles of two images of six are the most that may be held."""
    height, width, broad = shape[1] + shape[1] % 2, shape[2] + shape[2] % 2, max(shape[3:])
    monkeypatch.setattr(winograd, "_BLOCK", 2 * 16 * height * width * broad)

    def measure(images, kernel, function):
        value, pull = jax.vjp(function, images, kernel)
        return value, pull(jnp.cos(value))

    found = jax.jit(functools.partial(measure, function=conv2d)).lower(*arguments(shape))
    assert found.as_text().count("stablehlo.while") == 3
    assert_close(found.compile()(*arguments(shape)), measure(*arguments(shape), reference))


@pytest.mark.parametrize(("shape", "worst"), [((8, 20, 20, 64, 33), 1e-6), ((4, 10, 10, 128, 130), 1e-6)], ids=str)
def test_rounding_is_that_of_a_plain_sum(shape, worst):
    """Relative errors against float64: at most half a unit of float32 times sixteen."""
    images, kernel = arguments(shape)
    cotangents = jax.random.normal(jax.random.key(2), (*shape[:3], shape[-1]))
    value, pull = jax.jit(lambda *at: jax.vjp(conv2d, *at))(images, kernel)
    found = value, *jax.jit(pull)(cotangents)
    with jax.enable_x64(True):
        exact = [np.asarray(array, np.float64) for array in (images, kernel, cotangents)]
        value, pull = jax.vjp(reference, *exact[:2])
        expected = jax.device_get((value, *pull(exact[2])))
    for a, b in zip(found, expected, strict=True):
        assert np.linalg.norm(np.asarray(a, np.float64) - b) < worst * np.linalg.norm(b)


def test_an_axis_that_is_mapped_joins_the_batch():
    """A Jacobian's columns then take the form that a forward pass of as many images takes."""
    images, kernel = arguments((1, 4, 3, 32, 33))
    kernels, several = jnp.stack([kernel] * 5), jnp.stack([images] * 5)
    for function, at, axes in (
        (lambda x, k: jax.linearize(lambda x: conv2d(x, kernel), images)[1](x), (several, kernel), (0, None)),
        (lambda x, k: jax.vjp(lambda x: conv2d(x, k), images)[1](conv2d(x, k))[0], (several, kernel), (0, None)),
        (lambda x, k: jax.grad(lambda k: conv2d(images, k).sum())(k), (images, kernels), (None, 0)),
    ):
        text = str(jax.make_jaxpr(jax.vmap(function, axes))(*at))
        assert "conv3x3" in text
        assert "conv_general_dilated" not in text


@pytest.mark.parametrize("shape", [(1, 4, 3, 1, 5), (1, 4, 3, 5, 1), (1, 3, 4, 6, 5), (1, 4, 4, 32, 33)], ids=str)
def test_batched_pushes_give_the_matrix(shape):
    """Columns by chunks of `linearize`, as the analysis takes them, are rows by `vjp` under vmap, transposed."""
    images, kernel = arguments(shape)

    @jax.jit
    def both(images, kernel):
        value, push = jax.linearize(lambda images: conv2d(images, kernel), images)
        columns = lax.map(push, jnp.eye(images.size).reshape(-1, *images.shape), batch_size=7)
        _, pull = jax.vjp(lambda images: conv2d(images, kernel), images)
        (rows,) = jax.vmap(pull)(jnp.eye(value.size).reshape(-1, *value.shape))
        return columns.reshape(images.size, -1).T, rows.reshape(value.size, -1)

    assert_close(*both(images, kernel))


@pytest.mark.parametrize("shape", [(4, 3, 4, 1, 5), (4, 3, 4, 6, 5), (4, 4, 3, 32, 33)], ids=str)
def test_per_image_kernel_gradients_add_up(shape):
    images, kernel = arguments(shape)

    def gradient(kernel, images):
        return jax.grad(lambda kernel: jnp.sum(jnp.sin(conv2d(images, kernel))))(kernel)

    each = jax.jit(jax.vmap(gradient, (None, 0)))(kernel, images[:, None])
    assert_close(each.sum(0), jax.jit(gradient)(kernel, images))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5, 1), (2, 3, 4, 6, 5), (2, 4, 3, 32, 33)], ids=str)
def test_second_derivatives(shape):
    """Forward over reverse, of the sum of squares of a bilinear function along a line."""
    at, direction = arguments(shape), arguments(shape, seed=1)

    def along(function):
        line = lambda t: jnp.mean(function(at[0] + t * direction[0], at[1] + t * direction[1]) ** 2)
        return jax.jit(jax.hessian(line))(0.5)

    assert_close(along(conv2d), along(reference))


@pytest.mark.parametrize("shape", [(3, 4, 5, 1, 6), (3, 4, 5, 6, 1), (8, 4, 5, 32, 33)], ids=str)
def test_bfloat16(shape):
    """Rounded once per product or sum at worst: three digits of the float32 result."""
    at = [a.astype(jnp.bfloat16) for a in arguments(shape)]

    def value_and_gradients(at):
        value, pull = jax.vjp(conv2d, *at)
        return value, pull(jnp.ones_like(value))

    found = jax.jit(value_and_gradients)(at)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(found))
    assert_close(found, jax.jit(value_and_gradients)([a.astype(jnp.float32) for a in at]), relative=2e-2)


@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_standard_deviation_keeps_its_digits_at_a_large_mean(mean):
    """Value and gradient of x -> sum w x gain / sd(x), against the formula in float64.

    With m the mean, n the count and s = sum w x per channel: gain (w / sd - s (x - m) / (n sd^3)).
    """
    key_images, key_weights = jax.random.split(jax.random.key(0))
    images = mean + jax.random.normal(key_images, (4, 6, 5, 3)) * jnp.array([0.1, 1.0, 3.0]).reshape(1, 1, 1, 3)
    weights = jax.random.normal(key_weights, images.shape)
    norm = BiasFreeBatchNorm()
    variables = {"params": {"gain": jnp.array([1.0, 2.0, -1.0])}, "batch_stats": {"sd": jnp.ones(3)}}

    @jax.jit
    @jax.value_and_grad
    def found(images):
        return jnp.sum(weights * norm.apply(variables, images, train=True, mutable=["batch_stats"])[0])

    x, w, gain = (np.asarray(a, np.float64) for a in (images, weights, variables["params"]["gain"]))
    centred = x - x.mean((0, 1, 2))
    sd = np.sqrt((centred**2).mean((0, 1, 2)) + 1e-5)
    s = (w * x).sum((0, 1, 2))
    gradient = gain * (w / sd - s * centred / (x[..., 0].size * sd**3))
    assert_close(found(images), ((gain * s / sd).sum(), gradient), relative=2e-5)
