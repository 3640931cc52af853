"""Quantizers of one run, each chosen once: plans of many variants ask again and again for the same ones."""

from collections.abc import Iterable
from contextlib import suppress

import torch
from torch import Tensor

from qdiag.calibrators import CALIBRATORS, HISTOGRAM_CALIBRATORS
from qdiag.core.by_identity import ByIdentity
from qdiag.core.scheme import TensorScheme
from qdiag.distributed.threads import by_turns
from qdiag.errors import CalibrationError
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

    def choose(self, wanted: Iterable[tuple[Tensor, TensorScheme, int]]) -> None:
        """Searches for the quantizers of several weights, given as to `weight`, in as many threads as torch has.

        A weight that has none is left to `weight`, which says why.
        """
        searched = [one for one in wanted if not one[1].is_float and one[1].calibrator in HISTOGRAM_CALIBRATORS]
        new = [one for one in searched if one[1:] not in (self._chosen.get(one[0]) or {})]

        def search(_: int, one: tuple[Tensor, TensorScheme, int]) -> None:
            with suppress(CalibrationError):
                self.weight(*one)

        threads = min(torch.get_num_threads(), len(new))
        if threads > 1:
            by_turns(iter(new), search, lambda _: None, threads)
