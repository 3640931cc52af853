"""In which order ReduceMean adds up float32 values."""

import torch
from torch import Tensor

_ROWS = (4, 2, 1)
"""Rows that are added to each other before they are added to the sum: as many as possible."""
_WIDE = 4
"""Values that one register holds."""


def sum_of_rows(x: Tensor) -> Tensor:
    """Sums over the middle axis of (A, N, B) in the order of a product with a row of ones, (A, B)."""
    total, at = torch.zeros_like(x[:, 0]), 0
    for count in _ROWS:
        while at + count <= x.shape[1]:
            part = x[:, at]
            for row in range(at + 1, at + count):
                part = part + x[:, row]
            total, at = total + part, at + count
    return total


def sum_of_columns(x: Tensor) -> Tensor:
    """Sums over the last axis of (A, N) in the order of Eigen, (A,): four values at a time, in two registers.

    It begins at an address that is a multiple of the register; the values before it, and those behind the last whole
    register, are added one by one. The first row begins at such an address.
    """
    count, length = x.shape
    starts = torch.arange(count, device=x.device) * -length % _WIDE
    total = torch.empty(count, dtype=x.dtype, device=x.device)
    for start in range(_WIDE):
        rows = starts == start
        if bool(rows.any()):
            total[rows] = _from(x[rows], min(start, length))
    return total


def _from(x: Tensor, start: int) -> Tensor:
    length = x.shape[1]
    whole = (length - start) // _WIDE * _WIDE
    if not whole:
        return _one_by_one(x[:, 0], x[:, 1:])
    registers = [x[:, at : at + _WIDE] for at in range(start, start + whole, _WIDE)]
    pairs = len(registers) // 2 * 2
    total = registers[0]
    if pairs:
        even, odd = registers[0], registers[1]
        for at in range(2, pairs, 2):
            even, odd = even + registers[at], odd + registers[at + 1]
        total = even + odd
        if len(registers) > pairs:
            total = total + registers[-1]
    added = (total[:, 0] + total[:, 2]) + (total[:, 1] + total[:, 3])
    return _one_by_one(_one_by_one(added, x[:, :start]), x[:, start + whole :])


def _one_by_one(total: Tensor, values: Tensor) -> Tensor:
    for column in values.T:
        total = total + column
    return total
