"""What shuffled pixels cost a network (arXiv:2310.02557, figure 21, there with faces).

    python launch/main.py --config configs/shuffled.py
    python launch/main.py --config configs/shuffled.py:scale=smoke     # seconds

Arguments, after the colon:
  alpha  exponent of the C^alpha images
  sigma  noise level of the bases, image units
  scale  as in configs/calpha.py, whose networks and training these are; at laptop scale half as long
  seed   of images, initial values and noise
"""

from gahr.config import base, calpha, parse_arg, require_positive

ANALYSIS = {
    "smoke": dict(num_bases=1, num_images=4, wiener_images=32, num_levels=8),
    "laptop": dict(num_bases=4, num_images=256, wiener_images=20_000),
}
# The paper's figure shows a far lower curve with a much lower slope; the sizes were set before the first run.
MARKS = dict(psnr_loss=3.0, slope_loss=0.1, dimension_ratio=1.5)


def get_config(arg=None):
    arg = parse_arg(arg, alpha=3.0, sigma=0.3, scale="auto", seed=0)
    require_positive(sigma=arg["sigma"])
    (plain,) = calpha([arg["alpha"]]).values()
    data = {"plain": plain, "shuffled": plain | dict(name="shuffled")}
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=2_000)
    analysis = dict(sigma=arg["sigma"]) | ANALYSIS.get(config.scale, ANALYSIS["laptop"])
    config.study = dict(name="shuffled", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
