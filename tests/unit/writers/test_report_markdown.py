import re
from dataclasses import replace

import pytest

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import OutputRecord
from qdiag.reading.words.causes import headline
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import PictureLink, code, codes, section, table, text
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    healthy_diagnosis,
    long_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
)
from tests.other_tasks import judged_by_error, judged_by_sqnr

ALL = {
    "harmed": diagnosis(), "repaired": repaired_diagnosis(), "healthy": healthy_diagnosis(),
    "unlabelled": unlabelled_diagnosis(), "awkward": awkward_diagnosis(), "long": long_diagnosis(300),
    "deployed": deployed_diagnosis(), "error": judged_by_error(diagnosis()), "sqnr": judged_by_sqnr(diagnosis()),
}  # fmt: skip


def tables(report: str) -> list[list[str]]:
    return [block.splitlines() for block in report.split("\n\n") if block.startswith("|")]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


@pytest.mark.parametrize("name", ALL)
def test_every_table_has_rows_as_wide_as_its_header(name: str) -> None:
    found = tables(markdown_report(ALL[name]))
    assert len(found) >= 4
    for header, rule, *rows in found:
        assert rows
        assert {cells(row) for row in (rule, *rows)} == {cells(header)}


@pytest.mark.parametrize("name", ALL)
def test_no_raw_nan_and_no_unfinished_words(name: str) -> None:
    report = markdown_report(ALL[name])
    assert not re.search(r"\bnan\b|\bNone\b|\(\)|\(\s", report)
    assert report.endswith("\n")
    assert not report.endswith("\n\n")


def test_the_verdict_and_the_command_come_before_everything_else() -> None:
    report = markdown_report(diagnosis())
    first_section = report.index("\n## ")
    for words in ("67.4 pp", "62.7 to 71.5", "dead BatchNorm channels", "qdiag fix-bn"):
        assert report.index(words) < first_section


def test_an_output_of_zeros_is_not_known_in_both_reports() -> None:
    found = unlabelled_diagnosis()
    zeros = OutputRecord("mute", (10,), ErrorSums(count=100, error_sq_sum=4.0))
    before = replace(found.ranking.before, outputs=(zeros,))
    silent = replace(
        found,
        measurement=replace(found.measurement, outputs=(zeros,)),
        ranking=replace(found.ranking, before=before, harm=harm_of(before)),
    )
    why = "the float output is zero everywhere"
    assert headline(silent) == f"No verdict is possible: what quantization costs is not known: {why}."
    assert f"| not known: {why} |" in markdown_report(silent)
    assert f'<dd>not known</dd><dd class="interval">{why}</dd>' in html_report(silent)


def test_what_judges_and_why_is_said_and_stands_first() -> None:
    report = markdown_report(ALL["error"])
    assert "\nJudged by depth error, the metric that was given.\n" in report
    figures = next(block for block in report.split("\n\n") if block.startswith("|  | float"))
    assert figures.splitlines()[2] == (
        "| depth error | 0.236 m | 0.91 m | rise 0.674 m (95 %: 0.6274 to 0.7153) | 0.252 m |"
    )
    assert "| **not recovered by any repair** |   |   | 0.016 m |" in report
    assert "| float |   | depth error 0.236 m |" in report


def test_where_nothing_says_what_the_network_answers_the_report_says_what_to_do() -> None:
    report = markdown_report(ALL["sqnr"])
    assert report.index("To have answers counted, name the task of the network") < report.index("\n## ")
    assert "a proxy: how answers change was not counted" in report


def test_sections_in_order() -> None:
    headings = re.findall(r"^## (.+)$", markdown_report(diagnosis()), re.MULTILINE)
    assert headings == [
        "Causes, ranked by what repairing them recovers",
        "Repair sequence",
        "Scheme changes",
        "Layers at fault, and the weakest ones",
        "Ranges",
        "BatchNorm audit",
        "The five losses",
        "Sensitivity",
        "Bits",
        "Findings that no repair tested",
        "Method and provenance",
    ]


def test_each_cause_shows_its_gain_its_placebo_and_the_float_network() -> None:
    (row,) = [line for line in markdown_report(diagnosis()).splitlines() if "(`reset_variance_mean`)" in line]
    assert "kept | 56.4 pp (95 %: 51.6 to 60.7); 8.6 dB (95 %: 8.5 to 8.7) | 65.4 % top-1, 9.7 dB" in row
    assert "56.2 pp (95 %: 51.4 to 60.5) | output moves by 1.4e-06 of its largest value |" in row


def test_the_remainder_and_the_way_around_with_its_cost_are_shown() -> None:
    report = markdown_report(diagnosis())
    assert "| **not recovered by any repair** |   |   | 1.6 pp |" in report
    assert (
        "| one weight scale per channel | 28 layers | 67.2 pp (95 %: 62.7 to 71.2) | 76.2 % top-1, 21.4 dB |" in report
    )
    assert "442 scales have to be stored in addition" in report


def test_what_was_not_done_is_not_claimed() -> None:
    """BatchNorms that stay, layers that were not left out one by one; and a command says which row it measures."""
    found = diagnosis()
    assert found.sensitivity is not None
    rows = tuple(replace(row, all_but=None) for row in found.sensitivity.rows)
    capture = replace(found.measurement.capture, folded_batchnorms=())
    measured = replace(found.measurement, capture=capture)
    plain = markdown_report(replace(found, measurement=measured, sensitivity=replace(found.sensitivity, rows=rows)))
    assert "all but this layer" not in plain and "Weights, widest spread first." in plain
    whole = markdown_report(found)
    assert "| this layer alone | all but this layer |" in whole and "Weights, BatchNorm folded, widest" in whole
    around = whole.split("## Scheme changes")[1].split("```")[1].splitlines()
    begun = [line[0] for line in around[1:] if not line.startswith("    ")]  # not what goes on
    assert begun == ["#", "q"] * (len(begun) // 2)


def on_some_samples(found: Diagnosis) -> Diagnosis:
    """The first layer was measured on 32 samples by itself, and the network at the first of other widths on 64."""
    assert found.sensitivity is not None

    def on(score: Score, count: int) -> Score:
        return replace(score, task=replace(score.task, sample_count=count))

    first, *rows = found.sensitivity.most_sensitive
    assert first.alone is not None
    few = replace(found.sensitivity, rows=(replace(first, alone=on(first.alone, 32)), *rows))
    point, *points = found.bits
    return replace(found, sensitivity=few, bits=(replace(point, score=on(point.score, 64)), *points))


def test_sweeps_say_on_how_many_samples_where_these_differ() -> None:
    """And what the float network has on these, where it can be wrong as well."""
    whole, some = diagnosis(), on_some_samples(diagnosis())
    report = markdown_report(some)
    first = some.sensitivity.most_sensitive[0].layer if some.sensitivity is not None else ""
    (row,) = [line for line in report.split("## Sensitivity")[1].splitlines() if line.startswith(f"| `{first}` |")]
    assert "| 32 | 76.4 % |" in row and "With everything quantized, on all samples: " in report
    assert "on 32 of 500 samples at least" in report
    assert "| samples | float network, same samples |" in report and "| weakest output SQNR | samples |" in report
    plain = markdown_report(whole)
    assert "float network, same samples" not in plain and "| weakest output SQNR | samples |" not in plain
    page = html_report(some)
    assert "Float network, same samples</th>" in page and 'class="n">Samples</th>' in page.split("<h2>Bits</h2>")[1]
    assert 'class="n">Samples</th>' not in html_report(whole)
    few = replace(whole, measurement=replace(whole.measurement, layer_sample_count=64))
    assert "higher is better, measured on 64 of 500 samples.<span" in html_report(few)
    assert "higher is better.<span" in page
    unlabelled = on_some_samples(unlabelled_diagnosis())
    assert "| samples |" in markdown_report(unlabelled) and "float network, same samples" not in markdown_report(
        unlabelled
    )


def test_a_refused_repair_is_a_row_with_its_reason() -> None:
    assert "refused: the float network itself loses 10.8 points" in markdown_report(diagnosis())


def test_provenance_names_versions_seed_and_digests() -> None:
    found = diagnosis()
    method = markdown_report(found).split("## Method and provenance")[1]
    for words in (found.measurement.model.digest, found.measurement.data.digest, "seed 0", "torch 2.13.0", "tf-uint8"):
        assert words in method


def test_results_without_real_inputs_are_marked() -> None:
    found = diagnosis()
    data = replace(found.measurement.data, is_data_free=True)
    assert "> **Data-free:**" in markdown_report(replace(found, measurement=replace(found.measurement, data=data)))


def test_pictures_are_linked_relatively_where_they_belong() -> None:
    links = (
        PictureLink("sqnr", "SQNR by layer", "plots/sqnr.png"),
        PictureLink("histogram", "Outputs of a layer", "plots/layer 4.png", "blocks.1.dw"),
    )
    layers = markdown_report(diagnosis(), links).split("## Layers at fault")[1].split("\n## ")[0]
    assert "![SQNR by layer](plots/sqnr.png)" in layers
    assert "<summary>Channels and outputs of <code>blocks.1.dw</code></summary>" in layers
    assert "![Outputs of a layer](plots/layer%204.png)" in layers
    assert "![" not in markdown_report(diagnosis())


@pytest.mark.parametrize("found", [healthy_diagnosis(), repaired_diagnosis()])
def test_nothing_is_repaired_without_harm(found: Diagnosis) -> None:
    assert "To repair it" not in markdown_report(found)


@pytest.mark.parametrize(
    ("name", "shown"), [("a.b", "`a.b`"), ("a|b", "`a¦b`"), ("x`y", "``x`y``"), ("`y`", "`` `y` ``"), ("", "(no name)")]
)
def test_names_are_code_whatever_they_hold(name: str, shown: str) -> None:
    assert code(name) == shown


def test_sentences_hold_no_markup() -> None:
    assert text("a < b | *c* [d]") == r"a &lt; b \| \*c\* \[d\]"
    assert text("range_over_live of _x_ and #3") == r"range_over_live of \_x\_ and \#3"


def test_long_lists_are_cut_and_empty_parts_left_out() -> None:
    assert codes(("a", "b", "c", "d", "e")) == "`a`, `b`, `c` and 2 more"
    assert table(("a", "b #"), [("1", "2")]) == "| a | b |\n|---|---:|\n| 1 | 2 |"
    assert table(("a",), []) == section("Nothing", "", "") == ""


def test_a_quantized_file_is_told_with_its_run() -> None:
    report = markdown_report(ALL["deployed"])
    body = report[report.index("## `models/int8.onnx` in its runtime") :]
    assert "27 operations with integers in onnxruntime 1.32.0: 27 QLinearConv; 1 operation in float: Tanh" in body
    assert re.search(r"\| top-1 \| 76.4 % \| 9.0 % \| 9.0 % \|", body)
    assert "0.3 % of 1,800,000 integers differ, by 2 steps at most, in 1 of 15 layers" in body
    rows = next(block for block in body.split("\n\n") if block.startswith("| layer |")).splitlines()
    assert "| 4.5 % | 2 steps | 120,000 | `blocks.0.pw_quantized` | a softmax in float |" in rows[2] and len(rows) == 10
    assert "7 more layers, none of which differs more" in body
    assert "- not compared: head (the file holds no integers of it)" in body
    assert "scale 0.0117, zero point 40 → 8 bits, scale 0.0059, zero point 128" in report
    assert "in its runtime" not in markdown_report(ALL["harmed"])
    assert "with the arithmetic ort the simulation follows the rules of this runtime" in report
