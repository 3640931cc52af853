"""When the processor waits for a GPU: once a batch, to hear whether all figures of the batch are finite.

Figures of finite values take a third of the operations that figures among NaN and Inf take. A CPU looks first. On a GPU
each look would make the processor stand still until the GPU has caught up, so that a pass collects a batch as if all of
it were finite, asks once at its end, and collects the batch anew, with care, where it was not.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_state = threading.local()
_AT_HAND = frozenset({"cpu"})
"""Kinds of devices whose numbers are read without waiting."""


class FiniteChecks:
    """Numbers of one batch that are all finite exactly when the figures collected from it hold."""

    def __init__(self) -> None:
        self._numbers: list[Tensor] = []

    def add(self, numbers: Tensor) -> None:
        """Any shape; one wait for all of them, later."""
        self._numbers.append(numbers.detach().flatten())

    def hold(self) -> bool:
        """Whether all were finite; the processor waits for them."""
        return not self._numbers or bool(torch.isfinite(torch.cat([x.float() for x in self._numbers])).all())


@contextmanager
def assuming_finite() -> Iterator[FiniteChecks]:
    """Inside, this thread collects as if everything were finite, and notes what has to be finite for that."""
    before = getattr(_state, "checks", None)
    _state.checks = checks = FiniteChecks()
    try:
        yield checks
    finally:
        _state.checks = before


def checks_at_the_end(x: Tensor) -> FiniteChecks | None:
    """Where to note what must be finite; None where the caller looks for itself, or must be careful."""
    checks: FiniteChecks | None = getattr(_state, "checks", None) if waits(x) else None
    return checks


def is_at_hand(device: torch.device) -> bool:
    """Numbers there are read without waiting."""
    return device.type in _AT_HAND


def waits(x: Tensor) -> bool:
    """To read a number of x would make the processor wait."""
    return not is_at_hand(x.device)


def side_by_side(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both where they are when that is one device, otherwise both on the CPU."""
    return (one, other) if one.device == other.device else (one.cpu(), other.cpu())
