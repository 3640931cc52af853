"""Which code of a finding was meant by a text that is none."""

import re

from qdiag.core.causes.codes import CODES, Code
from qdiag.core.nearest import nearest

_NUMBER = re.compile(r"(?:QD)?(\d)\d*(?:X+)?", re.IGNORECASE)
_ALL = "`qdiag explain` lists all codes"


def codes_hint(text: str) -> str:
    """The codes of the family that a number names, or the one whose name is nearly this; and where all are listed.

    `QD3`, `QD3xx`, `QD399` and `399` all name the family of QD301.
    """
    number = _NUMBER.fullmatch(text.strip())
    family = [code for code in CODES if number is not None and code.code.startswith(f"QD{number[1]}")]
    if family:
        return f"QD{family[0].code[2]}xx, {family[0].family}: {', '.join(code.code for code in family)}; {_ALL}"
    named: dict[str, Code] = {code.slug: code for code in CODES}
    near = nearest(text, named)
    return f"did you mean {named[near[0]].code} ({near[0]})? {_ALL}" if near else _ALL
