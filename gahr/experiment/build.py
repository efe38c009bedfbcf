"""From the sections of a config to objects, with every field checked."""

import dataclasses
import functools
import inspect
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from gahr import noise, training, validate
from gahr.config import suggest
from gahr.data import SAMPLERS, faces, files, splits
from gahr.models import MODELS
from gahr.models.layers import initialize
from gahr.studies import STUDIES
from gahr.types import Array, Key, PyTree


class Parts(NamedTuple):
    """The objects one section of `config.runs` describes."""

    model: Any
    image_shape: tuple[int, int, int]
    images: Partial  # (index, *, subset, set_size) -> images; a pytree, to be an argument of what is compiled
    sizes: Mapping[str, int]  # subset -> the largest set_size
    digest: str | None  # name and hash of the image file; None for a synthetic set
    batch: Callable[[Partial, Key], Array]  # (images, key) -> images of one step
    loss: Callable
    optimizer: optax.GradientTransformation
    average: float
    key: Key


_SPLITS = ("random", "group", "order")
_BLOCK = 1024  # images resized at a time


def build(config: Mapping, name: str, *, with_file: bool = True) -> Parts:
    """Objects of run `name`; nothing is computed.

    Args:
      config: as `configs/` make it.
      name: which of its runs.
      with_file: read the image file, where the run has one; otherwise its images cannot be asked for.

    Raises:
      ValueError: an unknown field or name, or a value that does not fit; the message names run and field.
    """
    run = {section: dict(config["runs"][name][section]) for section in ("data", "model", "noise", "optim")}
    try:
        return _build(config["seed"], name, with_file, **run)
    except ValueError as error:
        raise ValueError(f"run {name}: {error}") from None


def _build(seed: int, name: str, with_file: bool, *, data: dict, model: dict, noise: dict, optim: dict) -> Parts:
    root = jax.random.key(seed)
    maker = _pick("data.name", SAMPLERS | {"file": _file_images}, data.pop("name"))
    set_size, subset = data.pop("set_size"), data.pop("subset")
    if maker is _file_images:
        _check_fields("data", data, maker, ignore=("seed", "with_file"))
        image_shape, images, sizes, digest = maker(**data, seed=seed, with_file=with_file)
    else:
        _check_fields("data", data, maker)
        sample = functools.partial(maker, **data)
        image_shape = jax.eval_shape(sample, jax.random.key(0)).shape
        images, sizes, digest = Partial(functools.partial(splits.images, sample), root), splits.SIZES, None

    network = model_of(model)
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *image_shape)))

    _check_noise(noise)
    batch_size, average = optim.pop("batch_size"), optim.pop("average")
    _check_fields("optim", optim, training.learning_rate)
    validate.optim(optim | {"batch_size": batch_size, "average": average})

    if images is not None:
        some = functools.partial(images, subset=subset, set_size=set_size)
        jax.eval_shape(some, jax.ShapeDtypeStruct((1,), jnp.int32))

    def batch(images: Partial, key: Key) -> Array:
        clean = images(jax.random.randint(key, (batch_size,), 0, set_size), subset=subset, set_size=set_size)
        return jax.lax.with_sharding_constraint(clean, NamedSharding(_mesh(), PartitionSpec("data")))

    return Parts(
        model=network,
        image_shape=image_shape,
        images=images,
        sizes=sizes,
        digest=digest,
        batch=batch,
        loss=functools.partial(training.denoising_loss, **noise),
        optimizer=optax.adam(training.learning_rate(**optim)),
        average=average,
        key=jax.random.fold_in(root, zlib.crc32(name.encode())),  # its own, whatever runs stand beside it
    )


def _file_images(
    *,
    path: str,
    size: int,
    channels: int = 1,
    split: str = "random",
    num_test: int,
    digest: str | None = None,
    seed: int,
    with_file: bool,
) -> tuple[tuple, Callable | None, Mapping[str, int], str | None]:
    """Image shape, images, sizes and digest of a `data` section of name "file".

    The images of the file are resized to `size` and held on the device; `split` says how they are dealt to a, b and
    test, see `splits.of_files`. Where `digest` is given, as config.json records it, the file must have it.
    """
    _pick("data.split", dict.fromkeys(_SPLITS), split)
    for field, value in (("size", size), ("num_test", num_test)):
        validate.whole(f"data.{field}", value, 1)
    shape = (size, size, channels)
    if not with_file:
        return shape, None, {}, None
    pixels, groups, found = _read_file(str(path), size, files.stamp(Path(path)))
    if pixels.shape[1:] != shape:
        raise ValueError(f"data.channels is {channels}, but the images of {path} have {pixels.shape[-1]}")
    if digest not in (None, found):
        raise ValueError(f"{path} is not the file of the config: data.digest is {digest}, its own is {found}")
    if split == "group" and groups is None:
        raise ValueError(f"data.split cannot be group, since {path} holds no groups; it can be random or order")
    groups = groups if split == "group" else None
    numbers = splits.of_files(len(pixels), num_test=num_test, seed=seed, groups=groups, shuffle=split != "order")
    images = Partial(splits.gather, pixels, _replicated(numbers))
    return shape, images, {name: len(order) for name, order in numbers.items()}, found


@functools.lru_cache(maxsize=2)  # runs that share a file share its place on the device
def _read_file(path: str, size: int, stamp: str) -> tuple[Array, np.ndarray | None, str]:
    """Images uint8 (N, size, size, C), groups and digest; `stamp` tells a changed file."""
    held = files.read_set(Path(path))
    height, width = held.images.shape[1:3]
    if height != width or size > height:
        raise ValueError(f"data.size {size} needs square images at least as large, but {path} holds {height}x{width}")
    images = held.images
    if size < height:
        blocks = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
        images = np.concatenate([np.rint(resizing.area_average(block, size=size)).astype(np.uint8) for block in blocks])
    return _replicated(images), held.groups, f"{Path(path).name} sha256:{held.digest}"


def model_of(section: Mapping) -> Any:
    """Network of the `model` section of a config.

    Raises:
      ValueError: an unknown name or field, one missing, or a value that does not fit.
    """
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in section.items()}
    if "name" not in fields:
        raise ValueError("field model.name is missing")
    module = _pick("model.name", MODELS, fields.pop("name"))
    _check_fields("model", fields, module)
    validate.model(fields)
    return module(**fields)


def section_of(model: Any) -> dict:
    """The `model` section of a config that `model_of` makes this network of."""
    names = {module: name for name, module in MODELS.items()}
    fields = [field.name for field in dataclasses.fields(model) if field.name not in ("parent", "name")]
    return {"name": names[type(model)], **{field: getattr(model, field) for field in fields}}


def _pick(field: str, choices: Mapping[str, Any], name: str) -> Any:
    if name not in choices:
        raise ValueError(f"unknown {field} {name!r}{suggest(name, choices)}")
    return choices[name]


def _check_fields(section: str, fields: Mapping, function: Callable, ignore: tuple = ()) -> None:
    """ValueError unless every field is a keyword argument of `function`, and all it needs are there."""
    parameters = inspect.signature(function).parameters
    allowed = {p.name: p for p in parameters.values() if p.name not in ("key", "parent", "name", *ignore)}
    for field in fields:
        if field not in allowed:
            raise ValueError(f"unknown field {section}.{field}{suggest(field, allowed)}")
    for field, parameter in allowed.items():
        if parameter.default is inspect.Parameter.empty and field not in fields:
            raise ValueError(f"field {section}.{field} is missing")


def _defaults(function: Callable) -> dict[str, Any]:
    """The optional keyword arguments of `function`."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _check_noise(section: Mapping) -> None:
    options = dict(section)
    law = _pick("noise.law", noise.LAWS, options.pop("law", "quadratic"))
    weighting = options.pop("weighting", "none")
    _pick("noise.weighting", training.WEIGHTINGS, weighting)
    _check_fields("noise", options, law, ignore=("shape",))
    validate.sigma_range(_defaults(law) | options, weighting, law.__name__)
    jax.eval_shape(functools.partial(law, shape=(1,), **options), jax.random.key(0))


def check_devices(config: Mapping, name: str) -> None:
    """ValueError unless the devices can share the batches of run `name`; only training needs that."""
    batch_size, devices = config["runs"][name]["optim"]["batch_size"], jax.device_count()
    if batch_size % devices:
        below, above = batch_size // devices * devices, (batch_size // devices + 1) * devices
        nearest = f"{below} or {above}" if below > 0 else f"{above}"
        raise ValueError(
            f"run {name}: optim.batch_size {batch_size} cannot be shared by {devices} devices; "
            f"the nearest valid is {nearest}"
        )


@functools.cache
def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def new_state(parts: Parts) -> training.TrainState:
    """State before the first step, replicated over the devices."""
    variables = initialize(parts.model, jax.random.fold_in(parts.key, 0), parts.image_shape)
    state = training.init_state(variables, parts.optimizer, average=parts.average)
    return _replicated(state)


def _replicated(tree: PyTree) -> PyTree:
    return jax.device_put(tree, NamedSharding(_mesh(), PartitionSpec()))


def train_step_of(parts: Parts) -> Partial:
    """The training step of a run, (state, key) -> (state, metrics), as a pytree that holds the images. Not jitted."""

    def step(images: Partial, state: training.TrainState, key: Key) -> tuple[training.TrainState, dict]:
        batch = functools.partial(parts.batch, images)
        one = training.make_train_step(parts.model.apply, parts.optimizer, parts.loss, batch, average=parts.average)
        return one(state, key)

    return Partial(step, parts.images)


def studies_of(config: Mapping) -> dict[str, Mapping]:
    """Study name -> its section: `config.study` is one section with its name, or several by name."""
    section = config["study"]
    return {section["name"]: section} if "name" in section else dict(section)


def check_study(config: Mapping) -> None:
    """ValueError unless the study section names studies and only options that they have and can use."""
    for name, section in studies_of(config).items():
        module = _pick("study.name", STUDIES, name)
        _check_fields("study.analysis", section["analysis"], module.analyze, ignore=("runs", "progress"))
        _check_fields("study.marks", section["marks"], module.check, ignore=("arrays",))
        if hasattr(module, "validate"):
            analysis, marks = dict(section["analysis"]), dict(section["marks"])
            module.validate(_defaults(module.analyze) | analysis, _defaults(module.check) | marks)
