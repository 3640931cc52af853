"""Even steps of a given width between given bounds.

Source: LinearQuant of arXiv 1603.01025, section 3: `clip(round(x / step) * step, min, max)`.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers.affine import Affine


@dataclass(frozen=True, eq=False)
class Linear(Affine):
    """An affine quantizer without a zero point, per tensor, whose scale and bounds nobody measured.

    Its integers run from `min / step` to `max / step`; a layer with such a weight and input computes in integers.
    """

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "Linear":
        """Step and bounds of the scheme; what the values reach does not matter, but for being finite."""
        del channel_axis
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        assert scheme.step is not None and scheme.range is not None, "checked by the scheme"
        step = torch.tensor(scheme.step, device=low.device)
        first, last = (round(bound / scheme.step) for bound in scheme.range)
        return cls(step, torch.zeros_like(step), first, last, is_symmetric=True)

    def record(self) -> QuantizerRecord:
        return replace(super().record(), type="linear")
