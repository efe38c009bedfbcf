"""Training on several devices: loss, gradients and statistics, and the convolution beneath."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
from conftest import over, with_unit_gains
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from test_notebooks import execute

from gahr.denoiser import network_of
from gahr.models import convolution, winograd
from gahr.models.convolution import conv2d
from gahr.models.layers import initialize
from gahr.models.unet import UNet
from gahr.objectives import denoising

KEY = jax.random.key(0)


def assert_close(found, expected):
    """Equal up to a fraction of the largest entry, array by array."""
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())
    jax.tree.map(close, jax.device_get(found), jax.device_get(expected))


def on(number, batch, others):
    """The arguments on a mesh of some devices, the batch spread over them and the others on each."""
    spread = over(number)
    return jax.device_put(batch, spread), jax.device_put(others, NamedSharding(spread.mesh, PartitionSpec()))


def test_loss_gradients_and_statistics_do_not_depend_on_the_number_of_devices():
    model = UNet(features=4, num_blocks=1)
    variables = with_unit_gains(initialize(model, KEY, (8, 8, 1)), KEY)

    @jax.jit
    def measure(clean, variables):
        def objective(params):
            return denoising.loss(network_of(model), variables | {"params": params}, KEY, clean)

        return jax.value_and_grad(objective, has_aux=True)(variables["params"])

    clean = jax.random.uniform(KEY, (16, 8, 8, 1))
    one, *others = (measure(*on(number, clean, variables)) for number in (1, 2, 8))
    for other in others:
        assert_close(other, one)


def test_the_convolution_of_a_spread_batch_is_that_of_the_whole(monkeypatch):
    monkeypatch.setattr(convolution, "_LARGE", 0)
    monkeypatch.setattr(winograd, "_BLOCK", 16 * 4 * 6 * 130 * 8)  # with 130 features, two blocks

    def direct(images, kernel):
        return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def values_and_gradients(images, kernels, *, function):
        values, pull = jax.vjp(lambda *at: [function(*pair) for pair in zip(*at, strict=True)], images, kernels)
        return values, pull([jnp.sin(value) for value in values])

    shapes = ((1, 6), (6, 1), (6, 7), (33, 7), (32, 33), (34, 130))  # every form that the convolution takes
    images = [jax.random.normal(KEY, (16, 4, 5, shape[0])) for shape in shapes]
    kernels = [jax.random.normal(jax.random.key(1), (3, 3, *shape)) for shape in shapes]
    at = on(8, images, kernels)
    spread = jax.jit(functools.partial(values_and_gradients, function=conv2d)).lower(*at).compile()
    assert "all-gather" not in spread.as_text()  # of images: each device keeps to its own
    expected = jax.jit(functools.partial(values_and_gradients, function=direct))(images, kernels)
    assert_close(spread(*at), expected)

    def part(images, kernels):
        return values_and_gradients(images, kernels, function=conv2d)

    alone, everywhere = PartitionSpec("data"), PartitionSpec()
    mapped = jax.shard_map(
        part, mesh=over(8).mesh, in_specs=(alone, everywhere), out_specs=(alone, (alone, everywhere))
    )
    assert_close(jax.jit(mapped)(*at), expected)


def test_the_notebook_of_devices_spreads_a_batch_and_trains_over_eight(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    execute("devices")
    shown = capsys.readouterr().out
    assert re.findall(r"images (\d+) and on", shown) == [str(8 * device) for device in range(8)]
    assert float(shown.partition("largest difference to one device: ")[2].split()[0]) < 1e-5
    assert "step 3: " in shown
