"""The networks that come with gahr, trained on synthetic images, and what training brings (learning curves).

    python launch/main.py --config configs/shipped.py                       # all, about an hour each on two CPU cores
    python launch/main.py --config configs/shipped.py --only calpha3 --draw # one of them, with its learning curve
    python launch/main.py --config configs/shipped.py:scale=smoke           # seconds

Arguments, after the colon:
  scale  smoke, laptop, hours, gpu or paper; left out, hours
  seed   of images, initial values and noise

The figure shows learning curves: at the scale of hours of seven stages, at others of the last checkpoints. With --only
and --draw it is of the runs that match. `launch/ship.py` makes files for gahr/pretrained of the run directory.
"""

from gahr.config import base, calpha, parse_arg

ANALYSIS = {"smoke": dict(num_images=4, num_bases=2, num_fit=64)}
MARKS = dict(gain=0.0)


def get_config(arg=None):
    arg = parse_arg(arg, scale="hours", seed=0)
    sets = {name.replace("alpha", "calpha"): data for name, data in calpha([1.0, 2.0, 3.0, 5.0]).items()}
    sets |= {name: dict(name=name) for name in ("disks", "waves", "ray")}
    sets |= {"polygons": dict(name="polygons", alpha=3.0), "shuffled": sets["calpha3"] | dict(name="shuffled")}
    config = base(sets, scale=arg["scale"], seed=arg["seed"])
    marks = MARKS if config.scale != "smoke" else {}
    config.study = dict(name="learning", analysis=ANALYSIS.get(config.scale, {}), marks=marks)
    return config
