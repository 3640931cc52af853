"""Baselines that an older version wrote, which counted the answers of classifiers alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from qdiag.core.baseline import BASELINE_SCHEMA_VERSION, Baseline
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import PairedCounts
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.errors import LoadError
from qdiag.gate.baseline import make_baseline
from qdiag.gate.judge import judge
from qdiag.writers.json.baseline import baseline_to_json, read_baseline
from qdiag.writers.json.diagnosis import diagnosis_from_json, diagnosis_to_json
from qdiag.writers.json.measurement import from_json, to_json
from tests.diagnoses import diagnosis, healthy_diagnosis
from tests.figures import agreement, top
from tests.gates import evidence
from tests.measurements import measurement

OLD = Path(__file__).parents[2] / "golden" / "baseline_form_1.json"
"""Of `diagnosis`, as version 0.1 wrote it before figures had names."""


def old() -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(OLD.read_text("utf-8"))
    return plain


def read(folder: Path, plain: Any) -> Baseline:
    path = folder / "old.json"
    path.write_text(json.dumps(plain), encoding="utf-8")
    return read_baseline(path)


def test_it_says_what_a_new_one_says(tmp_path: Path) -> None:
    found, new = read(tmp_path, old()), make_baseline(evidence(diagnosis()))
    assert found.schema_version == BASELINE_SCHEMA_VERSION == 2
    assert found.figures == tuple(f for f in new.figures if f.criterion.name != "top-5")
    assert found.causes == new.causes
    assert found.layer_sqnr_db == new.layer_sqnr_db
    assert found.output_sqnr_db == new.output_sqnr_db
    assert read(tmp_path, json.loads(baseline_to_json(found))) == found


def test_a_gate_judges_against_it_as_against_a_new_one(tmp_path: Path) -> None:
    thresholds = Thresholds(
        *(Limit(1.0), Limit(2.0), Limit(70.0), Limit(5.0)),
        tolerance_pp=Limit(0.5),
        tolerance_db=Limit(1.0),
        tolerance_metric=Limit(0.5),
        no_new_causes="fail",
    )
    baselines = (read(tmp_path, old()), make_baseline(evidence(diagnosis())))
    for now in (diagnosis(), healthy_diagnosis()):
        one, other = (judge(evidence(now), thresholds, baseline) for baseline in baselines)
        assert one == other


def test_outcomes_of_samples_are_kept(tmp_path: Path) -> None:
    right, simulated = [True, True, False, False], [True, False, True, False]
    agree = [True, False, False, True]
    plain = {
        **old(),
        "sample_count": 4,
        "agreement_count": 2,
        "top1": {"both": 1, "reference_only": 1, "simulated_only": 1, "neither": 1},
        "outcomes": {
            "count": 4,
            "agree": pack_bits(agree),
            "reference_right": pack_bits(right),
            "simulated_right": pack_bits(simulated),
        },
    }
    found = read(tmp_path, plain)
    assert found.figures == (
        top(1, PairedCounts(1, 1, 1, 1), SampleOutcomes(4, pack_bits(right), pack_bits(simulated))),
        agreement(2, 4, SampleOutcomes(4, "", pack_bits(agree))),
    )
    unlabelled = {**plain, "top1": None, "outcomes": {"count": 4, "agree": pack_bits(agree)}}
    assert read(tmp_path, unlabelled).figures == (agreement(2, 4, SampleOutcomes(4, "", pack_bits(agree))),)


@pytest.mark.parametrize(
    "parts",
    [
        {"sample_count": 499},
        {"sample_count": "500"},
        {"agreement_count": -1},
        {"agreement_count": 600},
        {"agreement_count": 37},
        {"top1": {"both": 39, "reference_only": 344, "simulated_only": 7, "neither": 111}},
        {"top1": {"both": -38, "reference_only": 420, "simulated_only": 7, "neither": 111}},
        {"outcomes": {"count": 3, "agree": "Bw=="}},
        {"outcomes": {"count": 500, "agree": "!!"}},
        {"output_sqnr_db": "Infinity"},
        {"fingerprints": 3},
        {"causes": [{"code": "QD999", "layers": []}]},
    ],
)
def test_one_that_contradicts_itself_is_refused(parts: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(LoadError) as caught:
        read(tmp_path, {**old(), **parts})
    assert caught.value.hint


@pytest.mark.parametrize("what", ["diagnosis", "measurement"])
def test_older_results_are_to_be_measured_anew(what: str) -> None:
    text = diagnosis_to_json(diagnosis()) if what == "diagnosis" else to_json(measurement())
    plain = {**json.loads(text), "schema_version": 1}
    with pytest.raises(LoadError, match=f"the {what} is of form 1, which an older qdiag wrote") as caught:
        (diagnosis_from_json if what == "diagnosis" else from_json)(json.dumps(plain))
    assert caught.value.hint == "measure the network anew"
    del plain["model" if what == "measurement" else "ranking"]  # whatever it lacks
    with pytest.raises(LoadError, match="is of form 1"):
        (diagnosis_from_json if what == "diagnosis" else from_json)(json.dumps(plain))
