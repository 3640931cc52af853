"""Multiplications of one operation, from the shapes that it met."""

from collections.abc import Sequence

from torch import Tensor, fx

from qdiag.capture.ops import has_weight, kind_and_policy, operation_name
from qdiag.simulate.arithmetic.einsum_axes import multiplication_count

_RECURRENT = ("lstm", "lstm_peepholes", "gru", "gru_reset_first", "rnn_tanh", "rnn_relu")


def mac_count(node: fx.Node, operands: Sequence[Tensor], output: Tensor) -> int:
    """Multiply-accumulates of a convolution, a linear layer, a matrix product or a recurrence; 0 for anything else.

    Every weight meets every output position once, except in transposed convolutions, where it meets every input
    position. In a matrix product every output is a sum over the inner length, in an `einsum` over all axes that the
    result does not have, factor by factor. In an LSTM, a GRU or an Elman network
    every matrix meets every step of every sequence.

    Args:
        operands: tensor arguments in order; a weight second.
    """
    kind, name = kind_and_policy(node)[0], operation_name(node)
    if has_weight(kind):
        x, weight = operands[0], operands[1]
        if kind == "linear":
            return output.numel() * weight.shape[1]
        spatial = weight.ndim - 2
        positions = x if kind == "conv_transpose" else output
        is_batched = positions.ndim == spatial + 2
        return positions.numel() // positions.shape[1 if is_batched else 0] * weight.numel()
    if name in ("addmm", "baddbmm"):
        return output.numel() * operands[1].shape[-1]
    if name in ("matmul", "bmm", "mm", "mv", "dot"):
        return output.numel() * operands[0].shape[-1]
    if name == "einsum":
        return multiplication_count(str(node.args[0]), [operand.shape for operand in operands])
    if name in _RECURRENT:
        steps = operands[0].numel() // operands[0].shape[-1]
        return steps * sum(matrix.numel() for matrix in operands[1:] if matrix.ndim == 2)
    return 0
