"""Arguments of `forward` that no data holds: a sampling rate, a flag, a state that starts at zero."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from qdiag.batches import Batch, ChangedBatches, Datasets
from qdiag.errors import ConfigError

_ZEROS = re.compile(r"zeros\(\s*(?P<sizes>(?:N|[0-9]{1,9})(?:\s*,\s*(?:N|[0-9]{1,9}))*)\s*,?\s*\)")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}
_VALUES_MAX = 1 << 28
_AT = "`arguments`"


@dataclass(frozen=True)
class Zeros:
    """A tensor of zeros, float32; None among the sizes is the number of samples in the batch."""

    sizes: tuple[int | None, ...]

    def of(self, count: int) -> torch.Tensor:
        """The tensor for a batch of `count` samples."""
        return torch.zeros([count if size is None else size for size in self.sizes])


Value = bool | int | float | str | Zeros | None


def parse_argument(text: str) -> tuple[str, Value]:
    """`sr=16000`, `scale=0.5`, `flag=true`, `mask=none`, `mode=fast`, `state=zeros(2,N,128)`.

    Raises:
        ConfigError: no name of an argument, or no value.
    """
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not name.isidentifier() or not value:
        raise ConfigError(
            f"{text!r} is no argument",
            at=_AT,
            hint="write NAME=VALUE, such as sr=16000 or state=zeros(2,N,128)",
        )
    match = _ZEROS.fullmatch(value)
    if match is not None:
        sizes = tuple(None if size.strip() == "N" else int(size) for size in match["sizes"].split(","))
        if torch.Size(size or 1 for size in sizes).numel() > _VALUES_MAX:
            raise ConfigError(f"{text!r} asks for more than {_VALUES_MAX} values", at=_AT, hint="check the sizes")
        return name, Zeros(sizes)
    if value.lower() in _WORDS:
        return name, _WORDS[value.lower()]
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


def with_arguments(datasets: Datasets, texts: Sequence[str]) -> Datasets:
    """The same data, with further arguments of `forward` by name in every batch.

    Raises:
        ConfigError: text that is no argument, or one name twice.
    """
    if not texts:
        return datasets
    pairs = [parse_argument(text) for text in texts]
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"the argument {twice[0]} is given twice", at=_AT, hint="leave one away")
    arguments = tuple(pairs)
    calibration = _ArgumentBatches(datasets.calibration, arguments)
    is_same = datasets.evaluation is datasets.calibration
    evaluation = calibration if is_same else _ArgumentBatches(datasets.evaluation, arguments)
    return replace(datasets, calibration=calibration, evaluation=evaluation)


@dataclass(frozen=True)
class _ArgumentBatches(ChangedBatches):
    """Batches with the same further arguments in each."""

    arguments: tuple[tuple[str, Value], ...]

    @property
    def preprocessing(self) -> str:
        words = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments)
        return f"{self.inner.preprocessing}; {words}"

    def digest(self) -> str:
        """That of the stored data and of the arguments."""
        return hashlib.sha256(f"{self.inner.digest()} {self.arguments!r}".encode()).hexdigest()

    def changed(self, batch: Batch) -> Batch:
        """With the arguments."""
        count = batch.sample_count
        added = {name: value.of(count) if isinstance(value, Zeros) else value for name, value in self.arguments}
        return replace(batch, kwargs={**batch.kwargs, **added})


def _shown(value: Value) -> str:
    if isinstance(value, Zeros):
        return f"zeros({','.join('N' if size is None else str(size) for size in value.sizes)})"
    return str(value)
