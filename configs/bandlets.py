"""C^alpha images approximated and denoised in wavelets and in bandlets, which follow contours.

    python launch/main.py --config configs/bandlets.py
    python launch/main.py --config configs/bandlets.py:alpha=3,weights=calpha3    # beside a network
    python launch/main.py --config configs/bandlets.py:scale=smoke                # seconds

Arguments, after the colon:
  alpha     exponent of contours and backgrounds
  weights   networks that are trained already, joined by "+", none where empty
  scale     smoke, or any other, which are one here
  seed      of images and noise

Nothing is trained.
"""

from gahr.config import base, parse_arg

ANALYSIS = {
    "smoke": dict(
        size=32, num_images=2, levels=1, sizes=(4, 8), thresholds=(0.2, 0.1), sigmas=(0.1, 0.2), factors=(3.0,)
    )
}
# A prototype had 3.5 dB by shifts and a quarter fewer coefficients. At the best threshold of each, geometry gained 0.9
# dB on four images in other noise, and 0.3 dB on fields without contours: the mark stands between.
MARKS = dict(coefficients=0.95, gain_of_shifts=2.0, gain_of_geometry=0.6)


def get_config(arg=None):
    arg = parse_arg(arg, alpha=3.0, weights="", scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"], weights=arg["weights"])
    analysis = dict(alpha=arg["alpha"]) | ANALYSIS.get(config.scale, {})
    config.study = dict(name="bandlets", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
