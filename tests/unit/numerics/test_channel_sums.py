"""Sums by channel against numpy in float64."""

import numpy as np
import pytest
import torch

from qdiag.numerics.channel_sums import channel_table, column_extremes, column_sums, table_chunks
from qdiag.simulate.facts.inputs import InputChannels
from qdiag.simulate.facts.observer import _ChannelErrors


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last)


def test_pieces_of_a_table_can_be_laid_side_by_side() -> None:
    """At 48 channels, whose 10,922 rows in 2 MiB are no multiple of four, extremes took three times as long."""
    *pieces, last = (piece.shape[0] for (piece,) in table_chunks(torch.zeros(25000, 48)))
    assert pieces and all(rows % 64 == 0 for rows in pieces)
    assert sum(pieces) + last == 25000


@pytest.mark.parametrize("rows", [1, 7, 64, 100, 1024])
def test_columns_are_those_of_numpy(rows: int) -> None:
    table = torch.randn(rows, 5, generator=torch.Generator().manual_seed(1)) + 3.0
    wide = table.double().numpy()
    assert np.allclose(column_sums(table).numpy(), wide.sum(0), rtol=1e-6)
    low, high = column_extremes(table)
    assert (low.numpy() == table.numpy().min(0)).all() and (high.numpy() == table.numpy().max(0)).all()


def test_a_table_is_a_view_of_channels_last_images_and_nothing_else() -> None:
    x = images(3, 4, 6, 5)
    table = channel_table(x, 1)
    assert table is not None and table.data_ptr() == x.data_ptr()
    assert torch.equal(table, x.permute(0, 2, 3, 1).reshape(-1, 4))
    assert channel_table(x.contiguous(), 1) is None
    assert channel_table(x.double(), 1) is None


def test_chunks_hold_every_row_once() -> None:
    table = torch.arange(3 << 19, dtype=torch.float32).view(-1, 2)
    pieces = [piece for (piece,) in table_chunks(table)]
    assert len(pieces) == 3 and torch.equal(torch.cat(pieces), table)


def test_moments_of_inputs_do_not_depend_on_the_layout() -> None:
    x = 0.01 * images(6, 4, 9, 9) + torch.tensor([1000.0, 0.0, -5.0, 2.0]).view(1, 4, 1, 1)
    x[:, 3] = 2.0
    found, want = (InputChannels(is_padded=False) for _ in range(2))
    for part in x.split(2):
        found.add(part, 1)
        want.add(part.double(), 1)
    one, other = found.moments(), want.moments()
    assert one is not None and other is not None
    for name in ("min", "max", "mean", "variance"):
        assert torch.allclose(getattr(one, name), getattr(other, name), rtol=2e-4, atol=1e-9), name
    assert float(one.variance[3]) == 0.0


@pytest.mark.parametrize("clamp", [None, (0.0, 1.0)])
@pytest.mark.parametrize("is_finite", [True, False])
def test_errors_by_channel_do_not_depend_on_the_layout(clamp: tuple[float, float] | None, is_finite: bool) -> None:
    reference = images(4, 3, 8, 8)
    local = reference + 0.1 * images(4, 3, 8, 8, seed=2) + 0.05
    if not is_finite:
        local[0, 1, 2, 3] = float("nan")
    fast, slow = _ChannelErrors(), _ChannelErrors()
    fast.add(reference, local, 1, clamp)
    slow.add(reference.contiguous(), local.contiguous(), 1, clamp)
    assert fast.mean_shift_fraction() == pytest.approx(slow.mean_shift_fraction(), rel=1e-5)
    assert fast.sqnr_db_median() == pytest.approx(slow.sqnr_db_median(), rel=1e-6)
