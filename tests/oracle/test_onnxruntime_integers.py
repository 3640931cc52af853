"""The simulated network against real integer kernels: onnxruntime's QLinearConv, QLinearAdd, pooling and QGemm.

Both get the same scales, zero points and integer weights; every tensor of the network is compared as integers.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import QuantScheme, RuntimeName, TensorScheme
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import observe_network
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.plan_builder import build_plan
from qdiag.subject import Subject
from tests.processor import as_here

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


class Net(nn.Module):
    """Dense and depthwise convolution, residual add, global pooling, linear; every tensor is an output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a = torch.relu(self.first(x))
        b = nn.functional.relu6(self.second(a))
        c = a + b
        d = nn.functional.adaptive_avg_pool2d(c, 1).flatten(1)
        return a, b, c, d, self.last(d)


LAYERS = ("first", "second", "add", "pool", "last")
WEIGHTS = {
    "per tensor": TensorScheme(bits=8, symmetric=True, narrow_range=True),
    "per channel": TensorScheme(bits=8, symmetric=True, narrow_range=True, granularity="per_channel"),
    "per tensor, affine uint8": TensorScheme(bits=8, symmetric=False, signed=False),
}


def integer_model(net: Net, plan: QuantPlan, names: list[str]) -> Any:
    """The same network out of onnxruntime's integer operators."""
    constants: list[Any] = []
    nodes: list[Any] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def activation(layer: str) -> tuple[str, str]:
        q = plan.layers[layer].output
        assert q is not None
        scale = constant(f"{layer}_s", np.float32(q.scale))
        return scale, constant(f"{layer}_z", np.uint8(int(q.zero_point)))

    def weights(layer: str, source: str) -> tuple[str, str, str, str]:
        module = net.get_submodule(layer)
        q, s = plan.layers[layer].weight, plan.layers[source].output
        assert q is not None
        assert s is not None
        dtype = np.int8 if q.quant_min < 0 else np.uint8
        integers = q.quantize(module.weight.detach()).numpy().astype(dtype)
        bias = np.rint(module.bias.detach().double().numpy() / (float(s.scale) * q.scale.double().numpy()))
        return (
            constant(f"{layer}_w", integers),
            constant(f"{layer}_ws", q.scale.numpy()),
            constant(f"{layer}_wz", q.zero_point.numpy().astype(dtype)),
            constant(f"{layer}_b", bias.astype(np.int32)),
        )

    x_scale, x_zero = activation(names[0])
    nodes.append(helper.make_node("QuantizeLinear", ["x", x_scale, x_zero], ["xq"]))
    scales = {name: activation(name) for name in LAYERS}

    def conv(layer: str, source: str, source_q: tuple[str, str], value: str, **attributes: Any) -> None:
        w, ws, wz, b = weights(layer, source)
        inputs = [value, *source_q, w, ws, wz, *scales[layer], b]
        nodes.append(helper.make_node("QLinearConv", inputs, [f"{layer}_q"], **attributes))

    conv("first", names[0], (x_scale, x_zero), "xq", strides=[2, 2], pads=[1] * 4)
    conv("second", "first", scales["first"], "first_q", group=8, pads=[1] * 4)
    inputs = ["first_q", *scales["first"], "second_q", *scales["second"], *scales["add"]]
    nodes.append(helper.make_node("QLinearAdd", inputs, ["add_q"], domain="com.microsoft"))
    pool = ["add_q", *scales["add"], *scales["pool"]]
    nodes.append(
        helper.make_node("QLinearGlobalAveragePool", pool, ["pool_4d"], domain="com.microsoft", channels_last=0)
    )
    nodes.append(helper.make_node("Flatten", ["pool_4d"], ["pool_q"]))
    w, ws, wz, b = weights("last", "pool")
    gemm = ["pool_q", *scales["pool"], w, ws, wz, b, *scales["last"]]
    nodes.append(helper.make_node("QGemm", gemm, ["last_q"], domain="com.microsoft", transB=1))
    outputs = [helper.make_tensor_value_info(f"{name}_q", TensorProto.UINT8, None) for name in LAYERS]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 32, 32])
    graph = helper.make_graph(nodes, "net", [source], outputs, constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("arithmetic", ["float", "ort"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_every_tensor_equals_the_integer_kernels(name: str, arithmetic: RuntimeName) -> None:
    torch.manual_seed(5)
    net = Net().eval()
    images = torch.randn(16, 3, 32, 32) * 0.7
    scheme = QuantScheme(weights=WEIGHTS[name], arithmetic=arithmetic)
    scheme = as_here(scheme) if scheme.weights.signed else scheme
    subject = Subject(net, "module", "net", "Net")
    _, network, _ = prepare(subject, (batches_from(images[:2]),), fold=True, device=torch.device("cpu"))
    observations = observe_network(network, batches_from(images), scheme, NoProgress())
    plan = build_plan(network, observations, scheme)
    names = [layer.name for layer in network.graph.layers]
    assert names[1:] == list(LAYERS)
    session = integer_model(net, plan, names)
    integers = session.run(None, {"x": images.numpy()})
    outputs = LaneRunner(paired_lanes(network, plan)).run_batch(Batch((images,)))
    for layer, expected, lanes in zip(LAYERS, integers, outputs, strict=True):
        q = plan.layers[layer].output
        assert q is not None
        ours = torch.round(lanes.tensors[SIMULATED] / q.scale + q.zero_point).numpy()
        difference = np.abs(ours - expected.astype(np.float64).reshape(ours.shape))
        if arithmetic == "ort":
            assert difference.max() == 0, layer
        assert difference.max() <= 1, layer
        # a value exactly half-way between two integers may fall either way: float32 sums against int32 sums
        assert (difference > 0).mean() < 0.005, layer
        assert len(np.unique(expected)) > 5, "a constant tensor would prove nothing"
