"""Networks outside of JAX, with numpy in PyTorch's place: `tests/pytorch/` has the real ones."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import interop
from gahr.analysis import eigen, jacobian
from gahr.denoiser import at
from gahr.sampling import ode, schedules

SHAPE = (3, 4, 2)
MATRIX = np.random.default_rng(0).standard_normal((24, 24)).astype(np.float32) / 5
CALLS = []  # shapes of what was asked for


def traced(images, levels=None):
    """tanh(A y) (1 + level), as JAX does it."""
    out = jnp.tanh((images.reshape(*images.shape[:-3], -1) @ MATRIX.T).reshape(images.shape))
    return out if levels is None else out * (1 + jnp.expand_dims(levels, (-3, -2, -1)))


def value(images, *levels):
    CALLS.append(("value", images.shape))
    out = np.tanh(images.reshape(len(images), -1) @ MATRIX.T).reshape(images.shape)
    return out * (1 + levels[0][:, None, None, None]) if levels else out


def slope(images, *levels):
    """(N, 24), sech^2(A y) (1 + level)."""
    gain = 1 - np.tanh(images.reshape(len(images), -1) @ MATRIX.T) ** 2
    return gain * (1 + levels[0])[:, None] if levels else gain


def push(vectors, images, *levels):
    CALLS.append(("push", vectors.shape[:2]))
    return (slope(images, *levels) * (vectors.reshape(*vectors.shape[:2], -1) @ MATRIX.T)).reshape(vectors.shape)


def pull(vectors, images, *levels):
    CALLS.append(("pull", vectors.shape[:2]))
    return ((slope(images, *levels) * vectors.reshape(*vectors.shape[:2], -1)) @ MATRIX).reshape(vectors.shape)


@pytest.fixture
def network():
    CALLS.clear()
    return interop.host(value, push, pull)


def draw(*lead):
    return jax.random.normal(jax.random.key(len(lead)), (*lead, *SHAPE))


def close(found, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5), found, wanted)


TRANSFORMED = {  # of f(images, levels); found P and N swapped, and levels of one image given to another
    "value": lambda f, y, t: f(y, t),
    "vmap over the second axis": lambda f, y, t: jax.vmap(f, 1, 1)(y, t),
    "jvp": lambda f, y, t: jax.jvp(lambda y: f(y, t), (y,), (draw(2, 5),)),
    "gradient in jit": lambda f, y, t: jax.jit(jax.grad(lambda y: (f(y, t) ** 2).sum()))(y),
    "vectors at one batch": lambda f, y, t: jax.vmap(jax.linearize(lambda y: f(y, t), y)[1])(draw(3, 2, 5)),
    "vectors at each image": lambda f, y, t: jax.vmap(
        lambda y, t: jax.vmap(jax.vjp(lambda y: f(y, t), y)[1])(draw(3, 5)), in_axes=0
    )(y, t),
    "images for each vector": lambda f, y, t: jax.vmap(
        lambda v: jax.vmap(lambda y, t: jax.jvp(lambda y: f(y, t), (y,), (v,))[1])(y, t)
    )(draw(3, 5)),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations_of_a_host_network_are_those_of_the_traced_one(network, name):
    levels = jnp.arange(10.0).reshape(2, 5)
    close(*(TRANSFORMED[name](f, draw(2, 5), levels) for f in (network, traced)))


def test_a_batch_is_one_call_and_vectors_at_one_image_share_it(network):
    jax.vmap(network)(draw(2, 5))
    jax.vmap(jax.linearize(network, draw())[1])(draw(7))
    jax.vmap(lambda y: jax.vmap(jax.linearize(network, y)[1])(draw(7)))(draw(5))
    assert [call for call in CALLS if call[0] == "push"] == [("push", (7, 1)), ("push", (7, 5))]
    assert CALLS[0] == ("value", (10, *SHAPE))


def test_bases_and_samples_of_a_host_network_are_those_of_the_traced_one(network):
    denoiser, same = (interop.denoiser_of(f, prediction="residual") for f in (network, traced))
    close(jacobian.eigenbasis(denoiser, draw(), chunk=7).shrinkage, jacobian.eigenbasis(same, draw()).shrinkage)
    bases = [eigen.top_singular_basis(f, draw(), 4, key=jax.random.key(0)).values for f in (denoiser, same)]
    close(*bases)
    told, same = (interop.denoiser_of(f, prediction="epsilon", told=True) for f in (network, traced))
    sigmas = schedules.karras(sigma_max=1.0, num_levels=4)
    close(*(ode.heun(f, jax.random.key(0), (2, *SHAPE), sigmas=sigmas) for f in (told, same)))


@pytest.mark.parametrize("second", [
    lambda f: jax.hessian(lambda y: f(y, 1.0).sum())(draw()),
    lambda f: jax.jvp(lambda y: jax.jvp(lambda y: f(y, 1.0), (y,), (y,))[1], (draw(),), (draw(),)),
    lambda f: jax.grad(lambda sigma: f(draw(), sigma).sum())(1.0),
])  # fmt: skip
def test_derivatives_that_are_not_there_are_refused_and_not_zero(network, second):
    told = interop.denoiser_of(network, prediction="epsilon", told=True)
    with pytest.raises(ValueError, match=r"^derivatives of a network outside of JAX"):
        second(told)


# What networks predict. A Gaussian of mean m and variance c in [0, 1] has D(y) = m + c (y - m) / (c + sigma^2).

MEAN, VARIANCE, BLACK, WHITE = 0.4, 0.09, -1.0, 1.0
ALPHA_BARS = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def gaussian(noisy, sigma):
    return MEAN + VARIANCE * (noisy - MEAN) / (VARIANCE + jnp.expand_dims(sigma, (-3, -2, -1)) ** 2)


def exact(prediction, images, level, *, preserving):
    """What an exact network in units of [-1, 1] says."""
    if preserving:
        log_ratio = np.log(1 / ALPHA_BARS - 1) / 2
        sigma = jnp.exp(jnp.interp(level, jnp.arange(1000.0), log_ratio))  # s
    else:
        sigma = level
    wide = jnp.expand_dims(sigma, (-3, -2, -1))
    share = 1 / (1 + wide**2)  # alpha-bar
    noisy = images / jnp.sqrt(share) if preserving else images
    clean = BLACK + (WHITE - BLACK) * gaussian((noisy - BLACK) / (WHITE - BLACK), sigma / (WHITE - BLACK))
    noise = (noisy - clean) / wide
    v = jnp.sqrt(share) * noise - jnp.sqrt(1 - share) * clean
    return {"denoised": clean, "residual": noisy - clean, "epsilon": noise, "v": v}[prediction]


@pytest.mark.parametrize(("prediction", "preserving"), [
    ("denoised", False), ("residual", False), ("epsilon", False),
    ("denoised", True), ("residual", True), ("epsilon", True), ("v", True),
])  # fmt: skip
def test_every_prediction_of_an_exact_network_is_the_exact_denoiser(prediction, preserving):
    def network(images, level):
        assert level.shape == images.shape[:-3]
        return exact(prediction, images, level, preserving=preserving)

    alpha_bars = ALPHA_BARS if preserving else None
    told = interop.denoiser_of(network, prediction=prediction, told=True, alpha_bars=alpha_bars, intensities=(-1, 1))
    noisy, sigma = MEAN + draw(3), jnp.array([0.02, 0.2, 3.0])
    np.testing.assert_allclose(told(noisy, sigma), gaussian(noisy, sigma), atol=3e-4)  # a network sees t in float32
    np.testing.assert_allclose(at(told, 0.2)(noisy[:2]), gaussian(noisy[:2], jnp.full(2, 0.2)), atol=3e-4)


def test_a_blind_network_has_its_own_intensities():
    denoiser = interop.denoiser_of(lambda images: 0.5 * images + 10, prediction="residual", intensities=(0, 255))
    np.testing.assert_allclose(denoiser(draw()), 0.5 * draw() - 10 / 255, atol=1e-5)


@pytest.mark.parametrize(("options", "message"), [
    (dict(prediction="eps"), "^unknown prediction 'eps'.*epsilon"),
    (dict(prediction="epsilon"), "^prediction of a network that is not told sigma"),
    (dict(prediction="v", told=True), "^prediction 'v' needs alpha_bars"),
    (dict(prediction="epsilon", alpha_bars=[0.5, 0.9]), "^alpha_bars must be a falling row"),
    (dict(prediction="epsilon", alpha_bars=[1.0, 0.9]), "^alpha_bars must be"),
    (dict(prediction="denoised", intensities=(1, 0)), "^intensities must be"),
])  # fmt: skip
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        interop.denoiser_of(traced, **options)


def test_without_pytorch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install 'gahr\[torch\]'"):
        interop.torch(None, prediction="denoised")
