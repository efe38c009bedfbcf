# %% [markdown]
# # Slope and decay
#
# A class of images that are $C^\alpha$ off a contour that is itself $C^\alpha$ has a best possible denoiser: its
# error falls as $\sigma^{2\alpha/(\alpha+1)}$. In decibels: its PSNR rises with slope $\alpha/(\alpha+1)$ against
# that of the noisy image. It shrinks images in a basis in which their squared coefficients fall as $k^{-(\alpha+1)}$.
# No fixed basis does that well.
#
# You will see: four networks that were trained on $\alpha$ = 1, 2, 3 and 5, on images of your own $\alpha$, beside
# theory and the best linear denoiser; and how the coefficients fall. **50 seconds** on two CPU cores.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import gahr
from gahr import metrics, noise
from gahr.analysis import jacobian, performance
from gahr.data import calpha
from gahr.denoiser import blind
from gahr.studies.shared.basis_figure import draw_coefficients, draw_curves
from gahr.studies.shared.images import draw_image
from gahr.studies.shared.measures import curve_of_told
from gahr.studies.shared.nulls import linear
from gahr.studies.shared.style import COLOURS, NULLS, STYLE

plt.rcParams.update(STYLE)
scale = "laptop"  # @param ["smoke", "laptop"]
alpha = 3  # @param {type:"slider", min:0.5, max:6, step:0.5}
size, number, num_fit = dict(smoke=(16, 4, 64), laptop=(32, 32, 4_000))[scale]

# %% [markdown]
# ## Images of your own alpha
#
# The larger $\alpha$, the smoother the contour and the regions beside it. Contours do not follow a grid, and this is
# the point: what is regular along them is sharp across.

# %%
images = jax.jit(jax.vmap(lambda key: calpha.sample(key, size=size, alpha=alpha)))
clean, training = (images(jax.random.split(jax.random.key(k), n)) for k, n in ((1, number), (2, num_fit)))
panels = plt.figure(figsize=(7, 1.3), layout="constrained").subplots(1, 4)
for axes, image in zip(panels, clean, strict=False):
    draw_image(axes, np.asarray(image), "")

# %% [markdown]
# ## Slopes
#
# The four networks meet these images, and so does the best linear denoiser, fitted to 4,000 others of the same
# $\alpha$. It is the null: it knows nothing of contours.
#
# Expect the network of the nearest $\alpha$ to come nearest to the theory, the dashed line, and to lie highest.
# Expect the linear denoiser below, with a slope of about 0.66 whatever the $\alpha$ above 1: it cannot gain from
# smoother contours. At $\alpha$ = 1 all slopes are too steep, since at this size the images end at the pixel.

# %%
levels = np.linspace(20, 34, 6)
denoisers = {name: blind(gahr.load(name)) for name in ("calpha1", "calpha2", "calpha3", "calpha5")}
denoisers["linear"] = linear(training)
sigmas, key = metrics.sigma_of_input_psnr(levels), jax.random.key(3)
psnr = {name: np.asarray(curve_of_told(each, key, clean, sigmas)) for name, each in denoisers.items()}
slopes = {name: performance.psnr_slope(levels, values, between=(20, 34)) for name, values in psnr.items()}
for name, found in slopes.items():
    print(f"{name:8} slope {found.slope:.3f} +- {found.standard_error:.3f}   theory {alpha / (alpha + 1):.3f}")

# %%
looks = [dict(color=colour) for colour in COLOURS[:4]] + [NULLS["linear"]]
curves, points = plt.figure(figsize=(7, 2.8), layout="constrained").subplots(1, 2)
lines = zip(psnr.items(), looks, strict=True)
draw_curves(curves, levels, [(values.mean(0), dict(label=name, **look)) for (name, values), look in lines])
points.errorbar(list(slopes), *np.transpose(list(slopes.values())), fmt="o", color="black", capsize=3)
points.axhline(alpha / (alpha + 1), ls="--", color=COLOURS[1], label=r"$\alpha / (\alpha + 1)$")
points.set(ylabel="slope (dB / dB)", title=rf"Images of $\alpha$ = {alpha:g}, 20 to 34 dB")
_ = points.legend()

# %% [markdown]
# ## Decay
#
# Why? Take the network of the lowest error, at one image with little noise. The singular vectors of its Jacobian are
# a basis, and the coefficients of the image in it fall fast, those in the basis of the linear denoiser slowly. The
# dashed line falls as $k^{-(\alpha+1)/2}$; a finite image follows it in its middle at best.

# %%
best = max(list(psnr)[:4], key=lambda name: psnr[name].mean())
sigma, noisy = sigmas[3], noise.add_noise(key, clean[:1], sigmas[3])[0]
lines, numbers = {}, np.arange(1, clean[0].size + 1)
for name, look in {best: dict(color=COLOURS[0]), "linear": NULLS["linear"]}.items():
    matrix = jacobian.jacobian(lambda image, name=name: denoisers[name](image, sigma), noisy)
    vectors = jacobian.singular_basis_of(matrix, noisy.shape).left
    lines[name] = np.sort(np.abs(np.einsum("khwc,hwc->k", vectors, clean[0])))[::-1], look
lines["theory"] = lines[best][0][9] * (numbers / 10) ** (-(alpha + 1) / 2), dict(color="black", ls="--", lw=1)
axes = plt.figure(figsize=(3.5, 2.8), layout="constrained").subplots()
draw_coefficients(axes, lines)
_ = axes.set(title="Coefficients of one image, sorted", ylim=(1e-4, None))
