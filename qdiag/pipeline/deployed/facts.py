"""A quantized file in plain numbers."""

from collections.abc import Mapping

from qdiag.core.graph import Layer
from qdiag.core.measures.deployed.file import DeployedFile, DeployedLayer, Reference
from qdiag.files.read import file_digest
from qdiag.integer_file import IntegerFile
from qdiag.pipeline.deployed.file_layers import FileLayer, FileLayers
from qdiag.pipeline.deployed.match import LayerMatch
from qdiag.plan import StoredLayer
from qdiag.simulate.passes.network import Network


def deployed_file(
    source: str,
    integers: IntegerFile,
    found: FileLayers,
    match: LayerMatch,
    network: Network,
    stored: Mapping[str, StoredLayer],
    *,
    reference: Reference,
    other_weights: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
) -> DeployedFile:
    """The file beside the float network.

    Args:
        stored: what it has, by layer of the float network. other_weights, left_out: see `DeployedFile`.
    """
    layers = [layer for layer in network.graph.sites if layer.name in match.pairs]
    return DeployedFile(
        source=source,
        encoding=integers.encoding,
        reference=reference,
        layers=tuple(_layer(one, match.pairs[one.name], found, stored[one.name]) for one in layers),
        only_float=match.only_float,
        only_file=match.only_file,
        unplaced=found.unplaced,
        clamped=integers.clamped,
        file_digest=file_digest(source),
        other_weights=other_weights,
        by_weights=sum(way == "weights" for way in match.ways.values()),
        by_place=sum(way == "place" for way in match.ways.values()),
        left_out=left_out,
    )


def _layer(layer: Layer, file_name: str, found: FileLayers, stored: StoredLayer) -> DeployedLayer:
    own = found.layers.get(file_name, FileLayer())
    return DeployedLayer(
        name=layer.name,
        file_name=file_name,
        tensor=own.tensor,
        is_float=stored.float_reason is not None,
        output_count=len(own.outputs),
        scale_axis=own.weight.quantizer.channel_axis if own.weight is not None else None,
        weight_axis=layer.weight_axis,
        own_misfit_percent=_misfit_percent(own, stored, layer.weight_axis),
        other_misfit_percent=_misfit_percent(own, stored, 1 - layer.weight_axis),
    )


def _misfit_percent(own: FileLayer, stored: StoredLayer, axis: int) -> float | None:
    """Of the scales, taken as those along an axis, against the float weight."""
    weight = stored.float_weight
    if own.weight is None or weight is None or own.weight.quantizer.channel_axis is None:
        return None
    quantizer = own.weight.quantizer
    if not 0 <= axis < weight.ndim or weight.shape[axis] != quantizer.scale.numel():
        return None
    largest = weight.detach().cpu().abs().movedim(axis, 0).flatten(1).amax(1).double()
    held = quantizer.scale.double() * (quantizer.quant_max - quantizer.zero_point.double())
    carries = largest > 0.0
    if not bool(carries.any()):
        return None
    return float(100.0 * (held[carries] / largest[carries] - 1.0).abs().median())
