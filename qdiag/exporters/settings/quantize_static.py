"""`onnxruntime.quantization.quantize_static`: its arguments as JSON, enumerations by their names.

`nodes_to_exclude` and `TensorQuantOverrides` are those of the function's documentation; ranges go in as `rmin` and
`rmax`, from which it makes the scale and zero point that the plan has.
"""

import json

from qdiag.core.tensor_scheme import TensorScheme
from qdiag.errors import ConfigError
from qdiag.exporters.settings.plain_plan import PlainPlan

_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}
_TYPES = {(8, True): "QInt8", (8, False): "QUInt8", (16, True): "QInt16", (16, False): "QUInt16"}


def quantize_static_settings(plan: PlainPlan) -> str:
    """The file.

    Raises:
        ConfigError: a format that the function has not.
    """
    weights, activations = plan.scheme.weights, plan.scheme.activations
    overrides = {name: [{"rmin": low, "rmax": high}] for name, (low, high) in plan.ranges.items()}
    found = {
        "quant_format": "QDQ",
        "activation_type": _type(activations, "activations"),
        "weight_type": _type(weights, "weights"),
        "per_channel": weights.granularity == "per_channel",
        "calibrate_method": _METHODS.get(activations.calibrator, "MinMax"),
        "nodes_to_exclude": list(plan.in_float),
        "extra_options": {
            "ActivationSymmetric": activations.symmetric,
            "WeightSymmetric": weights.symmetric,
            "TensorQuantOverrides": overrides,
        },
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _type(scheme: TensorScheme, which: str) -> str:
    kind = _TYPES.get((scheme.bits, scheme.signed)) if scheme.type == "affine" else None
    if kind is None:
        raise ConfigError(
            f"quantize_static has no {which} of {scheme.bits} bits ({scheme.type})",
            at=which,
            hint="choose a scheme of 8-bit or 16-bit integers",
        )
    return kind
