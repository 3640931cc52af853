"""The ways from a model to a `torch.export` program, tried in order."""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.core.measures.measurement import SkippedRoute
from qdiag.errors import CaptureError


def export_program(
    model: nn.Module | ExportedProgram, example: Batch
) -> tuple[ExportedProgram, str, list[SkippedRoute]]:
    """The program, the name of the route, and the routes that failed before it.

    Raises:
        CaptureError: no route leads to a graph.
    """
    if isinstance(model, ExportedProgram):
        return model, "exported_program", []
    routes: list[tuple[str, Callable[[nn.Module, Batch], ExportedProgram]]]
    if isinstance(model, torch.jit.ScriptModule):
        routes = [("torchscript", _convert), ("torchscript, frozen", _freeze)]
    else:
        routes = [("export", _export), ("export, static batch", _export_static), ("trace", _trace)]
    skipped: list[SkippedRoute] = []
    for name, route in routes:
        try:
            with quiet():
                return route(model, example), name, skipped
        # capture fails in as many ways as there are models: any of them leads to the next route
        except Exception as error:
            skipped.append(SkippedRoute(name, _first_line(error)))
    tried = "; ".join(f"{s.route}: {s.reason}" for s in skipped)
    is_script = isinstance(model, torch.jit.ScriptModule)  # whose parts cannot be run alone
    raise CaptureError(
        f"the network could not be turned into a graph ({tried})",
        hint="save the nn.Module it was made from with torch.export.save"
        if is_script
        else "diagnose a part of it with --submodule, or save it with torch.export.save",
    )


def _export(model: nn.Module, example: Batch) -> ExportedProgram:
    return _exported(model, example, dynamic=True)


def _export_static(model: nn.Module, example: Batch) -> ExportedProgram:
    return _exported(model, example, dynamic=False)


def _exported(model: nn.Module, example: Batch, *, dynamic: bool) -> ExportedProgram:
    args, kwargs = example.args, dict(example.kwargs)
    shapes: Any = None
    if dynamic:
        dimensions = _dynamic_batch(example.sample_count)
        shapes = (*pytree.tree_map(dimensions, args), *pytree.tree_map(dimensions, kwargs).values())
        shapes = _by_argument(model, args, kwargs, shapes)
    with torch.no_grad():
        return torch.export.export(model, args, kwargs, dynamic_shapes=shapes, strict=False)


def _dynamic_batch(samples: int) -> Callable[[Any], dict[int, Any] | None]:
    """Which axes of one input may vary: the first, where it is the batch."""

    def dimensions(leaf: Any) -> dict[int, Any] | None:
        return {0: Dim.AUTO} if isinstance(leaf, Tensor) and leaf.ndim and leaf.shape[0] == samples else None

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
    with torch.no_grad():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            copy.deepcopy(model), example.args, check_trace=False, strict=False
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
            return torch.export.export(gm, example.args, dynamic_shapes=shapes, strict=False)

    assert isinstance(model, torch.jit.ScriptModule)
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


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:200]
