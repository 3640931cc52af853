"""From a repaired plan to the tensors of a file that have to change."""

import math

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.integer_file import IntegerFile, TensorEdit
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.network import OnnxNetwork
from qdiag.pipeline.deployed.file_layers import FileLayer
from qdiag.pipeline.deployed.plan import DeployedPlan
from qdiag.simulate.case import Case
from qdiag.simulate.passes.weights import bias_scale


def tensor_edits(deployed: DeployedPlan, before: Case, after: Case) -> tuple[TensorEdit, ...]:
    """What is other in the second case, tensor by tensor.

    Args:
        before: the case of the file as it is. after: repaired, with the same graph.
    """
    model = deployed.captured.subject.model
    assert isinstance(model, OnnxNetwork) and model.integers is not None
    found: list[TensorEdit] = []
    for layer in after.network.graph.sites:
        own = deployed.found.layers.get(deployed.match.pairs.get(layer.name, ""), FileLayer())
        if layer.name in before.plan.layers:
            found += _outputs(model.integers, own, layer, before, after)
            found += _constants(model.integers, own, layer, before, after)
    return tuple(found)


def _outputs(file: IntegerFile, own: FileLayer, layer: Layer, before: Case, after: Case) -> list[TensorEdit]:
    old, new = before.plan.layers[layer.name].output, after.plan.layers[layer.name].output
    if old is None or (new is not None and new.key == old.key) or not (new is None or isinstance(new, Affine)):
        return []
    tensors = [name for name in own.tensors if name in file.nodes]
    return [TensorEdit(name, file.nodes[name], new) for name in tensors]


def _constants(file: IntegerFile, own: FileLayer, layer: Layer, before: Case, after: Case) -> list[TensorEdit]:
    if layer.weight is None:
        return []
    found = []
    old, new = before.plan.layers[layer.name], after.plan.layers[layer.name]
    weight = after.network.program.constants[layer.weight].cpu()
    is_same = torch.equal(weight, before.network.program.constants[layer.weight].cpu())
    if own.weight_origin[0] and not (is_same and new.weight is old.weight):
        name, form = own.weight_origin
        quantizer = new.weight if isinstance(new.weight, Affine) else None
        found.append(_edit(file, name, form, weight, quantizer))
    if layer.bias is not None and own.bias_origin[0] and _bias_moves(layer, before, after):
        found.append(_bias(file, own, layer, after))
    return found


def _edit(file: IntegerFile, name: str, form: str, values: Tensor, quantizer: Affine | None) -> TensorEdit:
    """A weight, laid out as in the file."""
    nodes, turned = file.nodes.get(name, ()), form == "transposed"
    if quantizer is None or not nodes:
        return TensorEdit(name, nodes, None, values=values.T if turned else values)
    integers, axis = quantizer.quantize(values).cpu(), quantizer.channel_axis
    if turned:
        integers, axis = integers.T, None if axis is None else 1 - axis
    numbers = (quantizer.scale, quantizer.zero_point, quantizer.quant_min, quantizer.quant_max, axis)
    return TensorEdit(name, nodes, Affine(*numbers, is_symmetric=quantizer.is_symmetric), integers)


def _bias_moves(layer: Layer, before: Case, after: Case) -> bool:
    """The bias, or one of the scales at which it is added, is another one."""
    assert layer.bias is not None
    one, other = before.plan.layers[layer.name], after.plan.layers[layer.name]
    if one.bias_shift is not other.bias_shift or one.bias != other.bias:
        return True
    if before.scheme.bias_of(layer.name) != after.scheme.bias_of(layer.name):
        return True
    constants = [case.network.program.constants[layer.bias].cpu() for case in (before, after)]
    keys = [_operand_keys(layer, case) for case in (before, after)]
    return keys[0] != keys[1] or not torch.equal(*constants)


def _operand_keys(layer: Layer, case: Case) -> object:
    operands = case.plan.integer_operands(layer)
    return None if operands is None else tuple(tuple(one.scale.flatten().tolist()) for one in operands)


def _bias(file: IntegerFile, own: FileLayer, layer: Layer, after: Case) -> TensorEdit:
    assert layer.bias is not None
    name, form = own.bias_origin
    nodes, plan = file.nodes.get(name, ()), after.plan.layers[layer.name]
    values = after.network.program.constants[layer.bias].cpu()
    if plan.bias_shift is not None and plan.weight is not None:
        values = values + plan.bias_shift.cpu()
    operands = after.plan.integer_operands(layer)
    is_float = operands is None or (plan.bias or after.scheme.bias_of(layer.name)) == "float"
    if not nodes or is_float or operands is None:
        return TensorEdit(name, nodes, None, values=values)
    scale = bias_scale(*operands, groups=layer.groups, axis=layer.weight_axis, device=values.device)
    limit = math.ldexp(1.0, 31)
    integers = torch.round(values.double() / scale).clamp(-limit, limit - 1).long()
    stored = scale.float()
    axis = 0 if stored.ndim else None
    quantizer = Affine(stored, torch.zeros_like(stored), -int(limit), int(limit) - 1, axis, is_symmetric=True)
    del form  # a bias has one axis
    return TensorEdit(name, nodes, quantizer, integers)
