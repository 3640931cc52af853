"""One part of a network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.errors import LoadError
from qdiag.loaders.models.formats import load_subject
from tests.unit.loaders import model_files as files


def test_a_part_knows_the_whole(tmp_path: Path) -> None:
    files.write_state_dict(files.trained_net(), tmp_path / "weights.pt")
    subject = load_subject(tmp_path / "weights.pt", arch=files.ARCH, submodule="backbone.1")
    assert isinstance(subject.model, nn.BatchNorm2d)
    assert subject.submodule == "backbone.1"
    assert subject.parent is not None
    assert subject.parent.get_submodule("backbone.1") is subject.model


def test_a_part_of_torchscript(tmp_path: Path) -> None:
    net = files.trained_net()
    files.write_scripted(net, tmp_path / "scripted.pt")
    subject = load_subject(tmp_path / "scripted.pt", submodule="backbone")
    with torch.no_grad():
        torch.testing.assert_close(subject.model(files.INPUT), net.backbone(files.INPUT))


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("bakcbone", "did you mean backbone"),
        ("backbone.7", "did you mean backbone"),
        ("zzz", "at its top are backbone, head"),
        ("", "at its top are backbone, head"),
    ],
)
def test_an_unknown_part_gives_the_nearest(path: str, hint: str) -> None:
    with pytest.raises(LoadError, match="no submodule") as caught:
        load_subject(files.ARCH, submodule=path)
    assert hint in str(caught.value.hint)


def test_an_exported_program_has_no_parts(tmp_path: Path) -> None:
    files.write_exported(files.trained_net(), tmp_path / "model.pt2")
    with pytest.raises(LoadError, match="no submodules") as caught:
        load_subject(tmp_path / "model.pt2", submodule="backbone")
    assert "torch.export.export(model.backbone, ...)" in str(caught.value.hint)
