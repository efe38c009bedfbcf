# %% [markdown]
# # Your own denoiser
#
# gahr takes any function of an image: a line of JAX, a PyTorch network, a function of another library. It reads off
# it what theory speaks of: slope, symmetry, basis, shrinkage.
#
# You will see the same analysis of three denoisers: a filter written here, a PyTorch network, and a network that came
# with gahr. **50 seconds** on two CPU cores.

# %%
import importlib.util

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gahr
from gahr import interop, noise
from gahr.analysis import eigen, identities, performance
from gahr.data import calpha
from gahr.studies.shared.images import draw_vector
from gahr.studies.shared.style import STYLE

plt.rcParams.update(STYLE)
scale = "laptop"  # @param ["smoke", "laptop"]
size, number = dict(smoke=(16, 2), laptop=(32, 16))[scale]
images = jax.jit(jax.vmap(lambda key: calpha.sample(key, size=size, alpha=3.0)))
clean = images(jax.random.split(jax.random.key(0), number))

# %% [markdown]
# ## A JAX function
#
# A median of the five pixels of a cross. Change it! It must take images `(..., H, W, C)` with intensities in [0, 1],
# and keep their shape.


# %%
def median(noisy):
    """The middle one of a pixel and its four neighbours; the border wraps."""
    shifts = ((0, -3), (1, -3), (-1, -3), (1, -2), (-1, -2))
    return jnp.median(jnp.stack([jnp.roll(noisy, step, axis) for step, axis in shifts]), 0)


denoisers = {"median": median, "calpha3": gahr.load("calpha3")}

# %% [markdown]
# ## A PyTorch network
#
# Any module, in place: values and products with the Jacobian come from `torch.func`. This one is not trained: its
# weights are a small blur, so that you know what to expect. Take your own instead, and say what it predicts:
# "denoised" or "residual"; told the noise level also "epsilon" or "v", see the section "A PyTorch network" of the
# README. Colab has PyTorch; where it is not installed, this cell does nothing.

# %%
if importlib.util.find_spec("torch"):
    import torch

    module = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False).eval()
    module.weight.data = torch.tensor([[[[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]]]) / 16
    denoisers["PyTorch"] = interop.torch(module, prediction="denoised")

# %% [markdown]
# ## What theory asks of them
#
# The slope of the PSNR; and a card of identities. The exact denoiser of any density has a symmetric Jacobian, and its
# error is $\sigma^2\,\mathrm{tr}\,J$. A denoiser without biases has $D(c\,y) = c\,D(y)$ and $J(y)\,y = D(y)$. The
# linear blur obeys all but the error: identities alone do not make a good denoiser. They say what kind of function it
# is.

# %%
for name, denoiser in denoisers.items():
    curve = performance.psnr_curve(denoiser, jax.random.key(1), clean, sigmas=jnp.array([0.02, 0.05, 0.1]))
    print(f"\n{name}: slope {performance.psnr_slope(curve.input_psnr, curve.psnr, between=(20, 34)).slope:.2f}")
    card = identities.card(denoiser, jax.random.key(2), clean[:2], sigmas=[0.05, 0.1])
    print("\n".join(identities.card_lines(card)))

# %% [markdown]
# ## The basis they shrink in
#
# The ten leading eigenvectors of the symmetric part, without ever making the matrix, at one noisy image. The number
# above is the factor. Single points: a filter that picks pixels. Waves that know nothing of the image: a fixed linear
# filter. Contours of the image: a basis made for it.

# %%
noisy = noise.add_noise(jax.random.key(3), clean[:1], 0.1)[0]
figure = plt.figure(figsize=(7, 0.9 * len(denoisers)), layout="constrained")
for row, (name, denoiser) in zip(figure.subplots(len(denoisers), 11), denoisers.items(), strict=True):
    basis = eigen.top_eigenbasis(denoiser, noisy, 10, key=jax.random.key(4), tolerance=1e-2)
    draw_vector(row[0], np.asarray(clean[0]) - 0.5, name, fontsize=7)
    for axes, vector, factor in zip(row[1:], basis.vectors, basis.shrinkage, strict=True):
        draw_vector(axes, np.asarray(vector), f"{factor:.2f}", fontsize=7)
