"""Networks from the state dicts that were published with the papers, and back.

Known are the UNet and BF-CNN of Kadkhodaie et al. (2024), arXiv:2310.02557, the BF-CNN with some 1 x 1 layers of
Kadkhodaie et al. (2023), arXiv:2303.02984, and the older BF-CNN, DnCNN and small UNet of arXiv:2007.13640 and
arXiv:1906.05478, with any number of layers, blocks, features and channels.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load_file

from gahr.models import torch_file
from gahr.models.bfcnn import BFCNN
from gahr.models.strided_unet import StridedUNet
from gahr.models.unet import UNet
from gahr.types import Array, PyTree

_VARIANCE = "running_var"  # DnCNN keeps the variance where the others keep the standard deviation
_UNUSED = re.compile(r"bn_layer_list\.\d+\.(bias|running_mean|num_batches_tracked)")  # the norm has no shift
_LISTED = 12
_AXES = {"kernel": (3, 2, 0, 1), "upsampling": (0, 3, 1, 2)}  # of our array, in the published order


class _Layout(NamedTuple):
    """One way to name the arrays of a network."""

    starts: tuple[str, ...]  # beginnings of key names that only this network has
    depth: Callable[[Iterable[str]], int]  # key names -> blocks or layers
    first: str  # key of the first convolution
    names: Callable[[int], dict[str, str]]  # depth -> our name "collection/layer/array" -> key name
    model: Callable[..., nn.Module]  # (depth, features, kernel_sizes) -> network


def load(path: Path, *, first_relu: bool | None = None) -> tuple[nn.Module, PyTree]:
    """Network and variables of a published state dict.

    Args:
      path: flat arrays (.npz), .safetensors, or any file of torch.save, which is read without PyTorch.
      first_relu: whether a BF-CNN has a ReLU after its first convolution, which no array tells. Left out, it has
        one if its norms are named `gammas.N`, and none if they are named `BN_layers.N.gammas`.

    Returns:
      (model, variables), float32, for `gahr.denoiser.bind`. DnCNN is a `BFCNN`: its norm at evaluation,
      weight x / (sqrt(running_var) + 1e-5), has the sd written in brackets.

    Raises:
      ValueError: not a state dict, an unknown network, or keys or shapes that do not fit it; all are listed.
      OSError: the file cannot be read.
    """
    state = {name.removeprefix("module."): array for name, array in _read(Path(path)).items()}
    try:
        return _network(_without_shifts(state), first_relu)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def channels(variables: PyTree) -> int:
    """Channels of the images that a network of `load` takes: the inputs of its first convolution."""
    params = variables["params"]
    first = next(name for name in ("encoder0_0_conv", "conv_0", "conv_1") if name in params)
    return params[first]["kernel"].shape[-2]


def export(model: nn.Module, variables: PyTree) -> dict[str, np.ndarray]:
    """State dict, as published, of a network; `load` of a file of these arrays gives the same network again.

    A BFCNN whose first_relu is set gets the older names, `gammas.N`; the others get `BN_layers.N.gammas`.

    Args:
      model: UNet, BFCNN or StridedUNet.
      variables: {"params": ..., "batch_stats": ...}; other collections are left out.

    Returns:
      {key: array}, with kernels (C_out, C_in, height, width) and gains (1, C, 1, 1).

    Raises:
      ValueError: another network.
    """
    if isinstance(model, UNet):
        names = _unet_names(model.num_blocks)
    elif isinstance(model, BFCNN):
        names = _bfcnn_names(model.num_layers, older=model.first_relu)
    elif isinstance(model, StridedUNet):
        names = _strided_unet_names(9)
    else:
        raise ValueError(f"{type(model).__name__} has no published form")
    flat = flatten_dict(variables, sep="/")
    return {key: np.ascontiguousarray(_to_published(name, flat[name])) for name, key in names.items()}


def _read(path: Path) -> Mapping[str, np.ndarray]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
    except OSError:
        raise
    except Exception as error:  # zip and array formats raise many types for a damaged file
        raise ValueError(f"{path} cannot be read: {error or type(error).__name__}") from error
    return torch_file.read(path)


def _without_shifts(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that the norm uses; ValueError where those it does not use say that it should."""
    unused = {name for name in state if _UNUSED.fullmatch(name)}
    shifts = [name for name in unused if not name.endswith("num_batches_tracked") and np.any(state[name])]
    if shifts:
        raise ValueError(f"the network is not bias-free: {_listing(sorted(shifts))} not zero")
    return {name: array for name, array in state.items() if name not in unused}


def _network(state: Mapping[str, np.ndarray], first_relu: bool | None) -> tuple[nn.Module, PyTree]:
    layout = next((layout for layout in _LAYOUTS if any(key.startswith(layout.starts) for key in state)), None)
    if layout is None:
        raise ValueError(f"no known network has the keys {_listing(list(state))}")
    depth = layout.depth(state)
    names = layout.names(depth)
    _check_keys(state, names)
    ranks = [key for name, key in names.items() if name.endswith(("kernel", "upsampling")) and state[key].ndim != 4]
    if ranks:
        raise ValueError(f"not a convolution: {_listing(ranks)}")
    features, channels = state[layout.first].shape[:2]
    sizes = tuple(state[key].shape[2] for name, key in names.items() if name.endswith("kernel"))
    model = layout.model(depth, features, () if set(sizes) == {3} else sizes)
    if first_relu is not None:
        if not isinstance(model, BFCNN):
            raise ValueError(f"first_relu is for BF-CNNs, this is a {type(model).__name__}")
        model = model.clone(first_relu=first_relu)
    _check_shapes(model, channels, names, state)
    variables = {name: _from_published(name, key, state[key]) for name, key in names.items()}
    return model, unflatten_dict(variables, sep="/")


def _check_keys(keys: Iterable[str], names: Mapping[str, str]) -> None:
    missing, left = sorted(set(names.values()) - set(keys)), sorted(set(keys) - set(names.values()))
    problems = [f"missing: {_listing(missing)}"] * bool(missing) + [f"left over: {_listing(left)}"] * bool(left)
    if problems:
        raise ValueError(f"keys do not fit the network; {'; '.join(problems)}")


def _check_shapes(model: nn.Module, channels: int, names: Mapping[str, str], state: Mapping[str, np.ndarray]) -> None:
    side = 2**model.num_blocks if isinstance(model, UNet) else 4
    noisy = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    wrong = []
    for name, leaf in flatten_dict(jax.eval_shape(model.init, jax.random.key(0), noisy), sep="/").items():
        found = state[names[name]].shape
        expected = _to_published(name, np.broadcast_to(np.float32(0), leaf.shape)).shape
        if found not in (expected, leaf.shape):  # DnCNN's gains are (C,) as ours are
            wrong.append(f"{names[name]} is {found}, not {expected}")
    if wrong:
        raise ValueError(f"shapes do not fit the network; {_listing(wrong)}")


def _listing(items: list[str]) -> str:
    more = f", and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more


def _from_published(name: str, key: str, array: np.ndarray) -> Array:
    """Our form of a published array."""
    axes = _AXES.get(name.rpartition("/")[2])
    array = jnp.asarray(array.reshape(-1) if axes is None else array.transpose(np.argsort(axes)), jnp.float32)
    return jnp.sqrt(array) + 1e-5 if key.endswith(_VARIANCE) else array


def _to_published(name: str, array: Array) -> np.ndarray:
    axes = _AXES.get(name.rpartition("/")[2])
    array = np.asarray(array)
    return array.reshape(1, -1, 1, 1) if axes is None else array.transpose(axes)


def _norm_names(layer: str, gain: str, sd: str) -> dict[str, str]:
    return {f"params/{layer}/gain": gain, f"batch_stats/{layer}/sd": sd}


def _unet_names(num_blocks: int) -> dict[str, str]:
    def block(ours: str, theirs: str, *convs: int) -> dict[str, str]:
        names = {}
        for i, conv in enumerate(convs):  # each followed by its norm
            norm = f"{theirs}.{conv + 1}"
            names[f"params/{ours}_{i}_conv/kernel"] = f"{theirs}.{conv}.weight"
            names |= _norm_names(f"{ours}_{i}_norm", f"{norm}.gammas", f"{norm}.running_sd")
        return names

    names = block("encoder0", "encoder.0", 0, 2)
    del names["params/encoder0_0_norm/gain"], names["batch_stats/encoder0_0_norm/sd"]  # the very first has none
    for level in range(1, num_blocks):
        names |= block(f"encoder{level}", f"encoder.{level}", 0, 3)
    names |= block("middle", "mid_block", 0, 3)
    for level in reversed(range(num_blocks)):
        names[f"params/decoder{level}_up/upsampling"] = f"upsample.{level}.weight"
        names |= block(f"decoder{level}", f"decoder.{level}", *((0, 3) if level else (0,)))
    return names | {"params/output_conv/kernel": "decoder.0.3.weight"}


def _cnn_names(convs: list[str], norm: Callable[[int], tuple[str, str]]) -> dict[str, str]:
    """Names of a BFCNN whose convolutions have the keys `convs` and whose i-th norm has the keys (gain, sd)."""
    names = {f"params/conv_{i}/kernel": key for i, key in enumerate(convs[:-1])}
    names["params/output_conv/kernel"] = convs[-1]
    for i in range(len(convs) - 2):
        names |= _norm_names(f"norm_{i + 1}", *norm(i))
    return names


def _bfcnn_names(num_layers: int, *, older: bool) -> dict[str, str]:
    def norm(i: int) -> tuple[str, str]:
        return (f"gammas.{i}", f"running_sd.{i}") if older else (f"BN_layers.{i}.gammas", f"BN_layers.{i}.running_sd")

    return _cnn_names([f"conv_layers.{i}.weight" for i in range(num_layers)], norm)


def _dncnn_names(num_layers: int) -> dict[str, str]:
    hidden = [f"hidden_layer_list.{i}.weight" for i in range(num_layers - 2)]
    convs = ["first_layer.weight", *hidden, "last_layer.weight"]
    return _cnn_names(convs, lambda i: (f"bn_layer_list.{i}.weight", f"bn_layer_list.{i}.{_VARIANCE}"))


def _strided_unet_names(num_layers: int) -> dict[str, str]:
    leaf = {7: "upsampling"}
    return {f"params/conv_{i}/{leaf.get(i, 'kernel')}": f"conv{i}.weight" for i in range(1, num_layers + 1)}


def _count(pattern: str, *, least: int, more: int = 0) -> Callable[[Iterable[str]], int]:
    """Function key names -> 1 + the largest number that the pattern finds + `more`, `least` or above."""

    def depth(keys: Iterable[str]) -> int:
        numbers = [int(match[1]) for match in map(re.compile(pattern).match, keys) if match]
        return max(least, 1 + max(numbers, default=-1) + more)

    return depth


def _bfcnn(depth: int, features: int, kernel_sizes: tuple[int, ...], *, first_relu: bool) -> BFCNN:
    return BFCNN(features=features, num_layers=depth, first_relu=first_relu, kernel_sizes=kernel_sizes)


_CONV_LAYERS = (_count(r"conv_layers\.(\d+)\.", least=2), "conv_layers.0.weight")
_RELU, _NO_RELU = partial(_bfcnn, first_relu=True), partial(_bfcnn, first_relu=False)
_HIDDEN = _count(r"hidden_layer_list\.(\d+)\.", least=2, more=2)
_UNET_BLOCKS = _count(r"(?:encoder|decoder|upsample)\.(\d+)\.", least=1)
_LAYOUTS = (  # the older BF-CNN before the newer, whose convolutions have the same names
    _Layout(("mid_block.", "upsample."), _UNET_BLOCKS, "encoder.0.0.weight", _unet_names, lambda b, f, _: UNet(f, b)),
    _Layout(("gammas.", "running_sd."), *_CONV_LAYERS, partial(_bfcnn_names, older=True), _RELU),
    _Layout(("conv_layers.",), *_CONV_LAYERS, partial(_bfcnn_names, older=False), _NO_RELU),
    _Layout(("hidden_layer_list.", "first_layer."), _HIDDEN, "first_layer.weight", _dncnn_names, _RELU),
    _Layout(("conv9.", "conv7."), lambda _: 9, "conv1.weight", _strided_unet_names, lambda _, f, __: StridedUNet(f)),
)
