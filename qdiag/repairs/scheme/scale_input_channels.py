"""`scale_input_channels`: a scale per channel moves out of the input into the first layer's weights.

Channel c of the input is multiplied by s_c, and the weights that read it are divided by s_c: the same float network,
with all channels about as wide as the widest. The scales are powers of two, so no float value changes in its last bit.
The multiplication belongs before the network, where the data are made ready: the input is then quantized with the
scales applied. As equalization across layers (arXiv 1906.04721, section 4.1), with the data in place of a layer.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from qdiag.capture.rewrites.scaled_input import scale_layer, scaled_input
from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.graph import INPUT
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import escaped, layers_of
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_program


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """Raises RepairRefused where a site is no input, or something without weights reads it."""
    program, scheme, names = case.program, case.scheme, list[str]()
    largest = 1.0
    for layer in layers_of(case, sites):
        seen = case.observations.get(layer.name)
        if layer.kind != INPUT or seen is None or seen.channels is None:
            raise RepairRefused("no input of the network with channels", at=layer.name)
        widths = torch.tensor([seen.channels.min, seen.channels.max]).abs().amax(0)
        scales = torch.where(widths > 0, torch.exp2(torch.log2(widths.max() / widths).round()), 1.0)
        if not bool((scales != 1.0).any()):
            raise RepairRefused("the channels of this input are about equally wide", at=layer.name)
        scaled = scaled_input(program, layer.output, scales)
        if isinstance(scaled, str):
            raise RepairRefused(scaled, at=layer.name)
        program = scaled[0]
        scheme = replace(scheme, float_layers=(*scheme.float_layers, escaped(scale_layer(layer.output))))
        names += [layer.name, *(reader.name for reader in case.network.graph.consumers(layer.name))]
        largest = max(largest, float(scales.max()))
    treated = with_program(context.session, case, program, scheme)
    return Treatment(treated, tuple(dict.fromkeys(names)), costs=(Evidence("largest_input_scale", largest, "x"),))


SCALE_INPUT_CHANNELS = Repair("scale_input_channels", _apply)
