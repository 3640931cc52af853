"""A network under a plan, run by torch's own quantized kernels, as the reference for what is simulated.

Free-running, on one thread, images with their channels last in memory as torch's convolutions leave them.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.ops import operation_name
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.case import Case

Q = torch.ops.quantized


@contextmanager
def engine_of(name: str) -> Iterator[None]:
    """One engine, and one thread: kernels round the last values of each thread otherwise."""
    before, threads = torch.backends.quantized.engine, torch.get_num_threads()
    torch.backends.quantized.engine = name
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*are deprecated.*", category=UserWarning)
            yield
    finally:
        torch.backends.quantized.engine = before
        torch.set_num_threads(threads)


def integers_of_torch(case: Case, batch: Batch, engine: str) -> dict[str, Tensor]:
    """Integers of every layer with a quantizer, unsigned."""
    with engine_of(engine), torch.no_grad():
        runner = _Kernels(case)
        runner.run_on(batch)
        return runner.found


def unsigned(quantizer: Affine) -> tuple[float, int]:
    """Scale and zero point of a tensor of torch."""
    return float(quantizer.scale), int(quantizer.zero_point) + (128 if quantizer.quant_min < 0 else 0)


class _Kernels(fx.Interpreter):
    def __init__(self, case: Case) -> None:
        super().__init__(nn.Module(), graph=case.network.program.graph)
        self._case = case
        self._layers = {node: layer for layer in case.network.graph.sites for node in layer.nodes}
        self._inputs: dict[str, Any] = {}
        self.found: dict[str, Tensor] = {}

    def run_on(self, batch: Batch) -> None:
        self._inputs = self._case.network.program.flatten_inputs(batch.args, batch.kwargs)
        self.run(enable_io_processing=False)

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "output":
            return None
        layer = self._layers.get(n.name)
        output: Any = self._case.plan.layers[layer.name].output if layer is not None else None
        if n.op == "placeholder":
            name = str(n.target)
            value = self._inputs.get(name, self._case.network.program.constants.get(name))
        else:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            value = self._computed(n, layer, output, args, kwargs)
        if layer is not None and n.name == layer.output and isinstance(value, Tensor) and value.is_floating_point():
            value = _quantized(value, output) if output is not None else value
        if layer is not None and n.name == layer.output and output is not None:
            self.found[layer.name] = value.int_repr()
        return value

    def _computed(self, n: fx.Node, layer: Layer | None, output: Any, args: Any, kwargs: Any) -> Any:
        name = operation_name(n)
        if not _has_quantized((args, kwargs)):
            return n.target(*args, **kwargs)  # type: ignore[operator]
        if layer is None:
            return _moved(n, args, kwargs)
        if n.name != layer.nodes[0]:
            x = args[0]
            # qnnpack clamps images with their channels last into another order
            return torch.relu(x) if name == "relu" else torch.clamp(x.contiguous(), *(layer.clamp or ()))
        if self._case.plan.layers[layer.name].skip_reason is None and output is not None:
            relu = "_relu" if layer.ops[1:2] == ("relu",) else ""
            kernel = _KERNELS.get(name)
            if layer.weight is not None:
                return self._weighted(name, layer, output, relu, args)
            if kernel is not None:
                found = kernel(relu, args, kwargs, *unsigned(output))
                if found is not None:
                    return found
        return n.target(*_dequantized(args), **_dequantized(kwargs))  # type: ignore[operator]

    def _weighted(self, name: str, layer: Layer, output: Affine, relu: str, args: Any) -> Tensor:
        weight = self._case.plan.layers[layer.name].weight
        assert isinstance(weight, Affine)
        packed_weight = _weight(weight, args[1], layer.weight_axis)
        bias = args[2] if len(args) > 2 else None
        if name == "linear":
            return getattr(Q, f"linear{relu}")(args[0], Q.linear_prepack(packed_weight, bias), *unsigned(output))  # type: ignore[no-any-return]
        defaults = ([1, 1], [0, 0], [1, 1], 1) if name == "conv2d" else ([1, 1], [0, 0], [0, 0], 1, [1, 1])
        given = [*args[3:], *defaults[max(0, len(args) - 3) :]]
        given = [one * 2 if isinstance(one, list) and len(one) == 1 else one for one in given]
        x = args[0].contiguous(memory_format=torch.channels_last)
        if name == "conv2d":
            packed = Q.conv2d_prepack(packed_weight, bias, *given)
            return getattr(Q, f"conv2d{relu}")(x, packed, *unsigned(output))  # type: ignore[no-any-return]
        assert name == "conv_transpose2d"
        stride, padding, outer, groups, dilation = given
        packed = Q.conv_transpose2d_prepack(packed_weight, bias, stride, padding, outer, dilation, groups)
        found: Tensor = Q.conv_transpose2d(x, packed, *unsigned(output))
        return torch.relu(found) if relu else found


def _weight(quantizer: Affine, weight: Tensor, axis: int) -> Tensor:
    # torch takes signed weights alone: integers of uint8 lie 128 lower, those of 7 bits 64
    lower = (quantizer.quant_max + 1) // 2 if quantizer.quant_min >= 0 else 0
    integers = (quantizer.quantize(weight) - lower).to(torch.int8)
    scale, zero_point = quantizer.scale, quantizer.zero_point - lower
    if scale.ndim:
        return torch._make_per_channel_quantized_tensor(integers, scale.double(), zero_point.long(), axis)  # type: ignore[no-any-return]
    return torch._make_per_tensor_quantized_tensor(integers, float(scale), int(zero_point))  # type: ignore[no-any-return]


def _quantized(x: Tensor, quantizer: Affine) -> Tensor:
    return torch.quantize_per_tensor(x, *unsigned(quantizer), torch.quint8)


def _moved(n: fx.Node, args: Any, kwargs: Any) -> Any:
    """What moves values: on integers, with the scale and zero point that they have."""
    quantized = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.is_quantized]
    try:
        return n.target(*args, **kwargs)  # type: ignore[operator]
    except (RuntimeError, NotImplementedError):
        found = n.target(*_dequantized(args), **_dequantized(kwargs))  # type: ignore[operator]
        like = quantized[0]
        return pytree.tree_map_only(
            Tensor, lambda x: torch.quantize_per_tensor(x, like.q_scale(), like.q_zero_point(), torch.quint8), found
        )


def _has_quantized(tree: Any) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.is_quantized for leaf in pytree.tree_leaves(tree))


def _dequantized(tree: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda x: x.dequantize() if x.is_quantized else x, tree)


Kernel = Callable[[str, Any, Any, float, int], Tensor | None]


def _binary(name: str) -> Kernel:
    def run(relu: str, args: Any, kwargs: Any, scale: float, zero_point: int) -> Tensor | None:
        if not all(isinstance(one, Tensor) and one.is_quantized for one in args[:2]) or kwargs.get("alpha", 1) != 1:
            return None
        found: Tensor = getattr(Q, f"{name}{relu}")(args[0], args[1], scale, zero_point)
        return found

    return run


def _cat(relu: str, args: Any, kwargs: Any, scale: float, zero_point: int) -> Tensor:
    axis = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    found: Tensor = getattr(Q, f"cat{relu}")(args[0], axis, scale, zero_point)
    return found


def _own(function: Callable[..., Tensor]) -> Kernel:
    """A kernel that chooses scale and zero point by itself, which the plan has to have."""

    def run(relu: str, args: Any, kwargs: Any, scale: float, zero_point: int) -> Tensor:
        found = function(*args, **kwargs)
        assert (found.q_scale(), found.q_zero_point()) == (scale, zero_point)
        return torch.relu(found) if relu else found

    return run


_KERNELS: dict[str, Kernel] = {
    "add": _binary("add"),
    "mul": _binary("mul"),
    "cat": _cat,
    "sigmoid": _own(torch.sigmoid),
    "tanh": _own(torch.tanh),
    "hardsigmoid": _own(nn.functional.hardsigmoid),
    "hardswish": lambda relu, args, kwargs, *numbers: Q.hardswish(args[0], *numbers),
    "leaky_relu": lambda relu, args, kwargs, *numbers: Q.leaky_relu(
        args[0], args[1] if len(args) > 1 else 0.01, False, *numbers
    ),
    "elu": lambda relu, args, kwargs, *numbers: Q.elu(args[0], *numbers, *(list(args[1:]) + [1.0] * (4 - len(args)))),
    "avg_pool2d": _own(torch.ops.aten.avg_pool2d),
    "adaptive_avg_pool2d": _own(torch.ops.aten.adaptive_avg_pool2d),
    "mean": _own(torch.ops.aten.mean),
    "upsample_bilinear2d": _own(torch.ops.aten.upsample_bilinear2d),
}
