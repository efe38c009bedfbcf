"""The README and CI say the same, and the README's example does what it says."""

import re

import jax
import jax.numpy as jnp
import mutations
import numpy as np
from conftest import ROOT, get_config

from gahr import experiment


def test_ci_runs_the_test_command_of_the_readme():
    (command,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith("-m pytest")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_mistakes_to_plant_are_still_in_the_tree():
    assert not mutations.stale(), mutations.stale()


def examples():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_example_of_the_readme_measures_on_images_the_network_has_not_seen(tmp_path):
    example, _ = examples()
    lines = [line for line in example.splitlines() if re.match(r"import|from|keys =|clean =", line)]
    names = {}
    exec("\n".join(lines), names)
    run = experiment.plan(get_config("alpha=3,scale=laptop"), tmp_path).runs["alpha3"]
    training = run.dataset.take(np.arange(16), subset=run.section["subset"], set_size=run.section["set_size"])
    clean = np.asarray(names["clean"])
    assert clean.shape == training.shape
    assert not np.any(np.all(np.isclose(clean[:, None], training[None], atol=1e-3), (2, 3, 4)))


def test_the_example_of_samples_runs(capsys):
    _, example = examples()
    given = dict(jax=jax, clean=jnp.full((1, 32, 32, 1), 0.6), denoiser=lambda noisy: 0.5 + 0.5 * jnp.tanh(noisy - 0.5))
    exec(example, given)
    assert np.isfinite(given["samples"]).all()
    assert float(capsys.readouterr().out.split()[-1]) > 20
