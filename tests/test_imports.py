"""Who may import whom, from the syntax trees."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = {"types", "noise", "metrics", "denoiser", "blocks"}  # what analysis and its like may see
MATHEMATICS = {"consistency", "sampling", "analysis", "classical"}
BASE = LEAVES | MATHEMATICS | {"checkpoint", "config", "data", "models", "training"}
ALLOWED = {  # module or folder of gahr -> those it may import, besides its own folder
    "": set(),
    "types": set(),
    "config": set(),
    "command": set(),
    "memory": set(),
    "progress": set(),
    "run_directory": set(),
    "noise": {"types"},
    "metrics": {"types"},
    "denoiser": {"types"},
    "blocks": {"types", "denoiser"},
    "checkpoint": {"types"},
    "data": {"types"},
    "models": {"types"},
    "training": {"types", "noise", "metrics"},
    **dict.fromkeys(MATHEMATICS, LEAVES),
    "loop": {"types", "training", "checkpoint", "progress"},
    "studies": BASE | {"progress"},
    "validate": {"models"},
    "prepare": {"data", "progress", "run_directory"},
    "report": {"run_directory", "studies.common"},
    "build": BASE | {"studies", "validate"},
    "experiment": BASE | {"studies", "progress", "run_directory", "report", "loop", "build"},
    "estimate": BASE | {"studies", "progress", "run_directory", "report", "loop", "build", "experiment"},
}
FILES = sorted((ROOT / "gahr").rglob("*.py"))


def label(path):
    return str(path.relative_to(ROOT))


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imports(tree):
    """Names of the modules a syntax tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if node.module.split(".")[0] == "gahr" and is_module(inner) else node.module


def of_gahr(path):
    """Modules of gahr that a file imports, without the leading "gahr."."""
    names = imports(ast.parse(path.read_text()))
    return {name.partition(".")[2] for name in names if name.split(".")[0] == "gahr"}


def packages(path):
    return {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_a_module_imports_only_what_the_table_allows(path):
    unit = path.relative_to(ROOT / "gahr").with_suffix("").parts[0].replace("__init__", "")
    allowed = ALLOWED[unit] | ({unit} if (ROOT / "gahr" / unit).is_dir() else set())
    outside = {name for name in of_gahr(path) if name not in allowed and name.split(".")[0] not in allowed}
    assert outside == set()


@pytest.mark.parametrize("path", FILES, ids=label)
def test_nothing_imports_what_stands_above_the_library(path):
    assert packages(path) & {"launch", "configs", "colab", "tests"} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.py")), ids=label)
def test_configs_import_only_the_config_module_of_gahr(path):
    assert of_gahr(path) <= {"config"}
    assert packages(path) <= {"gahr", "ml_collections", "pathlib", "runpy"}


@pytest.mark.parametrize("path", FILES, ids=label)
def test_matplotlib_is_imported_only_inside_the_drawing_functions_of_studies(path):
    tree = ast.parse(path.read_text())
    drawing = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.lstrip("_").startswith("draw")
    ]
    everywhere = [name for name in imports(tree) if name.split(".")[0] == "matplotlib"]
    inside = [name for node in drawing for name in imports(node) if name.split(".")[0] == "matplotlib"]
    assert len(everywhere) == (len(inside) if path.parent.name == "studies" else 0)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_orbax_is_imported_only_by_the_checkpoint_module(path):
    assert "orbax" not in packages(path) or path.name == "checkpoint.py"


def test_the_walk_sees_imports_of_every_form(tmp_path):
    source = "import gahr.noise\nfrom gahr import metrics, noise as n\nfrom gahr.data import SAMPLERS, splits\n"
    (tmp_path / "module.py").write_text(source + "def f():\n    from gahr.models.unet import UNet\n")
    assert of_gahr(tmp_path / "module.py") == {"noise", "metrics", "data", "data.splits", "models.unet"}
