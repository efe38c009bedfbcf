"""Image sets of one and two dimensions: a ray and sine waves (arXiv:2310.02557, figures 19 and 20).

    python launch/main.py --config configs/lowdim.py
    python launch/main.py --config configs/lowdim.py:scale=smoke     # seconds

Arguments, after the colon:
  weights  networks that are trained already, in place of these, as in configs/calpha.py: one of each set
  scale    as in configs/calpha.py, whose networks and training these are; at laptop scale half as long
  seed     of images, initial values and noise

The paper's images are 40x40 and its network the BF-CNN; here the UNet of the other figures.
"""

from gahr.config import base, by_set, parse_arg

SIGMA = dict(ray=0.04, waves=0.08)  # the paper's
ANALYSIS = {
    "smoke": dict(num_bases=3, num_images=4, num_fit=64, num_levels=8),
    "laptop": dict(num_bases=4, num_images=256),
}
# The paper shows e_1 nearly x / |x|. Its unit slope is also that of the identity, so that the gain is held to a mark:
# half of the decibels that the projection has; a 3x3 filter has at most a quarter. Set before the run.
MARKS = dict(overlap=0.9, gain_share=0.5)


def get_config(arg=None):
    arg = parse_arg(arg, weights="", scale="auto", seed=0)
    data = {name: dict(name=name) for name in SIGMA}
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=2_000, weights=arg["weights"])
    config.runs = by_set(config.runs, data)
    if config.scale in ("gpu", "paper") and not arg["weights"]:
        for run in config.runs.values():
            run.data.size = 40
    analysis = dict(sigma=SIGMA) | ANALYSIS.get(config.scale, ANALYSIS["laptop"])
    config.study = dict(name="lowdim", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
