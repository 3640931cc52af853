"""What a planted fault is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn
from torch.export import ExportedProgram

from qdiag.core.scheme import QuantScheme, TensorScheme
from tests.planted.networks import DATA, Data


def scheme(
    weights: int = 8, activations: int = 8, *, per_channel: bool = False, calibrator: str = "minmax", **more: object
) -> QuantScheme:
    """Symmetric weights, affine activations, of so many bits."""
    return QuantScheme(
        name="planted",
        weights=TensorScheme(
            bits=weights, narrow_range=True, granularity="per_channel" if per_channel else "per_tensor"
        ),
        activations=TensorScheme(bits=activations, symmetric=False, signed=False, calibrator=calibrator),  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class Network:
    """A network, its data, and how it is quantized."""

    build: Callable[[], nn.Module | ExportedProgram]
    scheme: QuantScheme
    data: Data = DATA


@dataclass(frozen=True)
class PlantedFault:
    """One fault and nothing else wrong, beside the same without it.

    Attributes:
        layers: where it must be found, the worst one first or alone.
        cause: its repair recovers accuracy, so it must be claimed, first of all; False where nothing here repairs
            it, or the simulation of accuracy does not feel it.
    """

    name: str
    code: str
    sick: Network
    twin: Network
    layers: tuple[str, ...]
    cause: bool = True


def planted(
    name: str,
    code: str,
    build: Callable[[], nn.Module | ExportedProgram],
    how: QuantScheme,
    layers: tuple[str, ...],
    *,
    twin: Callable[[], nn.Module | ExportedProgram] | None = None,
    twin_scheme: QuantScheme | None = None,
    data: Data = DATA,
    twin_data: Data | None = None,
    cause: bool = True,
) -> PlantedFault:
    """A fault whose twin differs from it in what is given for the twin alone."""
    sick = Network(build, how, data)
    changes = {"build": twin, "scheme": twin_scheme, "data": twin_data}
    return PlantedFault(
        name, code, sick, replace(sick, **{k: v for k, v in changes.items() if v is not None}), layers, cause
    )
