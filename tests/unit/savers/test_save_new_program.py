"""A program that no file holds, as `.pt2`."""

from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.errors import WriteError
from qdiag.savers.new_program import save_program


class Input(nn.Module):
    """Whose argument has a name that torch gives no node of a copied graph."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.conv(input)


def test_written_with_its_changes_and_left_as_it_was(tmp_path: Path) -> None:
    program = torch.export.export(Input().eval(), (torch.zeros(2, 3, 4, 4),))
    before = {name: value.clone() for name, value in program.state_dict.items()}

    save_program(program, {"conv.bias": torch.arange(4.0)}, tmp_path / "new.pt2")

    read = torch.export.load(tmp_path / "new.pt2").state_dict
    assert torch.equal(read["conv.bias"], torch.arange(4.0))
    assert torch.equal(read["conv.weight"], before["conv.weight"])
    assert all(torch.equal(program.state_dict[name], value) for name, value in before.items())
    for changes in ({"conv.gamma": torch.ones(4)}, {"conv.bias": torch.ones(5)}):
        with pytest.raises(WriteError, match="it holds no tensor conv"):
            save_program(program, changes, tmp_path / "other.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["new.pt2"]
