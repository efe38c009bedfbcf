"""The page of run directories: all of them is in it, nothing is from elsewhere, and no text becomes markup."""

import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from gahr.experiment import gallery, report
from gahr.experiment.gallery import collect


class Page(HTMLParser):
    """Elements, addresses, cells and text of a page; the data of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.data, self.open = [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.data.append(data)
        else:
            self.text += data

    def all(self, tag, **having):
        found = [attrs for name, attrs in self.elements if name == tag]
        return [attrs for attrs in found if having.items() <= attrs.items()]


@pytest.fixture(scope="module")
def text(drawn_runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("gallery") / "page.html"
    gallery.write(drawn_runs, out)
    return out.read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_everything_of_each_directory_is_in_the_page(page, drawn_runs):  # catches a part that is left out
    assert not page.open
    assert [each["id"] for each in page.all("article")] == ["run0", "run1"]
    for workdir in drawn_runs:
        checks = json.loads((workdir / "results.json").read_text())["checks"]
        for check in map(report.from_data, checks):
            for wanted in (check.name, report.words(check.theory), report.words(check.measured), *check.nulls):
                assert wanted in page.text
            assert report.mark_words(check) in page.text
            assert report.verdict(check) in page.text
    for wanted in (
        "seed 7",
        "smoke scale",
        "analysis 12 s",
        "weights of net",
        storage_line(drawn_runs[0]),
        "matplotlib",
        "cpu",
    ):
        assert wanted in page.text
    assert "1 of 3 marks not met, 1 met by every null" in page.text
    assert len([each for each in page.all("img") if "its numbers are in the table" in each["alt"]]) == 2
    assert all(each["alt"] for each in page.all("img"))
    assert len(page.all("section", **{"class": "viewer"})) == len(page.all("section", **{"class": "player"})) == 2


def storage_line(workdir):
    return re.search("`(.*)`", (workdir / "report.md").read_text())[1]


def test_nothing_is_from_elsewhere(text, page):  # catches a font, script or picture from the network
    addresses = [attrs[name] for _, attrs in page.elements for name in ("src", "href") if name in attrs]
    assert len(addresses) > 10
    assert all(re.match(r"data:image/png;base64,|#run\d?", address) for address in addresses)
    assert not re.search(r"https?:|@import|url\(|//cdn", text.replace("http-equiv", ""))


def test_text_stays_text(page):  # catches a name that is not escaped, and data that ends its script
    assert "alert(1)" in page.text
    assert not page.all("b")
    assert not page.all("i")
    assert len(page.all("script")) == 1 + 2 * 2
    assert "</code><script>" in page.text


def test_the_viewer_holds_the_bases(page, drawn_runs):
    basis = json.loads(page.data[0])
    assert basis["numbers"] == [1, 4, 10, 21]
    first, second = basis["at"]
    assert set(first["vectors"]) == {"left", "right", "eigen"}
    assert first["vectors"]["left"] != second["vectors"]["left"]  # catches one basis for all images
    assert first["vectors"]["left"][:3] == first["vectors"]["right"][1:]  # catches kinds that are mixed up
    assert first["beyond"][0][0] == pytest.approx(0.64, abs=1e-6)  # of a geometric series of squares, without the first
    assert first["beyond"][1][1] == pytest.approx(60 / 64)  # of equal ones, without the first four


def test_checks_come_back_from_json(drawn_runs):  # catches a mark, infinity or null that is lost
    first, second, third = collect.read(drawn_runs[0]).checks
    assert (first.met, first.met_by, first.finding) == (True, ("linear",), True)
    assert (second.met, second.measured) == (False, float("inf"))
    assert (third.met, third.finding, third.mark.limit) == (True, False, [0.5, 1.5])
    stored = json.loads((drawn_runs[0] / "results.json").read_text())["checks"]
    assert [report.as_data(check) for check in (first, second, third)] == stored


def test_text_has_contrast_in_both_themes():  # WCAG AA, 4.5; catches a colour that is too light
    def luminance(colour):
        pairs = re.findall("..", colour) if len(colour) == 6 else [2 * digit for digit in colour]
        parts = [int(pair, 16) / 255 for pair in pairs]
        red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    style = resources.files("gahr.experiment.gallery").joinpath("assets", "page.css").read_text()
    themes = [dict(re.findall(r"--(\w+): #(\w+)", block)) for block in re.findall(r":root.*?\}", style, re.DOTALL)]
    assert len(themes) == 2
    for theme in themes:
        for ink in theme.keys() - {"page", "raised", "line"}:
            for ground in ("page", "raised"):
                dark, light = sorted(luminance(theme[name]) for name in (ink, ground))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_errors_are_one_clear_line(unclear, drawn_runs, tmp_path):
    (tmp_path / "empty").mkdir()
    cases = {
        (drawn_runs[0],): "a run directory and OUT.html at least are needed",
        (drawn_runs[0], tmp_path / "page.htm"): "out must be NAME.html",
        (tmp_path / "empty", tmp_path / "page.html"): "is not a run directory",
    }
    assert not (found := unclear("gallery", cases)), found
