"""Inputs without data: noise, shaped until the network's own BatchNorms see what they saw in training.

A BatchNorm stores mean and variance of its input over the training set. Inputs whose activations have those statistics
excite the network much like real ones do. Source of the idea: Y. Cai et al., "ZeroQ", arXiv 2001.00281, section 3.1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from qdiag.batches import Batch, Datasets, not_accepted
from qdiag.capture.capture import capture
from qdiag.capture.program import Program, Runner
from qdiag.capture.state import restored
from qdiag.core.listed import count_noun
from qdiag.core.progress import Progress
from qdiag.errors import QdiagError
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.trial import try_apart
from qdiag.simulate.session import Session
from qdiag.subject import Subject, evaluating

STEPS = 40
LEARNING_RATE = 0.1
"""Of Adam, on inputs that start as Gaussian noise of unit variance."""
SYNTHESIS_BATCH = 16
"""Inputs shaped together: enough for the statistics, few enough for the memory of a backward pass."""
MEASURED, CALIBRATION = 32, 16
"""Samples when the user does not say how many."""
_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class DrawnBatches:
    """Synthetic inputs as `Batches`: the tensor is small, and held."""

    inputs: Tensor
    batch_size: int
    source: str
    preprocessing: str = "none"
    is_labelled: bool = False
    is_data_free: bool = True
    is_reproducible: bool = True

    @property
    def sample_count(self) -> int:
        return int(self.inputs.shape[0])

    def name(self, position: int) -> str:
        return f"sample {position}"

    def digest(self) -> str:
        """SHA-256 over the drawn values."""
        return batches_from(self.inputs, self.batch_size).digest()

    def __iter__(self) -> Iterator[Batch]:
        for first in range(0, self.sample_count, self.batch_size):
            yield Batch((self.inputs[first : first + self.batch_size],))


def synthesize_datasets(
    session: Session,
    subject: Subject,
    input_shape: tuple[int, ...],
    *,
    samples: int | None = None,
    calib_samples: int | None = None,
    batch_size: int = 16,
) -> Datasets:
    """Draws inputs for a network with one float input.

    Args:
        input_shape: batch axis first; its length there is ignored.

    Raises:
        DataError: the network does not accept inputs of this shape.
        CaptureError: the network cannot be turned into a graph.
    """
    measured, calibration = samples or MEASURED, min(calib_samples or CALIBRATION, samples or CALIBRATION)
    generator = torch.Generator().manual_seed(session.seed)
    noise = torch.randn(measured + calibration, *input_shape[1:], generator=generator)
    with session.untimed_stage("capture"):
        program = _program(subject, noise[:2]) if subject.parent is None else None
    norms = _norms(program) if program is not None else []
    how = "Gaussian noise: the network holds no BatchNorm statistics to match"
    if program is not None and norms:
        shaped = [_shaped(program, norms, part, session.progress) for part in _parts(noise, program.batch_size)]
        noise = torch.cat(shaped)[: len(noise)]
        how = f"drawn to match the statistics of {count_noun(len(norms), 'BatchNorm')} ({STEPS} steps)"
    source = f"{how}, seed {session.seed}"
    return Datasets(
        DrawnBatches(noise[measured:], batch_size, source),
        DrawnBatches(noise[:measured], batch_size, source),
        f"{calibration} drawn {'input calibrates' if calibration == 1 else 'inputs calibrate'}, "
        f"{measured} {'other is' if measured == 1 else 'others are'} measured",
    )


def _program(subject: Subject, example: Tensor) -> Program:
    model, batch = subject.model, Batch((example,))
    try:
        with evaluating(model), restored(model):
            try_apart(subject, batch)
            if isinstance(model, nn.Module):
                _check_accepted(model, batch)
            program = capture(subject, batch)
        _check_accepted(lambda x: Runner(program)((x,)), Batch((_parts(example, program.batch_size)[0],)))
        return program
    except QdiagError as error:
        error.hint = error.hint or "give `data`, or check `input_shape`"
        raise


def _parts(noise: Tensor, fixed: int | None) -> tuple[Tensor, ...]:
    """Batches to shape together; exactly of the size that a saved program takes, the last filled up with repeats."""
    if fixed is not None:
        wanted = -(-len(noise) // fixed) * fixed
        noise = noise.repeat(-(-wanted // len(noise)), *[1] * (noise.ndim - 1))[:wanted]
    return torch.split(noise, fixed or SYNTHESIS_BATCH)


def _check_accepted(run: Callable[[Tensor], object], batch: Batch) -> None:
    """Raise `DataError` where a network fails on the noise that it is to start from."""
    try:
        with torch.no_grad():
            run(*batch.args)
    except Exception as error:
        refusal = not_accepted(batch, error)
        refusal.at, refusal.hint = "`input_shape`", "give the shape of the network's one float input, or `data`"
        raise refusal from error


def _norms(program: Program) -> list[fx.Node]:
    """BatchNorms in inference form that hold running statistics."""
    return [
        node
        for node in program.graph.nodes
        if node.op == "call_function"
        and node.target is _BATCH_NORM
        and not node.args[5]
        and all(isinstance(a, fx.Node) and a.target in program.constants for a in node.args[3:5])
    ]


def _shaped(program: Program, norms: list[fx.Node], noise: Tensor, progress: Progress) -> Tensor:
    """The inputs after STEPS of gradient descent on the distance of statistics."""
    inputs = noise.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([inputs], lr=LEARNING_RATE)
    runner = _StatisticsRunner(program, {node.name for node in norms})
    progress.start("draw inputs", STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        runner.distances = []
        with torch.enable_grad():
            runner((inputs,))
            torch.stack(runner.distances).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress.advance()
    progress.finish()
    return inputs.detach()


class _StatisticsRunner(Runner):
    """The float network; notes at each BatchNorm how far its input is from the stored statistics."""

    def __init__(self, program: Program, norms: set[str]) -> None:
        super().__init__(program)
        self._norms = norms
        self.distances: list[Tensor] = []

    def run_node(self, n: fx.Node) -> Any:
        """The value of one node."""
        if n.name in self._norms:
            x, _, _, mean, variance = self.fetch_args_kwargs_from_env(n)[0][:5]
            self.distances.append(_distance(x, mean, variance))
        return super().run_node(n)


def _distance(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Squared distance of mean and standard deviation, in units of the stored ones.

    Channels that are constant in training are left out: their stored deviation is no unit.
    """
    axes = [axis for axis in range(x.ndim) if axis != 1]
    deviation = variance.sqrt()
    live = deviation > 1e-3 * deviation.max().clamp(min=1e-12)
    unit = torch.where(live, deviation, 1.0)
    shift = (x.mean(axes) - mean) / unit
    spread = (x.var(axes, correction=0) + 1e-12).sqrt() / unit - 1.0
    return torch.where(live, shift**2 + spread**2, 0.0).sum() / live.sum().clamp(min=1)
