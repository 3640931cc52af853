"""Sentences that carry their proof: pointers into the stored result, to the numbers that the sentence has."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.statements.base import Statement
from qdiag.reading.statements.diagnosis import diagnosis_statements
from qdiag.reading.statements.measurement import measurement_statements
from qdiag.writers.json.diagnosis import diagnosis_to_json
from qdiag.writers.json.measurement import to_json
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    healthy_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
)

ALL = [diagnosis, healthy_diagnosis, repaired_diagnosis, unlabelled_diagnosis, awkward_diagnosis]


def resolved(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


@pytest.mark.parametrize("make", ALL)
def test_every_sentence_has_a_name_of_its_own_and_proofs_that_are_there(make: Callable[[], Diagnosis]) -> None:
    found, stored = diagnosis_statements(make()), json.loads(diagnosis_to_json(make()))
    assert len({statement.id for statement in found}) == len(found) >= 1
    for statement in found:
        assert statement.text and statement.proofs, statement.id
        for pointer in statement.proofs:
            assert resolved(stored, pointer) is not None, pointer


@pytest.mark.parametrize("make", ALL)
def test_sentences_of_a_measurement_lead_to_its_layers(make: Callable[[], Diagnosis]) -> None:
    found = measurement_statements(make().measurement)
    stored = json.loads(to_json(make().measurement))
    assert found[0].id == "harm" and len({statement.id for statement in found}) == len(found) > 1
    for statement in found:
        assert [resolved(stored, pointer) for pointer in statement.proofs] != [], statement.id
    told = [one for one in found if one.id.startswith("layer-")]
    assert [one.text.split(":")[0] for one in told] == [resolved(stored, one.proofs[0])["name"] for one in told]
    levels = [float(resolved(stored, one.proofs[0])["local"]["sqnr_db"]) for one in told]
    assert levels == sorted(levels)


def by_id(found: tuple[Statement, ...]) -> dict[str, Statement]:
    return {statement.id: statement for statement in found}


def test_the_numbers_of_a_sentence_stand_where_its_proof_is() -> None:
    found, stored = by_id(diagnosis_statements(diagnosis())), json.loads(diagnosis_to_json(diagnosis()))
    recovered = re.search(r"recovers (\d+\.\d) pp \(95 %: ([\d.]+) to ([\d.]+)\)", found["suspect-1"].text)
    assert recovered is not None
    trial = resolved(stored, found["suspect-1"].proofs[1])["recovery"]
    assert [float(text) for text in recovered.groups()] == pytest.approx(
        [trial["recovered_task"], *trial["task_interval"].values()], abs=0.05
    )
    step = resolved(stored, found["step-1"].proofs[0])
    assert f"recovers {step['gained']['recovered_task']:.1f} pp" in found["step-1"].text
    assert found["harm"].proofs[:2] == ("/ranking/harm", "/ranking/before")
    assert f"{resolved(stored, '/ranking/harm')['value']:.1f} pp" in found["harm"].text


def test_a_healthy_network_has_no_causes_to_tell() -> None:
    assert not [
        one for one in diagnosis_statements(healthy_diagnosis()) if one.id.startswith(("suspect", "step", "proposal"))
    ]


def test_a_proposal_leads_to_what_was_measured_of_it() -> None:
    found = by_id(diagnosis_statements(diagnosis()))
    assert found["proposal-1"].proofs == ("/ranking/waterfall/0", "/ranking/waterfall/1")
    assert found["proposal-2"].proofs == ("/ranking/way_around",)
