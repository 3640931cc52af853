"""The parameters and buffers of a model: are they finite, how many are there, which ones are they."""

import hashlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.core.listed import listed
from qdiag.errors import LoadError
from qdiag.numerics.tensor_bytes import tensor_bytes
from qdiag.subject import Subject

_SHOWN = 8
_COUNTER = "num_batches_tracked"  # of BatchNorm; no result depends on it
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_STATISTICS = ("running_mean", "running_var")


def check_finite(subject: Subject) -> None:
    """Raises `LoadError` naming the tensors with NaN or infinite values, and how many each holds.

    Buffers may be infinite, as attention masks are; the running statistics of a BatchNorm may not.
    """
    check_finite_tensors(_named_tensors(subject), subject.source)


def check_plain(model: nn.Module | ExportedProgram, at: str) -> None:
    """Raises `LoadError` naming the weights that are no plain arrays of numbers; those without values yet may pass."""
    check_kinds(((name, tensor) for name, tensor in _all_tensors(model) if not _is_without_values(tensor)), at)


def check_finite_tensors(named: Iterable[tuple[str, Tensor]], at: str) -> None:
    """The same for tensors by name."""
    named = list(named)
    check_kinds(((name, tensor) for name, tensor in named if not _is_without_values(tensor)), at)
    faults = [fault for name, tensor in named if (fault := _fault(name, tensor)) is not None]
    if faults:
        raise LoadError(
            f"its weights are not finite: {listed(faults, _SHOWN)}",
            at=at,
            hint="nothing can be judged on such weights; take a checkpoint from before training diverged",
        )


def check_kinds(named: Iterable[tuple[str, Tensor]], at: str) -> None:
    """Raises `LoadError` naming the tensors that are no plain arrays of numbers: sparse, nested, float8, quantized."""
    found = [f"{name} is {kind}" for name, tensor in named if (kind := _unusual(tensor)) is not None]
    if found:
        rest = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise LoadError(
            f"its weights cannot be measured: {', '.join(found[:_SHOWN])}{rest}",
            at=at,
            hint="give dense weights in float32, float16 or bfloat16; qdiag quantizes them itself",
        )


def parameter_count(subject: Subject) -> int:
    """Trained values of the model; shared parameters count once."""
    return sum({id(parameter): parameter.numel() for _, parameter in subject.model.named_parameters()}.values())


def fingerprint(subject: Subject) -> str:
    """SHA-256 over names, types, shapes and bytes of parameters and buffers, sorted by name, in hexadecimal.

    The same weights give the same fingerprint in every file format that keeps their names.
    """
    return fingerprint_tensors(_named_tensors(subject))


def fingerprint_tensors(named: Iterable[tuple[str, Tensor]]) -> str:
    """The same of tensors by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(named, key=lambda item: item[0]):
        if name.endswith(_COUNTER):
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor_bytes(tensor).numpy().data)
    return digest.hexdigest()


def _named_tensors(subject: Subject) -> Iterator[tuple[str, Tensor]]:
    return ((name, tensor) for name, tensor in _all_tensors(subject.model) if not name.endswith(_COUNTER))


def _all_tensors(model: nn.Module | ExportedProgram) -> list[tuple[str, Tensor]]:
    # Shared tensors come under each of their names.
    if isinstance(model, nn.Module):
        return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return [*model.named_parameters(), *model.named_buffers()]


def _unusual(tensor: Tensor) -> str | None:
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return f"stored as {str(tensor.layout).removeprefix('torch.').removeprefix('_')}"
    if _is_without_values(tensor):
        return "without values"
    if tensor.is_quantized:
        return f"quantized already ({str(tensor.dtype).removeprefix('torch.')})"
    if tensor.is_floating_point() and tensor.dtype not in _FLOATS:
        return f"{str(tensor.dtype).removeprefix('torch.')}, which needs scales that are not stored with it"
    return None


def _is_without_values(tensor: Tensor) -> bool:
    return nn.parameter.is_lazy(tensor) or tensor.is_meta


def _fault(name: str, tensor: Tensor) -> str | None:
    if _is_without_values(tensor):
        return f"{name} (no values yet)"
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
        return None
    nan_count = int(torch.isnan(tensor).sum())
    infinite_count = int(torch.isinf(tensor).sum())
    may_be_infinite = not isinstance(tensor, nn.Parameter) and name.rpartition(".")[2] not in _STATISTICS
    if may_be_infinite and not nan_count:
        return None
    counts = ((nan_count, "NaN"), (infinite_count, "infinite"))
    return f"{name} ({', '.join(f'{count} {what}' for count, what in counts if count)} of {tensor.numel()})"
