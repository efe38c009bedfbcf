"""The notebooks of `colab/`: each is what its script makes, and its script runs."""

import ast
import functools
import re
import sys

import matplotlib.pyplot as plt
import pytest
from conftest import ROOT
from rich.console import Console

from gahr.experiment import progress
from gahr.experiment.interactive import Outcome
from gahr.studies.shared.study import AtLeast, Check

sys.path.append(str(ROOT / "launch"))
import notebooks

TEXTS = {source.stem: source.read_text() for source in notebooks.sources()}
FIGURES = {"devices": 0}  # how many figures a notebook draws; of the others one at least
TIME = re.compile(r"\*\*(\d+ (?:seconds|minutes?))\*\* on two CPU cores")


def first_cell(text):
    """Words of the first cell, which says what will be seen."""
    cell = text.removeprefix("# %% [markdown]\n").partition("\n# %%")[0]
    return " ".join(cell.replace("\n#", "\n").split())


def long_definitions(text, most=5):
    """Names of the functions and classes of more lines."""
    kinds = ast.FunctionDef | ast.ClassDef | ast.Lambda
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [getattr(node, "name", "lambda") for node in found if node.end_lineno - node.lineno >= most]


def test_there_are_nine_notebooks_each_as_its_script_makes_it():
    assert len(TEXTS) == 9
    assert list(notebooks.stale()) == [], "run launch/notebooks.py"


def test_a_notebook_that_is_missing_changed_executed_or_without_script_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    for name in "abcd":
        (tmp_path / f"{name}.py").write_text("# %% [markdown]\n# # A heading\n#\n# Words.\n\n# %%\n1 + 1\n")
        (tmp_path / f"{name}.ipynb").write_text(notebooks.notebook(tmp_path / f"{name}.py"))
    made = (tmp_path / "a.ipynb").read_text()
    assert f"{notebooks.REPOSITORY}/blob/main/colab/a.ipynb" in made
    assert list(notebooks.stale()) == []
    (tmp_path / "a.py").unlink()
    (tmp_path / "b.ipynb").unlink()
    (tmp_path / "c.ipynb").write_text(made.replace('"outputs": []', '"outputs": [2]').replace("colab/a", "colab/c"))
    assert list(notebooks.stale()) == ["a.ipynb", "b.ipynb", "c.ipynb"]


def test_the_first_cell_says_what_will_be_seen_and_how_long_it_takes_as_the_readme_does():
    readme = (ROOT / "README.md").read_text()
    for name, text in TEXTS.items():
        words = first_cell(text)
        assert "You will" in words, name
        assert f"| [`{name}`](colab/{name}.ipynb) |" in readme
        assert f"| {TIME.search(words)[1]} |" in readme.partition(f"[`{name}`]")[2].partition("\n")[0], name


def test_notebooks_define_nothing_long_and_import_colab_only_to_upload():
    assert long_definitions("def f(a):\n    b = 1\n    c = 2\n    d = 3\n    e = 4\n    return a") == ["f"]
    wrong = {name: found for name, text in TEXTS.items() if (found := long_definitions(text))}
    assert wrong == {}
    for name, text in TEXTS.items():
        for place in re.finditer("google.colab", text):
            assert '\nif picture == "upload" and not path:\n' in text[: place.start()][-80:], name


def execute(name):
    """Run the script of a notebook at smoke scale; how many figures it leaves."""
    wanted = 'scale = "laptop"  # @param ["smoke", "laptop"]'
    assert TEXTS[name].count(wanted) == 1
    plt.close("all")
    code = compile(TEXTS[name].replace(wanted, 'scale = "smoke"'), f"colab/{name}.py", "exec")
    with plt.rc_context():  # notebooks set the style of all their figures
        exec(code, {"__name__": "__main__"})
    return len(plt.get_fignums())


@pytest.mark.parametrize("name", TEXTS)
def test_a_notebook_runs_at_smoke_scale(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert execute(name) >= FIGURES.get(name, 1)


def test_a_notebook_shows_one_bar_over_the_line_before(monkeypatch, capsys):
    monkeypatch.setattr(progress, "Console", functools.partial(Console, force_jupyter=True))
    with progress.Progress("auto") as shown:
        shown.line("begins")
        shown.update("task", 1, 4, note="a long note")
        shown.update("task", 4, 4)
    first, *bars = capsys.readouterr().out.split("\r")
    assert first == "begins\n"
    assert [line.split(" | ")[0] for line in bars] == ["█████" + 15 * "░" + " task 1/4", 20 * "█" + " task 4/4"]
    assert bars[1].endswith("\n")
    assert len(bars[0]) == len(bars[1].rstrip("\n"))  # catches what is left of a longer line


def test_what_a_run_found_is_shown_as_a_table_with_what_is_missed():
    shown = Outcome([Check("slope", {"theory": 0.75}, 0.6, AtLeast(0.7))], ROOT)._repr_markdown_()
    assert shown.startswith("| check | theory")
    assert shown.endswith("\n\n1 of 1 marks not met")
