"""Changes of the scheme at some layers, and the values of `--set` that make the same plan."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from qdiag.core.causes.findings import FindingSite
from qdiag.core.graph import Layer
from qdiag.core.scheme import BiasType, LayerOverride, QuantScheme, TensorChange, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.errors import ConfigError, RepairRefused
from qdiag.repairs.stale import without_stale_edits
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.session import Session

_LEAST_BITS = 2
Changes = Callable[[TensorScheme], TensorChange | None]
"""What to change, given how a tensor is quantized now; None where there is nothing to change."""


@dataclass(frozen=True)
class SchemeChange:
    """A change that is ready to be applied.

    Attributes:
        case: without edits of the plan that the change makes meaningless.
        names: the layers where something changes.
        scheme: the case's scheme with the changes. settings: values of `--set` that make it so.
    """

    case: Case
    names: tuple[str, ...]
    scheme: QuantScheme
    settings: tuple[str, ...]

    def applied(self, session: Session) -> Case:
        """The case under the new scheme."""
        return with_scheme(session, self.case, self.scheme)


def layers_of(case: Case, sites: Sequence[FindingSite]) -> tuple[Layer, ...]:
    """The layers of the sites in graph order; all of them when there are none.

    Raises:
        RepairRefused: a site names no layer.
    """
    names = {site.layer for site in sites}
    unknown = names - {layer.name for layer in case.network.graph.layers}
    if unknown:
        raise RepairRefused("no layer has this name", at=min(unknown))
    return tuple(layer for layer in case.network.graph.layers if not names or layer.name in names)


def places(sites: Sequence[FindingSite]) -> str | None:
    """Where a repair was to be made, for messages."""
    return ", ".join(site.layer for site in sites[:3]) or None


def with_quantized_weights(case: Case, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Names of those that have one."""
    return tuple(layer.name for layer in layers if case.plan.layers[layer.name].weight is not None)


def quantizer_owners(case: Case, layers: Sequence[Layer]) -> tuple[str, ...]:
    """The layers that the quantizers at these layers' outputs belong to: pooling shares that of its input.

    An output whose signs its readers take counts as one with a quantizer: the scheme of that output has it.
    """
    found: dict[str, None] = {}
    for layer in layers:
        plan = case.plan.layers[layer.name]
        readers = case.network.graph.consumers(layer.name)
        if plan.output is not None:
            found[plan.shared_with or layer.name] = None
        elif any(case.plan.layers[reader.name].reads_signs for reader in readers):
            found[layer.name] = None
    return tuple(found)


def change_weights(case: Case, sites: Sequence[FindingSite], change: Changes, *, refusal: str) -> SchemeChange:
    """The weights of the sites' layers under another scheme.

    Args:
        refusal: what to say where there is nothing to change.

    Raises:
        RepairRefused: at none of them is there anything to change.
    """
    names = with_quantized_weights(case, layers_of(case, sites))
    everywhere = with_quantized_weights(case, case.network.graph.layers)
    own = {name: case.scheme.weights_of(name) for name in names}
    changes = _possible({name: change(scheme) for name, scheme in own.items()}, own, at=places(sites))
    if not changes:
        raise RepairRefused(refusal if names else "no layer here has a quantized weight", at=places(sites))
    free = without_stale_edits(case, changes)
    return _scheme_change(free, "weights", changes, everywhere)


def change_activations(case: Case, sites: Sequence[FindingSite], change: Changes, *, refusal: str) -> SchemeChange:
    """The outputs of the sites' layers under another scheme; arguments and errors as in `change_weights`."""
    names = quantizer_owners(case, layers_of(case, sites))
    return change_outputs(
        case, names, change, refusal=refusal if names else "no output here is quantized", at=places(sites)
    )


def change_outputs(case: Case, names: Sequence[str], change: Changes, *, refusal: str, at: str | None) -> SchemeChange:
    """The outputs of these layers, each the owner of its quantizer, under another scheme."""
    own = {name: change(case.scheme.activations_of(name)) for name in names}
    return change_each_output(case, own, refusal=refusal, at=at)


def change_each_output(
    case: Case, changes: Mapping[str, TensorChange | None], *, refusal: str, at: str | None
) -> SchemeChange:
    """The outputs of some layers, each the owner of its quantizer, under another scheme, one change for each.

    Raises:
        RepairRefused: at none of them is there anything to change.
    """
    real = _possible(changes, {name: case.scheme.activations_of(name) for name in changes}, at=at)
    if not real:
        raise RepairRefused(refusal, at=at)
    return _scheme_change(case, "activations", real, quantizer_owners(case, case.network.graph.layers))


def one_bit_less(scheme: TensorScheme) -> TensorChange | None:
    """None for two bits, both of which are needed, and for floats."""
    is_able = scheme.bits > _LEAST_BITS and scheme.type not in FLOAT_TYPES
    return scheme.change_to_bits(scheme.bits - 1) if is_able else None


def with_bias(
    scheme: QuantScheme, names: Sequence[str], bias: BiasType, *, everywhere: Collection[str]
) -> tuple[QuantScheme, tuple[str, ...]]:
    """The scheme with another type of bias at some layers, and its settings.

    Args:
        everywhere: all layers whose bias is an integer.
    """
    if names and not scheme.layers and set(names) == set(everywhere):
        return replace(scheme, bias=bias), (f"bias={bias}",)
    own = tuple(LayerOverride(escaped(name), bias=bias) for name in names)
    return replace(scheme, layers=(*scheme.layers, *own)), tuple(layer_setting(name, "bias", bias) for name in names)


def integer_biases(case: Case, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Names of those whose bias the plan rounds: input and weight are quantized, and the sum has a scale in common."""
    return tuple(
        layer.name
        for layer in layers
        if layer.bias is not None
        and case.plan.integer_operands(layer) is not None
        and case.scheme.bias_of(layer.name) != "float"
    )


def layer_setting(name: str, field: str, value: object) -> str:
    """`layers."blocks.12.dw".weights.bits=7`."""
    return f"layers.{json.dumps(escaped(name), ensure_ascii=False)}.{field}={setting_value(value)}"


def setting_value(value: object) -> str:
    """As TOML, or a bare word."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(setting_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def escaped(name: str) -> str:
    """A glob pattern that matches this name alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _scheme_change(
    case: Case,
    kind: Literal["weights", "activations"],
    changes: Mapping[str, TensorChange],
    everywhere: Collection[str],
) -> SchemeChange:
    """The same at every layer is a change of the scheme itself, and one option rather than one per layer."""
    scheme, names, first = case.scheme, tuple(changes), next(iter(changes.values()))
    if not scheme.layers and set(names) >= set(everywhere) and all(change == first for change in changes.values()):
        base = scheme.weights if kind == "weights" else scheme.activations
        settings = tuple(f"{kind}.{key}={setting_value(value)}" for key, value in first.values.items())
        return SchemeChange(case, names, _checked(scheme, {kind: _over(first, base)}), settings)
    own = tuple(
        LayerOverride(escaped(name), weights=change)
        if kind == "weights"
        else LayerOverride(escaped(name), activations=change)
        for name, change in changes.items()
    )
    settings = tuple(
        layer_setting(name, f"{kind}.{key}", value)
        for name, change in changes.items()
        for key, value in change.values.items()
    )
    return SchemeChange(case, names, _checked(scheme, {"layers": (*scheme.layers, *own)}), settings)


def _possible(
    changes: Mapping[str, TensorChange | None], own: Mapping[str, TensorScheme], *, at: str | None
) -> dict[str, TensorChange]:
    """Those that change something and that the format there knows.

    Raises:
        RepairRefused: each that changes something contradicts the format of its layer.
    """
    found, contradiction = dict[str, TensorChange](), None
    for name, change in changes.items():
        if change is None or not change.values:
            continue
        try:
            change.over(own[name])
        except ConfigError as error:
            contradiction = contradiction or error
        else:
            found[name] = change
    if contradiction is not None and not found:
        raise RepairRefused(contradiction.message, at=contradiction.at or at, hint=contradiction.hint)
    return found


def _over(change: TensorChange, base: TensorScheme) -> TensorScheme:
    try:
        return change.over(base)
    except ConfigError as error:
        raise RepairRefused(error.message, at=error.at, hint=error.hint) from None


def _checked(scheme: QuantScheme, fields: Mapping[str, Any]) -> QuantScheme:
    try:
        return replace(scheme, **fields)
    except ConfigError as error:
        raise RepairRefused(error.message, at=error.at, hint=error.hint) from None
