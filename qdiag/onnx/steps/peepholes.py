"""An LSTM whose gates see the cell (peepholes), which torch's do not: one operation, as those of torch are.

Source: the LSTM of ONNX with its input P (onnx/defs/rnn).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

_torch_library: Any = torch.library  # untyped
_LIBRARY = _torch_library.Library("qdiag", "FRAGMENT")
_LIBRARY.define(
    "lstm_peepholes(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
    "bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)"
)


def _computed(
    input: Tensor, hx: list[Tensor], params: list[Tensor], has_biases: bool, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The arguments of `aten.lstm.input`, of one layer, steps first; the last parameter of a direction has the weights
    of the cell, (3 hidden), of the gates input, output and forget."""
    _, _, _, bidirectional, _ = rest
    count = 5 if has_biases else 3
    outputs, states, cells = [], [], []
    for direction in range(2 if bidirectional else 1):
        own = params[direction * count : (direction + 1) * count]
        x = input.flip([0]) if direction else input
        steps, cell = _steps(x, hx[0][direction], hx[1][direction], own)
        states.append(steps[-1])
        cells.append(cell)
        found = torch.stack(steps)
        outputs.append(found.flip([0]) if direction else found)
    return torch.cat(outputs, -1), torch.stack(states), torch.stack(cells)


def _steps(x: Tensor, state: Tensor, cell: Tensor, params: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """The state (samples, hidden) after each step, and the last cell; gates are input, forget, cell and output."""
    w, r, *biases, peepholes = params
    b, rb = biases or (None, None)
    on_input, on_output, on_forget = peepholes.chunk(3)
    states = []
    for step in linear(x, w, b).unbind(0):
        first, forget, new, last = (step + linear(state, r, rb)).chunk(4, 1)
        kept = torch.sigmoid(forget + on_forget * cell) * cell
        cell = kept + torch.sigmoid(first + on_input * cell) * torch.tanh(new)
        state = torch.sigmoid(last + on_output * cell) * torch.tanh(cell)
        states.append(state)
    return states, cell


_LIBRARY.impl("lstm_peepholes", _computed, "CompositeImplicitAutograd")
LSTM_PEEPHOLES: Any = torch.ops.qdiag.lstm_peepholes.default
