"""The README and CI say the same, and the README's example does what it says."""

import re

import mutations
import numpy as np
from conftest import ROOT, get_config

from gahr import experiment


def test_ci_runs_the_test_command_of_the_readme():
    (command,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith("-m pytest")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_mistakes_to_plant_are_still_in_the_tree():
    assert not mutations.stale(), mutations.stale()


def test_the_example_of_the_readme_measures_on_images_the_network_has_not_seen(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line for line in example.splitlines() if re.match(r"import|from|keys =|clean =", line)]
    names = {}
    exec("\n".join(lines), names)
    run = experiment.plan(get_config("alpha=3,scale=laptop"), tmp_path).runs["alpha3"]
    training = run.dataset.take(np.arange(16), subset=run.section["subset"], set_size=run.section["set_size"])
    clean = np.asarray(names["clean"])
    assert clean.shape == training.shape
    assert not np.any(np.all(np.isclose(clean[:, None], training[None], atol=1e-3), (2, 3, 4)))
