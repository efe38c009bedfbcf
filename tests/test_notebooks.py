"""The notebooks of `colab/`: each is what its script makes, and its script runs."""

import ast
import re
import sys

import matplotlib.pyplot as plt
import pytest
from conftest import ROOT

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


@pytest.mark.parametrize("name", TEXTS)
def test_a_notebook_runs_at_smoke_scale(name, tmp_path, monkeypatch):
    wanted = 'scale = "laptop"  # @param ["smoke", "laptop"]'
    assert TEXTS[name].count(wanted) == 1
    monkeypatch.chdir(tmp_path)
    plt.close("all")
    code = compile(TEXTS[name].replace(wanted, 'scale = "smoke"'), f"colab/{name}.py", "exec")
    with plt.rc_context():  # notebooks set the style of all their figures
        exec(code, {"__name__": "__main__"})
    assert len(plt.get_fignums()) >= FIGURES.get(name, 1)
