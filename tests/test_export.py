"""What is computed lowers for CPUs, GPUs and TPUs, without such a device."""

import jax
import jax.export
import jax.numpy as jnp
import pytest

from gahr.analysis import eigen, jacobian, performance
from gahr.denoiser import bind
from gahr.models.bfcnn import BFCNN
from gahr.models.unet import UNet

KEY = jax.random.key(0)
CLEAN = jax.ShapeDtypeStruct((3, 8, 8, 1), jnp.float32)


def bound(model):
    """The denoiser of a network, of which only shapes are known."""
    return bind(model, jax.eval_shape(model.init, KEY, CLEAN))


UNET, CNN = bound(UNet(features=4, num_blocks=1)), bound(BFCNN(features=4, num_layers=3))
CASES = {  # function and the shapes of its arguments
    "PSNR curve": (lambda d, x: performance.psnr_curve(d, KEY, x, sigmas=[0.1, 0.2], chunk=2).psnr, UNET, CLEAN),
    "Jacobian column": (lambda d, x: jacobian.columns(d, x[0], jnp.array([3])), CNN, CLEAN),
    "Krylov steps": (lambda d, x: eigen.top_eigenbasis(d, x[0], 2, key=KEY), CNN, CLEAN),
}


@pytest.mark.parametrize("name", CASES)
def test_it_lowers_for_every_platform(name):
    function, *arguments = CASES[name]
    platforms = ("cpu", "cuda", "tpu")
    exported = jax.export.export(jax.jit(function), platforms=platforms)(*arguments)
    assert exported.platforms == platforms
    assert len(exported.mlir_module_serialized) > 0
