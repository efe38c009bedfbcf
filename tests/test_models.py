"""Networks: published sizes, bias-freedom, statistics, initial values and refusals; their values: `test_published`."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import Told, with_unit_gains

from gahr.models.bfcnn import BFCNN
from gahr.models.layers import BiasFreeBatchNorm, Conv, Upsample, initialize
from gahr.models.strided_unet import StridedUNet
from gahr.models.unet import UNet


def shapes(model, *sides):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *sides)))


def test_networks_have_the_published_number_of_parameters():
    expected = {
        (UNet(num_blocks=1), (20, 20, 1)): 366_080,
        (UNet(num_blocks=2), (40, 40, 1)): 1_825_024,
        (UNet(), (80, 80, 1)): 7_659_264,
        (UNet(num_blocks=4), (160, 160, 1)): 30_993_152,
        (UNet(), (80, 80, 3)): 7_661_568,
        (BFCNN(), (40, 40, 1)): 702_784,
        (BFCNN(num_layers=20), (40, 40, 1)): 665_856,
    }
    count = lambda model, shape: sum(leaf.size for leaf in jax.tree.leaves(shapes(model, *shape)["params"]))
    assert {case: count(*case) for case in expected} == expected


def test_fields_and_sides_that_cannot_be_are_refused():
    for model, sides, message in (
        (UNet(features=0), (8, 8), "features must be a whole number from 1, got 0"),
        (UNet(num_blocks=1.5), (8, 8), "num_blocks must be a whole number from 1, got 1.5"),
        (UNet(gain_init="publishd"), (8, 8), "gain_init must be one of published, square_root, got 'publishd'"),
        (UNet(dtype="float64"), (8, 8), "dtype must be one of float32, bfloat16, float16, got 'float64'"),
        (UNet(num_blocks=2), (18, 16), "16 or 20"),
        (UNet(num_blocks=2), (16, 21), "20 or 24"),
        (UNet(num_blocks=2), (3, 4), "is 4"),
        (UNet(num_blocks=2), (0, 4), "is 4"),
        (BFCNN(features=True), (8, 8), "features must be a whole number from 1, got True"),
        (BFCNN(num_layers=1), (8, 8), "num_layers must be a whole number from 2, got 1"),
        (BFCNN(num_layers=5, kernel_sizes=(3, 1, 3)), (8, 8), "5 odd numbers"),
        (BFCNN(num_layers=5, kernel_sizes=(3, 2, 3, 3, 3)), (8, 8), "5 odd numbers"),
        (StridedUNet(features=-1), (8, 8), "features must be a whole number from 1, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            shapes(model, *sides, 1)


@pytest.mark.parametrize(("sizes", "reach"), [((), 5), ((3, 1, 5, 1, 3), 4)])
def test_reach_is_how_far_an_estimate_sees(sizes, reach):
    model = BFCNN(features=6, num_layers=5, kernel_sizes=sizes)
    variables = initialize(model, jax.random.key(0), (15, 17, 1))
    noisy = jax.random.normal(jax.random.key(1), (15, 17, 1))
    gradient = jax.jit(jax.grad(lambda y: model.apply(variables, y)[7, 8, 0]))(noisy)
    assert model.reach == reach
    np.testing.assert_array_equal(abs(np.argwhere(gradient[..., 0]) - [7, 8]).max(0), [reach, reach])


def distance(one, other):
    return np.linalg.norm(np.subtract(one, other)) / np.linalg.norm(other)


def test_trained_network_is_homogeneous_and_its_jacobian_times_its_input(trained, noisy):
    network = jax.jit(functools.partial(trained[0].apply, trained[1]))
    residual = network(noisy)
    for scale in (1e-3, 0.3, 7.0):
        assert distance(network(scale * noisy), scale * residual) < 1e-5
    right, left = jax.random.normal(jax.random.key(0), (2, *noisy.shape))
    _, push = jax.linearize(network, noisy)
    assert distance(push(noisy), residual) < 1e-5
    (pulled,) = jax.vjp(network, noisy)[1](left)
    assert float(jnp.vdot(left, push(right))) == pytest.approx(float(jnp.vdot(pulled, right)), rel=1e-4)


def test_norm_divides_by_the_centred_standard_deviation_of_the_batch_or_the_running_one_and_subtracts_nothing():
    images = 100 + 3 * jax.random.normal(jax.random.key(0), (4, 6, 5, 2)) * jnp.array([1e-3, 1.0]).reshape(1, 1, 1, 2)
    gain, before = jnp.array([2.0, -0.5]), jnp.array([1.5, 0.2])
    variables = {"params": {"gain": gain}, "batch_stats": {"sd": before}}
    norm = lambda train: BiasFreeBatchNorm().apply(variables, images, train=train, mutable=["batch_stats"])
    found, updates = norm(True)
    sd = np.sqrt(np.var(np.asarray(images, np.float64), axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(found, images * np.reshape(gain / sd, (1, 1, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(updates["batch_stats"]["sd"], 0.9 * before + 0.1 * sd, rtol=1e-5)
    found, updates = norm(False)
    np.testing.assert_allclose(found, images * np.reshape(gain / before, (1, 1, 1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(updates["batch_stats"]["sd"], before)


def test_initial_kernels_follow_he_and_gains_the_published_law():
    keys, images = jax.random.split(jax.random.key(4), 4), jnp.zeros((1, 2, 2, 32))
    layers = ((Conv(32), {}), (Upsample(32), {}), (BiasFreeBatchNorm(), dict(train=False)))
    alone = {str(i): layer.init(keys[i], images, **options)["params"] for i, (layer, options) in enumerate(layers)}
    whole = initialize(UNet(features=32, num_blocks=1), keys[3], (8, 8, 1))
    assert all(np.all(leaf == 1) for leaf in jax.tree.leaves(whole["batch_stats"]))
    for params in (whole["params"], alone):
        flat, _ = jax.tree.flatten_with_path(params)
        seen = set()
        for path, leaf in flat:
            layer, name = (part.key for part in path)
            fan_in = 9 * leaf.shape[-2] if name == "kernel" else 4 * leaf.shape[-1]
            sd = 2 / 9 / 64 if name == "gain" else math.sqrt(2 / fan_in)
            assert np.std(leaf) == pytest.approx(sd, rel=5 / math.sqrt(2 * leaf.size)), layer
            assert abs(np.mean(leaf)) < 5 * sd / math.sqrt(leaf.size), layer
            assert leaf.dtype == jnp.float32
            seen.add(float(np.ravel(leaf)[0]) / sd)
        assert len(seen) == len(flat)  # no two leaves from the same draw


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


def test_a_network_of_other_layers_has_the_initial_values_it_asks_for_and_ours_know_all_their_parameters():
    assert initialize(Told(), jax.random.key(0), (8, 8, 1)) == {"params": {"variance": 2.0}, "batch_stats": {}}
    with pytest.raises(ValueError, match="variance has no initial value"):
        UNet().initial("variance", jnp.ones(()))


NETWORKS = (UNet(features=8, num_blocks=1), BFCNN(features=16, num_layers=4), StridedUNet(features=8))


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: type(model).__name__)
def test_bfloat16_computes_nearly_the_same_and_keeps_float32_outside(model):
    half, key = model.clone(dtype="bfloat16"), jax.random.key(0)
    variables = with_unit_gains(initialize(model, key, (8, 8, 1)), jax.random.key(1))
    noisy = jax.random.normal(jax.random.key(5), (2, 8, 8, 1))
    exact = jax.jit(model.apply)(variables, noisy)
    found, updates = jax.jit(functools.partial(half.apply, train=True, mutable=["batch_stats"]))(variables, noisy)
    assert 1e-4 < distance(jax.jit(half.apply)(variables, noisy), exact) < 0.03
    leaves = jax.tree.leaves((found, updates, initialize(half, key, (8, 8, 1))))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
