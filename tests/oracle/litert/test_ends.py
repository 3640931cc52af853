"""Detectors whose files end in non-maximum suppression: the part before it, against the tensors of LiteRT."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert")
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qdiag.core.measures.measurement import LeftOut
from qdiag.errors import LoadError
from qdiag.litert.load import load_network
from qdiag.litert.read import parse
from qdiag.litert.serialize import with_outputs
from qdiag.runtimes.litert import LitertRuntime
from tests.networks.litert_detectors import CELLS, CLASSES, SIZE, End, lite_detector
from tests.oracle.litert.against_litert import Array, compared, run

RNG = np.random.default_rng(0)
ENDS: tuple[End, ...] = ("custom", "builtin")
OUTPUTS = {"custom": ["boxes", "scores"], "builtin": ["boxes", "best"]}
"""Behind the axis of samples: what `builtin` reads has none, and its scores are the best of each place."""


def images(count: int) -> Array:
    return RNG.uniform(-2.0, 2.0, (count, SIZE, SIZE, 3)).astype(np.float32)


def kept(content: bytes, names: list[str], x: Array) -> list[Array]:
    """What the interpreter has in these tensors when it computes the whole file."""
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(
        model_content=content, experimental_op_resolver_type=kernels, experimental_preserve_all_tensors=True
    )
    made.allocate_tensors()
    places = {described["name"]: described["index"] for described in made.get_tensor_details()}
    found: list[Any] = []
    for sample in x:
        made.set_tensor(made.get_input_details()[0]["index"], sample[None])
        made.invoke()
        found.append([made.get_tensor(places[name]) for name in names])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


@pytest.mark.parametrize("end", ENDS)
def test_the_outputs_are_what_is_read_where_the_file_is_cut(end: End) -> None:
    """For several samples, although the file holds for one and takes it out of its axis."""
    content = lite_detector(end)
    network, x = load_network(content, "net.tflite").eval(), images(3)
    assert network.batch_size is None
    with torch.no_grad():
        found = network(torch.from_numpy(x))
    assert list(found) == OUTPUTS[end]
    for own, expected in zip(found.values(), kept(content, OUTPUTS[end], x), strict=True):
        np.testing.assert_allclose(own.numpy(), expected, rtol=0.0, atol=2e-6 * np.abs(expected).max())


def test_the_graph_holds_for_any_number_of_samples() -> None:
    compared(lite_detector("none"), lambda count: [images(count)])
    whole, part = (load_network(lite_detector(end), "net.tflite").eval() for end in ("none", "custom"))
    x = torch.from_numpy(images(4))
    assert all(torch.equal(whole(x)[name], part(x)[name]) for name in ("boxes", "scores"))


def test_everything_behind_is_named_and_what_it_begins_with() -> None:
    assert load_network(lite_detector("none"), "net.tflite").left_out == ()
    assert load_network(lite_detector("custom"), "net.tflite").left_out == (
        LeftOut("custom TFLite_Detection_PostProcess", "found", is_first=True),
    )
    assert load_network(lite_detector("builtin"), "net.tflite").left_out == (
        LeftOut("NON_MAX_SUPPRESSION_V5", "chosen", is_first=True),
        LeftOut("GATHER", "found", is_first=False),
    )


def test_layers_behind_the_cut_are_refused_by_name() -> None:
    with pytest.raises(
        LoadError, match=r"behind NON_MAX_SUPPRESSION_V5 \(chosen\): FULLY_CONNECTED \(refined\)"
    ) as caught:
        load_network(lite_detector("refined"), "net.tflite")
    assert caught.value.at == "net.tflite" and caught.value.hint is not None


def test_a_file_that_is_nothing_but_the_end_is_refused() -> None:
    content = lite_detector("builtin")
    graph = parse(content, "net.tflite")
    names = [tensor.name for tensor in graph.tensors]
    only = [i for i, one in enumerate(graph.operators) if one.kind in ("NON_MAX_SUPPRESSION_V5", "GATHER")]
    with pytest.raises(LoadError, match=r"nothing is left before NON_MAX_SUPPRESSION_V5 \(chosen\)"):
        load_network(_with_inputs(with_outputs(content, graph.outputs, only), names), "end.tflite")


def _with_inputs(content: bytes, names: list[str]) -> bytes:
    from qdiag.litert.serialize import packages

    schema, builder = packages()
    model = schema.ModelT.InitFromPackedBuf(content)
    model.subgraphs[0].inputs = np.asarray([names.index(name) for name in ("places", "best_places")], np.int32)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("end", ENDS)
def test_a_quantized_file_is_cut_at_the_same_tensors(end: End) -> None:
    content, x = lite_detector(end, is_quantized=True), images(2)
    network, runtime = load_network(content, "int8.tflite"), LitertRuntime(content, kernels="tflite")
    assert network.integers is not None and {"boxes", "scores"} <= set(network.integers.outputs)
    assert next(tuple(value.shape) for value in network(torch.from_numpy(x)).values()) == (2, CELLS, 4)
    assert runtime.outputs[0] == "boxes_float"
    integers = np.clip(np.rint(x / np.float32(0.03)), -128, 127).astype(np.int8)
    expected = kept(content, list(runtime.outputs), integers)
    for sample in range(2):
        found = runtime.run({"x": x[sample : sample + 1]}, ("boxes", "scores"))
        for own, whole in zip(found.outputs.values(), expected, strict=True):
            assert np.array_equal(own, whole[sample : sample + 1])
        assert found.integers["scores"].shape == (1, CELLS, CLASSES)
    kinds = {one.op for one in runtime.operations().floating}
    assert not any("NON_MAX" in kind or "custom" in kind for kind in kinds)


def test_an_operator_that_the_runtime_does_not_have_is_not_run() -> None:
    """What is left out may be anybody's, and the part before it runs."""
    content, x = lite_detector("unknown", is_quantized=True), images(1)
    known = LitertRuntime(lite_detector("custom", is_quantized=True), kernels="tflite")
    found = LitertRuntime(content, kernels="tflite").run({"x": x})
    assert load_network(content, "int8.tflite").left_out[0].kind == "custom AcmeNonMaxSuppression"
    for own, expected in zip(found.outputs.values(), known.run({"x": x}).outputs.values(), strict=True):
        assert np.array_equal(own, expected)
    with pytest.raises(RuntimeError, match="AcmeNonMaxSuppression"):
        run(content, [x])
