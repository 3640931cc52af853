"""How much each layer's quantization error raises the loss, from one backward pass over the data.

To second order, an error e at a layer's output changes the loss by e^T H e / 2, and for a negative log-likelihood the
expected Hessian H is the Fisher information, the mean of g g^T over samples. Its diagonal gives sum(g^2 e^2): the
gradient says where the network listens, the error where the layer speaks wrongly (as in arXiv 1905.03696, HAWQ, and
arXiv 2102.05426, BRECQ, eq. 10).

The gradient is that of the float network, so no quantizer of the scheme stands in its way. Where the network itself
rounds or takes signs, straight-through estimators stand for their derivatives.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.distributed.collector import add_by_name
from qdiag.distributed.divided import divided
from qdiag.errors import SimulationError
from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.simulate.arithmetic.differentiable import Differentiable
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, Lane, Lanes, pick
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.pass_values import SUMS
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.task.classes import class_numbers
from qdiag.simulate.task.tasks import Tasks


def fisher_scores(session: Session, case: Case) -> Mapping[str, float]:
    """Layer name to the mean over samples of sum(gradient^2 * local error^2) at its output; higher is worse.

    The loss is the cross-entropy to the labels, or to the network's own top-1 where there are none; without logits,
    half the square of all outputs. Layers through which no gradient passes are absent.

    Raises:
        SimulationError: an operation failed, then it says which layer; or one has no derivative.
    """
    return session.passes.finished(
        "fisher",
        SUMS,
        lambda: _run_backward(case, session),
        batches=[case.measured],
        depends_on=(case.network, case.plan, repr(case.tasks.logits)),
    )


def _run_backward(case: Case, session: Session) -> Mapping[str, float]:
    observer = _SquaredErrors()
    reference = Lane(case.network, arithmetic=Differentiable(), keeps_gradient=True)
    runner = LaneRunner([reference, Lane(case.network, case.plan, is_local=True)], [observer])
    stage = "one backward pass"
    with divided(case.measured, session.progress, stage, [observer], session.processes) as batches:
        for batch in batches:
            outputs = pick(runner.run_batch(batch), REFERENCE)
            _backward(outputs, batch, case.tasks)
            observer.total += batch.sample_count
    return {name: float(total) / observer.total for name, total in observer.sums.items()} if observer.total else {}


def _backward(outputs: tuple[Any, ...], batch: Batch, tasks: Tasks) -> None:
    """Every layer's hook adds to its sum while the gradient passes."""
    with torch.enable_grad():
        loss = _loss(outputs, batch, tasks)
    if loss is not None and loss.requires_grad:
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise SimulationError("no gradient passes through the network") from error


class _SquaredErrors(LayerObserver):
    """Sums of gradient^2 * local error^2 by layer; the errors of a batch are held until its gradient has passed."""

    carried = ("total", "sums")

    def __init__(self) -> None:
        self.total = 0
        self.sums: dict[str, float | Tensor] = {}
        self._errors: list[Tensor] = []

    def merge(self, later: "_SquaredErrors") -> None:
        """See `Collector`."""
        self.total += later.total
        add_by_name(self.sums, later.sums)

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        del layer, lanes
        self._errors = []

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        del layer
        self._errors.append(lanes[LOCAL] - lanes[REFERENCE])

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        reference, errors = lanes.reference, self._errors
        if not reference.requires_grad:
            return
        layout = dense(reference.detach())

        def add(gradient: Tensor) -> None:
            # piece by piece in the order in which the errors came
            pieces = zip(flat_chunks(alike(layout, gradient)), errors, strict=True)
            power = sum((piece * error).square().sum(dtype=torch.float64) for (piece,), error in pieces)
            self.sums[layer.name] = self.sums.get(layer.name, 0.0) + power

        reference.register_hook(add)  # type: ignore[no-untyped-call]


def _loss(outputs: tuple[Any, ...], batch: Batch, tasks: Tasks) -> Tensor | None:
    """Summed over samples, so that each sample's gradient is its own."""
    logits = tasks.logits_of(outputs)
    if logits is not None:
        labels = class_numbers(batch) if tasks.is_labelled else None
        target = labels.to(logits.device).long() if labels is not None else logits.detach().argmax(1)
        return F.cross_entropy(logits, target, reduction="sum")
    found = [o for o in outputs if _is_float(o)]
    return torch.stack([o.square().sum() / 2.0 for o in found]).sum() if found else None


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
