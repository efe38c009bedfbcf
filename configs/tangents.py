"""What it takes to find the tangent space of disks: one thing changed at a time (arXiv:2310.02557, figure 5).

    python launch/main.py --config configs/tangents.py
    python launch/main.py --config configs/tangents.py:vary=depth+width
    python launch/main.py --config configs/tangents.py:scale=smoke     # seconds

Arguments, after the colon:
  vary   what is changed, joined by "+": width (twice the features), depth (one pooling more), training (four times the
         steps), law (the published noise law and loss), edge (a ramp of 2 pixels in place of 1), small (a law of small
         noise alone, sigma up to 0.1)
  scale  as in configs/calpha.py, whose networks and training these are
  seed   of images, initial values and noise
"""

from gahr.config import base, parse_arg
from gahr.names import pick

CHANGES = {
    "width": lambda run: dict(model=dict(features=2 * run.model.features)),
    "depth": lambda run: dict(model=dict(num_blocks=run.model.num_blocks + 1)),
    "training": lambda run: dict(optim=dict(num_steps=4 * run.optim.num_steps)),
    "law": lambda run: dict(objective=dict(law="quadratic", weighting="none", sigma_min=0.0)),
    "edge": lambda run: dict(data=dict(ramp=2.0)),
    "small": lambda run: dict(objective=dict(sigma_max=0.1)),
}
ANALYSIS = {"smoke": dict(num_disks=2, num_images=4, num_samples=128, num_fit=64)}
MARKS = dict(overlap=0.9, psnr_below_exact=3.0)  # as in configs/disks.py


def get_config(arg=None):
    arg = parse_arg(arg, vary=tuple(CHANGES), scale="auto", seed=0)
    data = {"plain": dict(name="disks")} | {name: dict(name="disks") for name in arg["vary"]}
    config = base(data, scale=arg["scale"], seed=arg["seed"])
    for name, run in config.runs.items():
        if name != "plain":
            run.variant = name
            for section, change in pick("vary", CHANGES, name)(run).items():
                run[section].update(change)
    steps = config.runs.plain.optim.num_steps
    config.milestones = tuple(steps // 2**k for k in range(4, 0, -1))
    marks = MARKS if config.scale != "smoke" else {}
    config.study = dict(name="tangents", analysis=ANALYSIS.get(config.scale, {}), marks=marks)
    return config
