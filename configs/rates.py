"""Errors of images whose coefficients are exact power laws against the noise: constants, slopes, finite dimension.

    python launch/main.py --config configs/rates.py
    python launch/main.py --config configs/rates.py:scale=smoke     # seconds

Arguments, after the colon:
  alpha  exponents, joined by "+"
  scale  smoke, or any other, which are one here
  seed   of the noise

Nothing is trained.
"""

from gahr.config import base, parse_arg

ANALYSIS = {"smoke": dict(size=8, num_levels=5, num_draws=4)}
MARKS = dict(error_within=0.05, slope_within=0.01)  # where two coefficients count, 2,000 draws err by 2 %


def get_config(arg=None):
    arg = parse_arg(arg, alpha=(1.0, 2.0, 4.0), scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"])
    analysis = dict(alphas=arg["alpha"]) | ANALYSIS.get(config.scale, {})
    config.study = dict(name="rates", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
