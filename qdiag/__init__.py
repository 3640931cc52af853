"""Find out why a neural network loses accuracy when it is quantized.

>>> import qdiag
>>> result = qdiag.measure(model, images, scheme="tf-uint8")  # doctest: +SKIP
>>> min(result.records, key=lambda record: record.local.sqnr_db).name  # doctest: +SKIP
'blocks.1.dw'

Names are resolved when they are first used, so that `import qdiag` and `qdiag --help` start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qdiag.batches import Batch
    from qdiag.config import load_scheme
    from qdiag.core.error_sums import ErrorSums
    from qdiag.core.measurement import Measurement
    from qdiag.core.ranges_report import RangeReport
    from qdiag.core.records import OpRecord
    from qdiag.core.scheme import QuantScheme, TensorScheme
    from qdiag.errors import QdiagError
    from qdiag.loaders.models import load_subject as load_model
    from qdiag.pipeline.api import measure, ranges

__all__ = [
    "Batch",
    "ErrorSums",
    "Measurement",
    "OpRecord",
    "QdiagError",
    "QuantScheme",
    "RangeReport",
    "TensorScheme",
    "load_model",
    "load_scheme",
    "measure",
    "ranges",
]

_HOMES = {
    "Batch": ("qdiag.batches", "Batch"),
    "ErrorSums": ("qdiag.core.error_sums", "ErrorSums"),
    "Measurement": ("qdiag.core.measurement", "Measurement"),
    "OpRecord": ("qdiag.core.records", "OpRecord"),
    "QdiagError": ("qdiag.errors", "QdiagError"),
    "QuantScheme": ("qdiag.core.scheme", "QuantScheme"),
    "RangeReport": ("qdiag.core.ranges_report", "RangeReport"),
    "TensorScheme": ("qdiag.core.scheme", "TensorScheme"),
    "load_model": ("qdiag.loaders.models", "load_subject"),
    "load_scheme": ("qdiag.config", "load_scheme"),
    "measure": ("qdiag.pipeline.api", "measure"),
    "ranges": ("qdiag.pipeline.api", "ranges"),
}


def __getattr__(name: str) -> Any:
    """A public name, imported on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'qdiag' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
