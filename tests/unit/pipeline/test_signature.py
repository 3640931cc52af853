"""Named arrays reach a network by keyword, or as the one dictionary that its forward takes."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import qdiag
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.subject import Subject
from tests.runs import measure_subject


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.extra = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

    def both(self, image: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.image(image)).mean((2, 3)) + self.extra(extra)


class TakesDictionary(Parts):
    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"logits": self.both(batch["image"], batch["extra"])}


class TakesNames(Parts):
    def forward(self, image: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
        return self.both(image, extra)


def archive(folder: Path, **more: np.ndarray) -> str:
    generator = np.random.default_rng(0)
    path = folder / "data.npz"
    arrays = {
        "image": generator.normal(size=(12, 3, 8, 8)).astype(np.float32),
        "extra": generator.normal(size=(12, 5)).astype(np.float32),
    }
    np.savez(path, **arrays, **more)
    return str(path)


def figures(model: nn.Module, data: str) -> list[float]:
    result = measure_subject(Subject(model.eval(), "module", "m", "m"), open_datasets(DataRequest(data)), SCHEME)
    assert [r.kind for r in result.records].count("input") == 2
    return [o.error.sqnr_db for o in result.outputs]


SCHEME = qdiag.load_scheme("int8")


def test_a_dictionary_and_names_give_the_same(tmp_path: Path) -> None:
    data = archive(tmp_path)
    torch.manual_seed(0)
    by_dictionary = TakesDictionary()
    by_names = TakesNames()
    by_names.load_state_dict(by_dictionary.state_dict())
    assert figures(by_dictionary, data) == figures(by_names, data)


def test_an_exported_program_that_takes_a_dictionary(tmp_path: Path) -> None:
    model = TakesDictionary().eval()
    example = {"image": torch.randn(2, 3, 8, 8), "extra": torch.randn(2, 5)}
    shapes = ({name: {0: torch.export.Dim("n", min=1, max=64)} for name in example},)
    program = torch.export.export(model, (example,), dynamic_shapes=shapes)
    subject = Subject(program, "exported_program", "m", "m")
    result = measure_subject(subject, open_datasets(DataRequest(archive(tmp_path))), SCHEME)
    assert [o.name for o in result.outputs] == ["logits"]


def test_arrays_that_are_not_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.zeros((9, 3, 8, 8), np.uint8), labels=np.arange(9), mask=np.zeros((9, 2)))
    assert "not used: mask" in open_datasets(DataRequest(str(path))).evaluation.source
