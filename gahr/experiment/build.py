"""From the sections of a run to objects, with every field checked; nothing is computed."""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gahr import denoiser, pretrained, training
from gahr.data import DATASETS, epochs
from gahr.data.dataset import Dataset
from gahr.experiment import fields, hosts
from gahr.models import MODELS
from gahr.models.layers import initialize
from gahr.names import pick, require_whole, suggest
from gahr.objectives import OBJECTIVES
from gahr.types import Array, Key, NoiseDenoiser, PyTree, with_options


class Parts(NamedTuple):
    """The objects that one entry of `config.runs` describes."""

    section: Mapping[str, Any]  # the entry itself, as resolved
    model: Any
    dataset: Dataset
    loss: Partial  # (network, variables, key, clean, *, teacher) -> (value, updates)
    teacher: str | None  # name of the run whose denoiser the loss is given
    recipe: training.Recipe
    key: Key
    weights: str | None  # of `gahr.pretrained`, in place of a training
    start: str | None  # name of the run whose network this training starts from

    @property
    def needs(self) -> list[str]:
        """The runs that must be trained before this one."""
        return [run for run in (self.teacher, self.start) if run is not None]


def build(run: Mapping, name: str, *, seed: int) -> Parts:
    """Objects of run `name`, whose entry in the config is `run`.

    Raises:
      ValueError: an unknown field or name, or a value that does not fit; the message names run and field.
    """
    with fields.named(f"run {name}"):
        return _build(seed, name, **run)


def _build(seed: int, name: str, **section: Any) -> Parts:
    wanted = ("variant", "repeat", "subset", "set_size", "data", "model", "objective", "optim")
    for field in section:
        if field not in (*wanted, "weights", "start"):
            raise ValueError(f"unknown field {field}{suggest(field, [*wanted, 'weights', 'start'])}")
    for field in wanted:
        if field not in section:
            raise ValueError(f"field {field} is missing")
    root = jax.random.key(seed)
    subset, set_size = section["subset"], section["set_size"]
    dataset = _named("data", section["data"], DATASETS, root)
    trained_on = {name: size for name, size in dataset.sizes.items() if name != "test"}
    require_whole(f"set_size of subset {subset}", set_size, most=pick("subset", trained_on, subset))
    model = model_of(section["model"])
    with fields.named("model", fields=section["model"]):
        shapes = variable_shapes(model, dataset.shape)

    loss, options = _member("objective", section["objective"], OBJECTIVES)
    fields.check_names("objective", options, loss)
    teacher = options.pop("teacher", None)
    with fields.named("objective", fields=options):
        _try(functools.partial(loss, **options), shapes, dataset.shape, teacher)

    weights = _weights(section)
    return Parts(
        section=section,
        model=model,
        dataset=dataset,
        loss=with_options(loss, **options),
        teacher=None if weights else teacher,
        recipe=_named("optim", section["optim"], training.OPTIMIZERS),
        key=jax.random.fold_in(root, zlib.crc32(name.encode())),  # its own, whatever runs stand beside it
        weights=weights,
        start=None if weights else section.get("start"),
    )


def _weights(section: Mapping[str, Any]) -> str | None:
    """Name of the weights of a run that is not to be trained; ValueError unless they are of its network."""
    if "weights" not in section:
        return None
    name = section["weights"]["name"]
    own = pretrained.describe(name)["run"]["model"]
    if own != section["model"]:
        raise ValueError(f"weights: {name} is the network {own}, not {dict(section['model'])}")
    return name


@functools.lru_cache
def variable_shapes(model: Any, image_shape: tuple[int, int, int]) -> PyTree:
    """Shapes and types of the variables of a network; ValueError where it cannot take such images."""
    return jax.eval_shape(lambda key: initialize(model, key, image_shape), jax.random.key(0))


def _named(section: str, values: Mapping[str, Any], choices: Mapping[str, Callable], *arguments: Any) -> Any:
    """What the function of the section's `name` makes of its other fields."""
    function, options = _member(section, values, choices)
    return fields.call(section, function, *arguments, fields=options)


def _member(section: str, values: Mapping[str, Any], choices: Mapping[str, Callable]) -> tuple[Callable, dict]:
    """The function of the section's `name`, and its other fields."""
    options = {field: tuple(value) if isinstance(value, list) else value for field, value in values.items()}
    if "name" not in options:
        raise ValueError(f"field {section}.name is missing{suggest('', choices)}")
    return pick(f"{section}.name", choices, options.pop("name")), options


def _try(loss: Callable, variables: PyTree, shape: tuple[int, int, int], teacher: str | None) -> None:
    """Have a loss look at its options, on variables of these shapes and a network that does nothing."""
    network = lambda variables, noisy, sigma, *, train, key=None: (jnp.zeros_like(noisy), {})
    copy = (lambda noisy, sigma: noisy) if teacher else None
    clean = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    measure = lambda variables, key, clean: loss(network, variables, key, clean, teacher=copy)
    jax.eval_shape(measure, variables, jax.random.key(0), clean)


def without_others_fields(section: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A model section less the fields that other networks have and the one of this name has not, and their names."""
    fields_of = {name: {field.name for field in dataclasses.fields(module)} for name, module in MODELS.items()}
    others = set().union(*fields_of.values()) - fields_of.get(section["name"], set(section))
    return {field: value for field, value in section.items() if field not in others}, sorted(others & set(section))


def model_of(section: Mapping[str, Any]) -> Any:
    """Network of a `model` section.

    Raises:
      ValueError: an unknown name or field, or one missing.
    """
    return _named("model", section, MODELS)


def section_of(model: Any) -> dict:
    """The `model` section that `model_of` makes this network of."""
    names = {module: name for name, module in MODELS.items()}
    own = [field.name for field in dataclasses.fields(model) if field.name not in ("parent", "name")]
    return {"name": names[type(model)], **{field: getattr(model, field) for field in own}}


_initialize = jax.jit(initialize, static_argnums=(0, 2))  # compiled once for equal networks


def initial_variables(parts: Parts) -> PyTree:
    """Variables of the network of a run before training, where it starts from no other."""
    return _initialize(parts.model, _of_no_step(parts.key, 1), parts.dataset.shape)


def new_state(parts: Parts, *, variables: PyTree | None = None) -> training.TrainState:
    """State before the first step, of initial values or of the variables of the run that it starts from."""
    if variables is None:
        variables = initial_variables(parts)
    return training.init_state(variables, parts.recipe.optimizer, average=parts.recipe.average)


def _of_no_step(key: Key, number: int) -> Key:
    return jax.random.fold_in(key, 2**32 - number)


def variables_of(state: training.TrainState) -> dict:
    """What a denoiser is made of: the parameter average where there is one."""
    return {"params": state.params if state.average is None else state.average, "batch_stats": state.batch_stats}


def train_step_of(parts: Parts, *, teacher: tuple[Any, PyTree] | None = None) -> Partial:
    """The training step of a run, (state, key) -> (state, metrics), not jitted: a pytree that holds images and teacher.

    Runs that differ in key and set_size alone share what it compiles to. Every device, of whatever process,
    makes its share of a batch. The teacher is a network (model, variables).
    """
    model, variables = teacher or (None, None)
    section, dataset = parts.section, parts.dataset
    take, set_size, variables = hosts.replicated((dataset.take, np.int32(section["set_size"]), variables))
    taught = denoiser.bind_told(model, variables) if teacher else None
    same = {"model": parts.model, "recipe": parts.recipe, "subset": section["subset"]}
    return with_options(_train_step, take, set_size, parts.loss, taught, **same)


def _train_step(
    take: Partial,
    set_size: Array,
    loss: Partial,
    teacher: NoiseDenoiser | None,
    state: training.TrainState,
    key: Key,
    *,
    model: Any,
    recipe: training.Recipe,
    subset: str,
) -> tuple[training.TrainState, dict]:
    def batch(key_batch: Key) -> Array:
        if recipe.order == "epochs":
            index = epochs.numbers(_of_no_step(key, 2), state.step, batch_size=recipe.batch_size, set_size=set_size)
        else:
            index = jax.random.randint(key_batch, (recipe.batch_size,), 0, set_size)
        return hosts.by_share(functools.partial(take, subset=subset, set_size=set_size), index)

    network, taught = denoiser.network_of(model), functools.partial(loss, teacher=teacher)
    return training.make_train_step(network, recipe.optimizer, taught, batch, average=recipe.average)(state, key)
