"""What a sampler costs: quality of samples against the number of calls of the denoiser.

    python launch/main.py --config configs/samplers.py     # trains a network first
    python launch/main.py --config configs/samplers.py:weights=calpha3     # a shipped network, no training
    python launch/main.py --config configs/samplers.py:scale=smoke     # seconds

Arguments, after the colon:
  alpha    exponent of the C^alpha images, without weights
  weights  one network that is trained already, in place of this, as in configs/calpha.py
  scale    as in configs/calpha.py, whose network this is; at laptop scale trained a quarter as long
  seed     of images, initial values, noise and samples

--config.study.analysis.OPTION=VALUE sets any other option of the study. --dry_run shows them;
gahr/studies/samplers/analysis.py says what they are.
"""

from gahr.config import TRAINED, base, calpha, parse_arg, refuse_given

_ALL = ("euler", "heun", "multistep", "ancestral", "edm", "annealed_langevin", "blind")
_BASE = dict(samplers=_ALL, evaluations=(8, 16, 32, 64), network_evaluations=(8, 16, 32), size=16, num_samples=400)
_BASE |= dict(network_samples=256, num_fit=2_000, sigma_max=1.0, sigma_min=0.01)
_SMOKE = dict(evaluations=(8, 16), network_evaluations=(8, 9), size=8, num_samples=100, network_samples=40, num_fit=64)
ANALYSIS = {
    "smoke": _SMOKE | dict(samplers=("heun", "euler", "blind")),
    "laptop": {},
    "gpu": dict(num_samples=5_000, network_samples=2_000, num_fit=8_000, network_evaluations=(8, 16, 32, 64, 128)),
}
# Set before the first run: order to a fifth; contours at all, half the kurtosis of images; and no copies.
MARKS = dict(order_within=0.2, kurtosis_share=0.5, similarity_excess=0.05)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, alpha=3.0, weights="", scale="auto", seed=0)
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    data = {} if arg["weights"] else calpha([arg["alpha"]])
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=1_000, weights=arg["weights"])
    if len(config.runs) != 1:
        raise ValueError(f"weights: samples of one network are drawn, not of {len(config.runs)}")
    analysis = _BASE | ANALYSIS.get(config.scale, ANALYSIS["laptop" if config.scale == "hours" else "gpu"])
    config.study = dict(name="samplers", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
