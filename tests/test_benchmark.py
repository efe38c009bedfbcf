"""The benchmark's command line: errors in one line, and the Jacobian of a colour network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from safetensors.numpy import save_file

from gahr.models import published
from gahr.models.bfcnn import BFCNN
from gahr.models.layers import initialize

ROOT = Path(__file__).parent.parent


def command(*arguments):
    line = [sys.executable, str(ROOT / "launch" / "benchmark.py"), *map(str, arguments)]
    environment = os.environ | {"XLA_FLAGS": ""}
    return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, env=environment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jacobian=missing.npz"], "missing.npz"),
        (["--jacobian=missing.npz", "--only=tiny"], "--jacobian measures none of them"),
        (["--only=tinny"], "tinny"),
        (["tiny"], "unexpected argument 'tiny'"),
    ],
)
def test_bad_command_is_one_clear_line(arguments, message):
    result = command(*arguments)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_the_jacobian_of_a_colour_network_is_measured(tmp_path):
    model = BFCNN(features=4, num_layers=3)
    weights = tmp_path / "colour.safetensors"
    save_file(published.export(model, initialize(model, jax.random.key(0), (8, 8, 3))), weights)
    options = [f"--jacobian={weights}", "--side=8", "--rounds=1", "--seconds=0", "--columns=8"]
    result = command(*options, f"--output={tmp_path}/out.json")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out.json").read_text())["sizes"]["8"]
    one = 1e-3 * found["column_ms"]
    assert found["matrix_s"] == pytest.approx(one * 8 * 8 * 3)
    assert found["matrix_by_reach_s"] == pytest.approx(one * 7 * 7 * 3)
