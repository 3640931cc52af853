import json
import math
from dataclasses import replace

import pytest

from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.errors import LoadError
from qdiag.writers.json.measurement import from_json, to_json
from qdiag.writers.json.results import result_to_json
from tests.measurements import awkward_measurement, many_records, measurement, range_report
from tests.stored import read_back


def test_the_round_trip_is_exact() -> None:
    original = measurement(many_records(30))
    assert from_json(to_json(original)) == original
    assert read_back(RangeReport, result_to_json(range_report())) == range_report()


def test_infinite_and_undefined_values_survive_as_strings() -> None:
    text = to_json(awkward_measurement())
    again = from_json(text)
    assert again.records[4].range is not None
    assert math.isnan(again.records[4].range.kurtosis)
    assert again.records[4].range.max == math.inf
    assert again.task.figures[1].simulated == math.inf
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert plain["records"][2]["local"]["sqnr_db"] == "-Infinity"
    assert plain["records"][0]["local"]["sqnr_db"] == "NaN"
    assert to_json(again) == text


def test_equal_measurements_give_equal_bytes() -> None:
    assert to_json(measurement()) == to_json(measurement())


def test_derived_figures_stand_beside_the_sums_and_are_ignored_on_reading() -> None:
    plain = json.loads(to_json(measurement()))
    record = plain["records"][3]
    assert record["local"]["sqnr_db"] == pytest.approx(31.0)
    assert record["local"]["mse"] == pytest.approx(10**-3.1)
    assert record["expected_sqnr_db"] == pytest.approx(45.0)
    assert record["clipped_fraction"] == 0.0037
    assert record["drop_db"] == pytest.approx(0.7)
    counts = plain["task"]["figures"][0]["counts"]
    assert counts["drop_pp"] == pytest.approx(67.4)
    assert set(counts["drop_interval_pp"]) == {"low", "high"}
    record["local"]["sqnr_db"] = 99.0
    assert from_json(json.dumps(plain)) == measurement()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": 3}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(LoadError, match="not a measurement written by qdiag"):
        from_json(text)


def test_a_newer_form_is_refused() -> None:
    with pytest.raises(LoadError, match="written in form 99") as caught:
        from_json(to_json(replace(measurement(), schema_version=99)))
    assert caught.value.hint == "update qdiag"


def test_a_scheme_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(LoadError, match="the stored scheme makes no sense: bits = 77"):
        from_json(to_json(measurement()).replace('"bits": 8,', '"bits": 77,', 1))
