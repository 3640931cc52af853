"""Results that a command wrote as JSON, read back as what they were."""

from typing import TypeVar

from pydantic import TypeAdapter

from qdiag.core.causes.repair import ModelRepair
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.measurement import SCHEMA_VERSION
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.writers.json.read import read_json

Stored = TypeVar("Stored", RangeReport, BatchNormAudit, ModelRepair)


def read_back(kind: type[Stored], text: str) -> Stored:
    """What `result_to_json` wrote."""
    return read_json(text, TypeAdapter(kind), kind.__name__, SCHEMA_VERSION)
