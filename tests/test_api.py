"""Conventions of the public functions: keyword-only options, one word per thing, docstrings, light imports."""

import ast
import importlib
import inspect
import pkgutil

import flax.linen as nn
from conftest import ROOT, python

import gahr

MODULES = {name: importlib.import_module(name) for _, name, _ in pkgutil.walk_packages(gahr.__path__, "gahr.")}
LIGHT = ["gahr.config", *(f"gahr.experiment.{name}" for name in ("command", "memory", "progress", "storage"))]
OTHER_WORDS = {"rng": "key", "rngs": "key", "prng_key": "key", "std": "sigma or sd", "noise_level": "sigma"}


def public(name, module):
    """(qualified name, object) of the public functions and classes a module defines, and of the methods."""
    for label, thing in vars(module).items():
        if label.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            yield f"{name}.{label}", thing
        if inspect.isclass(thing) and not issubclass(thing, nn.Module):
            for method, function in vars(thing).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{label}.{method}", function


PUBLIC = dict(pair for module in MODULES.items() for pair in public(*module))
FUNCTIONS = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}


def test_the_walk_finds_the_modules_and_their_functions():
    assert {"gahr.noise", "gahr.models.unet", "gahr.analysis.performance", "gahr.studies.slopes"} <= set(MODULES)
    assert {"gahr.noise.add_noise", "gahr.data.calpha.sample", "gahr.experiment.progress.Progress.update"} <= {*PUBLIC}


def test_options_of_public_functions_are_keyword_only():
    parameters = [(name, p) for name, thing in FUNCTIONS.items() for p in inspect.signature(thing).parameters.values()]
    optional = [(name, p) for name, p in parameters if p.default is not p.empty]
    wrong = [f"{name}: {p.name}" for name, p in optional if p.kind is not p.KEYWORD_ONLY]
    assert not wrong, wrong


def undescribed(thing):
    """What of a class or function lacks a description: the fields of a NamedTuple without docstring, or all of it."""
    doc = thing.__doc__ or ""
    if inspect.isclass(thing) and issubclass(thing, tuple) and doc.startswith(f"{thing.__name__}("):
        fields = [line for line in inspect.getsource(thing).splitlines()[1:] if ":" in line.partition("#")[0]]
        fields = [line for line in fields if not line.lstrip().startswith(("def ", "class ", '"""'))]
        return [line for line in fields[: len(thing._fields)] if "#" not in line]
    return [] if doc.strip() else ["docstring"]


def test_modules_public_functions_and_classes_have_docstrings():
    wrong = {name: lacks for name, thing in (PUBLIC | MODULES).items() if (lacks := undescribed(thing))}
    assert not wrong, wrong


def test_arguments_use_the_words_of_the_glossary():
    arguments = [(path.name, node.arg) for path in (ROOT / "gahr").rglob("*.py")
                 for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.arg)]  # fmt: skip
    wrong = [f"{file}: {name}, not {OTHER_WORDS[name]}" for file, name in arguments if name in OTHER_WORDS]
    assert not wrong, wrong


def test_slow_packages_are_loaded_only_by_the_modules_that_need_them():
    below = [name for name in MODULES if not name.startswith("gahr.experiment")]
    code = "import importlib, sys\n"
    for names in (["gahr", *LIGHT], below, MODULES):
        code += f"for name in {[*names]}: importlib.import_module(name)\n"
        code += "print(*{'jax', 'matplotlib', 'orbax', 'tensorboardX', 'torch'} & {*sys.modules})\n"
    done = python("-c", code)
    found = [set(line.split()) for line in done.stdout.splitlines()]
    assert found == [set(), {"jax"}, {"jax", "orbax"}], done.stderr
