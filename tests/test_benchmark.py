"""The benchmark's command line: errors in one line, and the Jacobian of a colour network."""

import json

import jax
import pytest
from safetensors.numpy import save_file

from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize


def test_bad_commands_are_one_clear_line(unclear):
    cases = {
        ("--jacobian=missing.npz",): "missing.npz",
        ("--jacobian=missing.npz", "--only=tiny"): "--jacobian measures none of it",
        ("--only=tinny",): "tinny",
        ("--sampling", "--jacobian=weights.npz"): "--sampling measures neither",
        ("tiny",): "unexpected argument 'tiny'",
    }
    assert not (found := unclear("benchmark", cases)), found


def test_the_jacobian_of_a_colour_network_is_measured(launch, tmp_path):
    model = BFCNN(features=4, num_layers=3)
    weights = tmp_path / "colour.safetensors"
    save_file(published.export(model, initialize(model, jax.random.key(0), (8, 8, 3))), weights)
    options = [f"--jacobian={weights}", "--side=8", "--rounds=1", "--seconds=0", "--columns=8"]
    done = launch("benchmark", *options, f"--output={tmp_path}/out.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["sizes"]["8"]
    one = 1e-3 * found["column_ms"]
    assert found["matrix_s"] == pytest.approx(one * 8 * 8 * 3)
    assert found["matrix_by_reach_s"] == pytest.approx(one * 7 * 7 * 3)


def test_samples_are_measured_beside_the_calls_of_their_denoiser(launch, tmp_path):
    options = ["--sampling", "--only=tiny", "--rounds=1", "--seconds=0", "--steps=2"]
    done = launch("benchmark", *options, f"--output={tmp_path}/out.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["sizes"]
    assert list(found) == ["tiny, batch 1", "tiny, batch 16", "tiny, batch 64"]
    for each in found.values():
        expected = 1 - 2 * each["samples_per_s"] / each["forward_images_per_s"]
        assert each["overhead"] == pytest.approx(expected)
        assert each["samples_per_s"] > 0
