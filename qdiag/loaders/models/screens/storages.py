"""Whether the tensors of a TorchScript archive have all the bytes that they claim, without loading them.

torch's TorchScript reader takes the size of a storage from the pickle, its bytes from a record of its own, and shape
and strides of a tensor as they are written. Where the record is shorter, or the strides lead out of it, the tensor
reaches into memory that is not its own: reading it crashes, or gives other data.
"""

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_VALUE_BYTES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "ComplexDouble": 16, "ComplexFloat": 8, "ComplexHalf": 4, "QInt8": 1, "QUInt8": 1, "QInt32": 4,
}  # fmt: skip
_REBUILDS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor")
"""Functions that make a tensor of a storage, an offset, a shape and strides."""
_FOLDERS = {"data.pkl": "data", "constants.pkl": "constants"}


def damaged_storage(members: Mapping[str, bytes]) -> str | None:
    """What is wrong with the first storage that has not the bytes that a tensor reads, in words; None with none.

    Args:
        members: content by name, without the root folder of the archive.
    """
    for pickled, folder in _FOLDERS.items():
        if pickled not in members:
            continue
        try:
            claims = _claims(members[pickled])
        except (
            Exception
        ):  # whatever a damaged pickle raises: unknown instructions, missing ends, objects that do not fit
            return f"{pickled} is no pickle of tensors"
        for claim in claims:
            record, needed = f"{folder}/{claim.key}", claim.count * _VALUE_BYTES.get(claim.kind, 1)
            found = len(members.get(record, b""))
            if claim.count < 0 or found < needed:
                return f"{record} has {found} bytes, and its tensor needs {needed}"
            if claim.lowest < 0 or claim.end > claim.count:
                return f"a tensor reads outside of the {claim.count} values of {record}"
    return None


@dataclass
class _Claim:
    """A storage as the pickle has it: type, key, number of values, and those that its tensors read."""

    kind: str
    key: str
    count: int
    lowest: int = 0
    end: int = 0

    def read(self, offset: int, shape: Sequence[int], strides: Sequence[int]) -> None:
        """Counts in a tensor of this storage."""
        if min(shape, default=1) < 0 or len(shape) != len(strides):
            raise ValueError("no shape of a tensor")
        if 0 not in shape:
            reach = [(size - 1) * stride for size, stride in zip(shape, strides, strict=True)]
            self.lowest = min(self.lowest, offset + sum(step for step in reach if step < 0))
            self.end = max(self.end, offset + sum(step for step in reach if step > 0) + 1)


def _claims(content: bytes) -> list[_Claim]:
    reader = _Storages(io.BytesIO(content))
    reader.load()
    return reader.found


class _Inert:
    """Stands for every class and function: makes nothing, keeps nothing, and calls nothing."""

    name = ""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "_Inert":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


class _Storages(pickle.Unpickler):
    """Reads the structure of a pickle: every name that it asks for is a class without effect."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.found: list[_Claim] = []

    def find_class(self, module: str, name: str) -> Any:
        return _rebuilt if name in _REBUILDS else type(name, (_Inert,), {"name": name})

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, count, *_ = pid
        self.found.append(_Claim(kind.name.removesuffix("Storage"), str(key), int(count)))
        return self.found[-1]


def _rebuilt(storage: _Claim, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any) -> _Inert:
    storage.read(offset, shape, strides)
    return _Inert()
