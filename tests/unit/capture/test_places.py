"""The line of the user's code that calls an operation."""

import torch
from torch import Tensor, nn

import qdiag
from qdiag.capture.places import source_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x))
        return y + 1.0


def test_each_layer_carries_the_line_that_calls_it() -> None:
    found = qdiag.measure(Net().eval(), torch.randn(4, 3, 5, 5))
    sources = {record.name: record.source for record in found.records}
    assert sources["conv"].startswith("test_places.py:")
    assert sources["conv"].endswith(": y = torch.relu(self.conv(x))")
    assert sources["input:x"] == ""


def test_no_path_of_the_machine_is_kept() -> None:
    node = torch.fx.Graph().placeholder("x")
    node.meta["stack_trace"] = '  File "/home/someone/net.py", line 7, in forward\n    return self.conv(x)\n'
    assert source_of(node) == "net.py:7: return self.conv(x)"
    node.meta["stack_trace"] = '  File "/home/someone/net.py", line 7, in forward'
    assert source_of(node) == "net.py:7"
    node.meta["stack_trace"] = f'  File "{torch.__file__}", line 7, in forward\n    x'
    assert source_of(node) == ""
