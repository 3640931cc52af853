"""Which activations share the quantizer of the operation before them, and why others do not."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import torch
from torch import fx

from qdiag.capture.layers import FUSES_CLAMP, group_layers, shown_operation
from qdiag.capture.ops import clamp_bounds, has_weight, kind_and_policy, operation_name
from qdiag.core.graph import INPUT, Layer
from qdiag.core.measures.folding import ClampExample, ClampSite, RoundedValue
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.tensor_scheme import TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import LayerPlan
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session

_ACTIVATIONS = frozenset(
    {
        *("sigmoid", "tanh", "hardsigmoid", "hardswish", "silu", "gelu", "elu", "selu", "celu", "leaky_relu", "prelu"),
        *("_prelu_kernel", "softplus", "mish", "log_sigmoid", "softsign", "threshold", "hardshrink", "softshrink"),
    }
)
"""Activation functions that are no clamps; rows of their own where they follow a layer with weights, or its norm."""

_EXAMPLE = -0.5


def clamp_sites(session: Session, case: Case) -> tuple[ClampSite, ...]:
    """All clamps of the network, and other activations behind layers with weights, in graph order."""
    return _Sites(session, case).found()


def worked_example() -> ClampExample:
    """-0.5 under uint8 for [-1, 1], as a convolution gives it, and for [0, 1], as its ReLU leaves it.

    Scale and zero point of a range are those of arXiv 1712.05877, section 3, as for every affine quantizer here.
    """
    scheme = TensorScheme(bits=8, symmetric=False, signed=False)
    before, after = (Affine.from_range(torch.tensor(low), torch.tensor(1.0), scheme) for low in (-1.0, 0.0))
    return ClampExample(_EXAMPLE, _rounded(before), _rounded(after), int(before.zero_point) - before.quant_min)


def _rounded(quantizer: Affine) -> RoundedValue:
    code = quantizer.quantize(torch.tensor([_EXAMPLE]))
    return RoundedValue(quantizer.record(), int(code), float(quantizer.dequantize(code)))


class _Sites:
    def __init__(self, session: Session, case: Case) -> None:
        self._session, self._case = session, case
        self._nodes = {node.name: node for node in case.network.program.graph.nodes}

    def found(self) -> tuple[ClampSite, ...]:
        sites = (self._site(layer) for layer in self._case.network.graph.layers if layer.kind != INPUT)
        return tuple(site for site in sites if site is not None)

    def _site(self, layer: Layer) -> ClampSite | None:
        if not layer.nodes:
            return None
        first, last = self._nodes[layer.nodes[0]], self._nodes[layer.nodes[-1]]
        if layer.kind == "clamp":
            return self._apart(layer, first, _why_apart(first))
        if layer.clamp is not None:
            return self._fused(layer, first, last)
        if operation_name(first) in _ACTIVATIONS and _follows_weights(first):
            reason = "it is no clamp: it changes what lies between its bounds, so that each of the two has a quantizer"
            return self._apart(layer, first, reason)
        return None

    def _fused(self, layer: Layer, first: fx.Node, last: fx.Node) -> ClampSite:
        plan = self._case.plan.layers[layer.name]
        reason = None if plan.output is not None else self._without_quantizer(layer, plan)
        return ClampSite(
            layer=layer.name,
            operation=operation_name(first),
            activation=shown_operation(last),
            bounds=layer.clamp,
            is_shared=plan.output is not None,
            reason=reason,
            quantizer=plan.output.record() if plan.output is not None else None,
            between=self._between(layer) if plan.output is not None else None,
            is_free=plan.output.covers(layer.clamp) if plan.output is not None and layer.clamp is not None else None,
        )

    def _apart(self, layer: Layer, node: fx.Node, reason: str) -> ClampSite:
        output = self._case.plan.layers[layer.name].output
        return ClampSite(
            layer=layer.name,
            operation=_before(node),
            activation=shown_operation(node),
            bounds=clamp_bounds(node),
            is_shared=False,
            reason=reason,
            quantizer=output.record() if output is not None else None,
        )

    def _without_quantizer(self, layer: Layer, plan: LayerPlan) -> str:
        if plan.skip_reason is not None:
            return f"the layer computes in float: {plan.skip_reason}"
        scheme = self._case.scheme.activations_of(layer.name)
        if scheme.is_float:
            return "the scheme leaves activations in float"
        if scheme.is_block:
            return "numbers of this format are rounded in blocks where they are read, and no output has a quantizer"
        readers = self._case.network.graph.consumers(layer.name)
        if readers and all(reader.sign_magnitude is not None for reader in readers):
            return "nothing but signs read it, and a sign needs no rounding before it"
        return "the scheme rounds only what is multiplied by weights"

    def _between(self, layer: Layer) -> QuantizerRecord | None:
        """The quantizer that the scheme would have before the clamp."""
        seen = self._before_clamps.get(layer.nodes[0])
        if seen is None:
            return None
        record = self._session.calibrations.activation(seen, self._case.scheme.activations_of(layer.name)).record()
        return record if record.has_range else None

    @cached_property
    def _before_clamps(self) -> Mapping[str, Observation]:
        """What the network gives before its clamps, by graph node, on the calibration data."""
        network = self._case.network
        graph = group_layers(network.program, fuses_clamps=False)
        apart = replace(network, graph=graph)
        seen = self._session.observe(apart, self._case.calibration, self._case.scheme)
        return {layer.nodes[0]: seen[layer.name] for layer in graph.layers if layer.nodes and layer.name in seen}


def _why_apart(node: fx.Node) -> str:
    """Why a clamp is a layer of its own."""
    if clamp_bounds(node) is None:
        return "its bounds are computed, so that no integers end there"
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_function":
        return "it reads an input of the network, which no operation here makes"
    name, kind = operation_name(before), kind_and_policy(before)[0]
    if kind == "clamp":
        return "what comes before it is a clamp itself"
    if kind not in FUSES_CLAMP:
        return f"what comes before it, {name}, is no convolution, linear layer, norm or arithmetic"
    if len(before.users) > 1:
        return f"the output of the {name} before it is also read elsewhere, as it is before the clamp"
    return f"the {name} before it has several outputs"


def _before(node: fx.Node) -> str:
    before = node.args[0]
    is_operation = isinstance(before, fx.Node) and before.op == "call_function"
    return operation_name(before) if is_operation and isinstance(before, fx.Node) else INPUT


def _follows_weights(node: fx.Node) -> bool:
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_function":
        return False
    kind = kind_and_policy(before)[0]
    return has_weight(kind) or kind == "norm"
