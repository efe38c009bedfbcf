"""Conventions of the public functions: keyword-only options, one word per thing, docstrings, light imports."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import flax.linen as nn
import pytest

import gahr

ROOT = Path(__file__).parent.parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(gahr.__path__, "gahr."))
HEAVY = {"matplotlib", "orbax", "tensorboardX"}
SAVING = {"checkpoint", "loop", "experiment", "estimate"}  # the modules that may load Orbax
OTHER_WORDS = {"rng": "key", "rngs": "key", "prng_key": "key", "std": "sigma or sd", "noise_level": "sigma"}


def public(name):
    """(qualified name, object) of the public functions and classes a module defines, and of the methods."""
    module = importlib.import_module(name)
    for label, thing in vars(module).items():
        if label.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield f"{name}.{label}", thing
        if inspect.isclass(thing) and not issubclass(thing, nn.Module):
            for method, function in vars(thing).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{label}.{method}", function


PUBLIC = dict(pair for name in MODULES for pair in public(name))
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}


def test_the_walk_finds_the_modules_and_their_functions():
    assert {"gahr.noise", "gahr.models.unet", "gahr.analysis.performance", "gahr.studies.slopes"} <= set(MODULES)
    assert {"gahr.noise.add_noise", "gahr.data.calpha.sample", "gahr.experiment.progress.Progress.update"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_of_public_functions_are_keyword_only(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    positional = [p.name for p in parameters if p.default is not p.empty and p.kind is not p.KEYWORD_ONLY]
    assert positional == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_and_classes_have_docstrings(name):
    thing = PUBLIC[name]
    if inspect.isclass(thing) and issubclass(thing, tuple) and thing.__doc__.startswith(f"{thing.__name__}("):
        fields = [line for line in inspect.getsource(thing).splitlines()[1:] if ":" in line.partition("#")[0]]
        fields = [line for line in fields if not line.lstrip().startswith(("def ", "class ", '"""'))]
        undescribed = [line for line in fields[: len(thing._fields)] if "#" not in line]
        assert undescribed == []
    else:
        assert (thing.__doc__ or "").strip()


@pytest.mark.parametrize("name", MODULES)
def test_modules_open_with_a_docstring(name):
    assert (importlib.import_module(name).__doc__ or "").strip()


@pytest.mark.parametrize("path", sorted((ROOT / "gahr").rglob("*.py")), ids=lambda path: path.name)
def test_arguments_use_the_words_of_the_glossary(path):
    arguments = [node.arg for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.arg)]
    assert {name: OTHER_WORDS[name] for name in arguments if name in OTHER_WORDS} == {}


def loaded(modules):
    """Names of the top-level packages that importing the modules brings in."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_gahr_loads_neither_matplotlib_nor_orbax_nor_jax():
    assert loaded(["gahr"]) & (HEAVY | {"jax"}) == set()


def test_only_modules_that_save_load_orbax_and_none_loads_matplotlib():
    assert loaded([name for name in MODULES if name.split(".")[1] not in SAVING]) & HEAVY == set()
    assert loaded(MODULES) & HEAVY == {"orbax"}
