"""Bias-free networks on C^alpha images: PSNR slopes against theory (arXiv:2310.02557, figure 4).

    python launch/main.py --config configs/calpha.py:alpha=3
    python launch/main.py --config configs/calpha.py:alpha=1+2+3+5     # four networks, the paper's figure
    python launch/main.py --config configs/calpha.py:weights=calpha1+calpha3     # shipped networks, no training
    python launch/main.py --config configs/calpha.py:alpha=3,scale=smoke     # seconds

Arguments, after the colon:
  alpha             exponent of the contours and, unless given, of the backgrounds; several joined by "+"
  background_alpha  exponent of the backgrounds
  model             unet or bfcnn, or both joined by "+"
  repeats           networks per exponent, with initial values and noise of their own: mean and range instead of one
  weights           networks that are trained already, in place of these: names of shipped ones (gahr.shipped()) or
                    files of launch/ship.py, joined by "+", such as calpha1+calpha3
  scale             smoke, laptop, hours, gpu or paper; left out, gpu where there is an accelerator, else laptop
  seed              of images, initial values and noise

The recipes of training at each scale, which the other figures share, are in gahr/config.py.
"""

from gahr.config import TRAINED, base, calpha, parse_arg, refuse_given, require_positive

ANALYSIS = {
    "smoke": dict(num_images=8, wiener_images=64, num_levels=8, num_probe_images=4, num_probes=2),
    "laptop": dict(num_images=256, wiener_images=20_000, num_levels=18, num_probe_images=64, num_probes=4),
    "gpu": dict(num_images=512, wiener_images=20_000, num_levels=18, num_probe_images=64, num_probes=8),
}
ANALYSIS["hours"] = ANALYSIS["laptop"]
# Marks at alpha = 3; other exponents are held to the slope alone, which depends on alpha by itself.
MARKS = dict(slope_within=0.08, train_test_gap=0.5)
GAINS = {"20": 1.5, "30": 2.5}


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, alpha=(3.0,), background_alpha=None, model="unet", repeats=1, weights="", scale="auto", seed=0)
    require_positive(repeats=arg["repeats"])
    if arg["weights"]:
        refuse_given(given, "alpha", "background_alpha", "model", "repeats", belongs_to=TRAINED)
    data = calpha(arg["alpha"], background_alpha=arg["background_alpha"])
    config = base(data, scale=arg["scale"], seed=arg["seed"], model=arg["model"], weights=arg["weights"])
    if arg["repeats"] > 1:
        config.runs = {
            f"{name}_repeat{repeat}": run.to_dict() | dict(variant=name, repeat=repeat)
            for name, run in config.runs.items()
            for repeat in range(arg["repeats"])
        }
    marks = MARKS if config.scale != "smoke" else {}
    sets = {(run.data.alpha, run.data.background_alpha) for run in config.runs.values()}
    if marks and sets == {(3.0, 3.0)}:
        marks = marks | dict(gain_over_wiener=GAINS)
    analysis = ANALYSIS.get(config.scale, ANALYSIS["gpu"]) | dict(fit_between=(20.0, 34.0))
    config.study = dict(name="slopes", analysis=analysis, marks=marks)
    return config
