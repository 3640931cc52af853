"""Attention, and positions that are turned into its operands."""

from collections.abc import Mapping

from qdiag.onnx.call import Operator
from qdiag.onnx.operators.attention import products, rotary

OPERATORS: Mapping[str, Operator] = {**products.OPERATORS, **rotary.OPERATORS}
