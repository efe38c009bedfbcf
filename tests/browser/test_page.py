"""The page in headless Chromium, by pointer and keys. Needs chromium, its driver and the extra `browser`."""

import json
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from gahr.experiment import gallery

QUIET = "headless no-sandbox disable-gpu disable-background-networking disable-component-update disable-sync"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for name in (*QUIET.split(), "no-first-run", "disable-quic", f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{name}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))  # looks for no other
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(drawn_runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("gallery") / "page.html"
    gallery.write(drawn_runs, out)
    return out.as_uri()


@pytest.fixture
def page(chromium, address):
    chromium.set_window_size(1300, 900)
    chromium.get(address)
    return chromium


def one(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def source(page, role):
    return one(page, f'#run0 .viewer img[data-role="{role}"]').get_attribute("src")


def test_no_request_leaves_the_page_and_nothing_fails(page, address):
    page.get_log("performance")  # of tests before
    page.get(address)
    one(page, "#compare").click()
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"}
    assert address in asked  # the log does hold requests
    assert not [url for url in asked if not url.startswith("data:") and url != address]
    assert not page.get_log("browser")  # errors of the script, pictures that do not load
    script = "return [...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert page.execute_script(script) == 0


def test_the_viewer_follows_keys_pointer_and_swap(page):
    slider, output = one(page, '#run0 .viewer input[type="range"]'), one(page, "#run0 .viewer output")
    assert "number 1 of 64, basis at image 1" in output.text
    before = {role: source(page, role) for role in ("left", "right", "eigen", "projection")}
    slider.send_keys(Keys.ARROW_RIGHT)
    assert "number 4 of 64" in output.text
    assert all(source(page, role) != before[role] for role in ("left", "right", "eigen"))
    plots = page.find_elements(By.CSS_SELECTOR, "#run0 .viewer svg")
    ActionChains(page).move_to_element_with_offset(plots[1], plots[1].size["width"] // 2 - 50, 0).perform()
    assert "number 21 of 64" in output.text
    line = one(page, "#run0 line.at").get_attribute("x1")
    ActionChains(page).move_to_element_with_offset(plots[0], 50 - plots[0].size["width"] // 2, 0).click().perform()
    assert "number 1 of 64" in output.text
    assert float(one(page, "#run0 line.at").get_attribute("x1")) < float(line)
    one(page, '#run0 .viewer input[type="radio"]').send_keys(Keys.ARROW_RIGHT)
    assert "basis at image 2" in output.text
    assert source(page, "projection") != before["projection"]


def test_a_path_plays_to_its_end_and_can_be_stepped(page):
    button, output = one(page, "#run0 .player button"), one(page, "#run0 .player output")
    image = one(page, "#run0 .player img")
    start = image.get_attribute("src")
    assert output.text == "1 of 5"  # nothing moves by itself
    button.send_keys(Keys.ENTER)
    WebDriverWait(page, 10).until(lambda _: output.text == "5 of 5")
    assert image.get_attribute("src") != start
    assert button.text == "Play"
    one(page, "#run0 .player input").send_keys(Keys.HOME)
    assert (output.text, image.get_attribute("src")) == ("1 of 5", start)


def test_two_runs_stand_side_by_side(page):
    one(page, "#compare").send_keys(Keys.SPACE)
    left, right = (one(page, f"#run{number}").rect for number in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    rows = page.find_elements(By.CSS_SELECTOR, "#common tbody tr")
    assert [row.text.split()[0] for row in rows] == ["slope", "idle"]  # not what one alone has
    assert "<b>|x|</b>" in rows[0].text


def test_light_and_dark(page):
    ground = lambda: page.execute_script("return getComputedStyle(document.body).backgroundColor")
    prefer = lambda value: page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": value}]}
    )
    for value, wanted in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")):
        prefer(value)
        WebDriverWait(page, 10).until(lambda _, wanted=wanted: ground() == wanted)
    one(page, "#theme").send_keys(Keys.ENTER)
    assert ground() == "rgb(255, 255, 255)"
    prefer("")


def test_a_narrow_page_does_not_scroll_sideways(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
