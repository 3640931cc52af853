"""Where most of the loss comes from, by the layers quantized one at a time."""

from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.reading.layer_names import layer_named

_MOST = 0.5
_ALL = 0.95


def loss_source_words(sensitivity: Sensitivity | None) -> str:
    """`Quantizing input:mels alone costs all of the loss.`; empty where nothing was lost or measured."""
    if sensitivity is None or not sensitivity.heaviest:
        return ""
    first = sensitivity.heaviest[0]
    share, name = sensitivity.share_of_loss(first), layer_named(first.layer)
    if share >= _ALL:
        return f"Quantizing {name} alone costs all of the loss."
    if share >= _MOST:
        return f"Quantizing {name} alone costs {100.0 * share:.0f} % of the loss."
    return f"No layer alone costs most of the loss: quantizing {name} costs {100.0 * share:.0f} %."
