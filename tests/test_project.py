"""The README and CI say the same, and the README's example does what it says."""

import re
import sys

import mutations
from conftest import ROOT

import gahr
from gahr import __main__

sys.path.append(str(ROOT / "launch"))
import pages


def test_ci_runs_the_test_command_of_the_readme():
    (command,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.endswith("-m pytest")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_mistakes_to_plant_are_still_in_the_tree():
    assert not mutations.stale(), mutations.stale()


def test_the_citation_is_of_this_version_and_licence():
    cited = dict(re.findall(r"^(\w+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert (cited["version"], cited["license"]) == (gahr.__version__, "Apache-2.0")


def test_the_program_of_the_package_names_version_devices_and_networks():
    version, devices, _, *networks = __main__.lines()
    assert f"gahr {gahr.__version__}" in version
    assert devices == "devices: cpu (cpu)"
    assert [line.split(":")[0].strip() for line in networks] == gahr.shipped()


def test_quoted_names_of_gahr_exist():
    assert list(pages.unknown_names()) == []


def test_a_link_to_a_page_or_place_that_is_not_there_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="#x">1</a><a href="b.html#y">2</a><a href="https://c.org">3</a>'
    )
    (tmp_path / "b.html").write_text('<p id="z"><a class="l" href="a.html#x">4</a><a href="gone.html">5</a>')
    assert sorted(pages.broken_links(tmp_path)) == ["a.html: b.html#y", "b.html: gone.html"]
