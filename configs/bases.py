"""Bases for contours of different regularity (arXiv:2310.02557, figures 4 and 17).

    python launch/main.py --config configs/bases.py
    python launch/main.py --config configs/bases.py:scale=smoke     # seconds

Arguments, after the colon:
  contour     exponents of the contours, joined by "+"
  background  exponent of the backgrounds
  sigma       noise level, image units
  weights     networks that are trained already, in place of these, as in configs/calpha.py
  scale       as in configs/calpha.py, whose networks and training these are; at laptop scale half as long
  seed        of images, initial values and noise
"""

from gahr.config import TRAINED, base, calpha, parse_arg, refuse_given, require_positive

ANALYSIS = {
    "smoke": dict(num_bases=3, num_images=4, num_fit=64, num_memorized=64),
    "laptop": dict(num_bases=6, num_images=256),
}
# What the paper's figure 17 shows, a fixed linear filter shows too: energy above 1/2, PSNR that rises and dimension
# that falls with the exponent. In these it has 1, by construction: another image's basis over an image's own.
MARKS = dict(swapped=1.5, contours=0.95)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, contour=(1.5, 2.0, 4.0), background=8.0, sigma=0.2, weights="", scale="auto", seed=0)
    if arg["weights"]:
        refuse_given(given, "contour", "background", belongs_to=TRAINED)
    require_positive(sigma=arg["sigma"])
    data = calpha(arg["contour"], background_alpha=arg["background"])
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=2_000, weights=arg["weights"])
    analysis = dict(sigma=arg["sigma"]) | ANALYSIS.get(config.scale, ANALYSIS["laptop"])
    config.study = dict(name="bases", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
