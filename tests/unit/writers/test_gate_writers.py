"""Files for CI keep to the rules of those who read them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from qdiag.core.gate import GateCheck, GateResult, GateStatus
from qdiag.errors import LoadError
from qdiag.gate.baseline import make_baseline
from qdiag.reading.words.gate import RULE_HELP, RULE_TITLES
from qdiag.writers.ci.github_actions import ANNOTATIONS_AT_MOST, annotations
from qdiag.writers.ci.junit import gate_junit
from qdiag.writers.ci.sarif import gate_sarif
from qdiag.writers.json.baseline import baseline_to_json, read_baseline
from qdiag.writers.json.gate import gate_to_json
from qdiag.writers.markdown.gate import COMMENT_BYTES_AT_MOST, SUMMARY_BYTES_AT_MOST, append_summary, gate_markdown
from qdiag.writers.markdown.github_text import code, plain, within
from tests.diagnoses import awkward_diagnosis, diagnosis
from tests.gates import ALL, evidence, failed, passed, undecided, unjudged

Make = Callable[[], GateResult]

JUNIT_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testsuite", "properties", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "rerunFailure", "rerunError", "flakyFailure", "flakyError"}
    | {"system-out", "system-err"},
    "properties": {"property"},
}
"""Jenkins' junit-10.xsd in words: what may stand in what (nothing, where an element is not named) ..."""
JUNIT_ATTRIBUTES = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"},
    ),
    "testcase": ({"name"}, {"time", "classname", "group"}),
    "property": ({"name", "value"}, set()),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "skipped": (set(), {"type", "message"}),
    "properties": (set(), set()),
    "system-out": (set(), set()),
}
"""... and which attributes each has to have, and may have besides."""
TEXT = {"failure", "error", "skipped", "system-out", "system-err"}


def check_junit(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        required, optional = JUNIT_ATTRIBUTES[element.tag]
        assert required <= set(element.attrib) <= required | optional, element.tag
        assert {child.tag for child in element} <= JUNIT_CHILDREN.get(element.tag, set())
        if element.tag not in TEXT:
            assert not (element.text or "").strip()
    for suite in root.iter("testsuite"):
        cases = list(suite.iter("testcase"))
        assert int(suite.attrib["tests"]) == len(cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)
        assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    return root


@pytest.mark.parametrize("make", ALL)
def test_junit_keeps_to_the_rules_of_jenkins(make: Make) -> None:
    root = check_junit(gate_junit(make()))
    assert len(list(root.iter("testcase"))) == len(make().checks)


def test_the_rules_notice_what_breaks_them() -> None:
    good = gate_junit(failed())
    for bad in (
        good.replace('tests="', 'count="', 2),
        good.replace("<skipped", "<pending"),
        good.replace('failures="', 'failures="9'),
    ):
        with pytest.raises((AssertionError, KeyError, ElementTree.ParseError)):
            check_junit(bad)


def test_junit_has_a_case_for_every_layer_and_names_layer_and_cause() -> None:
    root = check_junit(gate_junit(failed()))
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    weak = cases["local SQNR of blocks.0.dw"].find("failure")
    assert weak is not None
    assert "4.1 dB" in weak.attrib["message"]
    assert "QD301 dead BatchNorm channels" in (weak.text or "")
    assert "qdiag fix-bn" in (weak.text or "")
    assert cases["local SQNR of blocks.2.dw"].find("failure") is None  # allowed
    names = {element.attrib["name"] for element in root.iter("property")}
    assert {"fingerprint data", "fingerprint scheme", "fingerprint weights", "status"} <= names


def test_junit_tells_failed_unjudged_undecided_and_passed_apart() -> None:
    tags: dict[GateStatus, str] = {"fail": "failure", "cannot_judge": "error", "undecided": "skipped", "pass": ""}
    for make in ALL:
        result = make()
        for check, case in zip(result.checks, check_junit(gate_junit(result)).iter("testcase"), strict=True):
            found = {child.tag for child in case} - {"system-out"}
            assert found == ({tags[check.status]} - {""} if check.status in tags else set())


def test_junit_tells_what_no_command_can_write_without_the_mark_of_a_comment() -> None:
    told = replace(failed(), commands=("# no command can write this: fuse it", "qdiag fix-bn net.pt2"))
    text = gate_junit(told)
    assert "repair: no command can write this: fuse it" in text and "repair: qdiag fix-bn net.pt2" in text
    assert "# no command" not in text and "# no command can write this: fuse it" in gate_markdown(told)


def test_junit_holds_any_name() -> None:
    result = failed()
    odd = replace(result.checks[0], reason="\x00\x1b[31m ]]> & < \ud800 é")
    check_junit(gate_junit(replace(result, checks=(odd, odd), source="a\x01b")))


def check_sarif(text: str) -> dict[str, Any]:
    """What SARIF 2.1.0 (OASIS, sections 3.13 to 3.49) requires, and what GitHub asks for beyond."""
    log: dict[str, Any] = json.loads(text)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "qdiag"
    rules = driver["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert all(rule["shortDescription"]["text"] for rule in rules)
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
    for result in run["results"]:
        assert result["message"]["text"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert re.fullmatch(r"QD\d{3}|gate/[a-z-]+", result["ruleId"])
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert re.fullmatch(r"[A-Za-z0-9._~%/:-]+", physical["artifactLocation"]["uri"])
        assert physical["region"]["startLine"] >= 1
        assert all(logical["fullyQualifiedName"] for logical in location.get("logicalLocations", []))
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    return run


@pytest.mark.parametrize("make", ALL)
def test_sarif_has_the_required_parts(make: Make) -> None:
    run = check_sarif(gate_sarif(make(), "0.1.0"))
    assert bool(run["results"]) == (make is not passed or any(c.status == "warn" for c in make().checks))


def test_sarif_names_code_layer_and_model() -> None:
    run = check_sarif(gate_sarif(failed(), "0.1.0"))
    causes = [result for result in run["results"] if result["ruleId"] == "QD301"]
    layers = {result["locations"][0]["logicalLocations"][0]["name"] for result in causes}
    assert "blocks.0.dw" in layers
    assert len(layers) == len(causes)
    assert causes[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "net.safetensors"
    assert {result["level"] for result in causes} == {"error"}


def test_the_same_fault_keeps_its_fingerprint() -> None:
    def prints(result: GateResult) -> list[str]:
        results = check_sarif(gate_sarif(result, "0.1.0"))["results"]
        return [next(iter(item["partialFingerprints"].values())) for item in results]

    before = prints(failed())
    other = replace(failed(), checks=tuple(replace(check, value=check.value + 1.0) for check in failed().checks))
    assert prints(other) == before
    assert len(set(before)) == len(before)


def test_names_of_models_become_references() -> None:
    result = failed()
    assert result.model is not None
    for source, uri in (("a b/né.pt", "a%20b/n%C3%A9.pt"), ("/abs/net.pt, submodule x", "file:///abs/net.pt")):
        run = check_sarif(gate_sarif(replace(result, model=replace(result.model, source=source)), "1"))
        assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


@pytest.mark.parametrize("make", ALL)
def test_json_says_the_verdict_first(make: Make) -> None:
    plain_result = json.loads(gate_to_json(make()))
    assert list(plain_result)[:3] == ["success", "status", "exit_code"]
    assert plain_result["success"] == (make().exit_code == 0)
    assert sum(plain_result["statistics"].values()) == 2 * len(make().checks)


@pytest.mark.parametrize("make", ALL)
def test_tables_of_markdown_have_as_many_cells_in_every_row(make: Make) -> None:
    rows = [line for line in gate_markdown(make()).splitlines() if line.startswith("|")]
    assert rows
    tables: list[list[int]] = []
    for line in rows:
        cells = len(re.findall(r"(?<!\\)\|", line))
        if set(line) <= {"|", "-"} or (tables and tables[-1][0] == cells):
            tables[-1].append(cells)
        else:
            tables.append([cells])
    assert all(len(set(table)) == 1 and len(table) >= 2 for table in tables)


def many_layers(count: int) -> GateResult:
    result = failed()
    name = "backbone.features.{}.a_rather_long_name_of_a_block.conv"
    checks = [
        GateCheck("min_layer_sqnr", "fail", "dB", 10.0, value=float(i), layer=name.format(i)) for i in range(count)
    ]
    return replace(result, checks=(*result.checks, *checks), notes=tuple(f"note {i} " * 20 for i in range(count)))


def test_comments_and_summaries_stay_under_their_limits(tmp_path: Path) -> None:
    huge = many_layers(2_000)
    comment = gate_markdown(huge)
    assert len(comment.encode()) <= COMMENT_BYTES_AT_MOST < 65_536
    assert comment.count("local SQNR of backbone") <= 20
    summary = tmp_path / "summary.md"
    summary.write_text("what another tool said\n", encoding="utf-8")
    for _ in range(4):
        append_summary(summary, huge)
    assert summary.stat().st_size < SUMMARY_BYTES_AT_MOST + 1000 < 2**20
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("what another tool said\n")
    assert "Cut here" in text


def test_the_summary_names_layer_and_cause(tmp_path: Path) -> None:
    append_summary(tmp_path / "s.md", failed())
    text = (tmp_path / "s.md").read_text(encoding="utf-8")
    assert text.startswith("### ❌ The gate failed")
    assert "QD301 dead BatchNorm channels" in text
    assert "`blocks.0.dw`" in text


def test_annotations_are_few_escaped_and_of_one_line() -> None:
    lines = annotations(many_layers(50))
    for kind in ("error", "warning"):
        assert sum(line.startswith(f"::{kind} ") for line in lines) <= ANNOTATIONS_AT_MOST
    assert any("QD301" in line for line in lines)
    odd = replace(failed().checks[0], reason="50 %\n::error::x\r\x1b", layer="a,b:c\nd")
    (line, *_) = annotations(replace(failed(), checks=(odd,), causes=()))
    title, text = re.fullmatch(r"::error title=([^:,\n]*)::([^\r\n\x1b]*)", line).groups()  # type: ignore[union-attr]
    assert "a%2Cb%3Ac%0Ad" in title
    assert "50 %25%0A::error::x\\r\\x1b" in text
    assert annotations(passed()) == () or all(line.startswith("::warning") for line in annotations(passed()))
    assert all(line.startswith("::warning") for line in annotations(undecided()))
    assert all(line.startswith("::error") for line in annotations(unjudged()))


def test_text_stays_text() -> None:
    assert plain("a|b\n<c> `d` *e* &amp;") == "a\\|b \\<c\\> \\`d\\` \\*e\\* &amp;amp;"
    assert code("a`b") == "``a`b``"
    assert code("`") == "`` ` ``"
    assert code("") == ""
    assert within("one\ntwo\nthree", 9, "...") == "one\n..."
    assert len(within("é" * 100 + "\n" + "x" * 100, 60, "cut").encode()) <= 60


def test_every_rule_has_words() -> None:
    assert set(RULE_HELP) == set(RULE_TITLES)
    assert len(set(RULE_TITLES.values())) == len(RULE_TITLES)


def test_a_baseline_comes_back_as_it_was_written(tmp_path: Path) -> None:
    text = baseline_to_json(make_baseline(evidence(diagnosis())))
    (tmp_path / "b.json").write_text(text, encoding="utf-8")
    back = read_baseline(tmp_path / "b.json")
    assert baseline_to_json(back) == text
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert back == make_baseline(evidence(diagnosis()))


def test_an_infinite_figure_is_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(baseline_to_json(make_baseline(evidence(awkward_diagnosis()))), encoding="utf-8")
    with pytest.raises(LoadError, match="edit distance is infinite"):
        read_baseline(tmp_path / "b.json")


def test_a_baseline_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    for name, content in (
        ("absent", None),
        ("text", "hello"),
        ("other", '{"a": 1}'),
        ("newer", '{"schema_version": 9}'),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(LoadError) as caught:
            read_baseline(path)
        assert str(path) in str(caught.value)
        assert caught.value.hint
