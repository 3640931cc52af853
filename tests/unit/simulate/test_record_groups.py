"""Groups in a record are those of the convolution, whatever the layer before it has."""

import torch
from torch import Tensor, nn

import qdiag
from qdiag.reading.words.layers import op_words


class Halves(nn.Module):
    """One half of the channels goes through a whole convolution, the result through a grouped one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.right = nn.Conv2d(4, 4, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.upwards = nn.ConvTranspose2d(8, 8, 2, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).split(4, 1)
        out: Tensor = self.upwards(self.grouped(torch.cat([left, self.right(right)], 1)))
        return out


def test_groups_are_those_of_the_layer() -> None:
    torch.manual_seed(0)
    found = qdiag.measure(Halves(), torch.randn(4, 3, 5, 5))
    records = {record.name: record for record in found.records}
    words = {name: op_words(records[name]) for name in ("stem", "right", "grouped", "upwards")}
    assert words == {"stem": "conv 1x1", "right": "conv 3x3", "grouped": "conv 3x3 g4", "upwards": "conv-t 2x2 g2"}
    assert [records[name].groups for name in words] == [1, 1, 4, 2]
