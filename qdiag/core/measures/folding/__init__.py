"""What `qdiag fold` shows: where BatchNorms go, which clamps share a quantizer, and what folding does to the output."""

from qdiag.core.measures.folding.batchnorm import BatchNormFold
from qdiag.core.measures.folding.clamp import ClampExample, ClampSite, RoundedValue
from qdiag.core.measures.folding.report import FoldReport, OutputDelta

__all__ = ["BatchNormFold", "ClampExample", "ClampSite", "FoldReport", "OutputDelta", "RoundedValue"]
