"""Who may import whom, from the syntax trees."""

import ast
import graphlib
import sys

from conftest import ROOT

WORDS = {"types", "names"}
ARITHMETIC = WORDS | {"noise", "metrics", "denoiser"}
MATHEMATICS = ARITHMETIC | {"blocks"}
BELOW_STUDIES = MATHEMATICS | {"training", "data", "models", "objectives", "sampling", "analysis", "classical"}
ALLOWED = {  # module or folder of gahr -> those it may import, besides its own folder
    "": {"pretrained", "experiment.interactive"},  # the second when it is asked for
    "__main__": {"", "pretrained"},
    "types": set(),
    "names": set(),
    "preconditioning": WORDS,
    "interop": WORDS,
    "pretrained": WORDS | {"denoiser", "models"},  # at its head only names, which configs need
    "config": {"names", "pretrained", "data.sources"},  # the last to look at a file of images
    **dict.fromkeys(("noise", "metrics", "denoiser", "blocks"), WORDS | {"denoiser"}),
    "data": WORDS,
    "models": WORDS | {"preconditioning"},
    "consistency": ARITHMETIC | {"preconditioning"},
    "training": ARITHMETIC,
    "objectives": ARITHMETIC | {"preconditioning"},
    **dict.fromkeys(("sampling", "analysis", "classical"), MATHEMATICS),
    "classical.disk_posterior": MATHEMATICS | {"data.disks"},
    "studies": BELOW_STUDIES,
    "experiment": BELOW_STUDIES | {"studies", "config", "pretrained"},
}
LOADS_ORBAX = {"experiment.checkpoint", "experiment.hosts"}
OUTSIDE_CONFIGS = {"gahr", "ml_collections"} | sys.stdlib_module_names - {"importlib", "runpy"}  # none loads another


def name_of(path, root=ROOT / "gahr"):
    """Such as "data.files", without the leading "gahr."; "data" for its __init__.py."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imports(tree):
    """Names of the modules a syntax tree imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if module.split(".")[0] == "gahr" and is_module(inner) else module


def of_gahr(tree):
    """Modules of gahr that a syntax tree imports, without the leading "gahr."."""
    return {name.partition(".")[2] for name in imports(tree) if name.split(".")[0] == "gahr"}


def packages(tree):
    return {name.split(".")[0] for name in imports(tree)}


def within(name, units):
    return any(name == unit or name.startswith(f"{unit}.") for unit in units)


def allowed(name):
    """Modules and folders that a module may import; a study, of the studies, only its own folder and the shared one."""
    parts = name.split(".")
    study = parts[0] == "studies" and len(parts) > 1
    own = {f"studies.{parts[1]}", "studies.shared"} if study else {parts[0]} - WORDS
    return ALLOWED.get(name, ALLOWED[parts[0]]) | own


TREES = {name_of(path): ast.parse(path.read_text()) for path in (ROOT / "gahr").rglob("*.py")}
CONFIGS = {path.stem: ast.parse(path.read_text()) for path in (ROOT / "configs").glob("*.py")}


def test_a_module_imports_only_what_the_table_allows():
    wrong = [f"{name} imports {other}" for name, tree in TREES.items() for other in of_gahr(tree)
             if not within(other, allowed(name))]  # fmt: skip
    assert not wrong, wrong


def test_no_modules_import_each_other_in_a_circle():
    graphlib.TopologicalSorter({name: of_gahr(tree) - {name} for name, tree in TREES.items()}).prepare()


def test_nothing_imports_what_stands_above_the_library_and_nothing_by_dots():
    above = {"launch", "configs", "colab", "tests", ""}
    wrong = {name: packages(tree) & above for name, tree in TREES.items() if packages(tree) & above}
    assert not wrong, wrong


def test_configs_import_only_what_needs_no_jax_of_gahr():
    wrong = {
        name: of_gahr(tree) - {"config", "names"} | packages(tree) - OUTSIDE_CONFIGS for name, tree in CONFIGS.items()
    }
    assert not any(wrong.values()), wrong


def test_matplotlib_is_imported_only_inside_the_drawing_functions_of_studies():
    def count(tree):
        return sum(name.split(".")[0] == "matplotlib" for name in imports(tree))

    def drawing(tree):
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        return [node for node in functions if node.name.lstrip("_").startswith("draw")]

    inside = {name: sum(map(count, drawing(tree))) if within(name, ["studies"]) else 0 for name, tree in TREES.items()}
    wrong = [name for name, tree in TREES.items() if count(tree) != inside[name]]
    assert not wrong, wrong


def test_orbax_is_imported_only_where_checkpoints_are_written():
    assert {name for name, tree in TREES.items() if "orbax" in packages(tree)} <= LOADS_ORBAX


def test_the_walk_sees_imports_of_every_form():
    source = "import gahr.noise\nfrom gahr import metrics, noise as n\nfrom gahr.data import DATASETS, splits\n"
    tree = ast.parse(source + "from . import a\ndef f():\n    from gahr.models.unet import UNet\n")
    assert of_gahr(tree) == {"noise", "metrics", "data", "data.splits", "models.unet"}
    assert packages(tree) == {"gahr", ""}
    assert allowed("studies.card.figure") == BELOW_STUDIES | {"studies.card", "studies.shared"}
    assert not within("studies.cards", allowed("studies.card.figure"))
