"""Linear inverse problems with a denoiser as prior (arXiv:2007.13640), by several methods.

    python launch/main.py --config configs/inverse.py     # trains a network first
    python launch/main.py --config configs/inverse.py:weights=calpha3     # a shipped network, no training
    python launch/main.py --config configs/inverse.py:weights=bf_cnn.npz,path=set12.npz,size=48     # a published one
    python launch/main.py --config configs/inverse.py:scale=smoke     # seconds

Arguments, after the colon:
  weights   file of a published network of grey images (.npz, .safetensors or .pt), or one trained here as in
            configs/calpha.py; left out, a UNet is trained on C^alpha images
  path      .npz of test images for published networks, `images` or one array a name; left out, a photograph
  size      side of these images, pixels; divisible by 4
  images    how many
  samples   of the ascent, of each image
  fraction  of the values that are known: pixels, frequencies, random directions
  beta      noise control of the ascent; small is slow, and 0.01 the published one
  alpha     exponent of the C^alpha images, without weights
  scale     as in configs/calpha.py, whose network this is; at laptop scale trained a quarter as long
  seed      of images, initial values, noise and samples

--config.study.analysis.OPTION=VALUE sets any other option of the study. --dry_run shows them;
gahr/studies/inverse/analysis.py says what they are.
"""

from gahr.config import TRAINED, base, calpha, parse_arg, published, refuse_given, require_positive

_SMOKE = dict(num_images=1, num_samples=2, num_fit=64, step_size=0.1, beta=0.5, sigma_stop=0.1)
# One sample above the pseudo-inverse where it is known to be (reported: 3 dB and more); averaging: half of what is
# reported; and no worse than linear. Set before the first run.
MARKS = dict(gain=dict(random_pixels=1.0, block_means=0.5, random_basis=1.0), averaging_gain=0.5, over_wiener=0.0)


def get_config(arg=None):
    given = arg
    arg = parse_arg(
        arg,
        weights="",
        path="",
        size=48,
        images=0,
        samples=0,
        fraction=0.1,
        beta=0.0,
        alpha=3.0,
        scale="auto",
        seed=0,
    )
    of_others = published(arg["weights"])
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    if not of_others:
        refuse_given(given, "path", "size", belongs_to="weights= of published networks")
    require_positive(fraction=arg["fraction"], size=arg["size"])
    data = {} if arg["weights"] else calpha([arg["alpha"]])
    weights = "" if of_others else arg["weights"]
    config = base(data, scale=arg["scale"], seed=arg["seed"], num_steps=1_000, weights=weights)
    if len(config.runs) > 1 or "+" in of_others:
        raise ValueError("weights: one network is needed")
    side = arg["size"] if of_others else next(iter(config.runs.values())).data.size
    known = dict(fraction=arg["fraction"])
    tasks = dict(hole=dict(side=side // 3), random_pixels=known, block_means=dict(factor=4), low_pass=known)
    tasks["random_basis"] = known
    analysis = dict(tasks=tasks, num_images=4, num_samples=8, num_fit=4_000)
    analysis |= dict(step_size=0.01, beta=0.01, sigma_stop=0.01)  # the published ones
    if of_others:
        analysis |= dict(weights=of_others, path=arg["path"], size=side, num_fit=2_000)
        if config.scale == "laptop":
            analysis |= dict(num_images=2, num_samples=4, beta=0.1)  # 20 layers of 64 features
    analysis |= _SMOKE if config.scale == "smoke" else {}
    for name, option in dict(images="num_images", samples="num_samples", beta="beta").items():
        analysis |= {option: arg[name]} if arg[name] else {}
    config.study = dict(name="inverse", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
