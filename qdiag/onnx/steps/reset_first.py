"""A GRU that resets the state before its product, which torch's does after it: one operation, as those of torch are.

Source: the GRU of ONNX with `linear_before_reset=0` (onnx/defs/rnn); arXiv 1406.1078, equations 5 to 8.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

_torch_library: Any = torch.library  # untyped
_LIBRARY = _torch_library.Library("qdiag", "FRAGMENT")
_LIBRARY.define(
    "gru_reset_first(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
    "bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)"
)


def _computed(input: Tensor, hx: Tensor, params: list[Tensor], has_biases: bool, *rest: Any) -> tuple[Tensor, Tensor]:
    """The arguments of `aten.gru.input`, of one layer, steps first."""
    _, _, _, bidirectional, _ = rest
    count = 4 if has_biases else 2
    outputs, states = [], []
    for direction in range(2 if bidirectional else 1):
        own = params[direction * count : (direction + 1) * count]
        x = input.flip([0]) if direction else input
        steps = _steps(x, hx[direction], own)
        states.append(steps[-1])
        found = torch.stack(steps)
        outputs.append(found.flip([0]) if direction else found)
    return torch.cat(outputs, -1), torch.stack(states)


def _steps(x: Tensor, state: Tensor, params: list[Tensor]) -> list[Tensor]:
    """The state (samples, hidden) after each step; weights and biases have the gates reset, update and new."""
    w, r, *biases = params
    b, rb = biases or (None, None)
    hidden = r.shape[1]
    r_gates, r_new = r[: 2 * hidden], r[2 * hidden :]
    rb_gates, rb_new = (None, None) if rb is None else (rb[: 2 * hidden], rb[2 * hidden :])
    states = []
    for step in linear(x, w, b).unbind(0):
        gates = torch.sigmoid(step[:, : 2 * hidden] + linear(state, r_gates, rb_gates))
        reset, update = gates[:, :hidden], gates[:, hidden:]
        new = torch.tanh(step[:, 2 * hidden :] + linear(reset * state, r_new, rb_new))
        state = (1.0 - update) * new + update * state
        states.append(state)
    return states


_LIBRARY.impl("gru_reset_first", _computed, "CompositeImplicitAutograd")
GRU_RESET_FIRST: Any = torch.ops.qdiag.gru_reset_first.default
