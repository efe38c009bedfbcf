"""Every block of code and every command of README and CONTRIBUTING is run, planned, or named with where it is."""

import json
import re
import shutil
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT, get_config
from PIL import Image

from gahr import experiment

sys.path.append(str(ROOT / "launch"))
import figures

README, CONTRIBUTING = ((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README + CONTRIBUTING, re.DOTALL | re.MULTILINE)
CI, WORKFLOW = ((ROOT / name).read_text() for name in (".ci/run", ".github/workflows/test.yml"))
ELSEWHERE = {  # a command of a block of the shell -> what runs it, or its like, where the tests do not
    "python3 -m venv .venv": "python3 -m venv .venv-test" in CI,
    ".venv/bin/pip install -e .": "pip install -e '.[test]'" in CI,
    "python3 -m venv .venv-test": "python3 -m venv .venv-test" in CI,
    ".venv-test/bin/pip install -e '.[test]'": "pip install -e '.[test]'" in CI,
    ".venv-test/bin/python -m pytest": "python -m pytest" in CI,
    ".venv/bin/pip install -e '.[docs]'": "pip install -e '.[test,torch,docs]'" in WORKFLOW,
    ".venv/bin/python launch/pages.py build/pages": "python launch/pages.py build/pages" in WORKFLOW,
}
HERE = r"(?:\S+/)?python launch/(main|gallery)\.py .*"
OF_CI = ["-m pytest -n 0 tests/browser", "-m pytest -n 0 tests/pytorch", "python tests/mutations.py", ".ci/release"]


def lines(language):
    return [line for kind, block in BLOCKS if kind == language for line in block.splitlines()]


def examples():
    return [block for kind, block in BLOCKS if kind == "python"]


def test_every_command_of_a_block_is_run_somewhere():
    for command in (command for line in lines("sh") for command in line.split(" && ")):
        assert re.fullmatch(HERE, command) or ELSEWHERE.get(command), f"neither run here nor named: {command}"
    assert all(command in WORKFLOW for command in OF_CI)
    assert {kind for kind, _ in BLOCKS} <= {"sh", "python", ""}, "a block of a language that no test runs"


def configs(text):
    return sorted(set(re.findall(r"configs/\w+\.py(?::[\w=,.+]+)?", text)))


def test_every_config_is_planned(tmp_path, monkeypatch):
    """Catches a config, an argument of one, or a shipped network that is gone: all but the work of `launch/main.py`."""
    monkeypatch.chdir(tmp_path)
    np.savez("FILE.npz", images=np.zeros((64, 32, 32, 1), np.uint8))
    for command in configs(README + CONTRIBUTING):
        config = figures.config(re.sub(r"(FILE|IMAGES)(\.npz)?", "FILE.npz", command).replace("NAME", "calpha3"))
        if config.to_json().count("FILE.npz") < 2:
            experiment.plan(config, tmp_path / "run")


def test_options_that_are_quoted_exist():
    for program, rest in re.findall(r"launch/(\w+)\.py([^`\n]*)", README + CONTRIBUTING):
        source = (ROOT / "launch" / f"{program}.py").read_text()
        for option in re.findall(r"--(?!config\.)(\w+)", rest):
            assert re.search(rf'"(--)?{option}"', source), f"launch/{program}.py has no --{option}"


def test_the_command_of_the_gallery_makes_a_page(launch, drawn_runs, tmp_path):
    (command,) = (line for line in lines("sh") if "gallery" in line)
    *given, out = command.split()[2:]
    assert len(given) == len(drawn_runs)
    done = launch("gallery", *drawn_runs, tmp_path / out)
    assert (done.returncode, (tmp_path / out).is_file()) == (0, True)


def test_the_example_of_the_readme_measures_on_images_the_network_has_not_seen(tmp_path):
    kept = [line for line in examples()[0].splitlines() if re.match(r"import|from|keys =|clean =", line)]
    names = {}
    exec("\n".join(kept), names)
    run = experiment.plan(get_config("alpha=3,scale=laptop"), tmp_path).runs["alpha3"]
    training = run.dataset.take(np.arange(16), subset=run.section["subset"], set_size=run.section["set_size"])
    clean = np.asarray(names["clean"])
    assert clean.shape == training.shape
    assert not np.any(np.all(np.isclose(clean[:, None], training[None], atol=1e-3), (2, 3, 4)))


def test_the_examples_run_one_after_the_other(monkeypatch, capsys):
    """The PyTorch one is run by `tests/pytorch`."""
    denoiser = lambda noisy: 0.5 + 0.5 * jnp.tanh(noisy - 0.5)
    monkeypatch.setattr(experiment, "load_denoiser", lambda workdir: denoiser)
    names, told = {}, []
    for example in (each for each in examples() if "import torch" not in each):
        exec(example, names)
        told.append(capsys.readouterr().out.split())
        names["clean"] = jnp.full((1, 32, 32, 1), 0.6)  # near the only image that this denoiser knows
    assert len(told) == 2
    assert np.isfinite(names["samples"]).all()
    assert names["curve"].psnr.shape == (16, 3)
    assert names["basis"].asymmetry == pytest.approx(0, abs=1e-4)  # the Jacobian is diagonal
    assert float(told[1][-1]) > 20


def test_entries_for_what_is_new_exist():
    rows = re.findall(r"`(_?[A-Z]+)` (?:in `([^`]+)`|there)", CONTRIBUTING)
    assert len(rows) >= 6
    for name, file in rows:
        assert re.search(
            rf"^{name}\b.* = ", (ROOT / (file or "gahr/sampling/measurements.py")).read_text(), re.MULTILINE
        ), name


def test_rows_of_figures_name_configs_pictures_and_costs():
    """Catches a row that was typed, a thumbnail that is gone or large, and a cost that is no longer true."""
    rows = figures.rows(README)
    of_row = {name for row in rows for name in configs(row[2])}
    assert {name.partition(":")[0] for name in of_row} == {f"configs/{path.name}" for path in ROOT.glob("configs/*.py")}
    assert figures.filled(README, {}) == README
    shown = [re.search(r'src="([^"]+)"', row[0])[1] for row in rows if row[0] != "-"]
    assert sorted(shown) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / figures.THUMBNAILS).glob("*.png"))
    assert all((ROOT / name).stat().st_size < 25_000 for name in shown)


def test_a_run_fills_its_row_and_no_other(drawn_runs, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    workdir, command = shutil.copytree(drawn_runs[0], tmp_path / "run"), "configs/x.py:weights=a+b"
    described = json.loads((workdir / "config.json").read_text())
    with pytest.raises(ValueError, match="all of one config"):
        figures.read(workdir)
    described["command"] = ["launch/main.py", "--config", f"{command},scale=laptop", "--workdir", "elsewhere"]
    (workdir / "config.json").write_text(json.dumps(described))
    named, found = figures.read(workdir)
    assert named == command
    with Image.open(tmp_path / re.search(r'src="([^"]+)"', found[0])[1]) as picture:
        assert max(picture.size) <= 320
    assert found[1] == "1 met, 1 missed, 1 no finding"
    monkeypatch.setattr(figures, "paper", lambda command: "1 hour")
    table = "a\n<!-- figures -->\n| | f |\n|---|\n{}<!-- /figures -->\nb\n"
    row = "| - | what | `{}` or `configs/x.py` | 1 | - | - |\n"
    readme = table.format(row.format("configs/y.py") + row.format(command))
    first, second = figures.rows(figures.filled(readme, {command: found}))
    assert (first[0], first[4:], second[0], second[4:]) == ("-", ["-", "1 hour"], found[0], [found[1], "1 hour"])
