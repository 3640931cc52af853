"""The same figures on a GPU, where there is one; a clear refusal where there is none."""

from pathlib import Path

import pytest
import torch

import qdiag
from qdiag.cli.app import run
from tests.models import KINDS

HAS_CUDA = torch.cuda.is_available()


@pytest.mark.cuda
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device here")
@pytest.mark.parametrize("name", ["depthwise_separable", "residual", "vit_sdpa"])
def test_cuda_equals_cpu(name: str) -> None:
    from qdiag.batches import Batch

    data = [Batch(*KINDS[name].inputs(4, seed)) for seed in range(2)]
    cpu = qdiag.measure(KINDS[name].build(), data, device="cpu")
    gpu = qdiag.measure(KINDS[name].build(), data, device="cuda")
    for a, b in zip(cpu.records, gpu.records, strict=True):
        assert b.local.sqnr_db == pytest.approx(a.local.sqnr_db, abs=0.2)
        assert b.propagated.sqnr_db == pytest.approx(a.propagated.sqnr_db, abs=0.5)


@pytest.mark.cuda
@pytest.mark.skipif(not HAS_CUDA, reason="no CUDA device here")
@pytest.mark.parametrize("scheme", sorted(path.stem for path in Path("configs").glob("*.toml")))
def test_every_preset_gives_the_same_on_both(scheme: str) -> None:
    model, (images, *_) = KINDS["depthwise_separable"].build(), KINDS["depthwise_separable"].inputs(8, 0)[0]
    cpu = qdiag.measure(model, images, scheme=scheme, device="cpu")
    gpu = qdiag.measure(model, images, scheme=scheme, device="cuda")
    assert gpu.size == cpu.size
    for a, b in zip(cpu.records, gpu.records, strict=True):
        assert b.quantizer is None or (a.quantizer is not None and b.quantizer.bits == a.quantizer.bits)
        assert b.local.sqnr_db == pytest.approx(a.local.sqnr_db, abs=0.3)


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device here")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(qdiag.QdiagError, match="no CUDA device") as caught:
        qdiag.measure(KINDS["plain"].build(), torch.randn(2, 3, 16, 16), device="cuda")
    assert caught.value.at == "device" and "--" not in str(caught.value), "Python has parameters, no options"


@pytest.mark.skipif(HAS_CUDA, reason="there is a CUDA device here")
def test_a_command_says_which_option_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.pt2").touch()
    assert run(["sqnr", str(tmp_path / "net.pt2"), "--input-shape", "1,3,8,8", "--device", "cuda"]) == 2
    assert "where: --device cuda" in capsys.readouterr().err


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(qdiag.QdiagError, match="unknown device"):
        qdiag.measure(KINDS["plain"].build(), torch.randn(2, 3, 16, 16), device="tpu")
