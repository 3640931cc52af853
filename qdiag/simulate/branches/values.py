"""One float pass that watches the branches of every block, their sum, and the one convolution beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batches, run_through
from qdiag.calibrators.base import ActivationStatistics
from qdiag.capture.branches.block import LinearBlock
from qdiag.capture.program import Program, Runner
from qdiag.core.measures.branches import Activations
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.progress import Progress
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.convolutions.conv_map import ConvMap
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.moments import MomentAccumulator
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.branches.weights import rest_of, rounding_error, share_of
from qdiag.simulate.passes.network import Network


@dataclass(frozen=True)
class Ending:
    """How the fused network runs a block: what its input and output are quantized by, its output clamped to, and the
    schemes of its output and of its weight."""

    source: Quantizer | None
    quantizer: Quantizer | None
    clamp: tuple[float, float] | None
    scheme: TensorScheme
    weights: TensorScheme


@dataclass(frozen=True)
class Rest:
    """The clamped output of a block without one branch: its statistics, the power of what rounding of the block's
    input makes there, and the SQNR where the weight of the other branches is rounded."""

    statistics: ActivationStatistics
    input_noise: float
    weight_rounding_db: float


@dataclass(frozen=True)
class BlockValues:
    """What was seen of a block.

    Attributes:
        branches: by name. sum: before the BatchNorm behind it. output: after it.
        without: the rest of the block, by the name of the branch that is not in it.
        rounding_db: SQNR of the clamped output where the quantizers of the block's input and output round, and its
            weights are those of the float network; NaN without either.
        weight_rounding_db: SQNR of the clamped output where only the fused weight is rounded, over all channels; NaN
            where it stays in float.
        max_abs_delta: largest |fused - branches|. largest: largest |output|.
    """

    branches: Mapping[str, Activations]
    sum: Activations
    output: Activations
    without: Mapping[str, Rest]
    rounding_db: float
    weight_rounding_db: float
    max_abs_delta: float
    largest: float


def watch_blocks(
    program: Program,
    network: Network,
    blocks: Sequence[LinearBlock],
    endings: Mapping[str, Ending],
    batches: Batches,
    progress: Progress,
) -> dict[str, BlockValues]:
    """What the blocks of a program give on all batches, by their names.

    Args:
        program: BatchNorm not folded. network: the same one folded, for its device.
        endings: of the blocks that are one convolution, by name.
    """
    placed = replace(program, constants={key: x.to(network.device) for key, x in program.constants.items()})
    watchers = [_Watcher(block, endings.get(block.name), network.device) for block in blocks]
    runner = _WatchedRunner(placed, watchers)
    with torch.no_grad():
        for batch in run_through(batches, progress, "branches"):
            batch = network.placed(batch)
            runner.image_count = batch.sample_count
            runner(batch.args, batch.kwargs)
    return {watcher.block.name: watcher.values() for watcher in watchers}


class _WatchedRunner(Runner):
    """Hands every block its values as soon as its end is there, and lets go of them."""

    def __init__(self, program: Program, watchers: Sequence["_Watcher"]) -> None:
        super().__init__(program)
        self.image_count = 1
        self._at = {watcher.block.end.name: watcher for watcher in watchers}
        self._readers = Counter(node.name for watcher in watchers for node in watcher.nodes)
        self._waiting: Counter[str] = Counter()
        self._seen: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Keeps what a block needs until its end is there."""
        value = super().run_node(n)
        if n.name in self._readers:
            self._seen[n.name], self._waiting[n.name] = value, self._readers[n.name]
        if n.name in self._at:
            watcher = self._at[n.name]
            watcher.look(self._seen, self.image_count)
            for node in watcher.nodes:
                self._waiting[node.name] -= 1
                if not self._waiting[node.name]:
                    del self._seen[node.name]
        return value


class _Watcher:
    """Gathers what is seen of one block."""

    def __init__(self, block: LinearBlock, ending: Ending | None, device: torch.device) -> None:
        self.block, self._ending, self._device = block, ending, device
        self.nodes = {block.source, block.root, block.end, *(path.end for path in block.paths)}
        self._branches = {path.name: _Figures() for path in block.paths}
        self._sum, self._output = _Figures(), _Figures()
        options = ObserverOptions()
        if ending is not None and ending.scheme.calibrator == "moving_average":
            options = replace(options, averaging_constant=ending.scheme.averaging_constant)
        self._without = {path.name: TensorObserver(options) for path in block.paths} if ending is not None else {}
        self._input_noise = {name: ErrorAccumulator() for name in self._without}
        self._rest_weights = {name: ErrorAccumulator() for name in self._without}
        self._rounding, self._weights = ErrorAccumulator(), ErrorAccumulator()
        self._delta = self._largest = 0.0

    def look(self, seen: Mapping[str, Tensor], image_count: int) -> None:
        """Adds one batch.

        Args:
            seen: values by node name, those of `nodes` among them.
        """
        source, root, end = (seen[node.name] for node in (self.block.source, self.block.root, self.block.end))
        self._sum.add(root, image_count)
        self._output.add(end, image_count)
        for path in self.block.paths:
            self._branches[path.name].add(seen[path.end.name] * path.factor, image_count)
        if self.block.fused is not None:
            whole = self._placed(self.block.fused)
            fused = whole(source)
            self._delta = max(self._delta, float((fused - end).abs().max()))
            self._largest = max(self._largest, float(end.abs().max()))
            if self._ending is not None:
                self._round(self._ending, whole, source, end, image_count)

    def _round(self, ending: Ending, whole: ConvMap, source: Tensor, end: Tensor, image_count: int) -> None:
        """What the fused network's quantizers do here, and what they would have to do without one branch."""
        before, after = ending.source, ending.quantizer
        rounded = source if before is None else before.to(source.device).fake_quantize(source.contiguous())
        error = whole(rounded) - whole(source)
        reference = self._clamped(end).contiguous()
        for path in self.block.paths:
            share = self._placed(share_of(self.block, path))
            part = share(source)
            rest = self._clamped(end - part).contiguous()
            moved = self._clamped(end - part + error - (share(rounded) - part))
            self._without[path.name].update(rest, image_count=image_count)
            self._input_noise[path.name].add(reference=rest, simulated=[moved.contiguous()])
            noise = rounding_error(rest_of(self.block, path), ending.weights)
            if noise is not None:
                moved = self._clamped(end - part + self._placed(noise)(source))
                self._rest_weights[path.name].add(reference=rest, simulated=[moved.contiguous()])
        noise = rounding_error(self.block.fused, ending.weights)
        if noise is not None:
            moved = self._clamped(end + self._placed(noise)(source))
            self._weights.add(reference=reference, simulated=[moved.contiguous()])
        if before is not None or after is not None:
            simulated = self._clamped(end + error).contiguous()
            simulated = simulated if after is None else after.to(end.device).fake_quantize(simulated)
            self._rounding.add(reference=reference, simulated=[simulated])

    def _placed(self, one: ConvMap) -> ConvMap:
        """In float32 where the values are; made when it is needed, since all blocks are as large as the model."""
        kernel, constant = (part.to(self._device, torch.float32) for part in (one.kernel, one.constant))
        return replace(one, kernel=kernel, constant=constant)

    def _clamped(self, x: Tensor) -> Tensor:
        clamp = self._ending.clamp if self._ending is not None else None
        return x if clamp is None else x.clamp(*clamp)

    def values(self) -> BlockValues:
        """Everything seen so far."""
        without = {}
        for name, observer in self._without.items():
            seen = observer.range()
            if seen is not None:
                averages = self._ending is not None and self._ending.scheme.calibrator == "moving_average"
                statistics = ActivationStatistics(seen, observer.moving_average if averages else None)
                noise, weights = _first(self._input_noise[name]), _first(self._rest_weights[name])
                without[name] = Rest(statistics, noise.mse, weights.sqnr_db)
        return BlockValues(
            branches={name: figures.activations() for name, figures in self._branches.items()},
            sum=self._sum.activations(),
            output=self._output.activations(),
            without=without,
            rounding_db=_first(self._rounding).sqnr_db,
            weight_rounding_db=_first(self._weights).sqnr_db,
            max_abs_delta=self._delta,
            largest=self._largest,
        )


class _Figures:
    """Range, histogram, and moments per channel of one value (N, C, ...)."""

    def __init__(self) -> None:
        self._whole = TensorObserver(ObserverOptions())
        self._channels: MomentAccumulator | None = None

    def add(self, x: Tensor, image_count: int) -> None:
        self._whole.update(x, image_count=image_count)
        rows = x.movedim(1, 0).reshape(x.shape[1], -1)
        self._channels = self._channels or MomentAccumulator(len(rows))
        self._channels.add(rows)

    def activations(self) -> Activations:
        seen = self._whole.range()
        assert seen is not None and self._channels is not None
        mean, std = self._channels.mean().tolist(), self._channels.std().square().tolist()
        return Activations(seen, tuple(mean), tuple(std))


def _first(errors: ErrorAccumulator) -> ErrorSums:
    (sums,) = errors.sums()
    return sums
