"""What a stored result says, sentence by sentence, for whoever has to cite it."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from qdiag.errors import QdiagError

if TYPE_CHECKING:
    from qdiag.reading.statements import Statement


class StatementRow(TypedDict):
    """A sentence of a result.

    Attributes:
        proofs: JSON pointers (RFC 6901) into the result.
    """

    id: str
    text: str
    proofs: list[str]


def statements_in(path: Path) -> tuple[StatementRow, ...]:
    """Of a stored diagnosis, and of what `qdiag sqnr` stores; none of any other result."""
    return tuple(StatementRow(id=one.id, text=one.text, proofs=list(one.proofs)) for one in _told(path))


def _told(path: Path) -> "tuple[Statement, ...]":
    from qdiag.reading.statements import measurement_statements, statements
    from qdiag.writers.json.diagnosis import read_diagnosis
    from qdiag.writers.json.measurement import from_json
    from qdiag.writers.json.read import read_stored

    with suppress(QdiagError):
        return statements(read_diagnosis(path))
    with suppress(QdiagError):
        return measurement_statements(read_stored(path, from_json, "measure it anew"))
    return ()
