"""Langevin dynamics on a mixture of two Gaussians in two dimensions, annealed and not (arXiv:1907.05600, figure 3).

    python launch/main.py --config configs/langevin.py
    python launch/main.py --config configs/langevin.py:scale=smoke     # seconds

Arguments, after the colon:
  light     weight of the lighter mode
  fraction  step size in units of sigma^2
  scale     smoke, or any other, which are one here
  seed      of the samples

--config.study.analysis.OPTION=VALUE sets any other option of the study. --dry_run shows them;
gahr/studies/langevin.py says what they are.

Nothing is trained: the denoiser is the exact one.
"""

from gahr.config import base, parse_arg

_LEVELS = dict(sigma_max=0.6, sigma_min=0.006, sigma_between=0.2, num_levels=10)
ANALYSIS = _LEVELS | dict(num_samples=4_000, steps_per_level=(1, 3, 10, 30, 100))
_SMOKE = dict(num_samples=200, steps_per_level=(1, 3))
# Of 4,000 samples the weight has the standard error 0.006; steps of a tenth of sigma^2 widen a mode by 3 % at most,
# and the smallest noise the steps do not settle by as much again. Set before the first run.
MARKS = dict(weight_within=0.03, error_at_one_level=0.15, distance_within=0.1)


def get_config(arg=None):
    arg = parse_arg(arg, light=0.2, fraction=0.1, scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"])
    analysis = ANALYSIS | dict(light=arg["light"], fraction=arg["fraction"])
    analysis |= _SMOKE if config.scale == "smoke" else {}
    config.study = dict(name="langevin", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
