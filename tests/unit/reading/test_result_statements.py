"""Sentences of a check, a verification, a comparison and a gate, read back from what `--json` wrote of each."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from qdiag.cli.agents.statements import statements_in
from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.compare import Comparison
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.operations.model_check import ModelCheck, OperationCount, TensorForm
from qdiag.core.measures.task import TOP_1, TaskChoice
from qdiag.reading.statements.base import Statement
from qdiag.reading.statements.comparison import comparison_statements
from qdiag.reading.statements.gate import gate_statements
from qdiag.reading.statements.model_check import check_statements
from qdiag.reading.statements.verification import verification_statements
from qdiag.writers.json.gate import gate_to_json
from qdiag.writers.json.results import result_to_json
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import awkward_diagnosis, diagnosis, repaired_diagnosis
from tests.gates import ALL as GATES
from tests.gates import failed
from tests.measurements import measurement


def model_check() -> ModelCheck:
    """Two operations stay in float for one reason, one for another, and they are most of the network."""
    seen = measurement()
    floats = (FloatOp("attn", "sdpa", "no rule", 0.3), FloatOp("b", "b", "no rule"), FloatOp("c", "c", "asked for"))
    return ModelCheck(
        *(seen.model, seen.scheme, seen.capture, (TensorForm("x", (3, 32, 32), "float32"),), "noise"),
        outputs=(TensorForm("output", (10,), "float32"),),
        operations=(OperationCount("conv2d", "conv", 27, 24, ("relu6",), 0.98, 0.75),),
        float_ops=floats,
        float_share=FloatShare(0.3, 0.2),
        choice=TaskChoice("classify", "output", "name", "head"),
        criterion=TOP_1,
        mac_count=77_100,
        size=seen.size,
    )


def verification(limits: VerifyLimits | None = None) -> Verification:
    run = deployed_diagnosis().verification
    assert run is not None
    return replace(run, limits=limits or run.limits, adds_pairs=True)


def comparison() -> Comparison:
    return compare_diagnoses(diagnosis(), repaired_diagnosis(), source_before="a", source_after="b")


def awkward_comparison() -> Comparison:
    return compare_diagnoses(diagnosis(), awkward_diagnosis(), source_before="a", source_after="b", force=True)


RESULTS: dict[str, tuple[str, str, tuple[Statement, ...]]] = {
    "check": ("check", result_to_json(model_check()), check_statements(model_check())),
    "verify": ("verify", result_to_json(verification()), verification_statements(verification())),
    "compare": ("compare", result_to_json(comparison()), comparison_statements(comparison())),
    "compare odd figures": (
        *("compare", result_to_json(awkward_comparison())),
        comparison_statements(awkward_comparison()),
    ),
    **{f"gate {make.__name__}": ("gate", gate_to_json(make()), gate_statements(make())) for make in GATES},
}


def resolved(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_stored_says_what_the_result_says(name: str) -> None:
    command, stored, told = RESULTS[name]
    read = statements_in(stored, command)
    assert [(one["id"], one["text"], tuple(one["proofs"])) for one in read] == [
        (one.id, one.text, one.proofs) for one in told
    ]
    assert len(told) > 3 or name == "gate overlooked"


@pytest.mark.parametrize("name", RESULTS)
def test_every_sentence_has_a_name_of_its_own_and_proofs_that_are_there(name: str) -> None:
    _, stored, told = RESULTS[name]
    document = json.loads(stored)
    assert len({one.id for one in told}) == len(told)
    for one in told:
        assert one.proofs, one.id
        assert re.search(r"[.?!)]$", one.text) and not re.search(r"\.\.|: \.|None|nan", one.text), one.text
        for pointer in one.proofs:
            resolved(document, pointer)


def told_by(statements: Sequence[Statement]) -> dict[str, Statement]:
    return {one.id: one for one in statements}


def test_a_gate_names_each_check_with_its_figures_and_its_status() -> None:
    found, document = told_by(gate_statements(failed())), json.loads(gate_to_json(failed()))
    check = resolved(document, found["check-1"].proofs[0])
    assert f"{check['value']:.1f} pp" in found["check-1"].text and "Status: FAIL." in found["check-1"].text
    assert check["status"] == "fail"
    cause = resolved(document, found["cause-1"].proofs[0])
    assert found["cause-1"].text.startswith(f"New: {cause['code']}" if cause["is_new"] else cause["code"])
    assert found["verdict"].text.startswith("The gate failed")
    assert resolved(document, found["verdict"].proofs[0]) == "fail"


def test_a_comparison_leads_to_the_layers_and_causes_that_changed() -> None:
    found, document = told_by(comparison_statements(comparison())), json.loads(result_to_json(comparison()))
    for name in ("layer-1", "layer-2"):
        layer = resolved(document, found[name].proofs[0])
        assert found[name].text.startswith(layer["name"]) and layer["verdict"] in found[name].text
        assert f"{layer['local_after_db']:.1f} dB after" in found[name].text
    cause = resolved(document, found["cause-1"].proofs[0])
    assert found["cause-1"].text.startswith(cause["code"])
    assert {"gone": "gone", "remains": "still there", "appeared": "new"}[cause["status"]] in found["cause-1"].text


def test_a_verification_leads_to_the_layer_that_differs_and_to_the_limit_that_is_broken() -> None:
    run = verification(VerifyLimits(differing_percent=0.0, drop=1.0))
    found, document = told_by(verification_statements(run)), json.loads(result_to_json(run))
    layer = resolved(document, found["layer-1"].proofs[0])
    assert layer["layer"] in found["layer-1"].text and f"{layer['count']:,}" in found["layer-1"].text
    assert found["layer-1"].text.endswith("by 2 steps at most (a softmax in float).")
    breaches = [resolved(document, found[f"breach-{i}"].proofs[0]) for i in (1, 2)]
    assert [breach["code"] for breach in breaches] == ["differing", "drop"]
    assert f"loses {breaches[1]['value']:.1f} pp" in found["breach-2"].text
    assert "verdict" in told_by(verification_statements(verification())) and "verdict" not in found
    assert resolved(document, found["uncompared-1"].proofs[0])["layer"] in found["uncompared-1"].text


def test_a_check_leads_to_the_operations_in_float() -> None:
    found, document = told_by(check_statements(model_check())), json.loads(result_to_json(model_check()))
    assert [resolved(document, pointer)["name"] for pointer in found["float-1"].proofs] == ["attn", "b"]
    assert [resolved(document, pointer)["name"] for pointer in found["float-2"].proofs] == ["c"]
    assert found["float-3"].text.startswith("3 operations in all")
    assert "24 of its 27 layers" in found["verdict"].text
    assert found["work"].text == "77.1 thousand multiplications for one sample."


def test_other_results_say_nothing() -> None:
    assert statements_in('{"schema_version": 3, "rows": []}', "ranges") == ()
    assert statements_in("not JSON", "gate") == ()


MADE: dict[str, Callable[[], str]] = {
    "check": lambda: result_to_json(model_check()),
    "verify": lambda: result_to_json(verification()),
}


@pytest.mark.parametrize("command", MADE)
def test_a_result_of_another_command_is_not_taken_for_its_own(command: str) -> None:
    assert statements_in(MADE[command](), "gate") == ()
