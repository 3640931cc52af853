"""Nothing is quantized: the float network is compared with itself.

What it means:
    Every layer runs in float, because the simulator does not know its operation, because the scheme keeps it in float,
    or because both weights and activations have 32 bits. A result without loss then says nothing about quantization.

How it is computed:
    quantized_layers [layers]: layers, inputs and constants apart, with a quantized weight or output

Thresholds:
    It is reported where no layer is quantized at all.

What helps:
    Look at the reasons in the table of float operations, take part of the network with `--submodule`, or check
    `float_layers` of the scheme.

Sources:
    `docs/sites.md` lists what is quantized, and where.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD902"
REPAIRS: tuple[str, ...] = ()

QUANTIZED_LAYERS = 1.0


def find(context: DetectionContext) -> Finding | None:
    """All layers, when none of them is quantized."""
    layers = [record for record, _ in context.layers if record.kind != "input"]
    if any(record.is_quantized for record in layers):
        return None
    evidence = (Evidence("quantized_layers", 0.0, "layers", QUANTIZED_LAYERS, len(layers)),)
    return finding(CODE, [FindingSite(record.name, (), evidence) for record in layers], REPAIRS)
