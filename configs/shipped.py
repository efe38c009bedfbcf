"""The networks that come with gahr, trained on synthetic images, and what training brings (learning curves).

    python launch/main.py --config configs/shipped.py                       # all, about an hour each on two CPU cores
    python launch/main.py --config configs/shipped.py --only calpha3        # one of them
    python launch/main.py --config configs/shipped.py:scale=smoke           # seconds

Arguments, after the colon:
  scale  smoke, laptop, hours, gpu or paper; left out, hours
  seed   of images, initial values and noise
"""

from gahr.config import base, calpha, parse_arg


def get_config(arg=None):
    arg = parse_arg(arg, scale="hours", seed=0)
    sets = {name.replace("alpha", "calpha"): data for name, data in calpha([1.0, 2.0, 3.0, 5.0]).items()}
    sets |= {name: dict(name=name) for name in ("disks", "waves")} | {"polygons": dict(name="polygons", alpha=3.0)}
    config = base(sets, scale=arg["scale"], seed=arg["seed"])
    config.study = {}
    return config
