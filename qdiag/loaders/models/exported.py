"""`.pt2`: what `torch.export.save` wrote, in the layout of today or of torch 2.7 and before."""

import io
import pickle
from contextlib import suppress
from importlib import import_module
from typing import Any

import torch
from torch.export import ExportedProgram

from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.archive import read_archive, root_of, write_archive
from qdiag.loaders.models.file import LoadedModel, LoadOptions, ModelFile, ModelLoader, refuse_arch
from qdiag.loaders.models.quiet import quiet_torch, unheard, weights_only_forced
from qdiag.loaders.models.screens.exported import COMPILED, PROGRAMS, code_in_archive
from qdiag.loaders.models.screens.operators import is_quantized
from qdiag.loaders.probe import probe

_OLD_LAYOUT = "serialized_exported_program.json"
_DECOMPOSED = "quantized_decomposed"
"""Pairs that make integers of floats and floats of them again: whoever captures the program knows what to do."""
_TRUST_HINT = (
    "if you trust where it comes from, add `trust`; or save model.state_dict() and give the network with `arch`"
)


def matches(file: ModelFile) -> bool:
    """A zip archive with programs as JSON, or compiled ones, which only this format has."""
    return _OLD_LAYOUT in file.members or any(name.startswith((PROGRAMS, COMPILED)) for name in file.members)


def load(file: ModelFile, options: LoadOptions) -> LoadedModel:
    """Through `torch.export.load`, after the archive has been looked through for code.

    Raises:
        UntrustedError: the archive holds a pickle, an expression or an operation that could run code, and
            `options.trust` is not set.
        LoadError: a damaged archive, another version of the format, or compiled code without a graph.
    """
    refuse_arch(file, options, "torch.export")
    programs = [name for name in file.members if name.startswith(PROGRAMS)]
    if _OLD_LAYOUT not in file.members and "models/model.json" not in programs:
        raise LoadError(
            "the archive holds no program named 'model'"
            + (f", only {', '.join(sorted(programs))}" if programs else ", only compiled code"),
            at=file.at,
            hint="export the model with torch.export.export and write it with torch.export.save",
        )
    program = read_program(file, options.trust)
    _check_float(program, file.at)
    if not options.trust:
        # Guards are Python source that torch compiles on demand. Shapes are checked against the graph anyway.
        program._guards_code = []
    return LoadedModel(program, "exported_program", _root_class(program))


def read_program(file: ModelFile, trust: bool, extra_files: dict[str, Any] | None = None) -> ExportedProgram:
    """The program with its guards, which must not run unless `trust` is set; `extra_files` as in `torch.export.load`.

    Raises:
        UntrustedError, LoadError: as `load`.
    """
    members = read_archive(file.path)
    root = root_of(tuple(members))
    archive = write_archive(members)  # torch reads what is looked through here, and nothing else
    if trust:
        return _read(file, archive, extra_files)
    code = code_in_archive({name.removeprefix(root): content for name, content in members.items()}, file.at)
    if code:
        raise UntrustedError(f"reading it could run code: {code}", at=file.at, hint=_TRUST_HINT)
    with weights_only_forced():
        probe(lambda: _load(archive, None), byte_count=file.byte_count, at=file.at)
        return _read(file, archive, extra_files)


def _read(file: ModelFile, archive: io.BytesIO, extra_files: dict[str, Any] | None) -> ExportedProgram:
    with quiet_torch() as causes:
        try:
            return _load(archive, extra_files)
        except Exception as error:
            # torch logs the first cause, goes on to try the old layout, and raises for that one.
            cause = causes[0] if causes else error
            if isinstance(cause, pickle.UnpicklingError) or isinstance(error, pickle.UnpicklingError):
                raise UntrustedError(
                    "reading it would execute a pickle, that is, code", at=file.at, hint=_TRUST_HINT
                ) from error
            raise LoadError(
                "torch.export cannot read it",
                at=file.at,
                hint="it is damaged, or was written by another version of torch; save it again with this one",
            ) from error


def _load(archive: io.BytesIO, extra_files: dict[str, Any] | None) -> ExportedProgram:
    archive.seek(0)
    with suppress(ImportError):  # without it torch does not know the operations of `_DECOMPOSED`
        import_module("torch.ao.quantization.fx._decomposed")
    with unheard():
        return torch.export.load(archive, extra_files=extra_files)


def _check_float(program: ExportedProgram, at: str) -> None:
    """Raises `LoadError` for a program that computes in half precision, or that is quantized already."""
    found = (*program.named_parameters(), *program.named_buffers())
    half = next((tensor.dtype for _, tensor in found if tensor.dtype in (torch.float16, torch.bfloat16)), None)
    if half is not None:
        kind = str(half).removeprefix("torch.")
        raise LoadError(
            f"this program computes in {kind}, and its types are part of its graph",
            at=at,
            hint="export it in float32: torch.export.export(model.float(), ...)",
        )
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            namespace = str(getattr(node.target, "namespace", ""))
            if node.op == "call_function" and is_quantized(namespace) and namespace != _DECOMPOSED:
                raise LoadError(
                    f"this program is quantized already: it calls {node.target}",
                    at=at,
                    hint="give the float model; qdiag quantizes it itself",
                )


def _root_class(program: ExportedProgram) -> str:
    """Class name of the module that was exported, as its graph remembers it."""
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            if path == "":
                return str(kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
    return "ExportedProgram"


LOADER = ModelLoader("torch.export", matches, load)
