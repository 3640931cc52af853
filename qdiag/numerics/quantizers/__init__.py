"""Number formats as values, one file each, by the names that schemes have for them."""

from collections.abc import Mapping

from qdiag.core.scheme import FormatName
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.block_float import BlockFloat
from qdiag.numerics.quantizers.linear import Linear
from qdiag.numerics.quantizers.power_of_two import PowerOfTwo
from qdiag.numerics.quantizers.small_float import SmallFloat
from qdiag.numerics.quantizers.ternary import Ternary

QUANTIZERS: Mapping[FormatName, type[Quantizer]] = {
    "affine": Affine,
    "power_of_two": PowerOfTwo,
    "binary": Binary,
    "ternary": Ternary,
    "linear": Linear,
    "float": SmallFloat,
    "block_float": BlockFloat,
}
