"""Quantizers of one run, each chosen once: plans of many variants ask again and again for the same ones."""

from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.core.by_identity import ByIdentity
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.calibrate import Observation


class Calibrations:
    """What calibrators chose, by the very object that they looked at, for as long as it lives.

    A search by squared error or entropy takes up to a second per layer, and a repair of one layer leaves the statistics
    and weights of all others as they are. Nothing in a run writes to either.
    """

    def __init__(self) -> None:
        self._chosen: ByIdentity[dict[tuple[TensorScheme, int], Quantizer]] = ByIdentity()

    def activation(self, seen: Observation, scheme: TensorScheme) -> Quantizer:
        """See `Calibrator`.

        Raises:
            CalibrationError: the range is not finite.
        """
        chosen = self._chosen.once(seen, dict)
        if (scheme, 0) not in chosen:
            chosen[scheme, 0] = CALIBRATORS[scheme.calibrator].activation(seen.statistics, scheme)
        return chosen[scheme, 0]

    def weight(self, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        """See `Calibrator`.

        Raises:
            CalibrationError: a weight is not finite.
        """
        chosen = self._chosen.once(weight, dict)
        if (scheme, channel_axis) not in chosen:
            chosen[scheme, channel_axis] = CALIBRATORS[scheme.calibrator].weight(weight, scheme, channel_axis)
        return chosen[scheme, channel_axis]
