"""Quantizers of one run, each chosen once: plans of many variants ask again and again for the same ones."""

import weakref
from typing import Any

from torch import Tensor

from qdiag.calibrators import calibrate_activation, calibrate_weight
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.calibrate import Observation


class Calibrations:
    """What calibrators chose, by the very object that they looked at, for as long as it lives.

    A search by squared error or entropy takes up to a second per layer, and a repair of one layer leaves the statistics
    and weights of all others as they are. Nothing in a run writes to either.
    """

    def __init__(self) -> None:
        self._chosen: dict[int, tuple[weakref.ref[Any], dict[tuple[TensorScheme, int], Quantizer]]] = {}

    def activation(self, seen: Observation, scheme: TensorScheme) -> Quantizer:
        """See `calibrate_activation`.

        Raises:
            CalibrationError: the range is not finite.
        """
        chosen = self._of(seen)
        if (scheme, 0) not in chosen:
            chosen[scheme, 0] = calibrate_activation(seen.statistics, scheme)
        return chosen[scheme, 0]

    def weight(self, weight: Tensor, scheme: TensorScheme, channel_axis: int) -> Quantizer:
        """See `calibrate_weight`.

        Raises:
            CalibrationError: a weight is not finite.
        """
        chosen = self._of(weight)
        if (scheme, channel_axis) not in chosen:
            chosen[scheme, channel_axis] = calibrate_weight(weight, scheme, channel_axis)
        return chosen[scheme, channel_axis]

    def _of(self, key: object) -> dict[tuple[TensorScheme, int], Quantizer]:
        found = self._chosen.get(id(key))
        if found is None or found[0]() is not key:
            found = self._chosen[id(key)] = (weakref.ref(key), {})
        return found[1]
