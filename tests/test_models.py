"""Networks: published sizes, an independent evaluation, bias-freedom, statistics and initial values."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import with_unit_gains

from gahr.models import MODELS
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import BiasFreeBatchNorm, Conv, Upsample, average_pool, initialize
from gahr.models.unet import UNet


def count(model, shape):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (UNet(num_blocks=1), (20, 20, 1), 366_080),
        (UNet(num_blocks=2), (40, 40, 1), 1_825_024),
        (UNet(), (80, 80, 1), 7_659_264),
        (UNet(num_blocks=4), (160, 160, 1), 30_993_152),
        (UNet(), (80, 80, 3), 7_661_568),
        (BFCNN(), (40, 40, 1), 702_784),
        (BFCNN(num_layers=20), (40, 40, 1), 665_856),
    ],
)
def test_networks_have_the_published_number_of_parameters(model, shape, expected):
    assert count(model, shape) == expected


# An evaluation in numpy, float64, from the layer table of the published network.


def convolve(images, kernel):
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def transposed_convolve(images, kernel):
    """2 x 2, stride 2: every pixel adds its own square; kernel (C_in, 2, 2, C_out)."""
    number, height, width, _ = images.shape
    out = np.zeros((number, 2 * height, 2 * width, kernel.shape[-1]))
    for row, column, i, j in np.ndindex(height, width, 2, 2):
        out[:, 2 * row + i, 2 * column + j] += images[:, row, column] @ kernel[:, i, j]
    return out


def pool(images):
    return (images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4


class Evaluation:
    """Layers of one network by name."""

    def __init__(self, variables):
        flat, _ = jax.tree.flatten_with_path(variables)
        self.arrays = {"/".join(part.key for part in path): np.asarray(leaf, np.float64) for path, leaf in flat}

    def convolution(self, images, name):
        return convolve(images, self.arrays[f"params/{name}/kernel"])

    def norm(self, images, name):
        return images * self.arrays[f"params/{name}/gain"] / self.arrays[f"batch_stats/{name}/sd"]

    def layer(self, images, name):
        return np.maximum(self.norm(self.convolution(images, f"{name}_conv"), f"{name}_norm"), 0)

    def unet(self, images, num_blocks):
        skips = []
        for level in range(num_blocks):
            if level == 0:
                images = np.maximum(self.convolution(images, "encoder0_0_conv"), 0)
            else:
                images = self.layer(images, f"encoder{level}_0")
            skips.append(self.layer(images, f"encoder{level}_1"))
            images = pool(skips[-1])
        images = self.layer(self.layer(images, "middle_0"), "middle_1")
        for level in reversed(range(num_blocks)):
            up = transposed_convolve(images, self.arrays[f"params/decoder{level}_up/upsampling"])
            images = self.layer(np.concatenate([up, skips[level]], -1), f"decoder{level}_0")
            if level:
                images = self.layer(images, f"decoder{level}_1")
        return self.convolution(images, "output_conv")

    def bfcnn(self, images, num_layers, first_relu):
        images = self.convolution(images, "conv_0")
        images = np.maximum(images, 0) if first_relu else images
        for i in range(1, num_layers - 1):
            images = np.maximum(self.norm(self.convolution(images, f"conv_{i}"), f"norm_{i}"), 0)
        return self.convolution(images, "output_conv")


def random_variables(model, shape):
    """Variables with gains and running standard deviations of order one, all different."""
    variables = with_unit_gains(initialize(model, jax.random.key(0), shape), jax.random.key(1))
    leaves, treedef = jax.tree.flatten(variables["batch_stats"])
    keys = jax.random.split(jax.random.key(2), len(leaves))
    sds = [jax.random.uniform(key, leaf.shape, minval=0.5, maxval=2) for key, leaf in zip(keys, leaves, strict=True)]
    return variables | {"batch_stats": jax.tree.unflatten(treedef, sds)}


def test_trained_unet_is_its_layer_table(trained, noisy):
    model, variables = trained
    expected = Evaluation(variables).unet(np.asarray(noisy, np.float64), 2)
    np.testing.assert_allclose(model.apply(variables, noisy), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("channels", [1, 3])
def test_unet_of_three_blocks_is_its_layer_table_at_any_sides_and_channels(channels):
    model, shape = UNet(features=4, num_blocks=3), (8, 16, channels)
    variables = random_variables(model, shape)
    noisy = jax.random.normal(jax.random.key(3), (2, *shape))
    expected = Evaluation(variables).unet(np.asarray(noisy, np.float64), 3)
    np.testing.assert_allclose(model.apply(variables, noisy), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("sizes", "reach"), [((), 5), ((3, 1, 5, 1, 3), 4)])
def test_reach_is_how_far_an_estimate_sees(sizes, reach):
    model = BFCNN(features=6, num_layers=5, kernel_sizes=sizes)
    variables = model.init(jax.random.key(0), jnp.ones((1, 15, 17, 1)))
    noisy = jax.random.normal(jax.random.key(1), (15, 17, 1))
    seen = np.argwhere(jax.grad(lambda y: model.apply(variables, y)[7, 8, 0])(noisy)[..., 0])
    assert model.reach == reach
    np.testing.assert_array_equal(abs(seen - [7, 8]).max(0), [reach, reach])


@pytest.mark.parametrize("first_relu", [False, True])
def test_bfcnn_is_its_layer_table_at_odd_sides_and_three_channels(first_relu):
    model, shape = BFCNN(features=6, num_layers=5, first_relu=first_relu), (7, 9, 3)
    variables = random_variables(model, shape)
    noisy = jax.random.normal(jax.random.key(3), (2, *shape))
    expected = Evaluation(variables).bfcnn(np.asarray(noisy, np.float64), 5, first_relu)
    np.testing.assert_allclose(model.apply(variables, noisy), expected, atol=1e-5 * np.abs(expected).max())


def test_upsampling_paints_one_square_per_pixel_on_any_leading_axes():
    images = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 6))
    variables = Upsample(3).init(jax.random.key(1), images)
    found = Upsample(3).apply(variables, images)
    expected = transposed_convolve(np.reshape(images, (6, 4, 5, 6)), np.asarray(variables["params"]["upsampling"]))
    np.testing.assert_allclose(found, expected.reshape(2, 3, 8, 10, 3), atol=1e-5)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_convolution_and_pooling_take_any_leading_axes(lead):
    images = jax.random.normal(jax.random.key(0), (*lead, 4, 6, 2))
    flat = np.reshape(images, (-1, 4, 6, 2))
    variables = Conv(5).init(jax.random.key(1), images)
    expected = convolve(flat, np.asarray(variables["params"]["kernel"])).reshape(*lead, 4, 6, 5)
    np.testing.assert_allclose(Conv(5).apply(variables, images), expected, atol=1e-5)
    np.testing.assert_allclose(average_pool(images), pool(flat).reshape(*lead, 2, 3, 2), atol=1e-6)


def distance(one, other):
    return np.linalg.norm(np.subtract(one, other)) / np.linalg.norm(other)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 7.0])
def test_trained_network_is_homogeneous(trained, noisy, scale):
    network = functools.partial(trained[0].apply, trained[1])
    assert distance(network(scale * noisy), scale * network(noisy)) < 1e-5


def test_trained_network_is_its_jacobian_times_its_input(trained, noisy):
    residual, pushed = jax.jvp(functools.partial(trained[0].apply, trained[1]), (noisy,), (noisy,))
    assert distance(pushed, residual) < 1e-5


def test_forward_and_reverse_derivatives_of_the_network_agree(trained, noisy):
    network = functools.partial(trained[0].apply, trained[1])
    right, left = jax.random.normal(jax.random.key(0), (2, *noisy.shape))
    _, pushed = jax.jvp(network, (noisy,), (right,))
    (pulled,) = jax.vjp(network, noisy)[1](left)
    assert float(jnp.vdot(left, pushed)) == pytest.approx(float(jnp.vdot(pulled, right)), rel=1e-4)


def test_norm_divides_by_the_centred_standard_deviation_and_subtracts_nothing():
    images = 100 + 3 * jax.random.normal(jax.random.key(0), (4, 6, 5, 2)) * jnp.array([1e-3, 1.0]).reshape(1, 1, 1, 2)
    gain, before = jnp.array([2.0, -0.5]), jnp.array([1.5, 0.2])
    variables = {"params": {"gain": gain}, "batch_stats": {"sd": before}}
    found, updates = BiasFreeBatchNorm().apply(variables, images, train=True, mutable=["batch_stats"])
    sd = np.sqrt(np.var(np.asarray(images, np.float64), axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(found, images * np.reshape(gain / sd, (1, 1, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(updates["batch_stats"]["sd"], 0.9 * before + 0.1 * sd, rtol=1e-5)


def test_norm_uses_the_running_standard_deviation_in_evaluation_and_leaves_it():
    images = jax.random.normal(jax.random.key(0), (4, 6, 5, 2))
    variables = {"params": {"gain": jnp.array([2.0, -0.5])}, "batch_stats": {"sd": jnp.array([1.5, 0.2])}}
    found, updates = BiasFreeBatchNorm().apply(variables, images, train=False, mutable=["batch_stats"])
    np.testing.assert_allclose(found, images * np.reshape([2 / 1.5, -0.5 / 0.2], (1, 1, 1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(updates["batch_stats"]["sd"], variables["batch_stats"]["sd"])


def test_gradient_flows_through_the_batch_standard_deviation():
    variables = {"params": {"gain": jnp.ones(1)}, "batch_stats": {"sd": jnp.ones(1)}}
    images = jax.random.normal(jax.random.key(0), (4, 6, 5, 1))

    def energy(images):
        return jnp.sum(BiasFreeBatchNorm().apply(variables, images, train=True, mutable=["batch_stats"])[0] ** 2)

    flat = np.asarray(images, np.float64).ravel()  # energy = sum x^2 / s^2 with s^2 = var x + 1e-5
    variance = flat.var() + 1e-5
    expected = 2 * flat / variance - (flat**2).sum() / variance**2 * 2 * (flat - flat.mean()) / flat.size
    np.testing.assert_allclose(np.ravel(jax.grad(energy)(images)), expected, atol=1e-3)


def test_training_mode_moves_every_running_statistic_and_evaluation_none(trained, noisy):
    model, variables = trained
    _, updates = model.apply(variables, noisy, train=True, mutable=["batch_stats"])
    moved = jax.tree.map(lambda new, old: np.all(new != old), updates["batch_stats"], variables["batch_stats"])
    assert jax.tree.all(moved)
    _, updates = model.apply(variables, noisy, train=False, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize(
    ("sides", "nearest"), [((18, 16), "16 or 20"), ((16, 21), "20 or 24"), ((3, 4), "is 4"), ((0, 4), "is 4")]
)
def test_sides_that_cannot_be_pooled_name_the_nearest_that_can(sides, nearest):
    with pytest.raises(ValueError, match=nearest):
        jax.eval_shape(UNet(features=4, num_blocks=2).init, jax.random.key(0), jnp.zeros((1, *sides, 1)))


def drawn(model, shape, how):
    if how == "initialize":
        return initialize(model, jax.random.key(4), shape)
    return jax.jit(model.init)(jax.random.key(4), jnp.zeros((1, *shape)))


@pytest.mark.parametrize("how", ["initialize", "init"])
def test_initial_kernels_follow_he_and_gains_the_published_law(how):
    variables = drawn(UNet(features=16, num_blocks=2), (8, 8, 1), how)
    flat, _ = jax.tree.flatten_with_path(variables["params"])
    seen = set()
    for path, leaf in flat:
        layer, name = (part.key for part in path)
        fan_in = {"kernel": 9 * leaf.shape[-2] if leaf.ndim == 4 else 0, "upsampling": 4 * leaf.shape[-1], "gain": 0}
        sd = math.sqrt(2 / fan_in[name]) if fan_in[name] else 2 / 9 / 64
        assert np.std(leaf) == pytest.approx(sd, rel=5 / math.sqrt(2 * leaf.size)), layer
        assert abs(np.mean(leaf)) < 5 * sd / math.sqrt(leaf.size), layer
        assert leaf.dtype == jnp.float32
        seen.add(float(np.ravel(leaf)[0]) / sd)
    assert len(seen) == len(flat)  # no two leaves from the same draw
    assert all(np.all(leaf == 1) for leaf in jax.tree.leaves(variables["batch_stats"]))


def test_square_root_gains_are_mostly_clipped():
    variables = initialize(BFCNN(num_layers=12, gain_init="square_root"), jax.random.key(0), (8, 8, 1))
    gains = np.concatenate([layer["gain"] for name, layer in variables["params"].items() if "norm" in name])
    limit = 0.025 / math.sqrt(2 / 9 / 64)
    clipped = 1 - math.erf(limit / math.sqrt(2))  # 67 %
    assert np.abs(gains).max() == pytest.approx(0.025)
    measured = np.mean(np.abs(gains) > 0.025 - 1e-8)
    assert measured == pytest.approx(clipped, abs=4 * math.sqrt(clipped * (1 - clipped) / gains.size))
    inside = np.abs(gains[np.abs(gains) < 0.025 - 1e-8])
    assert inside.mean() == pytest.approx(0.0125, rel=0.1)  # nearly uniform between 0 and the limit


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_computes_nearly_the_same_and_keeps_float32_outside(name):
    sizes = {"unet": dict(features=8, num_blocks=2), "bfcnn": dict(features=16, num_layers=6), "strided_unet": {}}
    options = sizes[name]
    model, half = MODELS[name](**options), MODELS[name](**options, dtype="bfloat16")
    variables = random_variables(model, (16, 16, 1))
    noisy = jax.random.normal(jax.random.key(5), (2, 16, 16, 1))
    exact, found = model.apply(variables, noisy), half.apply(variables, noisy)
    assert found.dtype == jnp.float32
    assert 1e-4 < distance(found, exact) < 0.03
    _, updates = half.apply(variables, noisy, train=True, mutable=["batch_stats"])
    leaves = jax.tree.leaves((initialize(half, jax.random.key(0), (16, 16, 1)), updates))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
