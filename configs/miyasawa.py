"""What a posterior mean knows of a density (Miyasawa, 1961), as pictures in two dimensions: score, SURE and divergence.

    python launch/main.py --config configs/miyasawa.py
    python launch/main.py --config configs/miyasawa.py:scale=smoke     # seconds

Arguments, after the colon:
  sigma  noise level of the pictures
  scale  smoke, or any other, which are one here
  seed   of images and noise

Nothing is trained: the denoisers are exact ones.
"""

from gahr.config import base, parse_arg

ANALYSIS = {"smoke": dict(num_draws=2000, num_levels=30, side=20, sigmas=(0.05, 0.3))}
# 32-bit floats; four standard errors; the trapezoid rule and 20,000 draws of the integrand. Set before the first run.
MARKS = dict(field_within=1e-3, sure_within=4.0, kl_within=0.05)


def get_config(arg=None):
    arg = parse_arg(arg, sigma=0.12, scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"])
    analysis = dict(sigma=arg["sigma"]) | ANALYSIS.get(config.scale, {})
    config.study = dict(name="miyasawa", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
