"""Find out why a neural network loses accuracy when it is quantized.

>>> import qdiag
>>> result = qdiag.diagnose(model, (images, labels), scheme="tf-uint8")  # doctest: +SKIP
>>> [(cause.code, cause.layers) for cause in result.ranking.claimed]  # doctest: +SKIP
[('QD301', ('blocks.0.dw', 'blocks.1.dw', 'blocks.2.dw', 'blocks.5.dw'))]

Names are resolved when they are first used, so that `import qdiag` and `qdiag --help` start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qdiag.core.presentation.presented import present_with

for _room in ("qdiag.compare", "qdiag.gate"):  # loaded first: afterwards their names are those of the functions
    import_module(_room)

from qdiag.results.stored import compare, gate  # noqa: E402 - after the rooms of the same names

if TYPE_CHECKING:
    from qdiag.batches import Batch
    from qdiag.config import load_scheme
    from qdiag.core.diagnosis import Diagnosis
    from qdiag.core.measures.error_sums import ErrorSums
    from qdiag.core.measures.measurement import Measurement
    from qdiag.core.measures.records import OpRecord
    from qdiag.core.measures.value_ranges.ranges_report import RangeReport
    from qdiag.core.scheme import QuantScheme, TensorScheme
    from qdiag.demo_assets.demo import demo
    from qdiag.errors import QdiagError
    from qdiag.loaders.models.formats import load_subject as load_model
    from qdiag.pipeline.api import diagnose, measure, ranges
    from qdiag.pipeline.in_python.repair import repair
    from qdiag.pipeline.training.api import TrainedNetwork, qat
    from qdiag.results.stored import load_diagnosis
    from qdiag.train.settings import TrainingSettings

__all__ = [
    "Batch",
    "Diagnosis",
    "ErrorSums",
    "Measurement",
    "OpRecord",
    "QdiagError",
    "QuantScheme",
    "RangeReport",
    "TensorScheme",
    "TrainedNetwork",
    "TrainingSettings",
    "compare",
    "demo",
    "diagnose",
    "gate",
    "load_diagnosis",
    "load_model",
    "load_scheme",
    "measure",
    "qat",
    "ranges",
    "repair",
]

present_with("qdiag.results.present")

_HOMES = {
    "Batch": ("qdiag.batches", "Batch"),
    "Diagnosis": ("qdiag.core.diagnosis", "Diagnosis"),
    "ErrorSums": ("qdiag.core.measures.error_sums", "ErrorSums"),
    "Measurement": ("qdiag.core.measures.measurement", "Measurement"),
    "OpRecord": ("qdiag.core.measures.records", "OpRecord"),
    "QdiagError": ("qdiag.errors", "QdiagError"),
    "QuantScheme": ("qdiag.core.scheme", "QuantScheme"),
    "RangeReport": ("qdiag.core.measures.value_ranges.ranges_report", "RangeReport"),
    "TensorScheme": ("qdiag.core.scheme", "TensorScheme"),
    "TrainedNetwork": ("qdiag.pipeline.training.api", "TrainedNetwork"),
    "TrainingSettings": ("qdiag.train.settings", "TrainingSettings"),
    "demo": ("qdiag.demo_assets.demo", "demo"),
    "diagnose": ("qdiag.pipeline.api", "diagnose"),
    "load_diagnosis": ("qdiag.results.stored", "load_diagnosis"),
    "load_model": ("qdiag.loaders.models.formats", "load_subject"),
    "load_scheme": ("qdiag.config", "load_scheme"),
    "measure": ("qdiag.pipeline.api", "measure"),
    "qat": ("qdiag.pipeline.training.api", "qat"),
    "ranges": ("qdiag.pipeline.api", "ranges"),
    "repair": ("qdiag.pipeline.in_python.repair", "repair"),
}


def __getattr__(name: str) -> Any:
    """A public name, imported on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'qdiag' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
