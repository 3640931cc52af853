"""OpenVINO's NNCF: arguments of `nncf.quantize` as JSON; `ignored_scope` holds those of `nncf.IgnoredScope`."""

import json

from qdiag.exporters.settings.plain_plan import PlainPlan


def openvino_settings(plan: PlainPlan) -> str:
    """The file. `performance` has symmetric activations, `mixed` asymmetric ones."""
    found = {
        "preset": "performance" if plan.scheme.activations.symmetric else "mixed",
        "ignored_scope": {"names": list(plan.in_float), "validate": True},
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
