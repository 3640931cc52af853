"""Which arithmetic a layer has under a plan."""

from collections.abc import Callable

from qdiag.core.graph import Layer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import Arithmetic
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.rounded_operands import rounded_operands
from qdiag.simulate.arithmetic.saturating import saturating
from qdiag.simulate.arithmetic.shift_batchnorm import shift_batchnorm

ARITHMETICS: tuple[Callable[[QuantPlan, Layer], Arithmetic | None], ...] = (
    saturating,
    rounded_operands,
    shift_batchnorm,
)
"""Each gives its arithmetic where scheme and layer ask for it; the first one that does is taken."""


def arithmetic_of(plan: QuantPlan | None, layer: Layer) -> Arithmetic:
    """How a layer computes under a plan; None stands for the float network."""
    chosen = (choose(plan, layer) for choose in ARITHMETICS) if plan is not None else ()
    return next((found for found in chosen if found is not None), FAKE_QUANTIZED)
