"""Published state dicts: every file format and layout, an evaluation in PyTorch's conventions, refusals, conversion."""

import functools
import itertools
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ONE_DEVICE, ROOT
from safetensors.numpy import save_file

from gahr.analysis import eigen
from gahr.denoiser import bind
from gahr.models import published, torch_file
from gahr.models.bfcnn import BFCNN
from gahr.models.strided_unet import StridedUNet
from gahr.models.unet import UNet

MODELS = {
    "unet_1": UNet(features=2, num_blocks=1),
    "unet_2": UNet(features=3, num_blocks=2),
    "unet_3": UNet(features=2, num_blocks=3),
    "bfcnn": BFCNN(features=3, num_layers=5),
    "bfcnn_relu": BFCNN(features=3, num_layers=4, first_relu=True),
    "bfcnn_sizes": BFCNN(features=3, num_layers=5, kernel_sizes=(3, 1, 5, 1, 3)),
    "strided_unet": StridedUNet(features=2),
}


def random_variables(model, channels):
    """Kernels and gains normal, standard deviations between 1/2 and 2, all different."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((8, 8, channels)))
    draw = np.random.default_rng(1)

    def fill(path, leaf):
        shape = leaf.shape
        if path[-1].key == "sd":
            return np.float32(draw.uniform(0.5, 2, shape))
        return np.float32(draw.standard_normal(shape) / np.sqrt(leaf.size / shape[-1]))

    return jax.tree.map_with_path(fill, shapes)


def state_of(name, channels=1):
    return published.export(MODELS[name], random_variables(MODELS[name], channels))


# A state dict as torch.save writes it, opcode by opcode.


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def items(*values):
    return b"(" + b"".join(v if isinstance(v, bytes) else b"J" + v.to_bytes(4, "little") for v in values) + b"t"


def ordered(entries, state=b""):
    pairs = b"".join(text(name) + value for name, value in entries.items())
    return named("collections", "OrderedDict") + b")R(" + pairs + b"u" + state


def tensor(key, kind, offset, shape, strides, size):
    storage = items(text("storage"), named("torch", kind), text(key), text("cpu"), size) + b"Q"
    arguments = items(storage, offset, items(*shape), items(*strides), b"\x89", ordered({}))
    return named("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def tensors(state):
    """Entries of a pickle for arrays whose storages are named "0", "1" and so on."""
    entries = {}
    for i, (name, array) in enumerate(state.items()):
        strides = [stride // array.itemsize for stride in array.strides]
        entries[name] = tensor(str(i), KINDS[str(array.dtype)], 0, array.shape, strides, array.size)
    return entries


def write_torch(path, state, *, tree=None, wrapper=None, byteorder="little"):
    """Tensors of `state`, or what the pickle `tree` says of their storages."""
    metadata = b"}" + text("_metadata") + ordered({}) + b"sb"
    tree = tree or ordered(tensors(state), metadata)
    tree = b"}" + text("epoch") + b"K\x07s" + text(wrapper) + tree + b"s" if wrapper else tree
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + tree + b".")
        archive.writestr("archive/byteorder", byteorder)
        for i, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes(order="A"))
        archive.writestr("archive/version", "3\n")
    return path


def write_old_torch(path, state):
    """As PyTorch before 1.6 did: five pickles, then size and numbers of each storage."""
    system = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    pickles = [pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, system)]
    pickles += [b"\x80\x02" + ordered(tensors(state)) + b".", pickle.dumps([str(i) for i in range(len(state))], 2)]
    sizes = (array.size.to_bytes(8, "little") + array.tobytes(order="A") for array in state.values())
    path.write_bytes(b"".join((*pickles, *sizes)))
    return path


def write_npz(path, state):
    np.savez(path, **state)
    return path


def write_safetensors(path, state):
    save_file(state, path)
    return path


WRITERS = {
    ".npz": write_npz,
    ".safetensors": write_safetensors,
    ".pt": write_torch,
    ".pth": write_torch,
    ".old.pt": write_old_torch,
}


def test_exported_network_is_loaded_again_exactly(tmp_path):
    for (name, model), channels in itertools.product(MODELS.items(), (1, 3)):
        variables = random_variables(model, channels)
        assert published.channels(variables) == channels
        path = write_safetensors(tmp_path / "x.safetensors", published.export(model, variables))
        found, loaded = published.load(path)
        assert (found, hash(found)) == (model, hash(model)), name
        assert jax.tree.structure(loaded) == jax.tree.structure(variables)
        jax.tree.map(np.testing.assert_array_equal, loaded, variables)


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_file_format_gives_the_same_arrays(suffix, tmp_path):
    state = state_of("unet_2")
    with pytest.raises(FileNotFoundError):
        published.load(tmp_path / f"absent{suffix}")
    for prefix in ("", "module."):
        path = WRITERS[suffix](tmp_path / f"x{suffix}", {prefix + key: array for key, array in state.items()})
        again = published.export(*published.load(path))
        assert list(again) == list(state)
        jax.tree.map(np.testing.assert_array_equal, again, state)


def test_training_checkpoints_other_number_types_and_strides_are_read(tmp_path):
    plain = state_of("bfcnn")
    for wrapper, dtype in (("state_dict", "float64"), ("model", "float16"), ("model_state_dict", "float64")):
        state = {key: np.asfortranarray(array.astype(dtype)) for key, array in plain.items()}
        model, variables = published.load(write_torch(tmp_path / "x.pt", state, wrapper=wrapper))
        expected = state["conv_layers.1.weight"].transpose(2, 3, 1, 0).astype(np.float32)
        np.testing.assert_array_equal(variables["params"]["conv_1"]["kernel"], expected)
        assert model == MODELS["bfcnn"]


# An evaluation in numpy, float64, with PyTorch's kernels, from the published layer tables.


def convolve(images, kernel, stride=1, dilation=1):
    """(C, H, W) and (F, C, k, k), zero padding dilation (k - 1) / 2."""
    size, (height, width) = kernel.shape[-1], images.shape[1:]
    margin = dilation * (size - 1) // 2
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
    out = 0
    for i, j in np.ndindex(size, size):
        rows = slice(i * dilation, i * dilation + height, stride)
        shifted = padded[:, rows, j * dilation : j * dilation + width : stride]
        out = out + np.einsum("fc,chw->fhw", kernel[:, :, i, j], shifted)
    return out


def transposed_convolve(images, kernel, margin):
    """(C, H, W) and (C, F, k, k), stride 2, `margin` cut from every side."""
    (channels, features, size, _), (height, width) = kernel.shape, images.shape[1:]
    out = np.zeros((features, 2 * height - 2 + size, 2 * width - 2 + size))
    for c, h, w in np.ndindex(channels, height, width):
        out[:, 2 * h : 2 * h + size, 2 * w : 2 * w + size] += images[c, h, w] * kernel[c]
    return out[:, margin : out.shape[1] - margin, margin : out.shape[2] - margin]


def relu(images):
    return np.maximum(images, 0)


def unet(images, state, num_blocks):
    def sequence(images, prefix, steps):
        for i, step in enumerate(steps):
            if step == "conv":
                images = convolve(images, state[f"{prefix}.{i}.weight"])
            elif step == "norm":
                images = images / state[f"{prefix}.{i}.running_sd"][0] * state[f"{prefix}.{i}.gammas"][0]
            else:
                images = relu(images)
        return images

    twice, skips = ["conv", "norm", "relu"] * 2, []
    for b in range(num_blocks):
        skips.append(sequence(images, f"encoder.{b}", twice if b else ["conv", "relu", "conv", "norm", "relu"]))
        channels, height, width = skips[b].shape
        images = skips[b].reshape(channels, height // 2, 2, width // 2, 2).mean((2, 4))
    images = sequence(images, "mid_block", twice)
    for b in reversed(range(num_blocks)):
        images = np.concatenate([transposed_convolve(images, state[f"upsample.{b}.weight"], 0), skips[b]])
        images = sequence(images, f"decoder.{b}", twice if b else ["conv", "norm", "relu", "conv"])
    return images


def bfcnn(images, state, num_layers):
    older = "gammas.0" in state
    images = convolve(images, state["conv_layers.0.weight"])
    images = relu(images) if older else images
    for i in range(num_layers - 2):
        gain, sd = ("gammas.{}", "running_sd.{}") if older else ("BN_layers.{}.gammas", "BN_layers.{}.running_sd")
        images = convolve(images, state[f"conv_layers.{i + 1}.weight"])
        images = relu(images / state[sd.format(i)][0] * state[gain.format(i)][0])
    return convolve(images, state[f"conv_layers.{num_layers - 1}.weight"])


def strided_unet(noisy, state):
    kernel = {i: state[f"conv{i}.weight"] for i in range(1, 10)}
    height, width = noisy.shape[1:]
    images = np.pad(noisy, ((0, 0), (0, height % 2), (0, width % 2)))
    skip = relu(convolve(relu(convolve(images, kernel[1])), kernel[2]))
    images = relu(convolve(relu(convolve(skip, kernel[3], stride=2)), kernel[4]))
    images = relu(convolve(relu(convolve(images, kernel[5], dilation=2)), kernel[6], dilation=4))
    images = np.concatenate([relu(transposed_convolve(images, kernel[7], 1)), skip])
    return noisy - convolve(relu(convolve(images, kernel[8])), kernel[9])[:, :height, :width]


def close(found, expected):
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), expected, atol=2e-6 * np.abs(expected).max())


def evaluate(model, noisy, state):
    """The published network, as `state` of arrays holds it, at one image (H, W, C)."""
    images = np.moveaxis(np.asarray(noisy, np.float64), -1, 0)
    state = {key: array.astype(np.float64) for key, array in state.items()}
    if isinstance(model, StridedUNet):
        return strided_unet(images, state)
    return unet(images, state, model.num_blocks) if isinstance(model, UNet) else bfcnn(images, state, model.num_layers)


@pytest.mark.parametrize("name", MODELS)
def test_loaded_network_is_its_published_layer_table(name, tmp_path):
    state, sides = state_of(name, 3), (7, 9) if "bfcnn" in name else (16, 8)
    model, variables = published.load(write_npz(tmp_path / "x.npz", state))
    noisy = jax.random.normal(jax.random.key(5), (*sides, 3))
    close(jax.jit(functools.partial(model.apply, train=False))(variables, noisy), evaluate(model, noisy, state))


def test_trained_network_is_the_published_layer_table(trained, noisy):
    model, variables = trained
    expected = evaluate(model, noisy[0], published.export(model, variables))
    close(model.apply(variables, noisy)[0], expected)


@pytest.mark.parametrize("sides", [(10, 7), (11, 13)])
def test_strided_unet_pads_and_crops_odd_sides(sides):
    model, variables = MODELS["strided_unet"], random_variables(MODELS["strided_unet"], 1)
    noisy = jax.random.normal(jax.random.key(5), (*sides, 1))
    close(jax.jit(model.apply)(variables, noisy), evaluate(model, noisy, published.export(model, variables)))


def dncnn_state(num_hidden=3):
    draw = np.random.default_rng(2)
    normal = lambda *shape: draw.standard_normal(shape).astype(np.float32) / 5
    state = {"first_layer.weight": normal(4, 1, 3, 3), "last_layer.weight": normal(1, 4, 3, 3)}
    for i in range(num_hidden):
        state[f"hidden_layer_list.{i}.weight"] = normal(4, 4, 3, 3)
        norm = dict(weight=normal(4), bias=np.zeros(4), running_mean=np.zeros(4), num_batches_tracked=np.array(9))
        norm["running_var"] = np.float32(draw.uniform(1e-4, 2, 4))
        state |= {f"bn_layer_list.{i}.{key}": array for key, array in norm.items()}
    return state


def test_dncnn_is_its_layer_table(tmp_path):
    state = dncnn_state()
    model, variables = published.load(write_npz(tmp_path / "x.npz", state))
    assert model == BFCNN(features=4, num_layers=5, first_relu=True)
    noisy = jax.random.normal(jax.random.key(5), (7, 9, 1))
    images = relu(convolve(np.asarray(noisy, np.float64)[None, ..., 0], state["first_layer.weight"]))
    for i in range(3):
        norm = {key: state[f"bn_layer_list.{i}.{key}"].astype(np.float64) for key in ("weight", "running_var")}
        factor = norm["weight"] / (np.sqrt(norm["running_var"]) + 1e-5)
        images = relu(convolve(images, state[f"hidden_layer_list.{i}.weight"]) * factor[:, None, None])
    close(jax.jit(model.apply)(variables, noisy), convolve(images, state["last_layer.weight"]))
    shifted = state | {"bn_layer_list.1.running_mean": np.ones(4)}
    with pytest.raises(ValueError, match=r"not bias-free: bn_layer_list\.1\.running_mean"):
        published.load(write_npz(tmp_path / "x.npz", shifted))
    del state["bn_layer_list.1.running_var"]
    with pytest.raises(ValueError, match=r"missing: bn_layer_list\.1\.running_var$"):
        published.load(write_npz(tmp_path / "x.npz", state))


@pytest.mark.parametrize("name", ["bfcnn_sizes", "strided_unet"])
def test_networks_take_leading_axes_and_every_transformation(name):
    model, variables = MODELS[name], random_variables(MODELS[name], 2)
    network = functools.partial(model.apply, variables)

    @jax.jit
    def transformed(noisy, right, left):
        residual, pushed = jax.jvp(network, (noisy,), (right,))
        (pulled,) = jax.vjp(network, noisy)[1](left)
        adjoint = jnp.vdot(left, pushed), jnp.vdot(pulled, right)
        others = network(noisy[1, 2]), jax.vmap(network)(noisy), network(3 * noisy) / 3
        return residual, pushed, jax.linearize(network, noisy)[1](right), adjoint, others

    arguments = jax.random.normal(jax.random.key(3), (3, 2, 3, 8, 6, 2))
    residual, pushed, linear, adjoint, (one, mapped, scaled) = transformed(*arguments)
    np.testing.assert_allclose(one, residual[1, 2], atol=1e-5)
    np.testing.assert_allclose(mapped, residual, atol=1e-5)
    np.testing.assert_allclose(3 * scaled, 3 * residual, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(linear, pushed, atol=1e-5)
    assert float(adjoint[0]) == pytest.approx(float(adjoint[1]), rel=1e-3)


def test_option_decides_about_the_first_relu(tmp_path):
    path = write_npz(tmp_path / "x.npz", state_of("bfcnn"))
    assert published.load(path, first_relu=True)[0] == BFCNN(features=3, num_layers=5, first_relu=True)
    with pytest.raises(ValueError, match="this is a UNet"):
        published.load(write_npz(tmp_path / "y.npz", state_of("unet_1")), first_relu=True)


# Refusals.


def refuse(path, message):
    with pytest.raises(ValueError, match=message):
        published.load(path)


def test_keys_and_shapes_that_do_not_fit_are_listed(tmp_path):
    for name in MODELS:
        state = state_of(name)
        lost = sorted(state)[1]
        array = state.pop(lost)
        path = write_npz(tmp_path / "x.npz", state | {"other.bias": array})
        refuse(path, rf"x\.npz: .*missing: {lost}; left over: other\.bias")
    for key, shape, message in (
        ("mid_block.3.weight", (8, 8, 5, 5), r"mid_block\.3\.weight is \(8, 8, 5, 5\), not \(4, 4, 3, 3\)"),
        ("mid_block.1.gammas", (1, 3, 1, 1), r"mid_block\.1\.gammas is \(1, 3, 1, 1\), not \(1, 4, 1, 1\)"),
        ("mid_block.0.weight", (8, 8), r"not a convolution: mid_block\.0\.weight"),
    ):
        refuse(write_npz(tmp_path / "x.npz", state_of("unet_1") | {key: np.zeros(shape, np.float32)}), message)
    unknown = write_npz(tmp_path / "x.npz", {"layer1.weight": np.zeros(3)})
    refuse(unknown, r"no known network has the keys layer1\.weight")
    with pytest.raises(ValueError, match="Dense has no published form"):
        published.export(nn.Dense(3), {})


def test_anything_but_tensors_is_refused_by_name_and_not_run(tmp_path):
    mark = tmp_path / "mark"
    for module, name in (("os", "system"), ("builtins", "exec"), ("torch", "load")):
        argument = f"touch {mark}" if name == "system" else f"open({str(mark)!r}, 'w')"
        call = named(module, name) + items(text(argument)) + b"R"
        tree = ordered({"conv_layers.0.weight": call})
        refuse(write_torch(tmp_path / "x.pt", {}, tree=tree), rf"{module}\.{name}.*refused")
        assert not mark.exists()


def test_tensors_outside_their_storage_are_refused(tmp_path):
    numbers = {"w": np.zeros(4, np.float32)}
    for offset, shape, strides in (
        (0, (5,), (1,)),
        (3, (2,), (1,)),
        (0, (2, 2), (4, 1)),
        (0, (9,), (0,)),
        (0, (2, 2), (1,)),
        (0, (2,), (text("1"),)),
    ):
        tree = ordered({"conv_layers.0.weight": tensor("0", "FloatStorage", offset, shape, strides, 4)})
        path = write_torch(tmp_path / "x.pt", numbers, tree=tree)
        refuse(path, r"conv_layers\.0\.weight (reaches beyond|has shape)")


def test_damaged_files_and_files_of_something_else_are_errors_that_name_the_file(tmp_path):
    path = tmp_path / "x.pt"
    for options, message in (
        (dict(tree=b"K\x01"), "holds no dictionary"),
        (dict(tree=ordered({"lr": b"K\x01"})), "lr is no tensor"),
        (dict(tree=b"(((("), "not a state dict"),
        (dict(byteorder="big"), "not little-endian"),
    ):
        refuse(write_torch(path, state_of("bfcnn"), **options), rf"x\.pt.*{message}")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "nothing")
    refuse(path, r"x\.pt.*not of PyTorch")
    whole, start = write_old_torch(path, state_of("bfcnn")).read_bytes(), b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    for name, content, message in (
        ("x.pt", whole[:-1], "is not a state dict: .*ends too early"),
        ("x.pt", b"text", "is not a state dict: .*no file of torch"),
        ("x.pt", b"", "is not a state dict: .*no file of torch"),
        ("x.pt", start, "Ran out of input"),
        ("x.npz", start, "cannot be read"),
        ("x.safetensors", start, "cannot be read"),
    ):
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, rf"{name}.*{message}")


def test_parameters_and_shared_storages_are_tensors(tmp_path):
    state = state_of("bfcnn")
    numbers = np.concatenate([array.ravel() for array in state.values()])
    entries, offset = {}, 0
    for name, array in state.items():
        strides = [stride // array.itemsize for stride in array.strides]
        part = tensor("0", "FloatStorage", offset, array.shape, strides, numbers.size)
        parameter = named("torch._utils", "_rebuild_parameter")
        entries[name], offset = parameter + b"(" + part + b"\x88" + ordered({}) + b"tR", offset + array.size
    found = torch_file.read(write_torch(tmp_path / "x.pt", {"all": numbers}, tree=ordered(entries)))
    assert set(found) == set(state)
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array)


def test_section_of_a_network_rebuilds_it_also_after_json():
    from gahr.experiment.build import model_of, section_of

    for model in MODELS.values():
        section = section_of(model)
        assert model_of(section) == model_of(json.loads(json.dumps(section))) == model


# The command.


def convert(*arguments):
    line = [sys.executable, str(ROOT / "launch" / "convert.py"), *map(str, arguments)]
    environment = os.environ | ONE_DEVICE
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_command_converts_to_a_run_directory_and_back(tmp_path):
    from gahr.experiment import load_denoiser

    state = state_of("bfcnn_sizes")
    source, workdir, exported = write_torch(tmp_path / "x.pt", state), tmp_path / "run", tmp_path / "y.safetensors"
    done = convert(source, workdir)
    assert (done.returncode, done.stderr) == (0, "")
    noisy = jax.random.normal(jax.random.key(0), (8, 8, 1))
    expected = bind(*published.load(source))(noisy)
    np.testing.assert_array_equal(load_denoiser(workdir)(noisy), expected)
    with pytest.raises(ValueError, match="checkpoints of steps none, not 3"):
        load_denoiser(workdir, step=3)

    done = convert(workdir, exported)
    assert (done.returncode, done.stderr) == (0, "")
    np.testing.assert_array_equal(bind(*published.load(exported))(noisy), expected)

    write_torch(source, state | {"conv_layers.0.weight": 2 * state["conv_layers.0.weight"]})
    done = convert(source, workdir)  # another network under the name of the first
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {workdir} was made from another config: source.sha256")
    assert done.stderr.count("\n") == 1


# The published weights themselves, where GAHR_DATA names a folder that holds them and outputs of PyTorch.

DATA = Path(os.environ["GAHR_DATA"]) / "pretrained" if "GAHR_DATA" in os.environ else None
if DATA:
    REFERENCE, BSD400 = DATA / "reference_outputs.npz", DATA / "bf_cnn_bsd400_gray_0to100.npz"

    @functools.cache  # of one network, for both tests
    def linear_part(path):
        """Published denoiser, the reference's noisy crop (32, 32, 1), and the Jacobian (1024, 1024) there."""
        with np.load(REFERENCE) as file:
            crop = jnp.asarray(file["crop"])[..., None]
        denoiser = bind(*published.load(path))
        push = jax.jit(jax.vmap(lambda direction: jax.jvp(denoiser, (crop,), (direction,))[1]))
        parts = jnp.eye(crop.size).reshape(-1, 64, *crop.shape)  # one by one: XLA's CPU convolutions are slow in loops
        return denoiser, crop, np.concatenate([push(part).reshape(-1, crop.size) for part in parts]).T

    @pytest.mark.parametrize("path", sorted(set(DATA.glob("*.npz")) - {REFERENCE}), ids=str)
    def test_published_weights_give_the_published_denoiser(path):
        denoiser, crop, matrix = linear_part(path)
        with np.load(REFERENCE) as file:
            noisy = jnp.asarray(file["noisy"])[..., None]
            keys = ("denoised", "crop_denoised", "crop_jacobian_trace", "crop_jacobian_sv200")
            denoised, crop_denoised, trace, singular = (file[f"{path.stem}/{key}"] for key in keys)
        np.testing.assert_allclose(jax.jit(denoiser)(noisy)[..., 0], denoised, atol=1e-4)
        np.testing.assert_allclose(denoiser(crop)[..., 0], crop_denoised, atol=1e-4)
        np.testing.assert_allclose(np.trace(matrix), trace, rtol=1e-3)
        np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False)[:200], singular, rtol=1e-3)

    def test_leading_eigenvectors_of_published_weights_are_those_of_their_whole_jacobian():
        denoiser, crop, matrix = linear_part(BSD400)
        ascending, columns = np.linalg.eigh((matrix + matrix.T) / 2)
        values, vectors = ascending[::-1], columns.T[::-1]
        options = dict(key=jax.random.key(0), tolerance=3e-4)
        found = eigen.top_eigenbasis(denoiser, crop, 30, **options)
        np.testing.assert_allclose(found.shrinkage, values[:30], atol=1e-4)
        for first in (0, 9):  # the largest gap of all, and of those after ten vectors or more
            number = first + 1 + np.argmax(values[first:30] - values[first + 1 : 31])
            leading = np.asarray(found.vectors[:number]).reshape(number, -1)
            outside = leading - leading @ vectors[:number].T @ vectors[:number]
            assert np.linalg.norm(outside, 2) < 1e-2  # sine of the largest principal angle
