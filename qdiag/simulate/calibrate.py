"""One float pass that watches every layer's output."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from qdiag.batches import Batches
from qdiag.calibrators import HISTOGRAM_CALIBRATORS
from qdiag.calibrators.base import ActivationStatistics
from qdiag.core.graph import Layer
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.distributed.collector import merge_by_name
from qdiag.distributed.processes import ONE, Processes
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import Ends, ObserverOptions, TensorObserver
from qdiag.simulate.passes.batchwise.kept_outputs import KeptOutputs
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, Lane, Lanes
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.runner import LaneRunner

SAMPLES_TO_SHOW = 1024
"""Values per image and layer behind a histogram that is only shown."""
SAMPLES_TO_CALIBRATE = 65536
"""Values per image and layer behind a histogram from which a range is chosen, of few images."""
MOST_TO_CALIBRATE = 1 << 21
"""Values of all images behind one: as many as 32 of them have; of more images, fewer values of each are looked at."""


Look = tuple[bool, float | None]
"""How closely a layer is looked at: closely enough to choose a range from a histogram, and the weight of a new image in
moving averages, None without any."""
Channels = Literal["all", "some", "none"]
"""How closely channels are looked at: every element; some positions, see `ChannelObserver`; not at all."""


@dataclass(frozen=True)
class Observation:
    """What was seen at one layer's output; `shape` without the batch axis."""

    statistics: ActivationStatistics
    channels: ChannelRanges | None
    shape: tuple[int, ...]


def observe_network(
    network: Network,
    batches: Batches,
    scheme: QuantScheme,
    progress: Progress,
    *,
    channels: Channels = "some",
    names: Collection[str] | None = None,
    with_shape: bool = True,
    processes: Processes = ONE,
    kept: KeptOutputs | None = None,
) -> Mapping[str, Observation]:
    """Runs all batches through the float network.

    Args:
        scheme: its calibrators of activations decide how closely to look at each layer.
        channels: how closely they are looked at.
        names: of the layers to look at; None looks at all.
        with_shape: also at what no calibrator reads: moments, and histograms that are only shown.
        kept: takes what the network gives, for passes that follow.

    Returns:
        Layer name to what was seen; layers whose output is never a float tensor are absent.

    Raises:
        CalibrationError: a layer's output held no finite value.
    """
    observer = _Ranges(scheme, channels, names=names, with_shape=with_shape, images=batches.sample_count)
    runner = LaneRunner([Lane(network)], [observer])
    run_batches(runner, batches, progress, stage="calibrate", processes=processes, kept=kept)
    return observer.observations()


class _Ranges(LayerObserver):
    sees_constants = True
    carried = ("_observers", "_shapes")

    def __init__(
        self,
        scheme: QuantScheme,
        channels: Channels,
        *,
        names: Collection[str] | None,
        with_shape: bool,
        images: int,
    ) -> None:
        self._scheme, self._by_channel, self._with_shape = scheme, channels, with_shape
        self._names = frozenset(names) if names is not None else None
        few = min(SAMPLES_TO_CALIBRATE, MOST_TO_CALIBRATE // max(images, 1))
        self._samples_to_calibrate = max(few, SAMPLES_TO_SHOW)
        self._observers: dict[str, TensorObserver] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._ends: list[Ends] = []

    def merge(self, later: "_Ranges") -> None:
        """See `Collector`."""
        merge_by_name(self._observers, later._observers)
        self._shapes = later._shapes | self._shapes

    def begin(self, sample_count: int) -> None:
        super().begin(sample_count)
        self._ends = []

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        """Minimum and maximum while the values are in the cache, where those of channels do not tell them."""
        if self._by_channel == "none" and self._sees(layer) and lanes[REFERENCE].numel():
            self._ends.append(torch.aminmax(lanes[REFERENCE]))

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        ends, self._ends = self._ends, []
        if self._sees(layer):
            observer = self._observer(layer, lanes.reference)
            observer.update(lanes.reference, image_count=self.sample_count, ends=ends)

    def _sees(self, layer: Layer) -> bool:
        return self._names is None or layer.name in self._names

    def _observer(self, layer: Layer, tensor: Tensor) -> TensorObserver:
        if layer.name not in self._observers:
            scheme = self._scheme.activations_of(layer.name)
            calibrates, averaging_constant = look_at(scheme)
            self._observers[layer.name] = TensorObserver(
                ObserverOptions(
                    samples_per_image=self._samples_to_calibrate if calibrates else SAMPLES_TO_SHOW,
                    averaging_constant=averaging_constant,
                    channel_axis=None if self._by_channel == "none" else layer.channel_axis(tensor.ndim),
                    glance_at_channels=self._by_channel == "some",
                    with_shape=self._with_shape,
                    with_histogram=self._with_shape or calibrates,
                )
            )
            self._shapes[layer.name] = tuple(tensor.shape[1:])
        return self._observers[layer.name]

    def observations(self) -> Mapping[str, Observation]:
        found: dict[str, Observation] = {}
        for name, observer in self._observers.items():
            seen = observer.range()
            if seen is None:
                raise CalibrationError(
                    "the output holds no finite value",
                    at=name,
                    hint="look for NaN or Inf in the weights and the inputs, and check the preprocessing",
                )
            averages = self._scheme.activations_of(name).calibrator == "moving_average"
            statistics = ActivationStatistics(seen, observer.moving_average if averages else None)
            found[name] = Observation(statistics, observer.channels(), self._shapes[name])
        return found


def look_at(scheme: TensorScheme) -> Look:
    """How closely a layer is looked at for the calibrator of its output."""
    averages = scheme.calibrator == "moving_average"
    return reads_histogram(scheme), scheme.averaging_constant if averages else None


def reads_histogram(scheme: TensorScheme) -> bool:
    """Its calibrator chooses the range from a histogram, which then needs more than a few values of each image."""
    return scheme.calibrator in HISTOGRAM_CALIBRATORS and not scheme.is_float
