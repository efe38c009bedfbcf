"""Bias-free UNet on C^alpha images: PSNR slopes against theory (arXiv:2310.02557, figure 4).

    python launch/main.py --config configs/calpha.py:alpha=3
    python launch/main.py --config configs/calpha.py:alpha=1+2+3+5     # four networks, the paper's figure
    python launch/main.py --config configs/calpha.py:alpha=3,scale=smoke     # seconds

Arguments, after the colon:
  alpha             exponent of the contours and, unless given, of the backgrounds; several joined by "+"
  background_alpha  exponent of the backgrounds
  scale             smoke, laptop, gpu or paper; left out, gpu where there is an accelerator, else laptop
  seed              of images, initial values and noise
"""

from ml_collections import ConfigDict

from gahr.config import choose_scale, parse_arg, require_positive

# The published recipe: quadratic noise law, no weighting, halving learning rate, 391,000 steps of 512 images.
PAPER = dict(
    data=dict(size=80, set_size=100_000),
    model=dict(features=64, num_blocks=3, gain_init="published", dtype="float32"),
    noise=dict(law="quadratic", weighting="none", sigma_min=0.0, sigma_max=1.0),
    optim=dict(batch_size=512, num_steps=391_000, schedule="halving", peak=1e-3, warmup=0, average=0.0),
)
# With fewer steps the published recipe leaves small noise untrained: few of its squared errors come from
# there. A log-uniform law and the weight 1 / sigma^2 make every input PSNR count alike, and a cosine ends
# at a learning rate of zero.
SHORT = dict(
    noise=dict(law="log_uniform", weighting="inverse_variance", sigma_min=0.01, sigma_max=1.0),
    optim=dict(schedule="cosine"),
)
SCALES = {
    "paper": {},
    "gpu": dict(noise=SHORT["noise"], optim=SHORT["optim"] | dict(batch_size=128, num_steps=20_000)),
    "laptop": dict(
        data=dict(size=32),
        model=dict(features=16, num_blocks=2),
        noise=SHORT["noise"],
        optim=SHORT["optim"] | dict(batch_size=32, num_steps=4_000, peak=2e-3),
    ),
    "smoke": dict(
        data=dict(size=16, set_size=64),
        model=dict(features=8, num_blocks=1),
        noise=SHORT["noise"],
        optim=SHORT["optim"] | dict(batch_size=8, num_steps=20, peak=2e-3),
    ),
}
ANALYSIS = {
    "smoke": dict(num_images=8, wiener_images=64, num_levels=18, num_probe_images=4, num_probes=2),
    "laptop": dict(num_images=256, wiener_images=20_000, num_levels=18, num_probe_images=64, num_probes=4),
    "gpu": dict(num_images=512, wiener_images=20_000, num_levels=18, num_probe_images=64, num_probes=8),
}
# Marks at alpha = 3; other exponents are held to the slope alone, which depends on alpha by itself.
MARKS = dict(slope_within=0.08, train_test_gap=0.5)
GAINS = {"20": 1.5, "30": 2.5}


def get_config(arg=None):
    arg = parse_arg(arg, alpha=(3.0,), background_alpha=None, scale="auto", seed=0)
    for alpha in arg["alpha"]:
        require_positive(alpha=alpha)
    names = [f"alpha{alpha:g}".replace(".", "_") for alpha in arg["alpha"]]  # ConfigDict allows no dots in names
    if len(set(names)) < len(names):
        raise ValueError(f"alpha holds one exponent twice, or two that round to one name: {', '.join(names)}")
    if arg["background_alpha"] is not None:
        require_positive(background_alpha=arg["background_alpha"])
    scale, reason = choose_scale(arg["scale"])

    runs = {}
    for name, alpha in zip(names, arg["alpha"], strict=True):
        run = {section: PAPER[section] | SCALES[scale].get(section, {}) for section in PAPER}
        background = alpha if arg["background_alpha"] is None else arg["background_alpha"]
        run["data"] = dict(name="calpha", subset="a", alpha=alpha, background_alpha=background) | run["data"]
        run["model"] = dict(name="unet") | run["model"]
        runs[name] = run

    marks = dict(fit_between=(20.0, 34.0)) | (MARKS if scale != "smoke" else {})
    if scale != "smoke" and arg["alpha"] == (3.0,) and arg["background_alpha"] in (None, 3.0):
        marks["gain_over_wiener"] = GAINS
    study = dict(name="slopes", analysis=ANALYSIS.get(scale, ANALYSIS["gpu"]), marks=marks)
    return ConfigDict(
        dict(scale=scale, scale_reason=reason, seed=arg["seed"], checkpoint_seconds=60.0, runs=runs, study=study)
    )
