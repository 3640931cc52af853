"""Nothing is lost when writing is refused or fails half-way."""

from pathlib import Path

import pytest
import torch

from qdiag.errors import UntrustedError, WriteError
from qdiag.files.atomic import whole_file
from qdiag.loaders.models.formats import load_subject
from qdiag.savers import checkpoint
from qdiag.savers.save import save_subject
from tests.unit.loaders.model_files import ARCH, trained_net

NEW = {"backbone.1.running_var": torch.tensor([1.5, 2.5, 3.5, 4.5])}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt"
    torch.save(trained_net().state_dict(), path)
    return path


def test_the_input_is_replaced_only_in_place(source: Path) -> None:
    before = source.read_bytes()
    subject = load_subject(source, arch=ARCH)
    with pytest.raises(WriteError, match="the model that was read") as refusal:
        save_subject(subject, NEW, source, force=True)
    assert refusal.value.hint is not None
    assert "`in_place`" in refusal.value.hint
    assert source.read_bytes() == before
    source.chmod(0o640)
    save_subject(subject, NEW, source, in_place=True)
    assert torch.equal(torch.load(source)["backbone.1.running_var"], NEW["backbone.1.running_var"])
    assert source.stat().st_mode & 0o777 == 0o640


def test_a_link_to_the_input_counts_as_the_input_and_stays_a_link(source: Path) -> None:
    link = source.with_name("link.pt")
    link.symlink_to(source)
    subject = load_subject(source, arch=ARCH)
    with pytest.raises(WriteError, match="the model that was read"):
        save_subject(subject, NEW, link)
    save_subject(subject, NEW, link, in_place=True)
    assert link.is_symlink()
    assert torch.equal(torch.load(source)["backbone.1.running_var"], NEW["backbone.1.running_var"])


def test_another_file_is_not_overwritten(source: Path) -> None:
    other = source.with_name("precious.pt")
    other.write_bytes(b"precious")
    with pytest.raises(WriteError, match="such a file already"):
        save_subject(load_subject(source, arch=ARCH), NEW, other)
    assert other.read_bytes() == b"precious"
    with pytest.raises(WriteError, match="such a file already"):
        save_subject(load_subject(source, arch=ARCH), NEW, other, in_place=True)
    save_subject(load_subject(source, arch=ARCH), NEW, other, force=True)
    assert torch.equal(torch.load(other)["backbone.1.running_var"], NEW["backbone.1.running_var"])


def test_a_failure_while_writing_leaves_the_old_file(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: object, stream: object, **options: object) -> None:
        stream.write(b"half a file")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    before = source.read_bytes()
    subject = load_subject(source, arch=ARCH)
    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(WriteError, match="the disk is full"):
        save_subject(subject, NEW, source, in_place=True)
    assert source.read_bytes() == before
    assert [path.name for path in source.parent.iterdir()] == ["net.pt"]


def test_what_reads_back_differently_never_gets_the_name(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.save

    def lose_a_bit(content: dict[str, torch.Tensor], stream: object, **options: object) -> None:
        real({**content, "head.bias": content["head.bias"] + 1.0}, stream, **options)

    before = source.read_bytes()
    subject = load_subject(source, arch=ARCH)
    monkeypatch.setattr(checkpoint.torch, "save", lose_a_bit)
    with pytest.raises(WriteError, match=r"reads back differently.*head\.bias"):
        save_subject(subject, NEW, source, in_place=True)
    assert source.read_bytes() == before


def test_a_pickle_is_not_executed_again_without_trust(tmp_path: Path) -> None:
    source = tmp_path / "net.pt"
    torch.save(trained_net(), source)
    subject = load_subject(source, trust=True)
    with pytest.raises(UntrustedError):
        save_subject(subject, NEW, tmp_path / "fixed.pt")


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "fixed.pt"
    with pytest.raises(KeyboardInterrupt), whole_file(target) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
