"""The ways from a model to a `torch.export` program, tried in order."""

import copy
import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.jit._trace import TracerWarning
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, sample_axis
from qdiag.capture.places import code_at, is_torch
from qdiag.capture.spelled_out import spelled_out
from qdiag.capture.state import NetworkState, own_randomness
from qdiag.core.measures.measurement import SkippedRoute
from qdiag.errors import CaptureError, first_line
from qdiag.litert.network import LitertNetwork
from qdiag.onnx.network import OnnxNetwork


@dataclass(frozen=True)
class Exported:
    """A program, the route to it, the routes that failed before, and what the tracer warned of, with its place."""

    program: ExportedProgram
    route: str
    skipped: tuple[SkippedRoute, ...] = ()
    doubts: tuple[str, ...] = ()


def export_program(model: nn.Module | ExportedProgram, example: Batch) -> Exported:
    """The program behind a model.

    Args:
        model: may be run, so its state may change.

    Raises:
        CaptureError: no route leads to a graph.
    """
    if isinstance(model, ExportedProgram):
        return Exported(model, "exported_program")
    routes: list[tuple[str, Callable[[nn.Module, Batch], ExportedProgram]]]
    if isinstance(model, OnnxNetwork):
        kind = "litert" if isinstance(model, LitertNetwork) else "onnx"
        routes = [(kind, partial(_of_onnx, free=True)), (f"{kind}, static batch", partial(_of_onnx, free=False))]
        routes = routes if model.batch_size is None else routes[1:]
    elif isinstance(model, torch.jit.ScriptModule):
        routes = [("torchscript", _convert), ("torchscript, frozen", _freeze)]
    else:
        routes = [
            ("export", partial(_exported, dynamic=True)),
            ("export, static batch", partial(_exported, dynamic=False)),
            ("trace", _trace),
        ]
    skipped: list[SkippedRoute] = []
    state = NetworkState(model)
    for name, route in routes:
        try:
            with quiet(), own_randomness(0), _tracer_warnings() as doubts:
                program = route(model, example)
            return Exported(program, name, tuple(skipped), (*doubts, *_script_branches(model)))
        # capture fails in as many ways as there are models: any of them leads to the next route
        except Exception as error:
            skipped.append(SkippedRoute(name, first_line(error)))
        finally:
            state.restore()
    tried = "; ".join(f"{s.route}: {s.reason}" for s in skipped)
    is_script = isinstance(model, torch.jit.ScriptModule)  # whose parts cannot be run alone
    raise CaptureError(
        f"the network could not be turned into a graph ({tried})",
        hint="save the nn.Module it was made from with torch.export.save"
        if is_script
        else "diagnose a part of it with `submodule`, or save it with torch.export.save",
    )


def _exported(model: nn.Module, example: Batch, *, dynamic: bool) -> ExportedProgram:
    args, kwargs = example.args, dict(example.kwargs)
    shapes: Any = None
    if dynamic:
        dimensions = _dynamic_batch(example.sample_count)
        shapes = (*pytree.tree_map(dimensions, args), *pytree.tree_map(dimensions, kwargs).values())
        shapes = _by_argument(model, args, kwargs, shapes)
    # a graph that export gives up is printed to stderr, whole
    with torch.no_grad(), spelled_out(), redirect_stderr(io.StringIO()):
        return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)


def _of_onnx(model: nn.Module, example: Batch, *, free: bool) -> ExportedProgram:
    """The file is a graph already: no tracer is needed."""
    assert isinstance(model, OnnxNetwork)
    return model.exported(example.args, dict(example.kwargs), has_free_batch=free)


def _dynamic_batch(samples: int) -> Callable[[Any], dict[int, Any] | None]:
    """Which axis of one input may vary: the one that counts samples."""

    def dimensions(leaf: Any) -> dict[int, Any] | None:
        axis = sample_axis(leaf, samples) if isinstance(leaf, Tensor) else None
        return {axis: Dim.AUTO} if axis is not None else None

    return dimensions


def _by_argument(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any) -> Any:
    """Dynamic shapes in the form export wants: a tuple for positional arguments, names where there are keywords."""
    if not kwargs:
        return shapes
    import inspect

    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    names = [*list(bound.arguments)[: len(args)], *kwargs]
    return dict(zip(names, shapes, strict=True))


def _trace(model: nn.Module, example: Batch) -> ExportedProgram:
    if example.kwargs:
        raise CaptureError("a network that takes keyword arguments cannot be traced")
    with torch.no_grad(), spelled_out():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            model, example.args, check_trace=False, strict=False
        )
    return _convert(traced, example)


def _convert(model: nn.Module, example: Batch) -> ExportedProgram:
    from torch._export.converter import TS2EPConverter

    class BatchAxisConverter(TS2EPConverter):
        """Only the batch axis varies: with every axis free, as torch has it, pooling asks what no solver can answer."""

        def retrace_as_exported_program(
            self, gm: torch.fx.GraphModule, name_to_constant: dict[str, Any]
        ) -> ExportedProgram:
            del name_to_constant  # constants may stay buffers: nothing here tells them apart
            shapes = pytree.tree_map(_dynamic_batch(example.sample_count), example.args)
            with redirect_stderr(io.StringIO()):
                return torch.export.export(gm, example.args, dynamic_shapes=shapes, strict=False)

    assert isinstance(model, torch.jit.ScriptModule)
    if _calls_python(model):
        raise CaptureError("it calls Python code, such as an autograd function, which a trace does not hold")
    with torch.no_grad():
        converter = BatchAxisConverter(copy.deepcopy(model), example.args, dict(example.kwargs))
        program: ExportedProgram = converter.convert()
    return program


def _freeze(model: nn.Module, example: Batch) -> ExportedProgram:
    """Freezing resolves control flow on constants; parameters lose their names, which beats not reading at all."""
    frozen = torch.jit.freeze(copy.deepcopy(model).eval(), optimize_numerics=False)
    return _convert(frozen, example)


@contextmanager
def quiet() -> Iterator[None]:
    """Export warns and logs about its own internals; the user can do nothing about it."""
    import logging

    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _tracer_warnings() -> Iterator[list[str]]:
    """Collects what the tracer says of places where the graph follows the example alone."""
    doubts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", TracerWarning)
        yield doubts
    for warning in caught:
        if issubclass(warning.category, TracerWarning) and not is_torch(warning.filename):
            said = str(warning.message).partition(" might cause")[0].partition(". ")[0]
            doubts.append(f"{code_at(warning.filename, warning.lineno)} ({said[:1].lower()}{said[1:]})")
    doubts[:] = dict.fromkeys(doubts)


def _calls_python(model: torch.jit.ScriptModule) -> bool:
    """Converting such a graph ends the process, with torch 2.13."""
    try:
        graph: Any = model.inlined_graph
    except RuntimeError:
        return False
    return bool(list(graph.findAllNodes("prim::PythonOp", True)))


def _script_branches(model: nn.Module) -> tuple[str, ...]:
    """A TorchScript whose code branches or loops: the conversion may follow one way."""
    if not isinstance(model, torch.jit.ScriptModule):
        return ()
    try:
        graph: Any = model.inlined_graph
        kinds = {kind for kind in ("prim::If", "prim::Loop") if list(graph.findAllNodes(kind, True))}
    except RuntimeError:
        return ()
    return (f"the TorchScript has {' and '.join(sorted(kinds))}",) if kinds else ()
