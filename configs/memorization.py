"""From memorization to generalization: pairs of networks on disjoint sets (arXiv:2310.02557, figures 1, 2 and 15).

    python launch/main.py --config configs/memorization.py
    python launch/main.py --config configs/memorization.py:features=32     # one network size
    python launch/main.py --config configs/memorization.py:data=file,path=faces.npz,size=20,set_sizes=1+10+100+1000
    python launch/main.py --config configs/memorization.py:scale=smoke     # seconds

One network per number of images N, subset and variant; the figures are read off the same networks: transition, twins,
and explain, which known prior predicts what the networks do. Arguments, after
the colon; several values are joined by "+":
  data       calpha, disks or file
  path       file of images that launch/prepare.py made; this and the next three for data=file alone
  num_test   images of a file that are kept for testing, at most
  channels   1 for grey files, 3 for colour
  split      how the images of a file are dealt to the subsets: random, group (no person in two) or order
  size       sides of the images, pixels; one curve each
  features   of the network's first block; one curve each
  set_sizes  numbers N of training images
  repeats    networks per N, subset and variant, with initial values and noise of their own
  average    decay of the parameter average; 0, the default, keeps none, since an average hides memorization
  model      unet or bfcnn, one curve each; the depth of a UNet follows the side where there are several
  beta       of the sampler, above 0 and at most 1: 1 adds no noise, so that twins are as alike as their networks make
             them (figure 13)
  start      of the samples: grey, about 0.5, or mean, about the mean of the test images
  alpha      exponent of the C^alpha images, for data=calpha alone
  scale      smoke, laptop, hours, gpu or paper; left out, gpu where there is an accelerator, else laptop
  seed       of images, initial values and noise
"""

import itertools

from gahr.config import base, calpha, given_names, num_blocks, parse_arg, refuse_given, require_positive
from gahr.names import pick

SCALES = {
    "paper": dict(size=(20, 40, 80, 160), features=(64,), set_sizes=(1, 10, 100, 1_000, 10_000, 100_000)),  # table 1
    "gpu": dict(size=(80,), features=(64,), set_sizes=(1, 10, 100, 1_000, 10_000, 100_000)),
    "hours": dict(size=(20,), features=(32,), set_sizes=(1, 10, 100, 1_000, 10_000)),
    "laptop": dict(size=(20,), features=(16, 32), set_sizes=(1, 3, 10, 30, 100, 1_000, 10_000)),
    "smoke": dict(size=(8,), features=(8,), set_sizes=(1, 4)),
}
# Which image a sample becomes is decided where the noise is large. The weight 1 / sigma^2 of the other laptop configs
# leaves that untrained, so that ten images are memorized below sigma = 0.1 only; no weight does so with small noise.
OBJECTIVE = {scale: dict(weighting="inverse_sigma") for scale in ("laptop", "hours")}
OPTIM = {
    "hours": dict(batch_size=32, num_steps=10_000, peak=1e-3),
    "laptop": dict(batch_size=32, num_steps=2_500, peak=2e-3),
    # The published initial gains make the first networks the identity, from which no sample moves.
    "smoke": dict(batch_size=8, num_steps=300, peak=2e-3),
}
TRANSITION = {"smoke": dict(num_images=4, num_levels=8)}
# The paper's epochs are of 250,000 images, copies of the N, or of 2 x 99,325 where N is largest: a thousand of them.
PAPER_STEPS = {10_000: 489_000, 100_000: 388_000}  # up to N images
# The paper's sampler takes 2,995 steps; the growing step of the published code, used here, 127.
SAMPLER = dict(growing=True, sigma_stop=0.01)
TWINS = {
    "paper": dict(num_samples=128),
    "smoke": dict(num_samples=6, max_steps=100, frame_every=20) | SAMPLER,
}
BELONGS = {"calpha": ("alpha",), "disks": (), "file": ("path", "split", "num_test", "channels")}  # arguments of data=
EXPLAIN = {
    "smoke": dict(
        num_images=4,
        num_held=2,
        num_swapped=2,
        num_samples=2,
        windows=(3,),
        num_moved=4,
        sigmas=(0.1, 0.4),
        num_steps=4,
    )
}
# Asked for only where they apply: copies where N = 1 and one of 10 to 30 are among the sizes, the marks at the largest
# N, set for 10,000 images, where that is at least 1,000. There networks of 16 features gain 1.3 dB over the linear
# denoiser, whose samples have 0.35 of the images' kurtosis where theirs have 0.78; it has twins and a lead as they do.
MARKS = dict(
    transition=dict(slope_at_one=(0.9, 1.05), gap_at_one=10.0, gap_at_largest=0.2, gain_at_largest=1.0),
    twins=dict(memorized=0.95, twin_at_largest=0.93, lead_at_largest=0.15, kurtosis_at_largest=0.6),
    explain=dict(memorizer_at_ten=3.0, beyond_priors_at_largest=1.0),  # set before the first run
)


def get_config(arg=None):
    given = arg
    arg = parse_arg(
        arg,
        data="calpha",
        path="",
        split="random",
        num_test=64,
        channels=1,
        size=(0,),
        features=(0,),
        set_sizes=(0,),
        repeats=1,
        average=0.0,
        model="unet",
        beta=0.1,
        start="grey",
        alpha=3.0,
        scale="auto",
        seed=0,
    )
    pick("data", BELONGS, arg["data"])
    for data, names in BELONGS.items():
        if data != arg["data"]:
            refuse_given(given, *names, belongs_to=f"data={data}")
    if arg["data"] == "file" and not arg["path"]:
        raise ValueError("data=file needs path=")
    require_positive(repeats=arg["repeats"])
    config = base({"run": _data(arg)}, scale=arg["scale"], seed=arg["seed"], model=arg["model"])
    named = given_names(given)
    grid = {name: arg[name] if name in named else value for name, value in SCALES[config.scale].items()}
    for name, values in grid.items():
        if min(values) < 1 or len(set(values)) < len(values):
            raise ValueError(f"{name} must be different whole numbers from 1, got {'+'.join(map(str, values))}")

    runs = {}
    models, repeats, numbers = config.runs.items(), range(arg["repeats"]), sorted(grid["set_sizes"])
    for size, features, (name, model), repeat, number, subset in itertools.product(
        grid["size"], grid["features"], models, repeats, numbers, ("a", "b")
    ):
        run, several = model.to_dict(), len(models) > 1
        variant = f"size {size}, features {features}" + (f", {run['model']['name']}" if several else "")
        run |= dict(variant=variant, repeat=repeat, set_size=number, subset=subset)
        run["data"] |= dict(size=size)
        run["model"] |= dict(features=features)
        if len(grid["size"]) > 1 and run["model"]["name"] == "unet":
            run["model"] |= dict(num_blocks=num_blocks(size))
        run["objective"] |= OBJECTIVE.get(config.scale, {})
        run["optim"] |= OPTIM.get(config.scale, {}) | dict(average=arg["average"])
        if config.scale == "paper":
            run["optim"]["num_steps"] = next((n for most, n in PAPER_STEPS.items() if number <= most), 388_000)
        which = name.removeprefix("run") + (f"_repeat{repeat}" if arg["repeats"] > 1 else "")
        runs[f"size{size}_features{features}{which}_n{number}_{subset}"] = run
    config.runs = runs
    patch = max(side for side in range(1, 5) if all(size % side == 0 for size in grid["size"]))
    marks = _marks(grid["set_sizes"]) if config.scale != "smoke" else {name: {} for name in MARKS}
    config.study = dict(
        transition=dict(analysis=TRANSITION.get(config.scale, {}), marks=marks["transition"]),
        twins=dict(
            analysis=TWINS.get(config.scale, SAMPLER) | dict(patch=patch, beta=arg["beta"], start=arg["start"]),
            marks=marks["twins"],
        ),
        explain=dict(analysis=EXPLAIN.get(config.scale, {}), marks=marks["explain"]),
    )
    return config


def _marks(set_sizes):
    left_out = set() if 1 in set_sizes else {"slope_at_one", "gap_at_one"}
    if 1 not in set_sizes or not any(10 <= number <= 30 for number in set_sizes):
        left_out |= {"memorized"}
    if not any(3 <= number <= 30 for number in set_sizes):
        left_out |= {"memorizer_at_ten"}
    if max(set_sizes) < 1_000:
        left_out |= {name for marks in MARKS.values() for name in marks if name.endswith("at_largest")}
    return {study: {name: marks[name] for name in marks if name not in left_out} for study, marks in MARKS.items()}


def _data(arg):
    if arg["data"] == "file":
        return {"name": "file"} | {field: arg[field] for field in ("path", "split", "num_test", "channels")}
    return dict(name="disks") if arg["data"] == "disks" else next(iter(calpha([arg["alpha"]]).values()))
