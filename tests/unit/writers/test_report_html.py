"""The HTML report as text: complete, closed against what it is given, small. `tests/e2e` opens it in a browser."""

import html
import json
import math
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.facts import WeightFacts
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.ranges import ChannelRanges, Histogram
from qdiag.core.measures.task import Interval
from qdiag.core.printable import printable
from qdiag.reading.words.causes import commands
from qdiag.writers.html.filters import amount, breakable, figure, short, signed, unbroken
from qdiag.writers.html.payload import run_payload, short_number
from qdiag.writers.html.report import html_report
from qdiag.writers.html.view import run_view
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    healthy_diagnosis,
    long_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
)
from tests.diagnosis_parts import DEAD
from tests.measurements import sums
from tests.other_tasks import judged_by_error, judged_by_sqnr

VOID = {"meta", "link", "input", "br", "wbr"}
ATTACK = "</script><script>window.pwned = 1</script><img src=x onerror='pwned=1'>\"'&"


class Page(HTMLParser):
    """Text by element, and whether every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def data(self) -> dict[str, Any]:
        (text,) = [data for tag, data in self.texts if tag == "script" and data.startswith("{")]
        found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
        return found

    def text(self) -> str:
        shown = "".join(data for tag, data in self.texts if tag not in ("script", "style"))
        return re.sub(r"\s+", " ", shown.replace("\N{NON-BREAKING HYPHEN}", "-"))


def renamed(source: Diagnosis, old: str, new: str) -> Diagnosis:
    """One layer under another name."""
    records = tuple(
        replace(record, name=new if record.name == old else record.name) for record in source.measurement.records
    )
    facts = tuple(replace(fact, layer=new if fact.layer == old else fact.layer) for fact in source.facts)
    model = replace(source.measurement.model, source=new, architecture=new)
    measurement = replace(source.measurement, records=records, model=model, notes=(new,))
    return replace(source, measurement=measurement, facts=facts, notes=(new,))


@pytest.mark.parametrize(
    "source", [diagnosis, repaired_diagnosis, healthy_diagnosis, unlabelled_diagnosis, awkward_diagnosis]
)
def test_every_kind_of_diagnosis_is_a_closed_page_with_valid_data(source: Any) -> None:
    page = Page(html_report(source()))
    assert not page.open
    (run,) = page.data()["runs"]
    assert [layer["name"] for layer in run["layers"]] == [printable(r.name) for r in source().measurement.records]
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))


def test_the_verdict_comes_first_with_its_figures_and_commands() -> None:
    source = diagnosis()
    text = Page(html_report(source)).text()
    places = [text.index(words) for words in ("Quantization costs 67.4", "fix-bn", "Where the signal is lost", "QD301")]
    assert places == sorted(places)
    for line in commands(source):
        assert line in text
    assert "74.8 %" in text, "after the repairs"
    for layer in DEAD:
        assert layer in text
    assert "refused: the float network itself loses 10.8 points" in text
    assert "one weight scale per channel" in text.lower()
    assert source.measurement.data.digest in text


def test_two_diagnoses_have_a_switch_and_one_has_none() -> None:
    one, two = Page(html_report(diagnosis())), Page(html_report(diagnosis(), repaired_diagnosis()))
    assert not [a for tag, a in one.tags if a.get("name") == "run"]
    assert [a["value"] for tag, a in two.tags if a.get("name") == "run"] == ["before", "after"]
    assert [run["key"] for run in two.data()["runs"]] == ["before", "after"]
    assert "9.0 % → 74.8 %+65.8 pp" in two.text()


def test_nothing_that_a_layer_or_a_path_is_called_becomes_markup() -> None:
    plain = Page(html_report(renamed(diagnosis(), "blocks.6.pw", "net")))
    attacked = Page(html_report(renamed(diagnosis(), "blocks.6.pw", ATTACK)))
    assert not attacked.open
    own, other = (
        [tag for tag, a in page.tags if a.get("class") != "words" and tag != "wbr"] for page in (plain, attacked)
    )
    assert own == other, (
        "but for the pieces of commands, which depend on the blanks in them, and for places where a line may end"
    )
    assert ATTACK in [layer["name"] for layer in attacked.data()["runs"][0]["layers"]]
    assert not [a for _, attributes in attacked.tags for a in attributes if a.startswith("on")]


def test_only_its_own_script_may_run_and_nothing_is_fetched() -> None:
    text = html_report(diagnosis())
    page = Page(text)
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    links = [a.get("src") or a.get("href") for tag, a in page.tags if a.get("src") or a.get("href")]
    assert all(link.startswith(("#", "data:")) for link in links if link)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", text)


def test_no_figure_is_the_word_nan_or_an_escape_of_python() -> None:
    text = Page(html_report(awkward_diagnosis())).text()
    assert not re.search(r"\bnan\b|\bNone\b|\\u|\{\{|Undefined", text)
    assert "∞" in text


def test_a_path_that_is_no_text_is_still_a_page() -> None:
    report = html_report(renamed(diagnosis(), "stem.conv", "net\udcff.pt"))
    assert "net\\xff.pt" in report.encode("utf-8").decode("utf-8")


def test_equal_diagnoses_give_equal_pages() -> None:
    assert html_report(diagnosis(), repaired_diagnosis()) == html_report(diagnosis(), repaired_diagnosis())


def test_histograms_are_merged_without_losing_a_count() -> None:
    source = diagnosis()
    record = source.measurement.records[4]
    assert record.range is not None
    counts = tuple(range(1, 3001))
    wide = replace(record, range=replace(record.range, histogram=Histogram(0.25, -1001, counts)))
    records = (*source.measurement.records[:4], wide, *source.measurement.records[5:])
    view = run_view("before", "", replace(source, measurement=replace(source.measurement, records=records)))
    histogram = run_payload("before", "", view.layers, source, 64)["layers"][4]["histogram"]
    assert len(histogram["counts"]) <= 96
    assert sum(histogram["counts"]) == sum(counts)
    assert histogram["start"] <= -1001 * 0.25
    assert histogram["start"] + histogram["width"] * len(histogram["counts"]) >= 1999 * 0.25
    assert histogram["start"] % histogram["width"] == 0


def test_many_channels_share_lines_that_cover_them_all() -> None:
    source = diagnosis()
    low, high = tuple(-float(i) for i in range(1000)), tuple(2.0 * i for i in range(1000))
    weight = WeightFacts(low, high, 3.0, 3.0, 1, 1000, 30.0, 40.0)
    facts = (replace(source.facts[0], weight=weight), *source.facts[1:])
    view = run_view("before", "", replace(source, facts=facts))
    whiskers = run_payload("before", "", view.layers, source, 64)["layers"][0]["weights"]
    assert whiskers["per"] == 16
    assert len(whiskers["low"]) == len(whiskers["high"]) == 63
    assert (whiskers["low"][0], whiskers["high"][0]) == (-15.0, 30.0)
    assert (whiskers["low"][-1], whiskers["high"][-1]) == (-999.0, 1998.0)


def wide_and_deep(layers: int, channels: int) -> Diagnosis:
    """Every layer with that many channels and a full histogram."""
    source = long_diagnosis(layers)
    column = tuple(0.123456789 * i for i in range(channels))
    ranges = ChannelRanges(0, column, column, column, column, column, column)
    weight = WeightFacts(column, column, 3.0, 3.0, 1, channels, 30.0, 40.0)
    facts = tuple(replace(fact, weight=weight, channels=ranges) for fact in source.facts)
    full = Histogram(2.0**-9, -2048, tuple(range(10**6, 10**6 + 4096)))
    records = tuple(
        replace(r, range=replace(r.range, histogram=full)) for r in source.measurement.records if r.range is not None
    )
    return replace(source, facts=facts, measurement=replace(source.measurement, records=records))


def test_a_hundred_wide_layers_take_seconds_and_two_deep_networks_stay_below_six_megabytes() -> None:
    source = wide_and_deep(100, 1280)
    start = time.process_time()
    html_report(source)
    assert time.process_time() - start < 2.0
    deep = wide_and_deep(300, 640)
    assert len(html_report(deep, deep).encode()) < 6_000_000


def test_columns_of_the_sensitivity_are_those_that_were_measured() -> None:
    source = diagnosis()
    assert source.sensitivity is not None
    rows = tuple(replace(row, all_but=None, fisher=math.nan) for row in source.sensitivity.rows)
    without = html_report(replace(source, sensitivity=replace(source.sensitivity, rows=rows)))
    for words in ("All but it", "Estimate"):
        assert words in html_report(source)
        assert words not in without


def test_an_empty_network_has_a_page() -> None:
    source = healthy_diagnosis()
    empty = replace(source, facts=(), measurement=replace(source.measurement, records=()))
    assert not Page(html_report(empty)).open


@pytest.mark.parametrize(
    ("value", "text", "change"),
    [(3.14, "3.1", "+3.1"), (-3.14, "\N{MINUS SIGN}3.1", "\N{MINUS SIGN}3.1"), (-0.01, "0.0", "0.0"),
     (math.inf, "∞", "+∞"), (-math.inf, "\N{MINUS SIGN}∞", "\N{MINUS SIGN}∞"),
     (math.nan, "\N{EN DASH}", "\N{EN DASH}")],
)  # fmt: skip
def test_figures(value: float, text: str, change: str) -> None:
    assert figure(value) == text
    assert signed(value) == change
    assert amount(value, "dB") == (text if math.isnan(value) else f"{text} dB")


def test_words_that_stay_together() -> None:
    kept, hyphen = "\N{NO-BREAK SPACE}", "\N{NON-BREAKING HYPHEN}"
    assert (
        unbroken("67.4 pp of top-1 (9 %), 1.2 dB", ("top-1",))
        == f"67.4{kept}pp of top{hyphen}1 (9{kept}%), 1.2{kept}dB"
    )
    assert unbroken("5 dBm, stop-1, 3 layers", ("top-1",)) == "5 dBm, stop-1, 3 layers"


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("blocks.0.dw", ["blocks.", "0.", "dw"]),
        ("/layer1/layer1.0/conv1/Conv", ["/", "layer1/", "layer1.", "0/", "conv1/", "Conv"]),
        ("a" * 45, ["a" * 20, "a" * 20, "a" * 5]),
        ("a..//b<i>&", ["a..//", "b&lt;i&gt;&amp;"]),
        ("", []),
    ],
)
def test_a_line_ends_between_the_words_of_a_name(name: str, pieces: list[str]) -> None:
    assert breakable(name) == "<wbr>".join(pieces)


def test_numbers_for_the_script() -> None:
    assert [short_number(v) for v in (1.23456789, -math.inf, math.inf, math.nan)] == [
        1.235,
        "-Infinity",
        "Infinity",
        None,
    ]
    assert short(1234567.0) == "1,234,567"  # as sentences write it
    assert short(-0.0123456) == "\N{MINUS SIGN}0.0123"
    assert short(math.inf) == "∞"


def test_the_waterfall_is_drawn_on_one_axis_and_tells_losses_from_gains() -> None:
    view = run_view("before", "", diagnosis())
    kinds = [bar.kind for bar in view.waterfall]
    assert kinds == ["float", "quantized", "step", "step", "remainder"]
    first, second = view.waterfall[2:4]
    assert first.left == pytest.approx(9.0)
    assert first.left + first.width == pytest.approx(65.4) == second.left
    assert view.waterfall[-1].change == pytest.approx(1.6)
    source = diagnosis()
    turned = replace(source.ranking, waterfall=source.ranking.waterfall[::-1])
    assert [bar.kind for bar in run_view("before", "", replace(source, ranking=turned)).waterfall][2:4] == [
        "step",
        "loss",
    ]


def test_the_waterfall_of_a_network_without_logits_is_in_decibels() -> None:
    view = run_view("before", "", judged_by_sqnr(diagnosis()))
    assert [bar.kind for bar in view.waterfall] == ["quantized", "step", "step"]
    assert [bar.value for bar in view.waterfall] == pytest.approx([1.1, 9.7, 17.8])
    assert view.waterfall[-1].left + view.waterfall[-1].width == pytest.approx(100.0)
    assert view.criterion is None


def test_the_waterfall_of_an_error_goes_down_for_the_better() -> None:
    view = run_view("before", "", judged_by_error(diagnosis()))
    assert [bar.kind for bar in view.waterfall] == ["float", "quantized", "step", "step", "remainder"]
    assert [bar.value for bar in view.waterfall] == pytest.approx([0.236, 0.91, 0.346, 0.252, 0.236])
    assert [bar.change for bar in view.waterfall[2:]] == pytest.approx([-0.564, -0.094, 0.016])
    assert view.waterfall[1].width == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({}, "healthy", "healthy"),
        ({"interval": Interval(-1.0, 2.3)}, "unsure", "no harm measured, too few samples to be sure"),
        ({"verdict": "undecided"}, "unsure", "too few samples to tell"),
        ({"verdict": "undecided", "value": math.nan}, "unsure", "no verdict is possible"),
        ({"verdict": "harmed"}, "harmed", "harmed"),
    ],
)
def test_the_state_of_a_network_is_one_of_three(change: dict[str, Any], state: str, words: str) -> None:
    found = healthy_diagnosis()
    page = html_report(replace(found, ranking=replace(found.ranking, harm=replace(found.ranking.harm, **change))))
    assert f'<span class="pill {state}">{words}</span>' in page


def test_a_network_with_a_lost_output_is_not_called_healthy() -> None:
    found = healthy_diagnosis()
    boxes = OutputRecord("boxes", (4,), sums(3.0))
    before = replace(found.ranking.before, outputs=(*found.ranking.before.outputs, boxes))
    page = html_report(replace(found, ranking=replace(found.ranking, before=before)))
    assert '<span class="pill unsure">an output is lost</span>' in page
    assert "Nothing to repair" not in page


def test_what_judges_stands_on_the_tiles_with_its_unit() -> None:
    page = html_report(judged_by_error(diagnosis()))
    tiles = page[page.index('<dl class="tiles">') : page.index("</dl>")]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", tiles)).strip()
    assert words.startswith("Float 0.236 m Quantized 0.91 m depth error Rise 0.674 m 95 %: 0.6274 to 0.7153 Repaired")
    assert "Judged by depth error, the metric that was given." in page


def test_commands_stand_on_lines_of_their_own() -> None:
    lines = commands(diagnosis())
    assert len(lines) == 2
    (block, *_) = re.findall(r'<pre tabindex="0"><code>(.*?)</code>', html_report(diagnosis()), re.DOTALL)
    assert html.unescape(re.sub("<[^>]*>", "", block)).split("\n") == list(lines)
    pieces = re.findall('<span class="words">(.*?)</span>', html.unescape(block))
    assert pieces[0].startswith("qdiag fix-bn ") and all(
        piece.startswith("-") for piece in pieces[1 : pieces.index("--scheme tf-uint8")]
    )


def test_a_quantized_file_is_shown_with_its_run() -> None:
    page = Page(html_report(deployed_diagnosis()))
    assert not page.open
    words = re.sub(r"[\s\N{NO-BREAK SPACE}]+", "", page.text())
    section = words[words.index("Thequantizedfilemodels") : words.index("Methodandprovenance")]
    for told in (
        *("models/int8.onnx (QDQ) in its runtime", "Top-1 76.4 % 9.0 % 9.0 %", "27 operations with integers"),
        *(
            "act<b>",
            "0.3 % of 1,800,000 integers differ",
            "blocks.0.pw 4.5 % 2 steps 120,000 blocks.0.pw_quantized a softmax in float",
        ),
        *("Not compared: head (the file holds no integers of it).", "Show all 15 layers", "What changes in it"),
        *("stem_out 8 bits, scale 0.0117, zero point 40 → 8 bits, scale 0.0059, zero point 128", "c|d in float"),
    ):
        assert told.replace(" ", "") in section, told
    verdict = words[: words.index("Thequantizedfile")]
    assert "Simulated" in verdict and "thefileinitsruntime" in verdict
    without = Page(html_report(replace(deployed_diagnosis(), verification=None))).text()
    assert "was not run in its runtime" in without and "the file in its runtime" not in without
    assert "The quantized file" not in Page(html_report(diagnosis())).text()
