"""One float pass that watches every layer's output."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from qdiag.batches import Batches
from qdiag.calibrators import HISTOGRAM_CALIBRATORS
from qdiag.calibrators.base import ActivationStatistics
from qdiag.core.graph import Layer
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import FloatRunner

SAMPLES_TO_SHOW = 1024
"""Values per image and layer behind a histogram that is only shown."""
SAMPLES_TO_CALIBRATE = 65536
"""Values per image and layer behind a histogram from which a range is chosen."""


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
    per_channel: bool = False,
    glance: bool = False,
) -> Mapping[str, Observation]:
    """Runs all batches through the float network.

    Args:
        scheme: its calibrators of activations decide how closely to look at each layer.
        per_channel: also figures per channel. glance: at some positions only, see `ChannelObserver`.

    Returns:
        Layer name to what was seen; layers whose output is never a float tensor are absent.

    Raises:
        CalibrationError: a layer's output held no finite value.
    """
    runner = _ObservingRunner(network, scheme, per_channel=per_channel, glance=glance)
    progress.start("calibrate", batches.sample_count)
    for batch in batches:
        runner.run_batch(batch)
        progress.advance(batch.sample_count)
    progress.finish()
    return runner.observations()


class _ObservingRunner(FloatRunner):
    def __init__(self, network: Network, scheme: QuantScheme, *, per_channel: bool, glance: bool) -> None:
        super().__init__(network)
        self._scheme = scheme
        self._per_channel, self._glance = per_channel, glance
        self._observers: dict[str, TensorObserver] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def see(self, layer: Layer, output: Tensor) -> None:
        self._observer(layer, output).update(output, image_count=self.sample_count)

    def _observer(self, layer: Layer, tensor: Tensor) -> TensorObserver:
        if layer.name not in self._observers:
            axis = channel_axis(layer, tensor) if self._per_channel else None
            scheme = self._scheme.activations_of(layer.name)
            calibrates = reads_histogram(scheme)
            averages = scheme.calibrator == "moving_average"
            self._observers[layer.name] = TensorObserver(
                ObserverOptions(
                    samples_per_image=SAMPLES_TO_CALIBRATE if calibrates else SAMPLES_TO_SHOW,
                    averaging_constant=scheme.averaging_constant if averages else None,
                    channel_axis=axis,
                    glance_at_channels=self._glance,
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


def reads_histogram(scheme: TensorScheme) -> bool:
    """Its calibrator chooses the range from a histogram, which then needs more than a few values of each image."""
    return scheme.calibrator in HISTOGRAM_CALIBRATORS and not scheme.is_float


def channel_axis(layer: Layer, tensor: Tensor) -> int | None:
    """Axis of the channels: the last one of token sequences and vectors, the second one of images."""
    if tensor.ndim < 2:
        return None
    if tensor.ndim == 3 and layer.kind != "conv":
        return 2
    return 1
