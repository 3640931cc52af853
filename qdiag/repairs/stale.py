"""Edits of the plan that a change of weights makes meaningless."""

from collections.abc import Collection
from dataclasses import replace

from qdiag.simulate.case import Case


def without_stale_edits(case: Case, layers: Collection[str]) -> Case:
    """The case without the quantizers and corrections that edits have fixed for these layers.

    They were chosen for weights and values that are about to change; a decision such as "in float" stays. The plan is
    as before until it is built anew.
    """
    edits = {
        name: {
            key: value
            for key, value in fields.items()
            if name not in layers or value is None or key not in ("output", "weight", "bias_shift")
        }
        for name, fields in case.plan_edits.items()
    }
    return replace(case, plan_edits={name: fields for name, fields in edits.items() if fields})
