"""What a writer of an operator is."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from qdiag.exporters.onnx.call import Call, Size

Written: TypeAlias = "str | Size | Sequence[str]"
Writer = Callable[[Call], Written]
"""Writes one node of the captured graph; gives the name of its result, or of each where there are several."""
