"""`scale_output_channels`: a scale per channel moves out of an output of the network into the last layer's weights.

The weights and the bias of channel c are multiplied by s_c, and what the network gives there is divided by s_c after
it, in float, where the output is read: the same numbers, with all channels about as wide as the widest when they are
quantized. The scales are powers of two, so no float value changes in its last bit. As equalization across layers
(arXiv 1906.04721, section 4.1), with whoever reads the output in place of a layer.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from qdiag.capture.rewrites.scaled_output import scaled_output
from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import escaped, layers_of
from qdiag.repairs.weighted_layer import stored_layer
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_program


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """Raises RepairRefused where a site has no weights of its own, or is no output of the network."""
    program, scheme, names = case.program, case.scheme, list[str]()
    largest = 1.0
    for layer in layers_of(case, sites):
        seen = case.observations.get(layer.name)
        if layer.weight is None or seen is None or seen.channels is None:
            raise RepairRefused("no layer with weights and channels", at=layer.name)
        own = stored_layer(case.program, layer.weight_name, folds=case.scheme.fold_batchnorm)
        if own.norm is not None:
            raise RepairRefused("a BatchNorm stands between its weights and the output", at=layer.name)
        widths = torch.tensor([seen.channels.min, seen.channels.max]).abs().amax(0)
        scales = torch.where(widths > 0, torch.exp2(torch.log2(widths.max() / widths).round()), 1.0)
        if not bool((scales != 1.0).any()):
            raise RepairRefused("the channels of this output are about equally wide", at=layer.name)
        scaled = scaled_output(program, own.node.name, (own.weight, own.bias), scales, seen.channels.channel_axis)
        if isinstance(scaled, str):
            raise RepairRefused(scaled, at=layer.name)
        program = scaled
        scheme = replace(scheme, float_layers=(*scheme.float_layers, escaped(f"{own.node.name}.scale")))
        names.append(layer.name)
        largest = max(largest, float(scales.max()))
    treated = with_program(context.session, case, program, scheme)
    return Treatment(treated, tuple(names), costs=(Evidence("largest_output_scale", largest, "x"),))


SCALE_OUTPUT_CHANNELS = Repair("scale_output_channels", _apply)
