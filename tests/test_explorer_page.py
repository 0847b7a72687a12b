"""The page of the explorer in a real browser, as far as this machine has one."""

import math
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import grain_map_files
import pytest

pytest.importorskip("panel")
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)  # the solver is compiled first, perhaps on a busy machine

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"no {' or '.join(NAMES)} on the PATH")
# What a browser in a container needs, and nothing that asks the network on its own.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FIELDS = "Bokeh.documents[0].get_model_by_name('fields').data"
STRESSES = ("reference model", "network", "|difference|")


@pytest.fixture(scope="module")
def address():
    """The explorer as a user starts it, on a port that is free."""
    command = [sys.executable, "-m", "repro.explore", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stdout.readline, "")
            found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in lines)
            yield next(match[0] for match in found if match)
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    with tab(browser, address) as page:
        yield page


@contextmanager
def tab(browser, address):
    """A new tab with the answer of the network on it, which must not complain until it closes."""
    page, complaints, asked = browser.new_page(), [], []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(address)
    expect(read_out(page)).to_contain_text("off by")
    yield page
    page.close()
    assert not complaints
    # Nothing leaves the machine.
    assert asked
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def read_out(page):
    return page.get_by_role("status")


def fields(page, names=STRESSES):
    """The stress fields that the pictures are drawn from, as lists."""
    return [page.evaluate(f"Array.from({FIELDS}[{name!r}][0])") for name in names]


def pictures(page):
    """The three pictures of the stress as the screen shows them."""
    return [page.locator(".bk-Figure").nth(i).screenshot() for i in (4, 5, 6)]


def after(page, change):
    """The read-out after a change and the answer of the network to it."""
    before = read_out(page).inner_text()
    change()
    expect(read_out(page)).not_to_have_text(re.compile(re.escape(before.splitlines()[0])))
    expect(read_out(page)).to_contain_text("off by")
    return read_out(page).inner_text()


def test_the_page_loads_and_shows_stresses(page, tmp_path):
    page.screenshot(path=tmp_path / "explorer.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    reference, network, difference = fields(page)
    assert len(reference) == 64 * 64
    assert 0 < min(reference) < max(reference) < 2000
    off = [abs(a - b) for a, b in zip(network, reference, strict=True)]
    assert difference == pytest.approx(off, abs=1e-3)
    assert f"off by {sum(off) / len(off):.2f} MPa on average" in read_out(page).inner_text()


def test_a_slider_of_a_property_changes_pictures_and_numbers(page):
    before = pictures(page)
    text = read_out(page).inner_text()
    changed = after(page, lambda: page.locator(".noUi-handle").nth(2).press("PageDown"))
    assert changed != text
    assert all(old != new for old, new in zip(before, pictures(page), strict=True))


def test_the_slider_of_the_load_moves_all_pictures(page):
    before, last = pictures(page), fields(page)
    after(page, lambda: page.locator(".noUi-handle").last.press("Home"))
    assert page.get_by_text("mean stretch F11: 1.0002 (increment 1)").is_visible()
    assert all(old != new for old, new in zip(before, pictures(page), strict=True))
    assert max(fields(page)[0]) < max(last[0]) / 5


def test_a_seed_point_is_dragged_and_a_grain_is_clicked(page):
    seeds = "Bokeh.documents[0].get_model_by_name('seeds').data"
    x1, x2 = (page.evaluate(f"{seeds}[{name!r}][0]") for name in ("x1", "x2"))
    left, top, edge = frame(page)
    x, y = left + edge * x1, top + edge * (1 - x2)

    def drag():
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 10, y + 10)
        page.mouse.move(x + 20, y + 15)
        page.mouse.up()

    after(page, drag)
    moved = page.evaluate(f"{seeds}['x1'][0]")
    assert moved == pytest.approx((x1 + 20 / edge) % 1, abs=0.01)
    page.mouse.click(left + 0.9 * edge, top + 0.5 * edge)
    E = page.evaluate(f"{FIELDS.replace('fields', 'cell')}['E'][0][{64 * 32 + 57}]")
    expect(page.get_by_text(f"E / GPa: {E:.1f}")).to_be_visible()


def frame(page):
    """Left, top and edge of the picture within the first map, in pixels of the page."""
    box = page.locator(".bk-Figure").first.bounding_box()
    inner = page.evaluate(
        """() => {
            const map = Bokeh.documents[0].get_model_by_name("E")
            const {left, top, width} = Bokeh.index.find_one(map).frame.bbox
            return {left, top, width}
        }"""
    )
    return box["x"] + inner["left"], box["y"] + inner["top"], inner["width"]


def test_a_poisson_ratio_that_no_material_has_shows_a_sentence(page):
    cell = page.locator(".tabulator-row").nth(2).locator("[tabulator-field=nu]")
    before, kept = fields(page), cell.inner_text()
    cell.click()
    cell.locator("input").fill("0.6")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("nu of grain 2 is 0.6: it must lie in (-1, 0.5)")
    expect(cell).to_have_text(kept)
    assert fields(page) == before


def test_a_wrong_file_shows_a_sentence_and_a_right_one_its_cell(page, data_file, tmp_path):
    wrong = tmp_path / "notes.h5"
    wrong.write_text("no data")
    before = fields(page)
    open_file(page, wrong)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("notes.h5: not a readable HDF5 file")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    assert fields(page) == before
    after(page, lambda: open_file(page, data_file))
    expect(alert).to_be_hidden()
    assert len(fields(page)[0]) == 16 * 16


def open_file(page, path):
    page.get_by_label("data set or grain map").fill(str(path))
    page.get_by_role("button", name="Open the file").click()


def test_a_grain_map_is_uploaded_and_sheared_without_a_network(page, tmp_path):
    path = grain_map_files.FOLDER / "nx.dream3d"
    page.locator("input[type=file]").set_input_files(path)
    asked = "is not asked: networks take square cells"
    expect(read_out(page)).to_contain_text(asked)
    page.wait_for_function(f"{FIELDS}['network'][0].length === 6 * 4")
    before = fields(page)
    assert all(math.isnan(value) for field in before[1:] for value in field)
    page.screenshot(path=tmp_path / "wide.png")
    page.get_by_label("load", exact=True).select_option("simple shear")
    expect(page.get_by_text("time / s: 4.0000 (increment 20)")).to_be_visible()
    page.wait_for_function(f"{FIELDS}['reference model'][0][0] !== {before[0][0]}")


def test_two_tabs_do_not_share_their_state(page, browser, address):
    with tab(browser, address) as other:
        before, text = fields(other), read_out(other).inner_text()
        page.get_by_label("seed").fill("7")
        after(page, page.get_by_role("button", name="Draw a polycrystal").click)
        assert fields(page) != before
        assert (fields(other), read_out(other).inner_text()) == (before, text)


def test_python_lines_are_downloaded(page):
    with page.expect_download() as download:
        page.locator("a", has_text="Python").click()
    text = download.value.path().read_text()
    assert "truth = reference.simulate(cell, load" in text
