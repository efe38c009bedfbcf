"""How steep the spectra of images are: C^alpha images, Gaussian fields of known slopes, and the images of a file.

    python launch/main.py --config configs/spectra.py
    python launch/main.py --config configs/spectra.py:path=FILE.npz     # beside images, by category where they have one
    python launch/main.py --config configs/spectra.py:scale=smoke       # seconds

Arguments, after the colon:
  alpha  exponents of the C^alpha images, joined by "+"
  path   .npz with square `images` (N, H, H) and maybe `label` (N,) and `label_names`
  scale  smoke, or any other, which are one here
  seed   of images and fields

Nothing is trained.
"""

from gahr.config import base, parse_arg

ANALYSIS = {"smoke": dict(size=32, num_images=4, slopes=(-2.0,), most=40)}
# The estimate is known to 0.15 at 64 x 64 pixels. Amplitudes of photographs go as f^-0.8 to f^-1.5 (Tolhurst, Tadmor
# and Chao, 1992): the mark is halfway to f^-2.
MARKS = dict(slope_within=0.15, contour_within=0.15, amplitude_above=-1.75, between_categories=0.1)


def get_config(arg=None):
    arg = parse_arg(arg, alpha=(1.0, 2.0, 3.0, 5.0), path="", scale="auto", seed=0)
    config = base({}, scale=arg["scale"], seed=arg["seed"])
    analysis = dict(alphas=arg["alpha"], path=arg["path"]) | ANALYSIS.get(config.scale, {})
    config.study = dict(name="spectra", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
