"""The HTML report in a real browser, opened from disk without a network: charts, tables, keys, themes, the switch."""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.printable import printable
from qdiag.reading.meanings import meanings
from qdiag.reading.terms import terms_by_name
from qdiag.writers.html.report import html_report
from tests import diagnoses

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright (no browser of its own)"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
)
diagnosis, repaired_diagnosis = cache(diagnoses.diagnosis), cache(diagnoses.repaired_diagnosis)
unlabelled_diagnosis, awkward_diagnosis = cache(diagnoses.unlabelled_diagnosis), cache(diagnoses.awkward_diagnosis)
long_diagnosis = cache(diagnoses.long_diagnosis)
ATTACK = "</script><img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on PATH (looked for {', '.join(BROWSERS)})")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


Open = Callable[..., "sync_api.Page"]
_PAGES: dict[tuple[int, int], tuple[Diagnosis, Diagnosis | None, str]] = {}
"""Reports that were made before, by the identity of what they show, which is held so that no other gets it."""


def written(first: Diagnosis, after: Diagnosis | None = None) -> str:
    """The report as HTML."""
    key = (id(first), id(after))
    if key not in _PAGES:
        _PAGES[key] = (first, after, html_report(first, after))
    return _PAGES[key][2]


@dataclass
class OnlyPage:
    """The page that all tests open their reports in, each of them a document of its own: a new page takes as long as
    most tests.

    Attributes:
        troubles: errors and warnings on the console, failed scripts, and requests of anything but the report.
    """

    page: "sync_api.Page"
    folder: Path
    troubles: list[str] = field(default_factory=list)
    opened: str = ""
    count: int = 0

    def __post_init__(self) -> None:
        self.page.set_default_timeout(20_000)  # a busy machine is no fault of the page
        self.page.on("console", lambda said: self.note(said.text, said.type in ("error", "warning")))
        self.page.on("pageerror", lambda error: self.note(str(error)))
        self.page.on("request", lambda request: self.note(request.url, request.url != self.opened))

    def note(self, trouble: str, is_one: bool = True) -> None:
        if is_one:
            self.troubles.append(trouble)

    def open(
        self, first: Diagnosis, after: Diagnosis | None = None, *, width: int = 1360, scheme: str = "light"
    ) -> "sync_api.Page":
        self.count += 1
        path = self.folder / f"report{self.count}.html"
        path.write_text(written(first, after), encoding="utf-8")
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(media="null", color_scheme=scheme, reduced_motion="reduce")
        self.opened = path.as_uri()
        self.page.goto(self.opened)
        assert "ready" in (self.page.locator("html").get_attribute("class") or "")
        return self.page

    def leave(self) -> None:
        """What a reader has chosen is forgotten, the mouse is in the corner, and no report is open."""
        if self.opened:
            self.page.evaluate("localStorage.clear()")
            self.page.mouse.move(0, 0)
            self.opened = "about:blank"
            self.page.goto(self.opened)


@pytest.fixture(scope="module")
def only_page(browser: "sync_api.Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlyPage]:
    context = browser.new_context(offline=True)
    yield OnlyPage(context.new_page(), tmp_path_factory.mktemp("reports"))
    context.close()


@pytest.fixture
def open_report(only_page: OnlyPage) -> Iterator[Open]:
    """Opens a report from disk; any error on the console, any failed script and any request fail the test."""
    only_page.troubles.clear()
    yield only_page.open
    only_page.leave()
    assert only_page.troubles == []


def names(page: "sync_api.Page") -> list[str]:
    """Layers that the table shows, from the top."""
    found: list[str] = page.eval_on_selector_all(
        ".run:not([hidden]) .layers tbody tr:not([hidden]) .layer-link", "links => links.map(link => link.title)"
    )
    return found


def header(page: "sync_api.Page", column: str) -> "sync_api.Locator":
    return page.locator(".run:not([hidden]) .layers thead th").filter(has_text=re.compile(rf"{column}(?!,)"))


def focused(page: "sync_api.Page") -> str:
    text: str = page.evaluate(
        "document.activeElement.id || document.activeElement.title || document.activeElement.className.baseVal"
    )
    return text


def drawn_graph(page: "sync_api.Page", run: str = "before") -> "sync_api.Locator":
    """The network as a graph, which is drawn once it is near what is seen."""
    graph = page.locator(f"[data-run={run}] [data-graph]")
    graph.scroll_into_view_if_needed()
    graph.locator(".box.chosen").wait_for(state="attached")
    return graph


@pytest.mark.parametrize("source", [diagnosis, unlabelled_diagnosis, awkward_diagnosis, long_diagnosis])
def test_every_report_opens_and_its_layers_have_panels(open_report: Open, source: Callable[[], Diagnosis]) -> None:
    page = open_report(source())
    records = source().measurement.records
    drawn = [record for record in records if math.isfinite(record.local.sqnr_db)]
    assert page.locator("svg.sqnr .line.local circle").count() == len(drawn), "a point for each layer, and no line"
    assert page.locator("svg.sqnr .line.local path:not(.infinite)").count() == 0
    assert page.locator("svg.sqnr .line.propagated path:not(.infinite)").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".layers tbody tr").first.click()
    for record in records[:12]:
        assert page.locator("#panel h2").text_content() == printable(record.name)
        if record is not records[-1]:
            page.locator("#panel [data-step='1']").click()


def test_headings_sort_by_click_and_by_key(open_report: Open) -> None:
    page = open_report(diagnosis())
    records = diagnosis().measurement.records
    local = header(page, "Local")
    local.get_by_role("button").click()
    assert local.get_attribute("aria-sort") == "ascending"
    assert names(page) == [r.name for r in sorted(records, key=lambda r: r.local.sqnr_db)]
    local.get_by_role("button").press("Enter")
    assert local.get_attribute("aria-sort") == "descending"
    assert names(page)[-1] == "blocks.0.dw"
    layer = header(page, "Layer")
    layer.get_by_role("button").press("Space")
    assert layer.get_attribute("aria-sort") == "ascending"
    assert local.get_attribute("aria-sort") == "none"
    in_order = names(page)
    assert in_order.index("blocks.2.dw") < in_order.index("blocks.10.dw"), "numbers in names count as numbers"


def test_unknown_figures_stay_at_the_end(open_report: Open) -> None:
    page = open_report(awkward_diagnosis())
    local = header(page, "Local").get_by_role("button")
    for end in ("ascending", "descending"):
        local.click()
        assert names(page)[-1] == "input:x", end
    assert names(page)[0] in (printable('a|b<c>&"d"\n`e`é'), "softmax")


def test_the_filter_narrows_by_words_and_by_findings(open_report: Open) -> None:
    page = open_report(diagnosis())
    box = page.get_by_role("searchbox")
    box.fill("blocks.1 DW")
    assert names(page) == ["blocks.1.dw", "blocks.10.dw", "blocks.11.dw", "blocks.12.dw"]
    assert page.locator(".run output").text_content() == "4 of 31 layers"
    box.fill("qd201")
    assert names(page) == ["blocks.12.pw"]
    box.fill("no such layer")
    assert page.get_by_text("No layer matches.").is_visible()
    box.fill("")
    page.get_by_label("with findings").check()
    assert set(names(page)) == {site for f in diagnosis().ranking.findings for site in f.layers}


def test_a_row_opens_its_panel_by_click_and_by_enter(open_report: Open) -> None:
    page = open_report(diagnosis())
    panel = page.locator("#panel")
    assert panel.is_hidden()
    page.locator(".layers td", has_text="conv 3x3 dw").first.click()
    assert panel.locator("h2").text_content() == "blocks.0.dw"
    for words in ("Output values", "Weight range by output channel", "Output range by channel", "five losses",
                  "BatchNorm gain", "QD301", "8 bits, scale", "channels 2, 3, 4"):  # fmt: skip
        assert words in panel.inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert panel.locator("svg .limit").count() >= 2, "limits of the quantizer"
    assert panel.locator("svg .whisker.marked").count() >= 10
    page.keyboard.press("Escape")
    assert panel.is_hidden()
    assert focused(page) == "blocks.0.dw", "back on the row it was opened from"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert panel.locator("h2").text_content() == "blocks.0.pw"
    assert focused(page) == "panel-title"
    page.keyboard.press("ArrowLeft")
    assert panel.locator("h2").text_content() == "blocks.0.dw"
    assert page.locator("tr[aria-selected]").get_attribute("data-layer") == "2"


def test_the_chart_is_read_and_opened_by_mouse_and_by_keys(open_report: Open) -> None:
    page = open_report(diagnosis())
    chart = page.locator("svg.sqnr")
    chart.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert "blocks.0.dw: local 4.1 dB" in (chart.get_attribute("aria-valuetext") or "")
    assert "QD301" in page.locator(".tip").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").text_content() == "blocks.0.dw"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.matches('svg.sqnr')")
    page.keyboard.press("+")
    assert page.locator("svg.sqnr").get_attribute("aria-valuemax") != "31"
    page.keyboard.press("0")
    assert page.locator("svg.sqnr").get_attribute("aria-valuemax") == "31"
    box = page.locator("svg.sqnr").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 20, box["y"] + 100)
    assert page.locator("#panel h2").text_content() == "softmax"
    page.get_by_role("button", name="Close the panel").click()
    page.get_by_role("button", name=re.compile("^local this")).click()
    assert page.locator("svg.sqnr .line.local").count() == 0


def test_a_range_of_layers_is_drawn_with_the_mouse(open_report: Open) -> None:
    page = open_report(long_diagnosis(300))
    box = page.locator("svg.sqnr").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 100, steps=4)
    page.mouse.up()
    shown = int(page.locator("svg.sqnr").get_attribute("aria-valuemax") or 0)
    assert 20 < shown < 45
    assert page.locator("#panel").is_hidden()
    page.get_by_role("button", name="All layers").click()
    assert page.locator("svg.sqnr").get_attribute("aria-valuemax") == "300"


def test_the_switch_shows_the_other_run_everywhere(open_report: Open) -> None:
    page = open_report(diagnosis(), repaired_diagnosis())
    assert "67.4" in page.locator(".run:not([hidden]) h1").inner_text()
    page.locator(".run:not([hidden]) .layers tr[data-layer='2']").click()
    before = page.locator("#panel .number.local b").text_content()
    page.get_by_role("radio", name="Before").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="After").is_checked()
    assert page.locator(".run:not([hidden])").get_attribute("data-run") == "after"
    assert "1.6" in page.locator(".run:not([hidden]) h1").inner_text()
    assert page.locator("#panel h2").text_content() == "blocks.0.dw"
    assert page.locator("#panel .number.local b").text_content() != before
    assert page.locator(".run:not([hidden]) svg.sqnr .line.ghost").count() == 1
    page.get_by_role("radio", name="Before").check()
    assert page.locator(".run:not([hidden])").get_attribute("data-run") == "before"


def test_dark_and_light_follow_the_system_until_the_reader_chooses(open_report: Open) -> None:
    def ground(page: "sync_api.Page") -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    assert ground(open_report(diagnosis())) == "rgb(247, 247, 244)"
    dark = open_report(diagnosis(), scheme="dark")
    assert ground(dark) == "rgb(18, 19, 22)"
    button = dark.get_by_role("button", name="Theme")
    for expected in ("rgb(18, 19, 22)", "rgb(247, 247, 244)", "rgb(18, 19, 22)"):
        button.press("Enter")
        assert ground(dark) == expected
    assert "auto" in button.inner_text()


def test_a_phone_shows_everything_without_scrolling_sideways(open_report: Open) -> None:
    page = open_report(diagnosis(), repaired_diagnosis(), width=400)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.locator("svg.sqnr").first.focus()
    page.keyboard.press("Enter")
    box = page.locator("#panel").bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 400)


def test_tables_and_commands_are_read_whole_on_a_phone(open_report: Open) -> None:
    """No table or command is cut off, and a figure that is not in its column has the name of it."""
    page = open_report(diagnosis(), width=390)
    wide = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.outerHTML.slice(0, 90))"
    assert page.locator(".scroll, .command pre").evaluate_all(wide) == []
    cell = page.locator(".trials tbody tr:not(.refused) td").first
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content").startswith('"Recovers')
    assert page.locator(".layers thead th:visible").all_inner_texts()[0].startswith("Layer")


@pytest.mark.parametrize("width", [390, 645, 750, 850, 1000, 1200, 1280])
def test_the_table_of_layers_fits_every_width(open_report: Open, width: int) -> None:
    """Long names end their lines behind slashes and dots, and what matters less is left out."""
    source = diagnosis()
    longer = {r.name: f"/model/{r.name.replace('.', '/')}/conv/Conv" for r in source.measurement.records}
    records = tuple(
        replace(r, name=longer[r.name], inputs=tuple(longer[name] for name in r.inputs))
        for r in source.measurement.records
    )
    for found in (source, replace(source, measurement=replace(source.measurement, records=records), facts=())):
        page = open_report(found, width=width)
        fits = "table => table.scrollWidth <= table.closest('.scroll').clientWidth + 1"
        assert page.locator("table.layers").evaluate(fits)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_scrolls_and_no_box_in_it(open_report: Open) -> None:
    page = open_report(long_diagnosis(120), width=1280)
    is_cut = "box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1"
    boxes = page.locator(".scroll, .command pre")
    assert boxes.evaluate_all(f"boxes => boxes.filter(box => {is_cut}).map(box => box.outerHTML.slice(0, 90))") == []
    page.locator(".layers tbody tr").nth(50).scroll_into_view_if_needed()
    head, bar = page.locator(".layers thead th").first.bounding_box(), page.locator(".bar").bounding_box()
    assert head is not None
    assert bar is not None
    assert bar["height"] - 2 <= head["y"] <= bar["height"] + 2, "the head of the table stays in sight"


def test_a_code_opens_what_it_means_where_it_stands(open_report: Open) -> None:
    page = open_report(diagnosis())
    meaning, panel = page.locator("#means-QD301"), page.locator("#panel")
    assert meaning.is_hidden()
    page.locator(".layers .code", has_text="QD301").first.click()
    assert meaning.is_visible()
    assert panel.is_hidden(), "the row stays closed"
    assert meanings()["QD301"][1] in meaning.inner_text()
    page.keyboard.press("Escape")
    assert meaning.is_hidden()
    page.get_by_role("link", name="Glossary").click()
    assert page.locator("dt", has_text="placebo").first.is_visible()


def test_escape_closes_an_explanation_before_the_panel_that_it_was_opened_from(open_report: Open) -> None:
    page = open_report(diagnosis())
    page.locator(".layers tbody tr").nth(2).click()
    meaning, panel = page.locator("#means-QD301"), page.locator("#panel")
    panel.get_by_role("button", name="QD301").focus()
    page.keyboard.press("Enter")
    assert meaning.is_visible()
    page.keyboard.press("Escape")
    assert meaning.is_hidden() and panel.is_visible()
    page.keyboard.press("Escape")
    assert panel.is_hidden()


def test_a_code_in_a_sentence_opens_what_it_means_too(open_report: Open) -> None:
    source = diagnosis()
    known = "limited to the largest one (QD104), as qdiag says"
    page = open_report(replace(source, measurement=replace(source.measurement, notes=(known,))))
    page.locator(".method dd .code", has_text="QD104").first.click()
    assert meanings()["QD104"][1] in page.locator("#means-QD104").inner_text().replace("\N{NO-BREAK SPACE}", " ")


def test_three_hundred_layers_open_within_a_second(browser: "sync_api.Browser", tmp_path: Path) -> None:
    """From the address to the end of loading, scripts included; one of five has to, as others share the machine."""
    path = tmp_path / "report.html"
    path.write_text(written(long_diagnosis(300)), encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    loaded = "() => performance.timing.loadEventEnd - performance.timing.navigationStart"
    took = []
    for _ in range(5):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_function("performance.timing.loadEventEnd > 0")
        assert page.locator("svg.sqnr").count() == 1
        took.append(page.evaluate(loaded))
        page.close()
        if took[-1] < 1000:
            return
    pytest.fail(f"it took {took} ms")


def test_a_term_opens_its_row_of_the_glossary_where_it_stands(open_report: Open) -> None:
    page = open_report(diagnosis())
    for name, button in (
        ("placebo", ".explained .term"),
        ("channel-shift", ".explained .term"),
        ("cause", ".pill .term"),
    ):
        explanation = page.locator(f"#term-{name}")
        assert explanation.is_hidden()
        page.locator(f"{button}[popovertarget=term-{name}]").first.click()
        assert explanation.is_visible()
        assert terms_by_name()[name.replace("-", " ")].words in explanation.inner_text()
        page.keyboard.press("Escape")
        assert explanation.is_hidden()


def test_the_chart_is_capped_where_rounding_is_exact_and_follows_the_graph(open_report: Open) -> None:
    """What arrives is drawn from the layers that feed one, and an exact layer does not press the others together."""
    source = diagnosis()
    records = list(source.measurement.records)
    exact = replace(records[5].local, error_sq_sum=records[5].local.reference_sq_sum * 1e-14)
    records[5] = replace(records[5], local=exact)
    records[4] = replace(records[4], inputs=(records[2].name, records[1].name))
    page = open_report(replace(source, measurement=replace(source.measurement, records=tuple(records))))
    ticks = page.locator("svg.sqnr .tick").all_text_contents()
    top = max(float(text.replace("\N{MINUS SIGN}", "-")) for text in ticks if text != "dB")
    assert top < 100
    assert page.locator("svg.sqnr .line.local .infinite").count() == 1 + sum(
        math.isinf(record.local.sqnr_db) for record in source.measurement.records
    )
    path = page.locator("svg.sqnr .line.propagated path").first.get_attribute("d") or ""
    assert path.count("M") == sum(len(record.inputs) for record in records)


def test_names_stay_text(open_report: Open) -> None:
    source = diagnosis()
    records = tuple(replace(r, name=ATTACK) if r.name == "blocks.3.dw" else r for r in source.measurement.records)
    facts = tuple(replace(f, layer=ATTACK) if f.layer == "blocks.3.dw" else f for f in source.facts)
    measurement = replace(source.measurement, records=records, notes=(ATTACK,))
    page = open_report(replace(source, measurement=measurement, facts=facts))
    page.get_by_role("searchbox").fill("pwned")
    page.locator(".layers tbody tr:visible .layer-link").click()
    assert page.locator("#panel h2").text_content() == ATTACK
    page.locator("svg.sqnr").focus()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert "pwned" not in page.title()


def test_more_rows_and_copied_commands(open_report: Open) -> None:
    page = open_report(diagnosis())
    rows = page.locator("#before-sensitivity tbody tr:visible")
    assert rows.count() == 12
    page.get_by_role("button", name="Show all 30 layers").click()
    assert rows.count() == 30
    copy = page.locator(".verdict [data-copy]").first
    copy.click()
    sync_api.expect(copy).to_have_text("Copied")


def test_it_prints_light_and_whole(open_report: Open, tmp_path: Path) -> None:
    page = open_report(long_diagnosis(120), scheme="dark")
    pdf = page.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert page.locator(".layers tbody tr").last.is_visible()
    tall = page.locator(".scroll.tall").evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    assert tall, "nothing of the table is cut off"
    assert page.get_by_role("button", name="Theme").is_hidden()
    assert page.get_by_text("Choose a layer for its panel").first.is_hidden(), "nothing can be chosen on paper"
    dot = "getComputedStyle(document.querySelector('.key.local'), '::before').printColorAdjust"
    assert page.evaluate(dot) == "exact", "its colour tells the line"


def test_a_network_takes_no_more_of_the_paper_than_it_needs(open_report: Open) -> None:
    page = open_report(diagnosis())
    page.evaluate(
        "addEventListener('beforeprint', () => { const picture = document.querySelector('svg.network');"
        " window.drawn = [picture.getAttribute('width'), picture.getAttribute('height')].map(Number);"
        " window.ends = [...picture.querySelectorAll('.box')].map((box) => box.getBoundingClientRect().bottom"
        " - picture.getBoundingClientRect().top); })"
    )
    page.pdf(format="A4")
    width, height = page.evaluate("window.drawn")
    assert width > 500 and height < 700
    assert height - 80 < max(page.evaluate("window.ends")) <= height


def test_what_stands_in_a_box_fits_into_it(open_report: Open) -> None:
    source = diagnosis()
    everywhere = tuple(replace(f, sites=source.ranking.findings[0].sites) for f in source.ranking.findings)
    page = open_report(replace(source, ranking=replace(source.ranking, findings=everywhere)))
    graph = drawn_graph(page)
    graph.get_by_label("causes and findings").check()
    graph.locator("[data-graph-zoom=all]").click()
    tops: dict[int, float] = {}
    for box in graph.locator(".box").all():
        frame, words = box.locator("rect").bounding_box(), box.locator(".words").bounding_box()
        assert frame is not None
        column = round(frame["x"] / 30)
        tops[column] = min(tops.get(column, math.inf), frame["y"])
        if words is not None:
            assert frame["x"] <= words["x"] and words["x"] + words["width"] <= frame["x"] + frame["width"]
    assert len(tops) > 1 and max(tops.values()) - min(tops.values()) < 0.5, "columns begin at the same height"


def test_no_panel_parts_a_number_from_its_unit(open_report: Open) -> None:
    page = open_report(diagnosis())
    page.locator(".layers tbody tr").nth(2).click()
    said = page.locator("#panel").text_content() or ""
    assert re.search(r"\d\N{NO-BREAK SPACE}dB", said)
    assert not re.search(r"\d (%|pp|dB|bits)\b|\d %", said)


def test_the_bar_behind_a_figure_is_at_its_line(open_report: Open) -> None:
    page = open_report(diagnosis())
    meter = page.locator(".layers td.meter").first
    assert meter.evaluate("cell => getComputedStyle(cell).backgroundPositionY").endswith("px")


def test_the_graph_is_coloured_walked_and_opened(open_report: Open) -> None:
    page = open_report(diagnosis())
    records = diagnosis().measurement.records
    graph = drawn_graph(page)
    assert graph.locator(".box").count() == len(records)
    chosen = graph.locator(".box.chosen text").first.text_content()
    assert chosen in {layer for cause in diagnosis().ranking.claimed for layer in cause.layers}
    first = graph.locator(".box rect").first.get_attribute("fill")
    graph.get_by_label("causes and findings").check()
    assert graph.locator(".box rect").first.get_attribute("fill") != first
    network = graph.locator("svg.network")
    network.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#panel h2").text_content() == records[1].name
    assert records[1].name in (network.get_attribute("aria-valuetext") or "")
    graph.locator("[data-graph-zoom=all]").click()
    box, frame = graph.locator(".box").last.bounding_box(), graph.locator("[data-stage]").bounding_box()
    assert box is not None and frame is not None
    assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1


def test_the_whole_of_a_tall_network_stands_in_columns(open_report: Open) -> None:
    page = open_report(long_diagnosis(300))
    graph = drawn_graph(page)
    seen = "graph => [...graph.querySelectorAll('.box')].filter((box) => box.style.display !== 'none')"
    assert graph.evaluate(f"graph => ({seen})(graph).length") < 100, "what is far out of sight is not laid out"
    graph.locator("[data-graph-zoom=all]").click()
    places = graph.evaluate(f"graph => ({seen})(graph).map((box) => box.getBoundingClientRect().toJSON())")
    frame = graph.locator("svg.network").bounding_box()
    assert frame is not None and len(places) == 300
    assert len({round(place["x"]) for place in places}) > 5, "a line of boxes would be a pixel wide"
    assert min(place["width"] for place in places) > 30
    for place in places:
        assert frame["x"] <= place["x"] <= place["right"] <= frame["x"] + frame["width"]
        assert frame["y"] <= place["y"] <= place["bottom"] <= frame["y"] + frame["height"]
    graph.locator("svg.network").focus()
    page.keyboard.press("Home")
    assert graph.evaluate(f"graph => ({seen})(graph).length") < 100
    assert graph.locator(".box.chosen").bounding_box()["width"] > 50  # type: ignore[index]


def test_the_first_rows_of_a_long_table_are_shown_until_more_are_asked_for(open_report: Open) -> None:
    page = open_report(long_diagnosis(300))
    rows, more = page.locator(".layers tbody tr:visible"), page.locator("[data-all-rows]")
    assert (rows.count(), page.locator(".tools output").inner_text()) == (60, "60 of 300 layers")
    page.locator("input[type=search]").fill("149")
    assert rows.count() == 2
    page.locator("input[type=search]").fill("")
    assert rows.count() == 60
    page.emulate_media(media="print")
    assert rows.count() == 300
    page.emulate_media(media="screen")
    more.click()
    assert rows.count() == 300 and more.is_hidden()


def test_what_is_far_down_a_long_page_is_made_when_it_is_asked_for(open_report: Open) -> None:
    """Hundreds of layers open quickly: boxes of the graph and further rows come later, and paper has them all."""
    source = long_diagnosis(300)
    name = source.measurement.records[200].name
    records = tuple(replace(r, name=ATTACK) if r.name == name else r for r in source.measurement.records)
    page = open_report(replace(source, measurement=replace(source.measurement, records=records)))
    boxes, rows = page.locator("[data-graph] .box"), page.locator(".layers tbody tr")
    assert (boxes.count(), rows.count(), page.locator("#before-sensitivity tbody tr").count()) == (0, 60, 12)
    page.pdf(format="A4")
    assert (boxes.count(), rows.count(), page.locator(".layers tbody tr:visible").count()) == (300, 300, 60)
    assert source.sensitivity is not None
    every_layer = len(source.sensitivity.most_sensitive)
    assert page.locator("#before-sensitivity tbody tr").count() == every_layer > 12
    assert rows.nth(200).locator(".layer-link").get_attribute("title") == ATTACK
    header(page, "#").get_by_role("button").click()
    assert [row.get_attribute("data-layer") for row in rows.all()[:60:59]] == ["299", "240"]
    page.get_by_role("searchbox").fill("pwned")
    assert page.locator(".layers tbody tr:visible").get_attribute("data-layer") == "200"


def test_without_scripts_nothing_is_left_out(browser: "sync_api.Browser", tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    source = long_diagnosis(120)
    assert source.sensitivity is not None
    path.write_text(written(source), encoding="utf-8")
    page = browser.new_page(java_script_enabled=False)
    page.goto(path.as_uri())
    assert page.locator(".layers tbody tr:visible").count() == 120
    assert page.locator("#before-sensitivity tbody tr:visible").count() == len(source.sensitivity.most_sensitive)
    assert page.locator("[data-more]:visible").count() == 0
    page.close()


def test_float_quantized_and_repaired_network_stay_in_step(open_report: Open) -> None:
    """The same boxes, place, zoom and layer; figures and colours of another network."""
    page = open_report(diagnosis())
    graph = drawn_graph(page)
    graph.locator("[data-graph-zoom=in]").click()
    graph.get_by_label("propagated SQNR").check()
    moved, name = "graph.querySelector('svg.network > g')", "graph.querySelector('.box.chosen text')"
    shown = f"graph => [{moved}.getAttribute('transform'), {name}.textContent]"
    place, before = graph.evaluate(shown), graph.locator(".box.chosen .words").text_content() or ""
    fill = graph.locator(".box.chosen rect").get_attribute("fill")
    graph.get_by_label("Repaired", exact=True).check()
    assert graph.evaluate(shown) == place
    after = graph.locator(".box.chosen .words").text_content() or ""
    assert after.startswith(f"{before.removesuffix(' dB')} → ")
    assert graph.locator(".box.chosen rect").get_attribute("fill") != fill
    assert "on 32 of 500 samples" in graph.locator("[data-graph-note]").inner_text()
    graph.get_by_label("Float", exact=True).check()
    assert graph.evaluate(shown) == place
    assert " to " in (graph.locator(".box.chosen .words").text_content() or "")
    assert graph.locator("[data-modes]").is_hidden()
    graph.get_by_label("Quantized", exact=True).check()
    assert graph.locator(".box.chosen .words").text_content() == before, "what colours the layers is kept"
    graph.locator("svg.network").focus()
    page.keyboard.press("Enter")
    assert "repaired: " in page.locator("#panel .number.local").inner_text()
    assert page.locator("svg.sqnr .line.ghost").count() == 1


def test_both_runs_show_the_same_place_of_the_graph(open_report: Open) -> None:
    page = open_report(diagnosis(), repaired_diagnosis())
    before = drawn_graph(page)
    before.get_by_label("propagated SQNR").check()
    before.locator("[data-graph-zoom=in]").click()
    place = before.locator("svg.network > g").get_attribute("transform")
    chosen = before.locator(".box.chosen title").text_content() or ""
    page.get_by_label("After", exact=True).check()
    after = drawn_graph(page, "after")
    assert after.locator("svg.network > g").get_attribute("transform") == place
    assert (after.locator(".box.chosen title").text_content() or "").split("\n")[0] == chosen.split("\n")[0]
    assert after.locator("[data-modes] input:checked").input_value() == "propagated"
