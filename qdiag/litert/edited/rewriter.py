"""Operators of a file fitted to tensors of other types: where types or scales no longer meet, others go between."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from qdiag.litert.edited.change import TensorChange
from qdiag.litert.edited.kernels import FIXED, JOINING, SAME_SCALE, WITH_BIAS, WITH_INT16
from qdiag.litert.edited.tensors import Tensors
from qdiag.litert.model import LiteQuantization

Instead: TypeAlias = Callable[[int], int]
"""The place of another tensor in place of one."""
_FINER = 128
"""Steps of int16 in one of int8, for what is rounded to int8 behind an operator."""


class Rewriter:
    """Walks the operators of a file after some of its tensors have changed; `changes` may be more afterwards.

    Args:
        schema, model: the file as objects of its schema; changed in place.
        changes: of tensors of its main network.
    """

    def __init__(self, schema: Any, model: Any, graph_place: int, changes: Sequence[TensorChange]) -> None:
        self._schema, self._model, self._graph = schema, model, model.subgraphs[graph_place]
        self._place = graph_place
        self._kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self._tensors = Tensors(schema, model, self._graph)
        self.changes = list(changes)
        self._changed = {change.place for change in changes}
        self._operators: list[Any] = []
        self._made: dict[tuple[Any, ...], int] = {}
        self._alias: dict[int, int] = {}
        self.is_other = False

    def run(self) -> None:
        """Makes the changes; `is_other` says afterwards whether operators were added or taken away."""
        for change in self.changes:
            self._tensors.change(change)
        for operator in self._graph.operators:
            operator.inputs = np.asarray([self._alias.get(int(p), int(p)) for p in operator.inputs], np.int32)
            places = {int(place) for place in (*operator.inputs, *operator.outputs)}
            if places & self._changed:
                self._fit(operator)
            else:
                self._operators.append(operator)
        self.is_other = self.is_other or len(self._operators) != len(self._graph.operators)
        self._graph.operators = self._operators
        self._graph.outputs = np.asarray([self._alias.get(int(p), int(p)) for p in self._graph.outputs], np.int32)
        for signature in self._model.signatureDefs or []:
            if signature.subgraphIndex == self._place:
                for one in signature.outputs or []:
                    one.tensorIndex = self._alias.get(int(one.tensorIndex), int(one.tensorIndex))

    def _kind(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return str(self._kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), ""))

    def _fit(self, operator: Any) -> None:
        kind = self._kind(operator)
        if kind in ("QUANTIZE", "DEQUANTIZE"):
            self._between(operator, kind)
            return
        values = [int(p) for p in (*operator.inputs, *operator.outputs) if p >= 0]
        held = {p: self._tensors.storage(p) for p in values}
        computed = [held[p] for p in values if not self._tensors.is_constant(p)]
        constants = [held[p] for p in values if self._tensors.is_constant(p)]
        has_wide_weight = kind in WITH_BIAS and "wide" in constants
        if "float" in computed or "float" in constants or has_wide_weight:
            if "int" in computed or "wide" in computed or "float" in constants or has_wide_weight:
                self._in_float(operator)
            else:
                self._operators.append(operator)  # weights alone are integers
        elif "wide" in computed or "wide" in constants:
            self._in_int16(operator, kind)
        else:
            self._at_scales(operator, kind)

    def _between(self, operator: Any, kind: str) -> None:
        """QUANTIZE and DEQUANTIZE: whatever leads from one type to the other; nothing from float to float."""
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        of, to = self._tensors.storage(source), self._tensors.storage(target)
        if to != "float":
            if of == "int" and to == "int" and self._tensors.is_same(source, target) and kind == "DEQUANTIZE":
                self._alias[target] = source
            else:
                self._operators.append(self._operator("QUANTIZE", [source], [target], operator))
        elif of == "float":
            self._alias[target] = source
            self.is_other = True
        else:
            self._operators.append(self._operator("DEQUANTIZE", [source], [target], operator))

    def _in_float(self, operator: Any) -> None:
        """The operator in float between DEQUANTIZE and QUANTIZE, with its constants as floats."""
        inputs = []
        for place in map(int, operator.inputs):
            if place >= 0 and self._tensors.is_constant(place):
                place = self._once("float", place, lambda p: self._tensors.as_floats(p))
            elif place >= 0 and self._tensors.storage(place) in ("int", "wide"):
                place = self._once("float", place, lambda p: self._converted("DEQUANTIZE", p, self._floats(p)))
            inputs.append(place)
        self._given(operator, inputs, lambda p: self._floats(p) if self._tensors.storage(p) != "float" else p)

    def _floats(self, place: int) -> int:
        return self._tensors.like(place, "float", "FLOAT32", None)

    def _in_int16(self, operator: Any, kind: str) -> None:
        """Inputs of int8 as the same numbers in int16, and outputs of int8 rounded behind the operator."""
        constants = [int(p) for p in operator.inputs if p >= 0 and self._tensors.is_constant(int(p))]
        has_weight = kind in WITH_BIAS
        if kind not in WITH_INT16 or (has_weight and any(map(self._tensors.has_zero_point, constants))):
            self._in_float(operator)
            return
        inputs = []
        for place in map(int, operator.inputs):
            is_weight = has_weight and place in constants
            if place >= 0 and not is_weight and self._tensors.storage(place) == "int":
                place = self._once("int16", place, lambda p: self._converted("QUANTIZE", p, self._wide(p, 1)))
            inputs.append(place)
        bias = WITH_BIAS.get(kind)
        if bias is not None and len(inputs) > bias and inputs[bias] >= 0:
            data = 2 if kind == "TRANSPOSE_CONV" else 0
            inputs[bias] = self._tensors.bias_for(inputs[bias], inputs[data], inputs[1], np.int64)
        behind = self._replaced(
            operator, inputs, lambda p: self._wide(p, _FINER) if self._tensors.storage(p) == "int" else p
        )
        self._at_scales(operator, kind)
        self._rounded(behind)

    def _wide(self, place: int, finer: int) -> int:
        scales = self._tensors.quantization(place).scales / np.float32(finer)
        quantization = LiteQuantization(scales.astype(np.float32), np.zeros(1, np.int64), 0)
        return self._tensors.like(place, "int16", "INT16", quantization)

    def _at_scales(self, operator: Any, kind: str) -> None:
        """Scales as kernels ask for them."""
        outputs = [int(place) for place in operator.outputs]
        if kind in FIXED:
            self._given(operator, [int(p) for p in operator.inputs], lambda p: self._fixed(p, kind))
            return
        inputs = [int(place) for place in operator.inputs]
        if kind in JOINING:
            target = outputs[0]
            inputs = [p if self._fits(p, target) else self._requantized(p, target) for p in inputs]
            self._given(operator, inputs, lambda p: p)
        elif kind in SAME_SCALE:
            source = next(p for p in inputs if self._tensors.storage(p) in ("int", "wide"))
            self._given(
                operator,
                inputs,
                lambda p: p if self._fits(p, source) else self._tensors.as_at(p, source),
            )
        else:
            self._operators.append(operator)

    def _fits(self, place: int, other: int) -> bool:
        return self._tensors.storage(place) == "other" or self._tensors.is_same(place, other)

    def _requantized(self, place: int, target: int) -> int:
        if self._is_part_alone(place):
            change = TensorChange(place, self._tensors.dtype(target), self._tensors.quantization(target))
            self._tensors.change(change)
            self.changes.append(change)
            return place
        made = self._tensors.as_at(place, target)
        return self._converted("QUANTIZE", place, made)

    def _is_part_alone(self, place: int) -> bool:
        """QUANTIZE makes it for one operator, which may as well have it at another scale."""
        readers = sum(place in one.inputs for one in self._graph.operators)
        made = [one for one in self._operators if place in one.outputs]
        return readers == 1 and bool(made) and self._kind(made[0]) == "QUANTIZE" and place not in self._graph.outputs

    def _fixed(self, place: int, kind: str) -> int:
        scale, zero = FIXED[kind]
        type_name = self._tensors.type_name(place)
        if type_name == "INT16":
            scale, zero = 2.0**-15, 0
        elif type_name == "UINT8":
            zero += 128
        wanted = LiteQuantization(np.asarray([scale], np.float32), np.asarray([zero], np.int64), 0)
        own = self._tensors.quantization(place)
        if own.scales[0] == wanted.scales[0] and own.zero_points[0] == zero:
            return place
        return self._tensors.like(place, "whole", type_name, wanted)

    def _once(self, what: str, place: int, make: Instead) -> int:
        key = (what, place)
        if key not in self._made:
            self._made[key] = make(place)
        return self._made[key]

    def _converted(self, kind: str, source: int, target: int) -> int:
        self._operators.append(self._operator(kind, [source], [target], None))
        self.is_other = True
        return target

    def _given(self, operator: Any, inputs: Sequence[int], instead: Instead) -> None:
        """The operator with other inputs, giving other tensors from which its own are made."""
        behind = self._replaced(operator, inputs, instead)
        self._operators.append(operator)
        self._rounded(behind)

    def _replaced(self, operator: Any, inputs: Sequence[int], instead: Instead) -> list[tuple[int, int]]:
        """Other inputs and outputs of an operator; what it gives now, and what has to be made of it."""
        outputs = [int(place) for place in operator.outputs]
        given = [instead(place) if self._tensors.storage(place) != "other" else place for place in outputs]
        if [int(place) for place in operator.inputs] != list(inputs) or given != outputs:
            self.is_other = True
        operator.inputs, operator.outputs = np.asarray(inputs, np.int32), np.asarray(given, np.int32)
        return [pair for pair in zip(given, outputs, strict=True) if pair[0] != pair[1]]

    def _rounded(self, pairs: Sequence[tuple[int, int]]) -> None:
        for made, place in pairs:
            self._converted("QUANTIZE", made, place)

    def _operator(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], before: Any) -> Any:
        """The operator that was there, where it is of this kind, else a new one."""
        if before is not None and self._kind(before) == kind:
            return before
        self.is_other = True
        made = self._schema.OperatorT()
        made.opcodeIndex = self._code(kind)
        made.inputs, made.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
        return made

    def _code(self, kind: str) -> int:
        number = getattr(self._schema.BuiltinOperator, kind)
        for place, code in enumerate(self._model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return place
        code = self._schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 2
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1
