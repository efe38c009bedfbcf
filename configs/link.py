"""From the basis at an image to the PSNR slope: which basis predicts it? (arXiv:2310.02557, appendix D.4)

    python launch/main.py --config configs/link.py:alpha=1+2+3+5     # trains the networks of configs/calpha.py first
    python launch/main.py --config configs/link.py:weights=calpha1+calpha2+calpha3+calpha5     # shipped ones
    python launch/main.py --config configs/link.py:scale=smoke     # seconds

Arguments, after the colon:
  alpha             exponents of the contours and, unless given, of the backgrounds; several joined by "+"
  background_alpha  exponent of the backgrounds
  weights           networks that are trained already, in place of these, as in configs/calpha.py
  scale             as in configs/calpha.py, whose networks and training these are
  seed              of images, initial values and noise
"""

from gahr.config import TRAINED, base, calpha, parse_arg, refuse_given

ANALYSIS = {"smoke": dict(num_bases=3, num_images=4, num_fit=64, num_levels=2)}
# The network's slope lies between 0.65 and 0.83 for all exponents, so that a basis which does not predict it can be as
# far as 0.1 off: half of that. Set before the first run.
MARKS = dict(slope_within=0.05)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, alpha=(3.0,), background_alpha=None, weights="", scale="auto", seed=0)
    if arg["weights"]:
        refuse_given(given, "alpha", "background_alpha", belongs_to=TRAINED)
    data = calpha(arg["alpha"], background_alpha=arg["background_alpha"])
    config = base(data, scale=arg["scale"], seed=arg["seed"], weights=arg["weights"])
    marks = MARKS if config.scale != "smoke" else {}
    config.study = dict(name="link", analysis=ANALYSIS.get(config.scale, {}), marks=marks)
    return config
