"""What a stored result says, sentence by sentence, for whoever has to cite it."""

from pathlib import Path
from typing import TypedDict

from qdiag.errors import QdiagError


class StatementRow(TypedDict):
    """A sentence of a result.

    Attributes:
        proofs: JSON pointers (RFC 6901) into the result.
    """

    id: str
    text: str
    proofs: list[str]


def statements_in(path: Path) -> tuple[StatementRow, ...]:
    """Of a stored diagnosis; none of any other result."""
    from qdiag.reading.statements import statements
    from qdiag.writers.json.diagnosis import read_diagnosis

    try:
        found = read_diagnosis(path)
    except QdiagError:
        return ()
    return tuple(StatementRow(id=one.id, text=one.text, proofs=list(one.proofs)) for one in statements(found))
