"""Which operations stayed in float, and whether so much of the network did that the result is of another one."""

from typing import Protocol

from qdiag.core.causes.chance import by_chance
from qdiag.core.listed import listed
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.measurement import Measurement
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
    shares = _shares(measurement.float_share)
    if len(lines) > 1 and shares:
        lines.append(f"{count_noun(len(measurement.float_ops), 'operation')} in all, with {' and '.join(shares)}")
    return tuple(lines)


def float_share_warning(measurement: HasFloatOps) -> str | None:
    """That this is not the network that will run, where more than a tenth of it stayed in float."""
    share = measurement.float_share
    if not share.is_beyond_limit:
        return None
    shares = " and ".join(_shares(share))
    return (
        f"{shares} stay in float, more than a tenth: this is not the network that will run, unless these operations "
        "stay in float there too"
    )


def reservation_words(measurement: Measurement) -> str:
    """Why a result without a loss is not one of the network that will run; empty where nothing speaks against it.

    `94 % of the weights and 90 % of the multiplications stayed in float`.
    """
    share, preprocessing = measurement.float_share, measurement.preprocessing
    deployed, parts = measurement.deployed, list[str]()
    if deployed is not None and deployed.reference != "float":
        parts.append("the weights were rounded before, and what that cost is not measured")
    if share.is_beyond_limit:
        parts.append(f"{' and '.join(_shares(share))} stayed in float")
    if preprocessing is not None and preprocessing.is_doubtful:
        parts.append("the inputs do not seem to be prepared as in training")
    if chance := chance_words(measurement):
        parts.append(chance)
    return ", and ".join(parts)


def chance_words(measurement: Measurement) -> str:
    """That the float network does not do the task, so that it has nothing to lose; empty where it does.

    `the float network is right on 3 of 100 samples, and guessing among 10 classes may be right as often`.
    """
    found = by_chance(measurement)
    if found is None:
        return ""
    right = f"right on {found.right_count} of {count_noun(found.sample_count, 'sample')}"
    return f"the float network is {right}, and guessing among {found.class_count} classes may be right as often"


def _line(reason: str, ops: list[FloatOp], shown: int) -> str:
    weights, macs = sum(op.weight_fraction for op in ops), sum(op.mac_fraction for op in ops)
    shares = " and ".join(_shares(FloatShare(weights, macs)))
    names = listed([op.name if op.name == op.op else f"{op.name} ({op.op})" for op in ops], shown)
    return f"{count_noun(len(ops), 'operation')} not quantized{f', with {shares}' if shares else ''}: {names}: {reason}"


def _shares(share: FloatShare) -> list[str]:
    parts = ((share.weight_fraction, "weights"), (share.mac_fraction, "multiplications"))
    return [f"{100.0 * fraction:.0f} % of the {noun}" for fraction, noun in parts if fraction >= _SHARE_TOLD_FROM]
