"""Stored results that contradict themselves: every field of a good one is changed, and the gate does not pass."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qdiag.cli.app import run
from qdiag.core.diagnosis import Diagnosis
from qdiag.errors import LoadError
from qdiag.gate.baseline import make_baseline
from qdiag.gate.judge import judge
from qdiag.writers.csv.diagnosis import diagnosis_layer_csv
from qdiag.writers.html.report import html_report
from qdiag.writers.json.baseline import baseline_to_json
from qdiag.writers.json.diagnosis import DIAGNOSIS_DERIVED, diagnosis_from_json, diagnosis_to_json
from qdiag.writers.markdown.report import markdown_report
from tests.diagnoses import diagnosis, healthy_diagnosis
from tests.gates import EVERYTHING, evidence
from tests.other_tasks import judged_by_error

Place = tuple[Any, ...]
Capture = pytest.CaptureFixture[str]

DERIVED = {name for names in DIAGNOSIS_DERIVED.values() for name in names} | {"drop_db"}
"""Written for readers, ignored when read."""
WORDS = ("Infinity", "-Infinity", "NaN")
FIGURES = ("measurement", "task", "figures")


@cache
def healthy() -> Diagnosis:
    """With 6 of its 31 layers, among them one of every form: each text is read in a quarter of the time."""
    found = healthy_diagnosis()
    records = [*found.measurement.records[:3], *found.measurement.records[-3:]]
    inputs = [(), *((record.name,) for record in records)]
    chain = [replace(record, index=i, inputs=inputs[i]) for i, record in enumerate(records)]
    facts = tuple(own for own in found.facts if own.layer in {record.name for record in records})
    return replace(found, measurement=replace(found.measurement, records=tuple(chain)), facts=facts)


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(diagnosis_to_json(healthy()))
    whole = json.loads(diagnosis_to_json(healthy_diagnosis()))
    assert [at for at, _ in one_of_each(leaves(plain))] == [at for at, _ in one_of_each(leaves(whole))]
    return plain


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in DERIVED:
                yield from leaves(item, (*at, key))
    elif isinstance(value, list):
        for i, item in enumerate(value[:2]):  # what holds for two, holds for all
            yield from leaves(item, (*at, i))
    else:
        yield at, value


_TEXTS: dict[int, tuple[Any, str]] = {}
"""Of parts that were written before, by identity: of a stored result all but one leaf is always the same."""


def text_of(part: Any) -> str:
    if id(part) not in _TEXTS:
        _TEXTS[id(part)] = (part, json.dumps(part))  # held, so that no other part gets its number
    return _TEXTS[id(part)][1]


def changed(plain: Any, at: Place, value: Any) -> str:
    """The text with one leaf replaced, or one more key; only what is around the leaf is written anew."""
    if not at:
        return json.dumps(value)
    first, *rest = at
    if isinstance(plain, list):
        places: Any = enumerate(plain)
    else:
        places = {first: None, **plain}.items() if first not in plain else plain.items()
    texts = ((key, changed(part, tuple(rest), value) if key == first else text_of(part)) for key, part in places)
    if isinstance(plain, list):
        return f"[{', '.join(text for _, text in texts)}]"
    return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts) + "}"


def is_refused(text: str) -> bool:
    try:
        diagnosis_from_json(text)
    except LoadError:
        return True
    return False


def one_of_each(found: Iterator[tuple[Place, Any]]) -> list[tuple[Place, Any]]:
    """One leaf for each kind of place, whatever its position in lists."""
    return list({tuple(k for k in at if not isinstance(k, int)): (at, value) for at, value in found}.values())


def test_a_value_of_another_type_is_refused_wherever_it_stands(good: dict[str, Any]) -> None:
    slipped, tried = [], 0
    for at, value in one_of_each(leaves(good)):
        wrong: list[Any] = []
        if isinstance(value, bool):
            wrong = ["true", 1, 0.5]
        elif isinstance(value, int):
            wrong = [str(value), True, value + 0.5, float(value), [value], "Infinity"]
        elif isinstance(value, float):
            wrong = [str(value), True, [value]]
        elif isinstance(value, str) and value not in WORDS:
            wrong = [1, True, [value]]
        for item in wrong:
            tried += 1
            if not is_refused(changed(good, at, item)):
                slipped.append((at, item))
    assert tried > 300
    assert not slipped, slipped[:10]


COUNTS = (
    *("both", "reference_only", "simulated_only", "neither", "sample_count", "count"),
    *("reference_nonfinite_count", "simulated_nonfinite_count", "nonfinite_count", "clipped_count"),
    *("measured_count", "calibration_count", "sampled_count", "reference_sq_sum", "error_sq_sum", "max_abs_error"),
)


def test_negative_counts_are_refused_wherever_they_stand(good: dict[str, Any]) -> None:
    seen = set()
    for at, value in one_of_each(leaves(good)):
        if at[-1] in COUNTS and isinstance(value, int | float):
            if any(key in ("range", "measured_range") for key in at) and at[-1] in ("max_abs_error",):
                continue
            seen.add(at[-1])
            assert is_refused(changed(good, at, type(value)(-1))), at
    assert len(seen) >= 14


@pytest.mark.parametrize("word", [*WORDS, 1e308, -1e308])
def test_sums_that_exclude_each_other_are_refused(good: dict[str, Any], word: Any) -> None:
    tried = 0
    for at, value in one_of_each(leaves(good)):
        if at[-1] in ("reference_sq_sum", "error_sq_sum", "max_abs_error", "error_sum", "cross_sum") and value != 0.0:
            tried += 1
            assert is_refused(changed(good, at, word)), (at, word)
    assert tried >= 10


@pytest.mark.parametrize("step", [-1, 1, 250])
def test_counts_of_the_task_that_do_not_add_up_are_refused(good: dict[str, Any], step: int) -> None:
    for at, value in leaves(good["measurement"]["task"]):
        if isinstance(value, int):
            Path("bad.json").write_text(changed(good, ("measurement", "task", *at), value + step))
            assert run(["gate", "bad.json", "--max-drop", "50"]) == 2, at


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("schema_version",), 0),
        (("schema_version",), -1),
        (("schema_version",), 99),
        (("measurement", "data", "measured_count"), 499),
        (("measurement", "data", "measured_count"), 0),
        (("measurement", "outputs", 0, "error", "reference_sq_sum"), 0.0),
        (("measurement", "records", 1, "index"), 2),
        (("measurement", "records", 1, "name"), "input:x"),
        (("measurement", "records", 1, "quantizer", "scale"), 0.0),
        (("measurement", "records", 1, "quantizer", "scale"), -1.0),
        ((*FIGURES, 0, "outcomes"), {"count": 3, "reference": "Bw==", "simulated": "Bw=="}),
        ((*FIGURES, 2, "outcomes"), {"count": 500, "reference": "", "simulated": "!!"}),
        ((*FIGURES, 0, "reference"), 76.5),
        ((*FIGURES, 0, "simulated"), 76.5),
        ((*FIGURES, 0, "simulated"), "NaN"),
        ((*FIGURES, 0, "loss_interval"), {"low": -0.1, "high": 0.1}),
        ((*FIGURES, 0, "simulated_interval"), {"low": 70.0, "high": 80.0}),
        ((*FIGURES, 0, "sample_count"), 499),
        ((*FIGURES, 0, "criterion", "limit"), -1.0),
        ((*FIGURES, 0, "criterion", "name"), "agreement"),
        ((*FIGURES, 2, "reference"), 99.0),
        ((*FIGURES, 2, "counts", "neither"), 1),
        ((*FIGURES, 0, "criterion", "name"), "top-9"),
        (("measurement", "task", "choice", "reason"), "guessed"),
        (("measurement", "task", "choice", "kind"), "sort"),
        (("ranking", "before", "task", "figures"), []),
        (("ranking", "harm", "criterion", "name"), "agreement"),
        (("ranking", "harm", "criterion"), None),
        (("ranking", "harm", "verdict"), "harmed"),
        (("ranking", "harm", "value"), -1.0),
        (("ranking", "harm", "limit"), 60.0),
        (("ranking", "harm", "interval", "high"), 0.1),
        (("ranking", "before", "outputs"), []),
        (("ranking", "before", "task", "figures", 0, "loss_interval", "high"), 0.1),
    ],
)
def test_what_contradicts_itself_is_exit_2(good: dict[str, Any], at: Place, value: Any, capsys: Capture) -> None:
    Path("bad.json").write_text(changed(good, at, value))
    for limits in (["--max-drop", "50"], ["--min-sqnr", "1"], ["--forbid", "QD301"]):
        assert run(["gate", "bad.json", *limits, "--allow-few-samples"]) == 2
        assert "itself failed" not in capsys.readouterr().err


def test_records_that_are_missing_are_exit_2(good: dict[str, Any], capsys: Capture) -> None:
    records = good["measurement"]["records"]
    for i in range(len(records) - 1):
        Path("bad.json").write_text(changed(good, ("measurement", "records"), records[:i] + records[i + 1 :]))
        assert run(["gate", "bad.json", "--min-sqnr", "1"]) == 2
        assert "records are missing" in capsys.readouterr().err
    Path("bad.json").write_text(changed(good, ("measurement", "records"), []))
    assert run(["gate", "bad.json", "--min-sqnr", "1"]) == 2


def test_codes_that_do_not_exist_are_refused() -> None:
    plain = json.loads(diagnosis_to_json(diagnosis()))
    places = [at for at, _ in leaves(plain["ranking"]) if at[-1] == "code" and at[0] in ("findings", "causes")]
    assert len(places) >= 3
    for at in places:
        assert is_refused(changed(plain, ("ranking", *at), "QD999")), at


def test_a_name_that_stands_twice_is_refused(capsys: Capture) -> None:
    Path("bad.json").write_text('{"measurement": {}, ' + diagnosis_to_json(healthy_diagnosis())[1:])
    assert run(["gate", "bad.json", "--min-sqnr", "1"]) == 2
    assert "measurement stands there twice" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[" * 100_000, '{"measurement":' * 50_000, '{"a": NaN}', "1" * 6000, "", "null"])
def test_strange_json_is_no_diagnosis(text: str, capsys: Capture) -> None:
    Path("bad.json").write_text(text)
    for line in ("gate bad.json --min-sqnr 1", "report bad.json -o out", "compare bad.json bad.json"):
        assert run(line.split()) == 2
        assert "itself failed" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("output_sqnr_db",), "Infinity"),
        (("output_sqnr_db",), "-Infinity"),
        (("sample_count",), 499),
        (("sample_count",), "500"),
        (("figures", 2, "counts", "both"), -1),
        (("figures", 0, "counts", "both"), 10_000),
        (("figures", 0, "simulated"), 76.4),
        (("schema_version",), 0),
        (("schema_version",), 3),
        (("layer_sqnr_db", "head"), "-Infinity"),
        (("figures", 0, "loss_interval"), {"low": -300.0, "high": 300.0}),
        (("figures", 0, "loss_interval", "high"), "Infinity"),
    ],
)
def test_a_baseline_that_contradicts_itself_is_exit_2(
    good: dict[str, Any], at: Place, value: Any, capsys: Capture
) -> None:
    Path("good.json").write_text(json.dumps(good))
    plain = json.loads(baseline_to_json(make_baseline(evidence(healthy()))))
    line = ["gate", "good.json", "--baseline", "base.json", "--tolerance-db", "100", "--tolerance", "50"]
    Path("base.json").write_text(json.dumps(plain))
    assert run(line) == 0
    Path("base.json").write_text(changed(plain, at, value))
    assert run(line) == 2
    assert "itself failed" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("simulated",), "Infinity"),
        (("reference",), "-Infinity"),
        (("loss_interval",), {"low": "-Infinity", "high": "Infinity"}),
        (("simulated_interval", "low"), "-Infinity"),
        (("loss_interval",), {"low": 0.3, "high": 0.4}),
    ],
)
def test_a_baseline_of_an_aggregate_with_an_edited_interval_is_exit_2(at: Place, value: Any, capsys: Capture) -> None:
    """An error in metres keeps neither counts nor outcomes: what it says has to agree with itself."""
    of = evidence(judged_by_error(healthy_diagnosis()))
    Path("good.json").write_text(diagnosis_to_json(judged_by_error(healthy_diagnosis())))
    plain = json.loads(baseline_to_json(make_baseline(of)))
    assert plain["figures"][0]["counts"] is None
    line = ["gate", "good.json", "--baseline", "base.json", "--tolerance-metric", "10"]
    Path("base.json").write_text(json.dumps(plain))
    assert run(line) == 0
    Path("base.json").write_text(changed(plain, ("figures", 0, *at), value))
    assert run(line) == 2
    assert "contradicts itself" in capsys.readouterr().err


@pytest.mark.parametrize("value", [0, -1, 1e308, "Infinity", "NaN"])
def test_no_number_makes_a_writer_fail(good: dict[str, Any], value: Any) -> None:
    """Whatever stands where a number may stand: it is refused or shown."""
    assert html_report(healthy()), "as it is, which is not tried again below"
    for at, old in one_of_each(leaves(good)):
        if isinstance(old, bool | str) or old is None or old == value:
            continue
        try:
            found = diagnosis_from_json(changed(good, at, value))
        except LoadError:
            continue
        judge(evidence(found), EVERYTHING)
        assert markdown_report(found, []), (at, value)
        assert diagnosis_layer_csv(found), (at, value)
        assert html_report(found), (at, value)
