"""What detectors look at in a weight that loses its magnitudes."""

import torch
from torch import Tensor

from qdiag.core.measures.facts import SignFacts
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.ternary import Ternary


def sign_facts(weight: Tensor, channel_axis: int, quantizer: Quantizer | None) -> SignFacts | None:
    """Signs as the quantizer takes them, and magnitudes as it sees them; None for any other number format.

    Args:
        weight: any shape, output channels along `channel_axis`, BatchNorm folded.
    """
    if not isinstance(quantizer, Binary | Ternary):
        return None
    quantizer = quantizer.to(weight.device)
    seen = quantizer.centred(weight) if isinstance(quantizer, Binary) else weight
    magnitude = _rows(seen, channel_axis).abs()
    signs = _rows(quantizer.fake_quantize(weight), channel_axis).sign()
    positive = (signs > 0).sum(1) / (signs != 0).sum(1)
    return SignFacts(
        positive_fraction=tuple(positive.tolist()),
        mean_abs=tuple(magnitude.mean(1).tolist()),
        median_abs=tuple(magnitude.median(1).values.tolist()),
        max_abs=tuple(magnitude.amax(1).tolist()),
        fan_in=magnitude.shape[1],
    )


def _rows(x: Tensor, channel_axis: int) -> Tensor:
    """(C, K)."""
    return torch.movedim(x.detach(), channel_axis, 0).reshape(x.shape[channel_axis], -1).cpu()
