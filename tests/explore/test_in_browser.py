"""JupyterLab as people use it: a headless Chromium opens ``make lab``, runs the notebook, and clicks through it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from explored_runs import IMAGES, of
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from playwright.sync_api import Page, expect, sync_playwright

from petl_core.explore.state import Question, choice_labels, find_choices
from petl_core.files import ROOT

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]  # as root there is no sandbox
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE = 300_000  # ms, for a machine that other work shares
PER_PAGE = 4

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def lab(places, tmp_path_factory) -> Iterator[str]:
    """The address of a JupyterLab on the start page, and the notebook with the parameters of this test."""
    root = tmp_path_factory.mktemp("lab")
    (root / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "README.md", root / "notebooks")
    notebook = load_notebook_node(str(ROOT / "notebooks" / "00_explore.ipynb"))
    choices = [one for one in find_choices(places["runs_root"]) if one.config.dataset == "scenes-mini"]  # not archived
    first = next(one for one in choices if one.config.method == "focus")
    notebook = parameterize_notebook(notebook, {**places, "run": first.config.hash, "k": PER_PAGE})
    nbformat.write(notebook, root / "notebooks" / "00_explore.ipynb")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--no-browser --port {port} --ServerApp.port_retries=0 --ServerApp.root_dir={root}"
    options += " --IdentityProvider.token=test --LabApp.expose_app_in_browser=True"
    command = ["make", "lab", f"BIN={Path(sys.executable).parent}", f"OPTIONS={options}"]
    own = {f"JUPYTER_{name}_DIR": str(root / f".{name.lower()}") for name in ("CONFIG", "RUNTIME")}
    log = root / "lab.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | own, stdout=file, stderr=file, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api", server, log)
        yield f"{address}/?token=test"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # of this session: make, the server and its kernels
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Until a server answers."""
    for _ in range(PATIENCE // 250):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.25)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def page(lab, tmp_path_factory) -> Iterator[Page]:
    """The start page in a browser; anything that goes wrong in the page fails the test in the end."""
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(lab)
        yield page
        page.screenshot(path=tmp_path_factory.mktemp("browser") / "last.png")
        browser.close()
    assert not wrong


def run_all_cells(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_function(
        """() => {
            const cells = jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model);
            const code = cells.filter((cell) => cell.type === "code");
            return code.every((cell) => cell.executionCount && cell.executionState === "idle");
        }"""
    )
    outputs = "() => jupyterapp.shell.currentWidget.content.model.toJSON().cells.flatMap((cell) => cell.outputs || [])"
    assert [output for output in page.evaluate(outputs) if output["output_type"] in ("error", "stream")] == []


def go_to(page: Page, heading: str) -> None:
    """Scroll to a section of the notebook."""
    page.get_by_role("heading", name=heading).evaluate("heading => heading.scrollIntoView()")


def test_a_visitor_searches_compares_and_gathers(page, session, tmp_path):
    def look(name: str) -> None:
        page.screenshot(path=tmp_path / f"{name}.png")

    # The start page is rendered, and leads to the notebook; chooser and search are on its first screen.
    expect(page.get_by_role("heading", name="Start here")).to_be_visible()
    page.get_by_role("link", name="Explore", exact=True).click()
    expect(page.get_by_role("heading", name="0 · Explore")).to_be_visible()
    page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'")
    run_all_cells(page)
    go_to(page, "0 · Explore")
    box = page.get_by_placeholder("a sentence")
    for shown in (page.locator(".petl-models select"), box, page.locator(".petl-card").first):
        expect(shown).to_be_in_viewport()
    look("1_first_screen")

    # The run is chosen in the table, by what tells it apart.
    rows = page.locator(".petl-models select")
    page.get_by_placeholder("filter: a method").fill("linear 0.03")
    rows.locator("option").click()
    expect(page.get_by_text(re.compile(rf"Linear probe.* searches {IMAGES} distinct images"))).to_be_visible()

    # A sentence finds what the library finds.
    text = session.opened.texts[5]
    answers = session.opened.ask(Question(text=text)).images
    names = [re.compile("^" + re.escape(answer.hit.path.name)) for answer in answers]
    top = page.locator(".jp-OutputArea-output", has=box)
    cards = top.locator(".petl-card")
    box.fill(text)
    box.press("Enter")
    expect(top.get_by_text(f"“{text}” · scene: ")).to_be_visible()
    expect(cards).to_have_count(PER_PAGE)
    expect(cards.first).to_have_attribute("title", names[0])
    expect(cards.first).to_contain_text(f"{answers[0].hit.score:.2f}")
    assert cards.first.locator("img").evaluate("image => image.complete && image.naturalWidth") > 80
    top.get_by_label("Page").fill("2")
    top.get_by_label("Page").press("Enter")
    expect(cards.nth(1)).to_have_attribute("title", names[PER_PAGE + 1])
    look("2_search")

    # An empty sentence is reported, and changes nothing.
    box.fill("")
    box.press("Enter")
    expect(top.get_by_text("the query is empty; say what to look for").first).to_be_visible()
    expect(cards.nth(1)).to_have_attribute("title", names[PER_PAGE + 1])

    # A click asks with the image, which comes first; its captions are listed. Another run answers the same; a
    # Focus-Adapter shows where it looks.
    cards.nth(1).click()
    name = answers[PER_PAGE + 1].hit.path.name
    expect(top.get_by_text(f"images like {name}")).to_be_visible()
    expect(cards.first).to_have_attribute("title", names[PER_PAGE + 1])
    expect(cards.first).to_contain_text("✓")
    expect(top.locator("li")).to_have_count(10)
    expect(top.get_by_label("Focus")).to_be_hidden()
    page.get_by_placeholder("filter: a method").fill("scenes-mini")
    rows.locator("option", has_text="Focus-Adapter").click()
    expect(page.get_by_text(re.compile("Focus-Adapter.* searches"))).to_be_visible()
    expect(top.get_by_text(f"images like {name}")).to_be_visible()
    picture = top.get_by_alt_text("the image asked with")
    plain = picture.get_attribute("src")
    top.get_by_label("Focus").select_option("layer 1 of 2")
    expect(picture).not_to_have_attribute("src", plain)
    look("3_image")

    # Two models are side by side, with every change of rank marked.
    go_to(page, "Two models side by side")
    comparison = page.locator(".jp-OutputArea-output", has=page.get_by_label("Compare"))
    zero_shot = choice_labels(session.choices)[of(session, "zero_shot")]
    page.get_by_label("Compare").select_option(zero_shot)
    expect(comparison.locator(".petl-card", has_text=re.compile("[▲▼=]"))).to_have_count(9)
    look("4_compare")

    # On the map, with its legend, a point shows its image, and a lasso gathers the points inside.
    go_to(page, "The map")
    side = page.locator(".jp-OutputArea-output", has=page.locator(".js-plotly-plot"))
    for scene in session.opened.scenes:
        expect(side.locator(".legendtext", has_text=re.compile(f"^{scene}$"))).to_be_visible()
    points = page.locator(".scatterlayer .trace").first.locator("path.point")
    expect(points).to_have_count(IMAGES)
    boxes = [point.bounding_box() for point in points.all()]
    centres = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes]
    page.mouse.move(*centres[2])
    expect(side.get_by_text(session.opened.hit(2).captions[0], exact=False)).to_be_visible()
    leftmost = sorted(centres)[:3]
    right = (leftmost[-1][0] + sorted(centres)[3][0]) / 2
    plane = side.locator(".nsewdrag").bounding_box()
    left, top_edge, bottom = plane["x"] + 1, plane["y"] + 1, plane["y"] + plane["height"] - 1
    page.mouse.move(left, top_edge)
    page.mouse.down()
    for corner in ((right, top_edge), (right, bottom), (left, bottom), (left, top_edge + 2)):
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    expect(side.get_by_text("3 images inside the lasso")).to_be_visible()
    gathered = {session.opened.hit(centres.index(centre)).path.name for centre in leftmost}
    expect(side.locator(".petl-card")).to_have_count(3)
    titles = [card.get_attribute("title").splitlines()[0] for card in side.locator(".petl-card").all()]
    assert set(titles) == gathered
    look("5_map")
