"""A gate as JSON: everything that was judged, with the verdict on top."""

from typing import Any

from qdiag.core.gate import GateResult, GateStatus
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.writers.plain_json import dump, to_plain

_DERIVED = {NetworkBytes: ("stored",), NetworkSize: ("compression", "saved_fraction")}
_STATUSES: tuple[GateStatus, ...] = ("pass", "warn", "undecided", "cannot_judge", "fail")


def gate_to_json(result: GateResult) -> str:
    """`success`, `status`, `exit_code` and counts first; equal results give equal bytes."""
    verdict: dict[str, Any] = {
        "success": result.exit_code == 0,
        "status": result.status,
        "exit_code": result.exit_code,
        "statistics": {"checks": len(result.checks), **{str(status): result.count(status) for status in _STATUSES}},
    }
    return dump({**verdict, **to_plain(result, _DERIVED)}) + "\n"
