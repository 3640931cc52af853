"""From a model to a `Program`."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.fake_quantizers.decomposed import check_pairs
from qdiag.capture.fake_quantizers.operations import give_shapes
from qdiag.capture.fake_quantizers.show import showing, take_out
from qdiag.capture.program import Program
from qdiag.capture.rewrites.biases import separate_biases
from qdiag.capture.rewrites.functionalize import functionalize, needs_full_functionalization
from qdiag.capture.rewrites.normalize import normalize
from qdiag.capture.rewrites.products import linear_from_products
from qdiag.capture.rewrites.signs import canonical_signs
from qdiag.capture.rewrites.straight_through import skip_straight_through
from qdiag.capture.rewrites.subgraphs import bind_subgraphs
from qdiag.capture.routes import Exported, export_program, quiet
from qdiag.core.measures.measurement import SkippedRoute
from qdiag.errors import CaptureError
from qdiag.subject import Subject


def capture(subject: Subject, example: Batch) -> Program:
    """Captures the network as one functional ATen graph with its original parameter names.

    Args:
        subject: left as it is.
        example: inputs of the right shapes; two or more samples, so that a batch of one is not taken for a constant.

    Raises:
        CaptureError: no route leads to a graph, or it computes with integers.
    """
    found = _exported(subject, example)
    exported = found.program
    if needs_full_functionalization(exported):
        with quiet():
            exported = exported.run_decompositions({})
    return replace(program_from_export(exported, found.route, found.skipped), doubts=found.doubts)


def _exported(subject: Subject, example: Batch) -> Exported:
    """With the operations that stand for fake quantizers, where the network can be captured so."""
    give_shapes()
    with showing(subject.model) as is_shown:
        if is_shown:
            with suppress(CaptureError):
                return export_program(subject.model, example)
    return export_program(subject.model, example)


def program_from_export(exported: ExportedProgram, route: str, skipped: tuple[SkippedRoute, ...] = ()) -> Program:
    """The program behind a functional `torch.export` program; the latter is left as it is."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    old_outputs = graph.graph_copy(exported.graph, copies)
    graph.output(old_outputs)
    bind_subgraphs(graph, exported.graph_module)
    functionalize(graph)
    normalize(graph)
    constants, parameter_names, inputs = _bind_inputs(exported)
    check_pairs(graph, constants)
    take_out(graph, parameter_names)
    skip_straight_through(graph)
    canonical_signs(graph, constants)
    linear_from_products(graph, inputs)
    separate_biases(graph, inputs)
    output_names = _keep_user_outputs(graph, exported)
    graph.eliminate_dead_code()
    graph.lint()
    alive = {node.target for node in graph.nodes if node.op == "placeholder" and node.users}
    if exported.call_spec.in_spec is None:
        raise CaptureError("the program does not say how its arguments are nested")
    return Program(
        graph=graph,
        constants={name: value for name, value in constants.items() if name in alive},
        parameter_names=parameter_names,
        inputs=inputs,
        in_spec=exported.call_spec.in_spec,
        output_names=output_names,
        batch_size=_static_batch(graph, inputs),
        route=route,
        skipped=skipped,
    )


def _bind_inputs(exported: ExportedProgram) -> tuple[dict[str, Tensor], dict[str, str], tuple[str, ...]]:
    """Constants and their original names by placeholder, and the placeholders of the inputs."""
    constants: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    inputs: list[str] = []
    for spec in exported.graph_signature.input_specs:
        placeholder = str(spec.arg.name)
        if spec.kind is InputKind.USER_INPUT:
            inputs.append(placeholder)
            continue
        target = str(spec.target)
        value: Any = exported.state_dict.get(target)
        if value is None:
            value = exported.constants.get(target)
        if isinstance(value, Tensor):
            constants[placeholder] = value.detach()
            names[placeholder] = target
    return constants, names, tuple(inputs)


def _keep_user_outputs(graph: fx.Graph, exported: ExportedProgram) -> tuple[str, ...]:
    """Cuts the outputs down to tensors that the user sees; returns their names."""
    (output,) = [node for node in graph.nodes if node.op == "output"]
    values = list(output.args[0]) if isinstance(output.args[0], tuple | list) else [output.args[0]]
    specs = exported.graph_signature.output_specs
    shown = [v for v, spec in zip(values, specs, strict=True) if spec.kind is OutputKind.USER_OUTPUT]
    named = [spec.target for spec in specs if spec.kind is OutputKind.USER_OUTPUT]
    paths = [name or path for name, path in zip(named, _output_paths(exported, len(shown)), strict=True)]
    pairs = [(v, path) for v, path in zip(shown, paths, strict=True) if isinstance(v, fx.Node) and _may_be_tensor(v)]
    if not pairs:
        raise CaptureError("the network has no tensor output")
    output.args = (tuple(v for v, _ in pairs),)
    return tuple(path for _, path in pairs)


def _may_be_tensor(node: fx.Node) -> bool:
    """A size or another number among the outputs is none."""
    return isinstance(node.meta.get("val"), Tensor | None)


def _output_paths(exported: ExportedProgram, count: int) -> list[str]:
    spec = exported.call_spec.out_spec
    if spec is None or spec.num_leaves != count:
        return [f"output{i}" for i in range(count)] if count > 1 else ["output"]
    tree = pytree.tree_unflatten(list(range(count)), spec)
    paths = [pytree.keystr(path) for path, _ in pytree.tree_leaves_with_path(tree)]
    return [_plain(path) or "output" for path in paths]


def _plain(path: str) -> str:
    """`['logits'][0]` to `logits.0`."""
    return path.replace("']['", ".").replace("['", ".").replace("']", "").replace("[", ".").replace("]", "").strip(".")


def _static_batch(graph: fx.Graph, inputs: tuple[str, ...]) -> int | None:
    for node in graph.nodes:
        if node.op == "placeholder" and node.target in inputs:
            value = node.meta.get("val")
            if isinstance(value, Tensor) and value.ndim:
                return value.shape[0] if isinstance(value.shape[0], int) else None
    return None


def largest_delta(expected: tuple[Any, ...], actual: tuple[Any, ...]) -> tuple[float, float]:
    """Largest |difference| over paired float outputs, and the same over the largest |expected|."""
    delta = scale = 0.0
    for a, b in zip(expected, actual, strict=True):
        if isinstance(a, Tensor) and a.is_floating_point() and a.numel():
            delta = max(delta, float((a.double() - b.double()).abs().max()))
            scale = max(scale, float(a.abs().max()))
    return delta, delta / scale if scale else (0.0 if delta == 0.0 else torch.inf)
