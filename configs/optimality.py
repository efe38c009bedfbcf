"""How near to the best are networks? All denoisers on one axis, and the gap to the optimum where that is known.

    python launch/main.py --config configs/optimality.py     # trains the network of configs/calpha.py first
    python launch/main.py --config configs/optimality.py:weights=calpha3     # a shipped network, no training
    python launch/main.py --config configs/optimality.py:scale=smoke         # seconds

Arguments, after the colon:
  alpha    exponent of the C^alpha images, without weights
  weights  networks that are trained already, joined by "+", of one image set
  scale    as in configs/calpha.py
  seed     of images, initial values and noise
"""

from gahr.config import TRAINED, base, calpha, parse_arg, refuse_given

ANALYSIS = {
    "smoke": dict(
        num_images=6, num_fit=64, num_points=24, num_moved=2, window=3, levels=1, sizes=(4,), sigmas=(0.1, 0.4)
    )
}
# Set before the first run; then the linear denoiser was seen to pass beside bandlets, hence beside the best of all now.
MARKS = dict(over_classical=0.5, optimum_within=0.3, above_optimum=4.0)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, alpha=3.0, weights="", scale="auto", seed=0)
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    data = {} if arg["weights"] else calpha([arg["alpha"]])
    config = base(data, scale=arg["scale"], seed=arg["seed"], weights=arg["weights"])
    if len({run.data.to_json() for run in config.runs.values()}) > 1:
        raise ValueError(f"weights: {arg['weights']} are of different images; networks of one image set are compared")
    analysis = ANALYSIS.get(config.scale, {})
    config.study = dict(name="optimality", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
