"""How much each layer's quantization error raises the loss, from one backward pass over the data.

To second order, an error e at a layer's output changes the loss by e^T H e / 2, and for a negative log-likelihood the
expected Hessian H is the Fisher information, the mean of g g^T over samples. Its diagonal gives sum(g^2 e^2): the
gradient says where the network listens, the error where the layer speaks wrongly (as in arXiv 1905.03696, HAWQ, and
arXiv 2102.05426, BRECQ, eq. 10).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Batches
from qdiag.core.graph import Layer
from qdiag.core.progress import Progress
from qdiag.errors import SimulationError
from qdiag.simulate.case import Case
from qdiag.simulate.passes.pass_values import SUMS
from qdiag.simulate.passes.runner import LayerRunner
from qdiag.simulate.passes.weights import simulated_weights, with_weights
from qdiag.simulate.task.top_k import logits_index, takes_labels


@dataclass(frozen=True)
class _Pair:
    """A value with its gradient's history, and the same value as the next layer alone would get it, quantized."""

    reference: Tensor
    local: Tensor


def fisher_scores(case: Case, batches: Batches, progress: Progress) -> Mapping[str, float]:
    """Layer name to the mean over samples of sum(gradient^2 * local error^2) at its output; higher is worse.

    The loss is the cross-entropy to the labels, or to the network's own top-1 where there are none; without logits,
    half the square of all outputs. Layers through which no gradient passes are absent.

    Raises:
        SimulationError: an operation failed, then it says which layer; or one has no derivative.
    """
    return case.passes.finished(
        "fisher",
        SUMS,
        lambda: _run_backward(case, batches, progress),
        batches=[batches],
        depends_on=(case.network, case.plan),
    )


def _run_backward(case: Case, batches: Batches, progress: Progress) -> Mapping[str, float]:
    runner = _FisherRunner(case)
    progress.start("one backward pass", batches.sample_count)
    for batch in batches:
        runner.add(batch)
        progress.advance(batch.sample_count)
    progress.finish()
    return {name: total / runner.total for name, total in runner.sums.items()} if runner.total else {}


class _FisherRunner(LayerRunner):
    def __init__(self, case: Case) -> None:
        super().__init__(case.network)
        self._plan = case.plan
        self.total = 0
        self.sums: dict[str, float] = {}
        self._weights = {
            layer.name: simulated_weights(case.network, case.plan, layer)
            for layer in case.network.graph.layers
            if layer.weight is not None
        }

    def add(self, batch: Batch) -> None:
        """One batch, forward and backward; every layer's hook adds to its sum while the gradient passes."""
        outputs = self.run_batch(batch)
        with torch.enable_grad():
            loss = _loss(tuple(o.reference if isinstance(o, _Pair) else o for o in outputs), batch)
        if loss is not None and loss.requires_grad:
            try:
                loss.backward()  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                raise SimulationError(f"no gradient passes through the network: {error}") from error
        self.total += batch.sample_count

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target: Any = node.target
        if not any(_is_pair(leaf) for leaf in pytree.tree_leaves((args, kwargs), is_leaf=_is_pair)):
            return target(*args, **kwargs)
        with torch.enable_grad():
            own_args, own_kwargs = _side((args, kwargs), "reference")
            reference = _WITH_DERIVATIVE.get(target, target)(*own_args, **own_kwargs)
        local_args, local_kwargs = _side((args, kwargs), "local")
        if layer is not None and layer.name in self._weights:
            local_args = with_weights(local_args, self._weights[layer.name])
        return _join(reference, target(*local_args, **local_kwargs))

    def enter(self, layer: Layer, value: Any) -> Any:
        del layer
        return _Pair(value.detach().requires_grad_(), value) if _is_float(value) else value

    def borrowed(self, value: Any) -> Any:
        return value

    def close(self, layer: Layer, value: Any) -> Any:
        if isinstance(value, Tensor):
            value = self.enter(layer, value)
        if not isinstance(value, _Pair):
            return tuple(self._closed(layer, v) if _is_pair(v) else v for v in value) if _is_tuple(value) else value
        return self._closed(layer, value)

    def _closed(self, layer: Layer, value: _Pair) -> _Pair:
        if not value.reference.is_floating_point():
            return value
        reference, local = value.reference, value.local
        if layer.clamp is not None:
            with torch.enable_grad():
                reference = reference.clamp(*layer.clamp)
            local = local.clamp(*layer.clamp)
        exact, output = reference.detach(), self._plan.layers[layer.name].output
        if output is not None:
            local, start = output.fake_quantize(local.contiguous()), output.fake_quantize(exact.contiguous())
        else:
            start = exact
        if reference.requires_grad:
            self._listen(layer.name, reference, local - exact)
        return _Pair(reference, start)

    def _listen(self, name: str, reference: Tensor, error: Tensor) -> None:
        def add(gradient: Tensor) -> None:
            self.sums[name] = self.sums.get(name, 0.0) + float((gradient * error).square().sum(dtype=torch.float64))

        reference.register_hook(add)  # type: ignore[no-untyped-call]


def _copied(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    del non_blocking
    return source.to(x.dtype).expand_as(x)


_WITH_DERIVATIVE: Mapping[object, Callable[..., Any]] = {torch.ops.aten.copy.default: _copied}
"""The same values by operations that torch can derive: what is left of writing into a tensor cannot be."""


def _loss(outputs: tuple[Any, ...], batch: Batch) -> Tensor | None:
    """Summed over samples, so that each sample's gradient is its own."""
    index = logits_index(outputs, batch.sample_count)
    if index is not None:
        logits: Tensor = outputs[index]
        labels = batch.labels if takes_labels(batch) else None
        target = labels.to(logits.device).long() if labels is not None else logits.detach().argmax(1)
        return F.cross_entropy(logits, target, reduction="sum")
    found = [o for o in outputs if _is_float(o)]
    return torch.stack([o.square().sum() / 2.0 for o in found]).sum() if found else None


def _side(tree: Any, name: str) -> Any:
    return pytree.tree_map(lambda leaf: getattr(leaf, name) if _is_pair(leaf) else leaf, tree, is_leaf=_is_pair)


def _join(reference: Any, local: Any) -> Any:
    if isinstance(reference, Tensor):
        return _Pair(reference, local)
    if _is_tuple(reference):
        return tuple(_join(r, x) for r, x in zip(reference, local, strict=True))
    return reference


def _is_pair(value: Any) -> bool:
    return isinstance(value, _Pair)


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple | list)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
