"""What is computed lowers for CPUs, GPUs and TPUs, without such a device."""

import jax
import jax.export
import jax.numpy as jnp
import optax
import pytest

from gahr import training
from gahr.analysis import eigen, jacobian, performance
from gahr.denoiser import bind, network_of
from gahr.models.bfcnn import BFCNN
from gahr.models.convolution import conv2d
from gahr.models.unet import UNet
from gahr.objectives import denoising
from gahr.sampling import blind

KEY = jax.random.key(0)
CLEAN = jax.ShapeDtypeStruct((3, 8, 8, 1), jnp.float32)


def bound(model):
    """The denoiser of a network, of which only shapes are known."""
    return bind(model, jax.eval_shape(model.init, KEY, CLEAN))


def train(state, clean):
    optimizer = optax.adam(1e-3)
    network = network_of(UNet(features=4, num_blocks=1))
    return training.make_train_step(network, optimizer, denoising.loss, lambda key: clean)(state, KEY)


def sample(denoiser, clean):
    sampler, keys = blind.sampler(), jax.random.split(KEY, len(clean))
    return sampler.step(denoiser, keys, sampler.init(keys, clean.shape[1:]))


VARIABLES = jax.eval_shape(UNet(features=4, num_blocks=1).init, KEY, CLEAN)
STATE = jax.eval_shape(lambda variables: training.init_state(variables, optax.adam(1e-3)), VARIABLES)
UNET, CNN = bound(UNet(features=4, num_blocks=1)), bound(BFCNN(features=4, num_layers=3))
CASES = {  # function and the shapes of its arguments
    "training step": (train, STATE, CLEAN),
    "sampler step": (sample, UNET, CLEAN),
    "PSNR curve": (lambda d, x: performance.psnr_curve(d, KEY, x, sigmas=[0.1, 0.2], chunk=2).psnr, UNET, CLEAN),
    "Jacobian column": (lambda d, x: jacobian.columns(d, x[0], jnp.array([3])), CNN, CLEAN),
    "3 x 3 layers of many channels": (
        lambda x, k: jax.vjp(conv2d, x, k)[1](conv2d(x, k)),
        jax.ShapeDtypeStruct((32, 8, 8, 32), jnp.float32),
        jax.ShapeDtypeStruct((3, 3, 32, 33), jnp.float32),
    ),
    "Krylov steps": (lambda d, x: eigen.top_eigenbasis(d, x[0], 2, key=KEY), CNN, CLEAN),
}


def test_a_network_of_many_channels_is_exported_for_every_batch_size():
    model = UNet(features=32, num_blocks=1)
    denoiser = bind(model, jax.eval_shape(model.init, KEY, CLEAN))
    noisy = jax.ShapeDtypeStruct(jax.export.symbolic_shape("n, 8, 8, 1"), jnp.float32)
    exported = jax.export.export(jax.jit(lambda denoiser, noisy: denoiser(noisy)))(denoiser, noisy)
    assert str(exported.out_avals[0].shape[0]) == "n"


@pytest.mark.parametrize("name", CASES)
def test_it_lowers_for_every_platform(name):
    function, *arguments = CASES[name]
    platforms = ("cpu", "cuda", "tpu")
    exported = jax.export.export(jax.jit(function), platforms=platforms)(*arguments)
    assert exported.platforms == platforms
    assert len(exported.mlir_module_serialized) > 0
