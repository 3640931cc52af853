"""What a stored result says, sentence by sentence, for whoever has to cite it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypedDict

from qdiag.errors import QdiagError

if TYPE_CHECKING:
    from qdiag.reading.statements.base import Statement


class StatementRow(TypedDict):
    """A sentence of a result.

    Attributes:
        proofs: JSON pointers (RFC 6901) into the result.
    """

    id: str
    text: str
    proofs: list[str]


def statements_in(text: str, command: str) -> tuple[StatementRow, ...]:
    """Of what `--json` of a command wrote; none of results that are tables of numbers and say nothing in words.

    Args:
        command: by the name of its tool.
    """
    for tell in _TELLERS.get(command, (_diagnosis, _measurement)):
        with suppress(QdiagError):
            return tuple(StatementRow(id=one.id, text=one.text, proofs=list(one.proofs)) for one in tell(text))
    return ()


def _diagnosis(text: str) -> "tuple[Statement, ...]":
    from qdiag.reading.statements.diagnosis import diagnosis_statements
    from qdiag.writers.json.diagnosis import diagnosis_from_json

    return diagnosis_statements(diagnosis_from_json(text))


def _measurement(text: str) -> "tuple[Statement, ...]":
    from qdiag.reading.statements.measurement import measurement_statements
    from qdiag.writers.json.measurement import from_json

    return measurement_statements(from_json(text))


def _check(text: str) -> "tuple[Statement, ...]":
    from pydantic import TypeAdapter

    from qdiag.core.measures.measurement import SCHEMA_VERSION
    from qdiag.core.measures.operations.model_check import ModelCheck
    from qdiag.reading.statements.model_check import check_statements
    from qdiag.writers.json.read import read_json

    return check_statements(read_json(text, TypeAdapter(ModelCheck), "check of a model", SCHEMA_VERSION))


def _verification(text: str) -> "tuple[Statement, ...]":
    from pydantic import TypeAdapter

    from qdiag.core.measures.deployed.verification import Verification
    from qdiag.core.measures.measurement import SCHEMA_VERSION
    from qdiag.reading.statements.verification import verification_statements
    from qdiag.writers.json.read import read_json

    return verification_statements(read_json(text, TypeAdapter(Verification), "verification", SCHEMA_VERSION))


def _comparison(text: str) -> "tuple[Statement, ...]":
    from pydantic import TypeAdapter

    from qdiag.core.compare import COMPARISON_SCHEMA_VERSION, Comparison
    from qdiag.reading.statements.comparison import comparison_statements
    from qdiag.writers.json.read import read_json

    return comparison_statements(read_json(text, TypeAdapter(Comparison), "comparison", COMPARISON_SCHEMA_VERSION))


def _gate(text: str) -> "tuple[Statement, ...]":
    from pydantic import TypeAdapter

    from qdiag.core.gate import GATE_SCHEMA_VERSION, GateResult
    from qdiag.reading.statements.gate import gate_statements
    from qdiag.writers.json.read import read_json

    return gate_statements(read_json(text, TypeAdapter(GateResult), "result of a gate", GATE_SCHEMA_VERSION))


_TELLERS: "Mapping[str, tuple[Callable[[str], tuple[Statement, ...]], ...]]" = {
    "check": (_check,),
    "verify": (_verification,),
    "compare": (_comparison,),
    "gate": (_gate,),
}
"""From the text of a stored result to what it says: of tools whose results are not diagnoses and measurements."""
