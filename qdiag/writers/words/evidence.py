"""What a detector saw, the same in every report."""

from qdiag.core.causes.findings import Evidence
from qdiag.writers.words.numbers import significant


def evidence_words(evidence: Evidence) -> str:
    """`range over live 79 x (limit 1.5)`."""
    limit = f" (limit {significant(evidence.threshold)})" if evidence.threshold is not None else ""
    unit = evidence.unit.removesuffix("s") if evidence.value == 1.0 else evidence.unit
    name = evidence.name.removesuffix(f"_{evidence.unit.lower()}").replace("_", " ")
    return f"{name} {significant(evidence.value)} {unit}".rstrip() + limit
