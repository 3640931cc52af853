"""LiteRT's `ai-edge-quantizer`: a recipe, a list of rules of which the last that fits an operation holds.

A rule takes the operations whose output has a name that its regular expression fits.
"""

import json
import re
from typing import Any

from qdiag.core.tensor_scheme import TensorScheme
from qdiag.errors import ConfigError
from qdiag.exporters.settings.plain_plan import PlainPlan


def litert_settings(plan: PlainPlan) -> str:
    """The file.

    Raises:
        ConfigError: weights that the quantizer has not.
    """
    weights, activations = plan.scheme.weights, plan.scheme.activations
    config: dict[str, Any] = {
        "weight_tensor_config": _tensor(weights, "weights"),
        "compute_precision": "FLOAT" if activations.is_float else "INTEGER",
        "explicit_dequantize": activations.is_float,
        "skip_checks": False,
    }
    if not activations.is_float:
        config["activation_tensor_config"] = _tensor(activations, "activations")
    rules = [_rule(".*", "min_max_uniform_quantize", config)]
    rules += [_rule(f".*{re.escape(name)}.*", "no_quantize", None) for name in plan.in_float]
    return json.dumps(rules, indent=2, ensure_ascii=False) + "\n"


def _rule(regex: str, algorithm: str, config: dict[str, Any] | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"regex": regex, "operation": "*", "algorithm_key": algorithm}
    return rule if config is None else {**rule, "op_config": config}


def _tensor(scheme: TensorScheme, which: str) -> dict[str, Any]:
    if scheme.type != "affine" or scheme.granularity == "per_group":
        raise ConfigError(
            f"the recipe has no {which} of the type {scheme.type}, {scheme.granularity.replace('_', ' ')}",
            at=which,
            hint="choose a scheme of integers per tensor or per channel",
        )
    return {
        "num_bits": scheme.bits,
        "symmetric": scheme.symmetric,
        "granularity": "CHANNELWISE" if scheme.granularity == "per_channel" else "TENSORWISE",
        "dtype": "INT",
    }
