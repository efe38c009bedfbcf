"""PyTorch modules as denoisers, beside the same networks as arrays: needs the extra `torch`."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from test_notebooks import execute
from test_readme import examples
from torch import nn
from torch.nn.functional import relu

from gahr import interop
from gahr.analysis import eigen, jacobian
from gahr.denoiser import bind
from gahr.models import published

KEY = jax.random.key(0)


class SmallUNet(nn.Module):
    """The published small UNet, in PyTorch: `gahr.models.strided_unet.StridedUNet` says what it does."""

    def __init__(self, width):
        super().__init__()

        def conv(inputs, outputs, size=3, *, stride=1, dilation=1):
            return nn.Conv2d(inputs, outputs, size, stride, dilation * (size // 2), dilation, bias=False)

        self.conv1, self.conv2 = conv(1, width, 5), conv(width, width)
        self.conv3, self.conv4 = conv(width, 2 * width, stride=2), conv(2 * width, 2 * width)
        self.conv5, self.conv6 = conv(2 * width, 2 * width, dilation=2), conv(2 * width, 2 * width, dilation=4)
        self.conv7 = nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1, bias=False)
        self.conv8, self.conv9 = conv(3 * width, width), conv(width, 1, 5)

    def forward(self, images):
        images = skip = relu(self.conv2(relu(self.conv1(images))))
        for number in range(3, 8):
            images = relu(getattr(self, f"conv{number}")(images))
        return self.conv9(relu(self.conv8(torch.cat([images, skip], 1))))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A module with random weights as a denoiser, and the same from the file that PyTorch saves."""
    torch.manual_seed(0)
    module, path = SmallUNet(6).eval(), tmp_path_factory.mktemp("torch") / "unet.pt"
    torch.save(module.state_dict(), path)
    return interop.torch(module, prediction="denoised"), bind(*published.load(path))


def draw(*lead):
    return jax.random.normal(jax.random.key(1), (*lead, 8, 8, 1))


def test_value_and_products_are_those_of_the_same_network_as_arrays(pair):
    """Finds channels last where first is meant, J for J^T, and vectors pushed at the wrong image."""

    def read(denoiser):
        push = jax.linearize(denoiser, draw(3))[1]
        pull = jax.vjp(denoiser, draw(3))[1]
        many = jax.vmap(lambda y: jax.vmap(jax.linearize(denoiser, y)[1])(draw(2)))(draw(3))
        return denoiser(draw(2, 3)), push(draw(3)), pull(draw(3)), many

    for found, wanted in zip(jax.tree.leaves(read(pair[0])), jax.tree.leaves(read(pair[1])), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_bases_are_those_of_the_same_network_as_arrays(pair):
    ours, theirs = (jacobian.eigenbasis(denoiser, draw()) for denoiser in pair)
    np.testing.assert_allclose(ours.shrinkage, theirs.shrinkage, atol=1e-5)
    np.testing.assert_allclose(ours.asymmetry, theirs.asymmetry, atol=1e-5)
    top = eigen.top_eigenbasis(pair[0], draw(), 3, key=KEY)
    np.testing.assert_allclose(top.shrinkage, theirs.shrinkage[:3], atol=1e-4)
    assert np.abs(np.einsum("khwc,khwc->k", top.vectors, theirs.vectors[:3])).min() > 0.999


class Diffusers(nn.Module):
    """As a UNet of diffusers: told a timestep, returns an object. eps = x sqrt(1 - a), exact for x of variance one."""

    def __init__(self, alpha_bars):
        super().__init__()
        self.register_buffer("alpha_bars", alpha_bars)
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, sample, timestep):
        noise = torch.sqrt(1 - self.alpha_bars[timestep.round().long()])
        return types.SimpleNamespace(sample=sample * self.gain.view(3, 1, 1) * noise.view(-1, 1, 1, 1))


def test_a_network_that_is_told_the_timestep_and_returns_an_object():
    alpha_bars = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
    denoiser = interop.torch(
        Diffusers(alpha_bars).eval(), prediction="epsilon", alpha_bars=alpha_bars, intensities=(-1, 1)
    )
    noisy, sigma = jnp.tile(draw(2), 3), jnp.array([0.1, 1.0])
    size = 2 * sigma[:, None, None, None]  # D = y / (1 + s^2) about grey, for images of variance one in [-1, 1]
    np.testing.assert_allclose(denoiser(noisy, sigma), 0.5 + (noisy - 0.5) / (1 + size**2), atol=1e-2)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match=r"module\.eval\(\)"):
        interop.torch(SmallUNet(2), prediction="denoised")
    with pytest.raises(ValueError, match=r"^module must be a torch\.nn\.Module"):
        interop.torch(relu, prediction="denoised")
    wide = interop.torch(nn.Conv2d(1, 2, 3, padding=1).eval(), prediction="residual")
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"maps shape \(1, 1, 8, 8\) to \(1, 2, 8, 8\)"):
        jax.block_until_ready(wide(draw()))


def test_the_example_of_the_readme_runs(capsys):
    (example,) = (text for text in examples() if "import torch" in text)
    exec(example, {})
    assert "[" in capsys.readouterr().out


def test_the_notebook_of_own_denoisers_analyses_the_pytorch_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    execute("your_denoiser")
    card = capsys.readouterr().out.partition("PyTorch: slope")[2]  # which a cell passes over where there is no PyTorch
    (line,) = [line.split() for line in card.splitlines() if line.startswith("asymmetry")]
    assert float(line[1]) < 1e-5  # it is a symmetric blur
