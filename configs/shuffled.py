"""What shuffled pixels cost a network (arXiv:2310.02557, figure 21, there with faces).

    python launch/main.py --config configs/shuffled.py
    python launch/main.py --config configs/shuffled.py:scale=smoke     # seconds

Arguments, after the colon:
  alpha    exponent of the C^alpha images
  sigma    noise level of the bases, image units
  weights  networks that are trained already, in place of these, as in configs/calpha.py: one of each set
  scale    as in configs/calpha.py, whose networks and training these are; at laptop scale half as long
  seed     of images, initial values and noise
"""

from gahr.config import TRAINED, base, by_set, calpha, parse_arg, refuse_given, require_positive

ANALYSIS = {
    "smoke": dict(num_bases=3, num_images=4, num_fit=64, num_memorized=64, num_levels=8),
    "laptop": dict(num_bases=4, num_images=256),
}
# The paper's figure shows a far lower curve with a much lower slope; the sizes were set before the first run.
MARKS = dict(psnr_loss=3.0, slope_loss=0.1, swapped_loss=1.2)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, alpha=3.0, sigma=0.3, weights="", scale="auto", seed=0)
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    require_positive(sigma=arg["sigma"])
    (plain,) = calpha([arg["alpha"]]).values()
    data = {"plain": plain, "shuffled": plain | dict(name="shuffled")}
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=2_000, weights=arg["weights"])
    config.runs = by_set(config.runs, data)
    analysis = dict(sigma=arg["sigma"]) | ANALYSIS.get(config.scale, ANALYSIS["laptop"])
    config.study = dict(name="shuffled", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
