"""Some rows of large images: spread over each of them, in the layout that they had."""

import pytest
import torch

from qdiag.numerics.layout import some_rows


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("values", "rows"), [(480, [1, 3, 5, 7, 9, 11]), (240, [2, 6, 10]), (192, [2, 7]), (1, [6])])
def test_every_so_many_th_row_of_each_image_is_left(layout: torch.memory_format, values: int, rows: list[int]) -> None:
    x = torch.rand(2, 4, 12, 20).contiguous(memory_format=layout)
    found = some_rows(x, values)
    assert torch.equal(found, x[:, :, rows]) and found.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("shape", [(2, 4, 12, 20), (2, 4, 240), (0, 4, 12, 20), (7,)])
def test_what_is_small_or_no_image_is_left_whole(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape)
    assert some_rows(x, 500) is x
