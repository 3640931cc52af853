"""What a runtime does with a file, whichever it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qdiag.core.measures.deployed.operations import RuntimeOperations

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class IntegerTensor:
    """An activation that a file holds as integers: `(q - zero_point) * scale`.

    Attributes:
        name: of the tensor in the file.
        dtype: of its integers.
        scale, zero_point: of shape () per tensor, or (C,) per channel along `axis`.
        floats: tensors that it stands for, under their names in the file: what was quantized, and what comes out when
            it is dequantized.
    """

    name: str
    dtype: np.dtype[Any]
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int | None = None
    floats: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuntimeResult:
    """What one batch gave.

    Attributes:
        outputs: of the network, by name, in the order of the file.
        integers: the integer tensors that were asked for, by name.
    """

    outputs: Mapping[str, Array]
    integers: Mapping[str, Array] = field(default_factory=dict)


class DeployedNetwork(Protocol):
    """A quantized file in its runtime."""

    @property
    def runtime(self) -> str:
        """Name and version, for results."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names, in the order of the file."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names, in the order of the file."""
        ...

    @property
    def batch_size(self) -> int | None:
        """How many samples it takes at once; None for any number."""
        ...

    @property
    def tensors(self) -> Mapping[str, IntegerTensor]:
        """Activations that the file holds as integers, by name, in the order in which they are computed."""
        ...

    def run(self, inputs: Mapping[str, Array], integers: Sequence[str] = ()) -> RuntimeResult:
        """One batch.

        Args:
            inputs: by name. integers: names of integer tensors that are wanted beside the outputs.

        Raises:
            DataError: the inputs do not fit the network.
        """
        ...

    def operations(self) -> RuntimeOperations:
        """What it computes with."""
        ...


class Runtime(Protocol):
    """Opens files of one format."""

    def __call__(self, content: bytes, at: str = "") -> DeployedNetwork:
        """The network of a file.

        Args:
            content: the whole file. at: its name, for errors.

        Raises:
            LoadError: the runtime does not take the file, or is not installed.
        """
        ...
