"""Tangent space of the set of disks, found by a bias-free UNet (arXiv:2310.02557, figure 5).

    python launch/main.py --config configs/disks.py
    python launch/main.py --config configs/disks.py:scale=smoke     # seconds

Arguments, after the colon:
  sigma    noise level of the Jacobians that are decomposed, image units
  weights  a network that is trained already, in place of this, as in configs/calpha.py
  scale    as in configs/calpha.py, whose networks and training these are
  seed     of images, initial values and noise
"""

from gahr.config import base, parse_arg, require_positive

ANALYSIS = {
    "smoke": dict(num_disks=2, num_images=4, num_levels=6, num_samples=128, num_sigmas=4),
    "laptop": dict(num_disks=16, num_images=64, num_levels=18, num_samples=2048, num_sigmas=7),
    "gpu": dict(num_disks=16, num_images=256, num_levels=18, num_samples=8192, num_sigmas=7),
}
ANALYSIS["hours"] = ANALYSIS["laptop"]
# Met by the exact posterior with room, kept at every scale: a laptop's network, trained for 4,000 steps, misses all.
MARKS = dict(overlap=0.9, dimension_ratio=2.0, psnr_below_exact=3.0)


def get_config(arg=None):
    arg = parse_arg(arg, sigma=0.04, weights="", scale="auto", seed=0)
    require_positive(sigma=arg["sigma"])
    config = base({"disks": dict(name="disks")}, scale=arg["scale"], seed=arg["seed"], weights=arg["weights"])
    analysis = dict(sigma=arg["sigma"]) | ANALYSIS.get(config.scale, ANALYSIS["gpu"])
    config.study = dict(name="disks", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
