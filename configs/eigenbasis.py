"""The basis a denoiser shrinks in at one image (arXiv:2310.02557, figure 3).

    python launch/main.py --config configs/eigenbasis.py     # trains the network of configs/calpha.py first
    python launch/main.py --config configs/eigenbasis.py:weights=calpha3     # a shipped network, no training
    python launch/main.py --config configs/eigenbasis.py:weights=bf_cnn.npz     # a published network, no training
    python launch/main.py --config configs/eigenbasis.py:weights=bf_cnn.npz,image=face.png,size=80,sigma=0.15

Arguments, after the colon:
  weights  file of a published network (.npz, .safetensors or .pt), or a network trained here as in configs/calpha.py;
           left out, a UNet is trained on C^alpha images
  image    image files joined by "+", each resized to a square, whose bases are swapped; of one, its quarter turns are;
           left out, test images, or of a published network a photograph
  size     side of an image file, pixels; the Jacobian of a grey image has size^4 entries
  sigma    noise level, image units
  alpha    exponent of the C^alpha images, without weights
  scale    as in configs/calpha.py
  seed     of images, initial values and noise
"""

from gahr.config import TRAINED, base, calpha, parse_arg, published, refuse_given, require_positive

# All of the energy above 1/2, and frequencies that rise along the basis, are properties of a fixed linear filter too.
# In these it has 1, by construction: another image's basis over an image's own.
MARKS = dict(swapped=1.5, contours=0.95)
ANALYSIS = {"smoke": dict(num_fit=64, num_memorized=64)}


def get_config(arg=None):
    given = arg
    arg = parse_arg(arg, weights="", image="", size=48, sigma=0.15, alpha=3.0, scale="auto", seed=0)
    of_others = published(arg["weights"])
    if arg["weights"]:
        refuse_given(given, "alpha", belongs_to=TRAINED)
    if not of_others and not arg["image"]:
        refuse_given(given, "size", belongs_to="image= or weights= of a published network")
    require_positive(size=arg["size"], sigma=arg["sigma"])
    data = {} if arg["weights"] else calpha([arg["alpha"]])
    config = base(data, scale=arg["scale"], seed=arg["seed"], weights="" if of_others else arg["weights"])
    analysis = dict(weights=of_others, num_vectors=12) | {name: arg[name] for name in ("image", "size", "sigma")}
    analysis |= ANALYSIS.get(config.scale, {})
    config.study = dict(name="eigenbasis", analysis=analysis, marks=MARKS if config.scale != "smoke" else {})
    return config
