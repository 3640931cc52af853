"""A diagnosis as JSON and back, and the schema that is published of it."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from qdiag.core.causes.findings import Evidence
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import StageTime
from qdiag.errors import LoadError
from qdiag.writers.json.diagnosis import diagnosis_from_json, diagnosis_to_json, read_diagnosis
from qdiag.writers.json.diagnosis_schema import json_schema
from qdiag.writers.json.measurement import to_json
from qdiag.writers.plain_json import dump
from tests import diagnoses
from tests.measurements import measurement

MODULES_AT_MOST = 300
ALL = (
    diagnoses.diagnosis,
    diagnoses.repaired_diagnosis,
    diagnoses.healthy_diagnosis,
    diagnoses.unlabelled_diagnosis,
    diagnoses.awkward_diagnosis,
    partial(diagnoses.long_diagnosis, 60),
)
Make = Callable[[], Diagnosis]


@pytest.mark.parametrize("make", ALL)
def test_the_round_trip_is_exact(make: Make) -> None:
    text = diagnosis_to_json(make())
    again = diagnosis_from_json(text)
    assert diagnosis_to_json(again) == text
    # NaN is not equal to itself, but its repr is
    assert repr(again).replace(".0", "") == repr(make()).replace(".0", "")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_infinite_and_undefined_values_survive() -> None:
    again = diagnosis_from_json(diagnosis_to_json(diagnoses.awkward_diagnosis()))
    trial = again.ranking.causes[0].trials[0]
    assert trial.recovery is not None
    assert trial.recovery.recovered_db == math.inf
    assert trial.recovery.db_interval.low == -math.inf
    assert math.isnan(again.ranking.harm.value)
    assert again.measurement.records[3].name == 'a|b<c>&"d"\n`e`é'


def test_timings_are_all_that_differs_between_equal_runs() -> None:
    first = diagnoses.diagnosis()
    second = replace(first, stages=(StageTime("capture", 9.0),))
    assert diagnosis_to_json(first) == diagnosis_to_json(diagnoses.diagnosis())
    plain = [json.loads(diagnosis_to_json(one)) for one in (first, second)]
    assert plain[0].pop("stages") != plain[1].pop("stages")
    assert plain[0] == plain[1]


def test_a_whole_number_is_written_as_the_real_number_that_it_comes_back_as() -> None:
    base = diagnoses.healthy_diagnosis()
    harm = replace(base.ranking.harm, limit=1)
    text = diagnosis_to_json(replace(base, ranking=replace(base.ranking, harm=harm)))
    assert text == diagnosis_to_json(base)
    assert dump(json.loads(text)["ranking"]["harm"]["limit"]) == "1.0"


def test_derived_figures_stand_beside_and_are_ignored_on_reading() -> None:
    plain = json.loads(diagnosis_to_json(diagnoses.diagnosis()))
    recovery = plain["ranking"]["causes"][0]["trials"][0]["recovery"]
    assert recovery["recovered_task"] == pytest.approx(56.4)
    assert plain["ranking"]["before"]["task_value"] == 9.0
    assert plain["ranking"]["before"]["output_sqnr_db"] == pytest.approx(1.1)
    assert plain["ranking"]["remainder"] == pytest.approx(1.6)
    assert plain["ranking"]["before"]["task"]["figures"][0]["loss"] == pytest.approx(67.4)
    assert plain["ranking"]["harm"]["state"] == "harmed"
    assert plain["measurement"]["records"][2]["drop_db"] > 0.0
    plain["ranking"]["before"]["task_value"] = 99.0
    again = diagnosis_from_json(json.dumps(plain))
    assert diagnosis_to_json(again) == diagnosis_to_json(diagnoses.diagnosis())


def test_a_file_of_the_same_form_that_lacks_later_fields_is_read() -> None:
    plain = json.loads(diagnosis_to_json(diagnoses.healthy_diagnosis()))
    del plain["options"], plain["notes"], plain["measurement"]["task"]["figures"][0]["outcomes"]
    assert diagnosis_from_json(json.dumps(plain)).measurement.task.figures[0].outcomes is None
    jsonschema.validate(plain, json_schema())


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("ranking", "causes", 0, "rank"), "first", "ranking.causes.0.rank"),
        (("ranking", "causes", 1, "verdict"), "guilty", "ranking.causes.1.verdict"),
        (("facts",), 3, "facts"),
        (("measurement", "records", 1, "local", "count"), 10**400, "measurement.records.1.local.count"),
        (("measurement", "records", 1, "local", "count"), 2**64, "measurement.records.1.local.count"),
        (("measurement", "scheme", "weights", "bits"), 99, "scheme"),
    ],
)
def test_errors_say_where(path: tuple[str | int, ...], value: object, where: str, tmp_path: Path) -> None:
    plain = json.loads(diagnosis_to_json(diagnoses.diagnosis()))
    target = plain
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    file = tmp_path / "d.json"
    file.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(LoadError) as caught:
        read_diagnosis(file)
    assert caught.value.at == f"{file}, at {where}"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"model": 3}', to_json(measurement())])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(LoadError, match="not a diagnosis written by qdiag") as caught:
        diagnosis_from_json(text)
    assert "qdiag diagnose" in (caught.value.hint or "")


@pytest.mark.parametrize("drop", [(), ("ranking",)])
def test_a_newer_form_is_refused_whatever_it_holds(drop: tuple[str, ...]) -> None:
    plain = json.loads(diagnosis_to_json(replace(diagnoses.healthy_diagnosis(), schema_version=99)))
    for name in drop:
        del plain[name]
    with pytest.raises(LoadError, match="written in form 99, and this qdiag reads up to 2") as caught:
        diagnosis_from_json(json.dumps(plain))
    assert caught.value.hint == "update qdiag"


def test_a_folder_stands_for_its_diagnosis(tmp_path: Path) -> None:
    text = diagnosis_to_json(diagnoses.healthy_diagnosis())
    (tmp_path / "diagnosis.json").write_text(text, encoding="utf-8")
    assert diagnosis_to_json(read_diagnosis(tmp_path)) == text
    assert diagnosis_to_json(read_diagnosis(str(tmp_path / "diagnosis.json"))) == text


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"there is no diagnosis\.json in this folder") as caught:
        read_diagnosis(tmp_path)
    assert caught.value.at == str(tmp_path)
    binary = tmp_path / "net.pt"
    binary.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(LoadError, match="not a text file"):
        read_diagnosis(binary)


@pytest.mark.parametrize("make", ALL)
def test_what_is_written_fits_the_schema(make: Make) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert not [error.message for error in validator.iter_errors(json.loads(diagnosis_to_json(make())))]


@pytest.mark.parametrize("path", [("ranking", "harm", "value"), ("measurement", "records", 0, "local", "sqnr_db")])
def test_the_schema_notices_what_is_wrong(path: tuple[str | int, ...]) -> None:
    plain = json.loads(diagnosis_to_json(diagnoses.diagnosis()))
    target = plain
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, json_schema())


def test_the_schema_describes_every_key_that_is_written() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert _unknown(json.loads(diagnosis_to_json(diagnoses.diagnosis())), schema, schema, "") == []


def test_the_published_schema_is_that_of_the_code(check_golden: Callable[[str, str], None]) -> None:
    check_golden("../../docs/diagnosis.schema.json", dump(json_schema()) + "\n")


def test_evidence_of_a_finding_is_part_of_the_schema() -> None:
    known = json_schema()["$defs"]["Evidence"]["properties"]
    assert set(known) == {"name", "value", "unit", "threshold", "whole"} == set(Evidence.__dataclass_fields__)
    assert known["value"] == {"$ref": "#/$defs/Real"}


def test_reading_needs_few_modules_and_no_heavy_packages(tmp_path: Path) -> None:
    file = tmp_path / "diagnosis.json"
    file.write_text(diagnosis_to_json(diagnoses.diagnosis()), encoding="utf-8")
    code = (
        "import sys; from qdiag.writers.json.diagnosis import read_diagnosis; read_diagnosis(sys.argv[1]); "
        "print(sorted({'torch', 'numpy', 'pandas', 'matplotlib', 'rich', 'typer'} & set(sys.modules))); "
        "print(len(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    heavy, count = done.stdout.splitlines()
    assert heavy == "[]"
    assert int(count) < MODULES_AT_MOST, "the modules of a start, which takes the time of reading a small file"


def _unknown(value: object, schema: dict[str, object], whole: dict[str, object], at: str) -> list[str]:
    """Places of keys that no `properties` lists."""
    if "$ref" in schema:
        node: object = whole
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            assert isinstance(node, dict)
            node = node[part]
        assert isinstance(node, dict)
        return _unknown(value, node, whole, at)
    options = schema.get("anyOf")
    if isinstance(options, list):
        fitting = [option for option in options if option != {"type": "null"}]
        return [] if value is None else _unknown(value, fitting[0], whole, at)
    if isinstance(value, list):
        items = schema.get("items")
        return [
            x for i, v in enumerate(value) if isinstance(items, dict) for x in _unknown(v, items, whole, f"{at}.{i}")
        ]
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        assert isinstance(known, dict)
        missing = [f"{at}.{key}" for key in value if key not in known]
        return missing + [x for k, v in value.items() if k in known for x in _unknown(v, known[k], whole, f"{at}.{k}")]
    return []


def test_whether_a_repair_keeps_the_scheme_is_stored_and_older_results_are_known_by_name() -> None:
    text = diagnosis_to_json(diagnoses.diagnosis())
    plain = json.loads(text)
    older = json.loads(text)
    for cause in older["ranking"]["causes"]:
        for trial in cause["trials"]:
            del trial["keeps_scheme"]
    del older["ranking"]["way_around"]["keeps_scheme"]
    for trial in older["ranking"]["ways_around"]:
        del trial["keeps_scheme"]
    assert diagnosis_to_json(diagnosis_from_json(json.dumps(older))) == text
    newer = plain["ranking"]["causes"][0]["trials"][0]
    newer["repair"] = "anneal"
    for stored in (True, False):
        newer["keeps_scheme"] = stored
        assert diagnosis_from_json(json.dumps(plain)).ranking.causes[0].trials[0].keeps_scheme is stored
