"""What a quantized file says of each layer, and what of it was found in the float network."""

from dataclasses import dataclass
from typing import Literal

Reference = Literal["float", "quantized", "dequantized"]
"""What the file is measured against: the float network that was given; a quantized one that was given, with weights as
its integers stand for them; or its own weights as its integers stand for them. Such weights have lost already what
rounding them costs."""


@dataclass(frozen=True, slots=True)
class DeployedLayer:
    """What the file says of one layer.

    Attributes:
        name: in the float network. file_name: in the file. tensor: its output in the file.
        is_float: its arithmetic is in float.
        output_count: quantizers that its output goes through before anything reads it.
        scale_axis: axis along which the weight has several scales; None with one, and without integers.
        weight_axis: axis of the output channels.
        own_misfit_percent: how far the largest weight that the scales allow lies from the largest |weight| of the
            channel, in the median. other_misfit_percent: the same along the other of the two first axes, where that
            is as long. None without several scales.
    """

    name: str
    file_name: str
    tensor: str | None
    is_float: bool
    output_count: int = 0
    scale_axis: int | None = None
    weight_axis: int = 0
    own_misfit_percent: float | None = None
    other_misfit_percent: float | None = None


@dataclass(frozen=True, slots=True)
class DeployedFile:
    """A quantized file beside a float network.

    Attributes:
        source: path as given. encoding: `QDQ`, `QOperator`.
        reference: what it is measured against.
        layers: those that were found in both.
        only_float: layers of the float network that the file has not, or that were not recognized there: in float here.
        only_file: layers of the file that the float network has not.
        unplaced: tensors whose quantizers are not simulated, or not as the file has them.
        clamped: tensors whose ReLU the file leaves to the lowest integer.
        file_digest: SHA-256 of the file; empty in results stored before.
        other_weights: layers whose weights do not come from those of the float network.
        by_weights, by_place: how many layers were found by their weights, and by what stands around them; the others
            by their names.
        left_out: operators of the file, as `KIND (NAME)`, at which the part of it ends that is read and run, because
            how many results they give depends on the data.
    """

    source: str
    encoding: str
    reference: Reference
    layers: tuple[DeployedLayer, ...]
    only_float: tuple[str, ...] = ()
    only_file: tuple[str, ...] = ()
    unplaced: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    file_digest: str = ""
    other_weights: tuple[str, ...] = ()
    by_weights: int = 0
    by_place: int = 0
    left_out: tuple[str, ...] = ()


def ranges_in(file: DeployedFile | None, layer: str) -> frozenset[Literal["weight", "output"] | None]:
    """What of a layer the file gives a range to; nothing without a file, and where the layer is not in it."""
    is_in_it = file is not None and any(one.name == layer for one in file.layers)
    return frozenset(("weight", "output")) if is_in_it else frozenset()
