"""What README, CONTRIBUTING and the pages of `docs/` tell users to run can be run."""

import re
import shlex

import numpy as np
import pytest
from conftest import ROOT, get_config

import gahr
from gahr import config, experiment
from gahr.names import pick

DOCUMENTS = {name: (ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", "docs/results.md")}
ELSEWHERE = {  # line of a block -> file that runs it as it stands
    "&& .venv-test/bin/python -m pytest": ".ci/run",
    "python launch/pages.py build/pages": ".github/workflows/test.yml",
}
INLINE = re.compile(r"`([^`\n]+)`")


def blocks(language):
    return [block for text in DOCUMENTS.values() for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


def figures():
    """Every `configs/NAME.py:ARGUMENTS FLAGS` of the documents."""
    found = {words for text in DOCUMENTS.values() for words in INLINE.findall(text)}
    found |= {
        line.split("--config ")[1] for block in blocks("sh") for line in block.split(" && ") if "--config" in line
    }
    found = {words.removeprefix("launch/main.py --config ").strip() for words in found}
    return sorted(words for words in found if words.startswith("configs/") and ".py" in words)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Words of the documents in capitals, and what can stand for each."""
    folder = tmp_path_factory.mktemp("files")
    np.savez(folder / "images.npz", images=np.zeros((20_100, 40, 40), np.uint8))  # two sets of 10,000
    for path in (one := folder / "one.pt", other := folder / "other.pt"):
        path.touch()  # a plan does not read published networks
    images = dict.fromkeys(("path=FILE.npz", "path=IMAGES.npz", "path=FILE"), f"path={folder}/images.npz")
    return images | {"FILE+FILE": f"{one}+{other}", "FILE": str(one)}


def test_blocks_of_the_documents_are_of_languages_that_are_run():
    for name, text in DOCUMENTS.items():
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        assert set(fences[::2]) <= {"sh", "python", ""}, name  # "" shows files, not commands
        assert set(fences[1::2]) <= {""}, name


def test_every_figure_that_is_named_is_a_plan(files, tmp_path):
    names = figures()
    assert len(names) > 30
    for words in names:
        command, *flags = shlex.split(words)
        path, _, arguments = command.partition(":")
        for word, file in files.items():
            arguments = arguments.replace(word, file)
        made = get_config(arguments or None, file=path.removeprefix("configs/").removesuffix(".py"))
        only = flags[flags.index("--only") + 1] if "--only" in flags else "*"
        if arguments:  # test_config plans all without
            assert experiment.plan(made, tmp_path / "run", only=only).studies, words


def test_every_option_of_a_program_that_is_named_is_one_of_its_flags():
    seen = 0
    for text in DOCUMENTS.values():
        for words in INLINE.findall(text) + re.findall(r"^\S*python launch/.*$", text, re.MULTILINE):
            if not (program := re.search(r"launch/(\w+)\.py", words)):
                continue
            source = (ROOT / program[0]).read_text()
            known = dict.fromkeys(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", source))
            for flag in re.findall(r" --(\w+)", words.partition(program[0])[2]):
                pick(f"flag of {program[0]}", known | {"help": None}, flag)
                seen += 1
    assert seen > 5


def test_every_command_of_a_block_is_run_by_something(launch, drawn_runs, tmp_path):
    for block in blocks("sh"):
        (line,) = block.strip().splitlines()
        command = line.split(" && ")[-1].removeprefix(".venv/bin/")
        if place := [file for end, file in ELSEWHERE.items() if line.endswith(end)]:
            assert command in (ROOT / place[0]).read_text(), line
            continue
        program, *arguments = shlex.split(command)[1:]
        name = program.removeprefix("launch/").removesuffix(".py")
        if name == "gallery":
            assert arguments[-1] == "gallery.html"
            assert launch(name, *drawn_runs, tmp_path / "gallery.html").returncode == 0
        else:
            assert (name, arguments[0], arguments[1] in figures()) == ("main", "--config", True), line


def test_the_arguments_of_every_config_are_told_in_its_first_lines():
    """Catches an argument that was added and not told, or told and gone."""
    for path in (ROOT / "configs").glob("*.py"):
        text = path.read_text()
        told = set(re.findall(r"^  (\w+)  ", text.split('"""')[1], re.MULTILINE))
        taken = re.search(r"parse_arg\(\s*arg,(.*?)\n?\s*\)\n", text, re.DOTALL)[1]
        assert told == set(re.findall(r"(\w+)=", taken)), path.name


def test_scales_and_networks_that_are_named_exist():
    readme = DOCUMENTS["README.md"]
    for scale in re.findall(r"scale=(\w+)", readme):
        pick("scale", dict.fromkeys(config.SCALES), scale)
    for weights in re.findall(r"weights=([a-z]\w*(?:\+[a-z]\w*)*)", readme):
        assert set(weights.split("+")) <= set(gahr.shipped())
