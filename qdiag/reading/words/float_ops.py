"""Which operations stayed in float, and whether so much of the network did that the result is of another one."""

from typing import Protocol

from qdiag.core.listed import listed
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.reading.words.numbers import count_noun

_NAMES_AT_MOST = 4
_SHARE_TOLD_FROM = 0.005
"""Share of the weights or multiplications from which a line says it: what rounds to one percent."""


class HasFloatOps(Protocol):
    """A result that says what stayed in float."""

    @property
    def float_ops(self) -> tuple[FloatOp, ...]: ...
    @property
    def float_share(self) -> FloatShare: ...


def float_op_words(measurement: HasFloatOps, shown: int = _NAMES_AT_MOST) -> tuple[str, ...]:
    """One line for each reason, with what these operations have of the network, and one for all together.

    Args:
        shown: operations that are named, of each reason.
    """
    by_reason: dict[str, list[FloatOp]] = {}
    for op in measurement.float_ops:
        by_reason.setdefault(op.reason, []).append(op)
    lines = [_line(reason, ops, shown) for reason, ops in by_reason.items()]
    shares = share_words(measurement.float_share)
    if len(lines) > 1 and shares:
        lines.append(f"{count_noun(len(measurement.float_ops), 'operation')} in all, with {' and '.join(shares)}")
    return tuple(lines)


def float_share_warning(measurement: HasFloatOps) -> str | None:
    """That this is not the network that will run, where more than a tenth of it stayed in float."""
    share = measurement.float_share
    if not share.is_beyond_limit:
        return None
    shares = " and ".join(share_words(share))
    return (
        f"{shares} stay in float, more than a tenth: this is not the network that will run, unless these operations "
        "stay in float there too"
    )


def _line(reason: str, ops: list[FloatOp], shown: int) -> str:
    weights, macs = sum(op.weight_fraction for op in ops), sum(op.mac_fraction for op in ops)
    shares = " and ".join(share_words(FloatShare(weights, macs)))
    names = listed([op.name if op.name == op.op else f"{op.name} ({op.op})" for op in ops], shown)
    return f"{count_noun(len(ops), 'operation')} not quantized{f', with {shares}' if shares else ''}: {names}: {reason}"


def share_words(share: FloatShare) -> list[str]:
    """`94 % of the weights` and `90 % of the multiplications`; only those that do not round to nothing."""
    parts = ((share.weight_fraction, "weights"), (share.mac_fraction, "multiplications"))
    return [f"{100.0 * fraction:.0f} % of the {noun}" for fraction, noun in parts if fraction >= _SHARE_TOLD_FROM]
