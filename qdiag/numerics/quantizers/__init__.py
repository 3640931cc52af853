"""Number formats as values, one file each, by the names that schemes have for them."""

from collections.abc import Mapping

from qdiag.core.scheme import FormatName
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.power_of_two import PowerOfTwo

QUANTIZERS: Mapping[FormatName, type[Quantizer]] = {"affine": Affine, "power_of_two": PowerOfTwo}
