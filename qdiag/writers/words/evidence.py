"""What a detector saw and what a repair costs the float network, the same in every report."""

import math

from qdiag.core.causes.findings import Evidence
from qdiag.core.causes.score import FloatCost
from qdiag.writers.words.numbers import number, significant


def evidence_words(evidence: Evidence) -> str:
    """`range over live 79 x (limit 1.5)`."""
    limit = f" (limit {significant(evidence.threshold)})" if evidence.threshold is not None else ""
    unit = evidence.unit.removesuffix("s") if evidence.value == 1.0 else evidence.unit
    name = evidence.name.removesuffix(f"_{evidence.unit.lower()}").replace("_", " ")
    return f"{name} {significant(evidence.value)} {unit}".rstrip() + limit


def float_words(cost: FloatCost | None) -> str:
    """What a repair does to the float network itself."""
    if cost is None:
        return "unchanged"
    moved = f"output moves by {cost.relative_delta:.2g} of its largest value"
    if math.isnan(cost.loss) or cost.loss == 0.0:
        return moved
    size = number(abs(cost.loss)) if cost.unit in ("pp", "dB") else f"{abs(cost.loss):.4g}"
    return f"{moved}, {'loses' if cost.loss > 0.0 else 'gains'} {size} {cost.unit}".rstrip()
