"""How exact is a denoiser? Identities of exact MMSE denoisers, side by side (arXiv:2310.02557, section 2).

    python launch/main.py --config configs/card.py     # trains the network of configs/calpha.py first
    python launch/main.py --config configs/card.py:weights=calpha3     # a shipped network, no training
    python launch/main.py --config configs/card.py:weights=bf_cnn.npz+unet.npz     # published networks, no training
    python launch/main.py --config configs/card.py:weights=bf_cnn.npz,image=face.png,size=40

Arguments, after the colon:
  weights  files of published networks (.npz, .safetensors or .pt) joined by "+", or networks trained here as in
           configs/calpha.py; left out, a UNet is trained on C^alpha images
  image    image file whose crops published networks denoise; left out, a photograph
  size     side of these crops, pixels
  alpha    exponent of the C^alpha images, without weights
  scale    as in configs/calpha.py
  seed     of images, initial values, noise and probes
"""

from gahr.config import TRAINED, base, calpha, parse_arg, published, refuse_given, require_positive

ANALYSIS = {
    "smoke": dict(num_images=8, num_fit=64, num_levels=3, num_probes=2),
    "laptop": dict(num_images=64, num_fit=20_000, num_levels=9, num_probes=4),
    "gpu": dict(num_images=256, num_fit=20_000, num_levels=17, num_probes=8),
}
ANALYSIS["hours"] = ANALYSIS["laptop"]
PUBLISHED = dict(num_images=16, num_fit=4_000)  # at laptop scale: 20 layers of 64 features
MARKS = dict(standard_errors=4.0)


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, weights="", image="", size=32, alpha=3.0, scale="auto", seed=0)
    of_others = published(arg["weights"])
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    if not of_others:
        refuse_given(given, "image", "size", belongs_to="weights= of published networks")
    require_positive(size=arg["size"])
    data = {} if arg["weights"] else calpha([arg["alpha"]])
    config = base(data, scale=arg["scale"], seed=arg["seed"], weights="" if of_others else arg["weights"])
    if len({run.data.to_json() for run in config.runs.values()}) > 1:
        raise ValueError(
            f"weights: {arg['weights']} are of different images; a card compares networks of one image set"
        )
    analysis = dict(weights=of_others) | {name: arg[name] for name in ("image", "size")}
    analysis |= ANALYSIS.get(config.scale, ANALYSIS["gpu"])
    if of_others and config.scale == "laptop":
        analysis |= PUBLISHED
    config.study = dict(name="card", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
