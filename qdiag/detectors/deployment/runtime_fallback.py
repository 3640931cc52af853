"""The runtime computes a layer in float whose inputs, weight and output are integers.

What it means:
    The file quantizes the inputs of the layer, its weight and its output, in 8 bits, and the runtime has an integer
    kernel for its kind. It dequantizes all the same and computes in float, because scales stand along another axis, or
    because of something else that its kernel does not take. The layer is slower than it need be, and it rounds as float
    does.

How it is computed:
    mac_share [%]: multiplications of the layer, in percent of those of the network

    Which layers these are is read from the graph that the runtime makes of the file with all of its optimizations.

Thresholds:
    There is no limit: a layer is computed in float or is not. It costs no accuracy by itself.

What helps:
    Use scales, zero points and axes that the kernel of the runtime supports. `qdiag verify` lists what the runtime
    computes with, and `qdiag export` writes files that it computes with integers.

Sources:
    onnxruntime, "Quantize ONNX models" (QDQ, S8S8 on x86), and its selectors and actions for QDQ.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD706"
REPAIRS: tuple[str, ...] = ()


def find(context: DetectionContext) -> Finding | None:
    """Layers that fall back."""
    total = sum(facts.mac_count for facts in context.facts)
    sites = [
        FindingSite(facts.layer, (), (Evidence("mac_share", 100.0 * facts.mac_count / total if total else 0.0, "%"),))
        for facts in context.facts
        if facts.layer in context.fallen_back
    ]
    return finding(CODE, sites, REPAIRS)
