"""What configs are made of: the string after the colon of `--config FILE.py:name=value,...`, scales, recipes."""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from gahr import pretrained
from gahr.names import pick, require_positive

# The published recipe: quadratic noise law, no weighting, halving learning rate, 391,000 steps of 512 images.
_PAPER = dict(
    size=80,
    set_size=100_000,
    model=dict(features=64, gain_init="published", dtype="float32"),
    objective=dict(name="denoising", law="quadratic", weighting="none", sigma_min=0.0, sigma_max=1.0),
    optim=dict(name="adam", batch_size=512, num_steps=391_000, schedule="halving", peak=1e-3, warmup=0, average=0.0),
)
# With fewer steps the published recipe leaves small noise untrained: few of its squared errors come from
# there. A log-uniform law and the weight 1 / sigma^2 make every input PSNR count alike, and a cosine ends
# at a learning rate of zero.
_SHORT = dict(
    objective=dict(law="log_uniform", weighting="inverse_variance", sigma_min=0.01),
    optim=dict(schedule="cosine"),
)
_RECIPES = {  # scale -> changes to the published recipe, one after the other
    "paper": (dict(optim=dict(order="epochs")),),
    "gpu": (_SHORT, dict(optim=dict(batch_size=128, num_steps=20_000))),
    "hours": (
        _SHORT,
        dict(size=32, model=dict(features=32), optim=dict(batch_size=32, num_steps=16_000, peak=1e-3, average=0.999)),
    ),
    "laptop": (
        _SHORT,
        dict(size=32, model=dict(features=16), optim=dict(batch_size=32, num_steps=4_000, peak=2e-3)),
    ),
    "smoke": (
        _SHORT,
        dict(size=16, set_size=64, model=dict(features=8), optim=dict(batch_size=8, num_steps=20, peak=2e-3)),
    ),
}
_DEPTHS = {  # network -> field of its depth, and the depth at each scale
    "unet": ("num_blocks", {"paper": 3, "gpu": 3, "hours": 2, "laptop": 2, "smoke": 1}),
    "bfcnn": ("num_layers", {"paper": 21, "gpu": 21, "hours": 12, "laptop": 12, "smoke": 4}),
}
_MILESTONES = {"hours": tuple(500 * 2**k for k in range(6))}  # for learning curves
TRAINED = "networks that are trained where weights= is left out"  # whom arguments of a config belong to
SCALES = ("smoke", "laptop", "hours", "gpu", "paper")


def num_blocks(size: int) -> int:
    """Poolings of a UNet for images of a side: 1, 2, 3, 4 for 20, 40, 80, 160 pixels (arXiv:2310.02557, table 1).

    Fewer where the side is not divisible so often.
    """
    wanted = max(1, round(math.log2(size / 10)))
    return next((depth for depth in range(wanted, 1, -1) if size % 2**depth == 0), 1)


def base(
    data: Mapping[str, Mapping[str, Any]],
    *,
    scale: str,
    seed: int = 0,
    model: str = "unet",
    num_steps: int | None = None,
    weights: str = "",
    told: bool = False,
) -> ConfigDict:
    """A config without its study: one run for each image set, of the size, network and training of a scale.

    Args:
      data: run name -> name and options of its image set, without the size.
      scale: one of `SCALES`, or "auto" (`choose_scale`).
      seed: of images, initial values and noise.
      model: "unet" or "bfcnn", or both joined by "+": a run RUN_MODEL for each image set and network, whose variants
        say which.
      num_steps: training steps at laptop scale, instead of its own.
      weights: networks that are trained already, as `gahr.pretrained` takes them, joined by "+": one run for each, with
        the size, network and training that it had, in place of all the others. They must be of image sets in `data`,
        where that holds any.
      told: whether these weights may be of networks that are told sigma.

    Returns:
      ConfigDict of scale, scale_reason, seed, checkpoint_seconds, milestones (steps whose checkpoints are kept for
      good) and runs.

    Raises:
      ValueError: unknown scale, model or weights, or weights of other images, of another seed, or told sigma
        where none may be.
    """
    scale, reason = choose_scale(scale)
    kept = dict(scale=scale, scale_reason=reason, seed=seed, checkpoint_seconds=60.0)
    kept["milestones"] = _MILESTONES.get(scale, ())
    if weights:
        names = {options["name"] for options in data.values()}
        return ConfigDict(kept | dict(runs=_trained(weights, names, seed, told)))
    recipe = dict(_PAPER)
    for change in _RECIPES[scale]:
        recipe |= {name: recipe[name] | new if isinstance(new, dict) else new for name, new in change.items()}
    if num_steps is not None and scale == "laptop":
        recipe["optim"] = recipe["optim"] | dict(num_steps=num_steps)
    depths = {each: pick("model", _DEPTHS, each) for each in model.split("+")}
    if len(depths) < model.count("+") + 1:
        raise ValueError(f"model holds one network twice: {model}")
    runs = {
        f"{name}_{each}" if len(depths) > 1 else name: dict(
            variant=f"{name}, {each}" if len(depths) > 1 else "",
            repeat=0,
            subset="a",
            set_size=recipe["set_size"],
            data=dict(options) | dict(size=recipe["size"]),
            model=dict(name=each) | recipe["model"] | {depth: at_scale[scale]},
            objective=dict(recipe["objective"]),
            optim=dict(recipe["optim"]),
        )
        for name, options in data.items()
        for each, (depth, at_scale) in depths.items()
    }
    return ConfigDict(kept | dict(runs=runs))


def _trained(weights: str, names: Collection[str], seed: int, told: bool) -> dict[str, dict[str, Any]]:
    """Run name -> section of a network that is trained already, and where its weights are."""
    runs = {}
    is_told = lambda described: described.get("told", False)
    for each in weights.split("+"):
        described = pretrained.describe(each)
        run, own_seed = described["run"], described["seed"]
        if is_told(described) and not told:
            raise ValueError(f"weights: {each} is told sigma; networks that are not are needed")
        if names and run["data"]["name"] not in names:
            fits = lambda known: known["run"]["data"]["name"] in names and is_told(known) <= told
            fitting = (n for n in pretrained.shipped() if fits(pretrained.describe(n)))
            wanted = f"{' or '.join(sorted(names))} are needed (shipped: {', '.join(fitting) or 'none'})"
            raise ValueError(f"weights: {each} is of {run['data']['name']} images; networks of {wanted}")
        if own_seed != seed:
            raise ValueError(f"weights: the images of {each} are of seed={own_seed}, not {seed}")
        name = Path(each).stem.replace(".", "_")
        if name in runs:
            raise ValueError(f"weights hold two networks of the name {name}")
        runs[name] = run | dict(weights=dict(name=each))
    return runs


def by_set(runs: Mapping[str, Any], data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Runs of `base` under the names in `data` of their image sets, for studies that need one network of each.

    Raises:
      ValueError: two runs of one image set, or none.
    """
    named = {name: [run for run in runs.values() if run.data.name == options["name"]] for name, options in data.items()}
    for name, found in named.items():
        if len(found) != 1:
            raise ValueError(f"weights: one network of {data[name]['name']} images is needed, not {len(found)}")
    return {name: found[0] for name, found in named.items()}


def published(weights: str) -> str:
    """The "+"-joined weights where they are files of others' networks, and nothing where `base` takes them or none.

    Raises:
      ValueError: both kinds.
    """
    names = [name for name in weights.split("+") if name]
    of_others = [name for name in names if Path(name).suffix and not pretrained.is_described(name)]
    if of_others and len(of_others) < len(names):
        raise ValueError(f"weights: {of_others[0]} is a published network, and others are not; give one kind")
    return "+".join(of_others)


def calpha(alphas: Iterable[float], *, background_alpha: float | None = None) -> dict[str, dict[str, Any]]:
    """Run name -> C^alpha images, for `base`: one run for each exponent of the contours.

    Args:
      alphas: exponents.
      background_alpha: exponent of the backgrounds; that of the contours where None.

    Raises:
      ValueError: an exponent that is not positive, or two that are one.
    """
    alphas = list(alphas)
    for alpha in alphas:
        require_positive(alpha=alpha)
    if background_alpha is not None:
        require_positive(background_alpha=background_alpha)
    names = [f"alpha{alpha:g}".replace(".", "_") for alpha in alphas]  # ConfigDict allows no dots in names
    if len(set(names)) < len(names):
        raise ValueError(f"alpha holds one exponent twice, or two that round to one name: {', '.join(names)}")
    backgrounds = [alpha if background_alpha is None else background_alpha for alpha in alphas]
    return {
        name: dict(name="calpha", alpha=alpha, background_alpha=background)
        for name, alpha, background in zip(names, alphas, backgrounds, strict=True)
    }


def intensities(path: str) -> dict[str, float]:
    """Mean and standard deviation of the pixels of the first 1,000 images of a file, for networks that are told sigma.

    Two digits, so that a config reads the same on every machine.

    Returns:
      mean and sigma_data, image units, as `gahr.models.told` takes them.

    Raises:
      ValueError: the file holds no images.
    """
    from gahr.data import sources

    pixels = sources.to_uint8(sources.read_arrays(Path(path))["images"][:1000], Path(path)) / 255
    return dict(mean=round(float(pixels.mean()), 2), sigma_data=max(0.01, round(float(pixels.std()), 2)))


def parse_arg(arg: str | None, **defaults: Any) -> dict[str, Any]:
    """Values of a string such as "alpha=3,scale=smoke", with defaults.

    Each value is read as the type of its default. A tuple takes one or several values joined by "+", such as
    "1+2+5", of the type of its first element. Where the default is None, a number or "none" is expected.

    Args:
      arg: the string after the colon, or None.
      **defaults: allowed names with their default values.

    Returns:
      Dictionary with every name in `defaults`.

    Raises:
      ValueError: an unknown name, a repeated one, or a value that cannot be read; the message names the
        nearest valid name.
    """
    values = dict(defaults)
    seen = set()
    for part in filter(None, (arg or "").split(",")):
        name, equals, text = part.partition("=")
        pick("config argument", defaults, name)
        if not equals:
            raise ValueError(f"config argument {name} needs a value, as in {name}={defaults[name]}")
        if name in seen:
            raise ValueError(f"config argument {name} is given twice; several values are joined by '+'")
        seen.add(name)
        values[name] = _read(name, text, defaults[name])
    return values


def given_names(arg: str | None) -> set[str]:
    """Names in a string such as "alpha=3,scale=smoke", to tell a value that is given from a default."""
    return {part.partition("=")[0] for part in (arg or "").split(",")}


def refuse_given(arg: str | None, *names: str, belongs_to: str) -> None:
    """Raise ValueError naming the first of `names` that the string gives, which would otherwise be ignored.

    For arguments that only some choices use: "split= belongs to data=file". One that is left out is not refused.
    """
    given = given_names(arg)
    for name in names:
        if name in given:
            raise ValueError(f"{name}= belongs to {belongs_to}")


def _read(name: str, text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(_read(name, piece, default[0]) for piece in text.split("+"))
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"config argument {name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if default is None and text.lower() == "none":
        return None
    kind = float if default is None else type(default)
    try:
        return kind(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[kind]
        raise ValueError(f"config argument {name} must be {wanted}, got {text!r}") from None


def choose_scale(scale: str) -> tuple[str, str]:
    """The scale to run at and the reason for it.

    Args:
      scale: one of `SCALES`, or "auto": gpu where JAX finds an accelerator, else laptop.

    Returns:
      (scale, reason).

    Raises:
      ValueError: unknown scale.
    """
    if scale in SCALES:
        return scale, "asked for"
    pick("scale", dict.fromkeys(("auto", *SCALES)), scale)
    import jax  # only here, so that reading a config with a given scale needs no JAX

    if jax.default_backend() == "cpu":
        return "laptop", "no accelerator found"
    return "gpu", f"{jax.devices()[0].device_kind} found"
