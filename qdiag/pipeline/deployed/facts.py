"""A quantized file in plain numbers."""

from collections.abc import Mapping

from qdiag.core.graph import Layer
from qdiag.core.measures.deployed.file import DeployedFile, DeployedLayer, Reference
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
) -> DeployedFile:
    """The file beside the float network.

    Args:
        stored: what it has, by layer of the float network.
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
    )


def _layer(layer: Layer, file_name: str, found: FileLayers, stored: StoredLayer) -> DeployedLayer:
    own = found.layers.get(file_name, FileLayer())
    return DeployedLayer(
        name=layer.name,
        file_name=file_name,
        tensor=own.tensor,
        is_float=stored.float_reason is not None,
    )
