"""What torch's tracers do not follow, spelled so that they do: autograd functions, and `.data`.

Binary networks are written with both: the sign stands in a `torch.autograd.Function` whose backward is the
straight-through estimator, and weights are centred, clamped or replaced through `.data`. Without gradients a function
is its `forward`, reading `.data` is `detach()`, and writing to it is `copy_()`.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd import Function
from torch.jit._trace import TracerWarning

_DATA: Any = Tensor.data
_ARGUMENTS_AT_MOST = 64


@contextmanager
def spelled_out() -> Iterator[None]:
    """Inside, and without gradients, networks run as before, and tracers see every operation."""
    data = property(_read_data, _write_data)
    with patch.object(Function, "apply", classmethod(_forward)), patch.object(Tensor, "data", data):
        yield


def _forward(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What `apply` returns where no gradient is asked for."""
    if function.setup_context is not Function.setup_context:
        return function.forward(*args, **kwargs)
    return function.forward(_Context(), *args, **kwargs)


class _Context:
    """Takes whatever a `forward` keeps for its `backward`, which nobody will call."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "needs_input_grad":
            return (False,) * _ARGUMENTS_AT_MOST
        return lambda *args, **kwargs: None


def _read_data(x: Tensor) -> Tensor:
    return x.detach()


def _write_data(x: Tensor, value: Tensor) -> None:
    if not _is_alike(x, value):
        _DATA.__set__(x, value)
        return
    with torch.no_grad():
        x.copy_(value)


def _is_alike(old: Tensor, new: Tensor) -> bool:
    """`copy_` gives the same as a new storage would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)  # shapes are numbers here, and no branch on values
        return tuple(old.shape) == tuple(new.shape) and old.dtype == new.dtype
