"""Images of a matt object under all lights, and the nine dimensions that hold them (Basri and Jacobs, 2003).

    python launch/main.py --config configs/lambertian.py
    python launch/main.py --config configs/lambertian.py:path=FILE.npz     # beside objects of a file
    python launch/main.py --config configs/lambertian.py:scale=smoke       # seconds

Arguments, after the colon:
  path   .npz with `images` (N, H, W) and `subject` (N,), of each of which there are 25 images at least
  scale  smoke, or any other, which are one here
  seed   of lights and albedo

Nothing is trained.
"""

from gahr.config import base, parse_arg

ANALYSIS = {"smoke": dict(size=12, num_lights=30)}
MARKS = dict(nine_within=0.005, nine_of_ball=0.98)  # 0.98 is the bound for the worst lights over all normals


def get_config(arg=None):
    arg = parse_arg(arg, path="", scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"])
    analysis = dict(path=arg["path"]) | ANALYSIS.get(config.scale, {})
    config.study = dict(name="lambertian", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
