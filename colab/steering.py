# %% [markdown]
# # Steering a consistency model
#
# A consistency model makes an image of noise in one step: $x = f(y, \sigma)$. How does the image answer when the
# noise is moved? To first order by the Jacobian of f. Its singular vectors say which directions in the noise matter
# (right) and what they do to the image (left).
#
# You will move the noise along a sine, by sliders, and see the images change; then the singular vectors, beside those
# of the denoiser that the model learnt from. **50 seconds** on two CPU cores.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import gahr
from gahr.analysis import steering
from gahr.classical.analytic import fit_gaussian
from gahr.classical.flows import gaussian_flow
from gahr.config import base
from gahr.data import calpha
from gahr.denoiser import at
from gahr.studies.shared.images import draw_image, draw_vector
from gahr.studies.shared.style import STYLE

plt.rcParams.update(STYLE)
scale = "laptop"  # @param ["smoke", "laptop"]
num_fit, num_images = dict(smoke=(64, 2), laptop=(4_000, 4))[scale]
images = jax.jit(jax.vmap(lambda key: calpha.sample(key, size=16, alpha=3.0)))
law = jax.jit(fit_gaussian)(images(jax.random.split(jax.random.key(0), num_fit)))
models = {"consistency model": gahr.load("calpha3_student"), "linear flow": gaussian_flow(*law, sigma_min=0.002)}

# %% [markdown]
# ## Sliders
#
# `down` and `across` are the waves of the sine. Amplitudes are in standard deviations of the coefficient that
# moves: 1 is what noise does anyway, 3 is rare. The noise is scaled back to its norm. The linear flow, which makes
# Gaussian images of the same mean and covariance, is the null: theory says how strongly it answers,
# $\sqrt{S/(S+\sigma^2)}$ where the images have variance S along the sine.

# %%
down = 1  # @param {type:"slider", min:1, max:8}
across = 1  # @param {type:"slider", min:1, max:8}
sigma = 14.0  # @param {type:"slider", min:0.5, max:20, step:0.5}
seed = 0  # @param {type:"integer"}
amplitudes = (0.0, 0.3, 1.0, 3.0, 10.0)

# %%
shape = (16, 16, 1)
sine, noisy = steering.sine(down, across, shape), 0.5 + sigma * jax.random.normal(jax.random.key(seed), (1, *shape))
theory = float(steering.gaussian_gain(*law[1:], sine, sigma))
figure = plt.figure(figsize=(7, 3), layout="constrained")
for row, (name, model) in zip(figure.subfigures(2, 1), models.items(), strict=True):
    answers = [steering.respond(at(model, sigma), noisy, sine, sigma * a) for a in amplitudes]
    row.suptitle(f"{name}, gain at 0.3: {float(answers[1].gain[0]):.4f} (theory for Gaussian images {theory:.4f})")
    panels = row.subplots(1, len(amplitudes) + 1)
    draw_vector(panels[0], np.asarray(sine), "sine")
    for axes, amplitude, answer in zip(panels[1:], amplitudes, answers, strict=True):
        draw_image(axes, np.asarray(answer.output[0]), f"{amplitude:g}")

# %% [markdown]
# ## The Jacobian
#
# The same model at $\sigma$ = 0.5, at test images. A hundred left singular vectors, the image and its noisy version,
# and the leading right ones. Then singular values, and how much of a leading subspace model and denoiser have in
# common.
#
# Theory, for Gaussian images: the singular values are the roots of the denoiser's, and the vectors the same. Look at
# the overlap at *another* image: where that is as large, the subspace is one of all images, not of the one at hand.
# The linear flow has one for all images.

# %%
config = base({}, scale=scale, weights="calpha3_teacher+calpha3_student", told=True)
config.runs = {name.removeprefix("calpha3_"): run for name, run in config.runs.items()}
analysis = dict(num_images=num_images, num_fit=num_fit, num_memorized=num_fit // 20)
config.study = dict(name="consistency_svd", analysis=analysis, marks=dict(swapped=1.2, shared=0.1))
gahr.run(config, f"runs/steering-{scale}")
