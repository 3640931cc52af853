"""The digest of data in memory: what it is made of, and that the samples are read for it once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from qdiag.loaders.data.objects import samples_of
from qdiag.loaders.data.samples import Hash, Selection
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.passes.spread import SpreadBatches
from qdiag.targets import target_bytes, target_rows

INPUTS = torch.randn(12, 3, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 5


@dataclass
class Counted:
    """Samples that count how often a digest read them."""

    samples: Any
    reads: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.samples, name)

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        self.reads.append(len(indices))
        self.samples.update_digest(digest, indices)


def test_parts_of_the_data_do_not_read_them_again() -> None:
    counted = Counted(samples_of((INPUTS, LABELS)))
    whole = Selection(counted, tuple(range(12)), 4)
    digests = {whole.digest(), SpreadBatches(whole, 4).digest(), SpreadBatches(whole, 8).digest(), whole.digest()}
    assert len(digests) == 3
    assert counted.reads == [12]


@pytest.mark.parametrize("labels", [None, LABELS, {"kind": LABELS, "place": INPUTS[:, 0]}, [*"abcdefghijkl"]])
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS.mT, INPUTS[:, 0, :1].expand(12, 7), INPUTS.to(torch.complex64)])
def test_the_digest_of_a_tensor_is_that_of_its_rows(inputs: torch.Tensor, labels: Any) -> None:
    stored = batches_from(inputs if labels is None else (inputs, labels))
    expected = hashlib.sha256(f"{stored.preprocessing}\n12\n".encode())
    for index, row in enumerate(inputs):
        expected.update(f"{inputs.dtype} {(1, *row.shape)}\n".encode() + row.contiguous().numpy().tobytes())
        for part in target_bytes(target_rows(labels, [index])) if labels is not None else ():
            expected.update(part)
    assert stored.digest() == expected.hexdigest()


def test_a_data_set_with_its_own_samples_is_not_read_past_them() -> None:
    class Doubled(TensorDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
            return tuple(2 * tensor for tensor in super().__getitem__(index))

    assert batches_from(Doubled(INPUTS)).digest() == batches_from(TensorDataset(2 * INPUTS)).digest()
    assert batches_from(Doubled(INPUTS)).digest() != batches_from(TensorDataset(INPUTS)).digest()
