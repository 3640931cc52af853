"""A fused network is a model of its own: proved, repaired, written, and read again in both forms."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Datasets
from qdiag.config import load_scheme
from qdiag.core.causes.repair import check_written
from qdiag.errors import ConfigError
from qdiag.loaders.data.sources import batches_from
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.fusion.repair import FusedRepair, fuse_and_repair
from qdiag.pipeline.repair import RepairOptions
from qdiag.savers.save import save_subject
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.networks.branches import conv_bn, randomized
from tests.unit.pipeline.test_branches import faint_identity

_ARCH = "zoo:repvgg_small?width=0.25"


def _fused(
    subject: Subject, repairs: Sequence[str], images: Tensor, *, as_program: bool = True, layers: Sequence[str] = ()
) -> FusedRepair:
    data = batches_from(images)
    options = RepairOptions(repairs, layers)
    with open_session() as session:
        scheme = load_scheme("tf-uint8")
        return fuse_and_repair(session, subject, Datasets(data, data, "same"), scheme, options, as_program=as_program)


def _images(size: int = 10, count: int = 6) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def _module(network: nn.Module) -> Subject:
    return Subject(network, "module", "net", "net")


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    return faint_identity()


@pytest.fixture(scope="module")
def repaired(network: nn.Sequential) -> FusedRepair:
    return _fused(_module(network), ("fuse_branches", "absorb_identity"), _images())


def test_both_repairs_are_made_and_the_proof_is_of_the_two_together(repaired: FusedRepair) -> None:
    fuse, absorb = repaired.result.steps

    assert (fuse.refused, absorb.refused) == (None, None)
    assert fuse.layers == ("1.rbr_reparam", "2.rbr_reparam", "3.rbr_reparam")
    assert fuse.tensors[:2] == ("1.rbr_reparam.weight", "1.rbr_reparam.bias")
    assert absorb.layers == ("0.0", "1.rbr_reparam")
    change = repaired.result.float_change
    assert change is not None and change.relative_delta <= 1e-5
    before, after = repaired.result.before, repaired.result.after
    assert before is not None and after is not None
    assert after.outputs[0].error.sqnr_db > before.outputs[0].error.sqnr_db + 10.0


def test_the_program_is_read_again_and_has_no_branches_any_more(
    repaired: FusedRepair, network: nn.Sequential, tmp_path: Path
) -> None:
    assert repaired.subject is not None
    save_subject(repaired.subject, repaired.changes, tmp_path / "fused.pt2")

    read = load_subject(str(tmp_path / "fused.pt2"))
    with torch.no_grad():
        expected = network(_images())
        delta = (read.model.module()(_images()) - expected).abs().max()  # type: ignore[operator]
    assert float(delta) <= 1e-4 * float(expected.abs().max())
    for name, value in repaired.changes.items():
        assert torch.equal(read.model.state_dict[name], value)  # type: ignore[index]
    again = _fused(read, ("fuse_branches",), _images())
    assert again.subject is None and again.result.exit_code == 1
    assert again.result.steps[0].refused == "the network has no parallel linear branches"


def test_the_deployed_form_of_the_zoo_takes_the_state_dict(tmp_path: Path) -> None:
    subject = load_subject(_ARCH)
    randomized(subject.model)  # type: ignore[arg-type]

    fused = _fused(subject, ("fuse_branches",), _images(16, 2), as_program=False)

    assert fused.subject is not None
    save_subject(fused.subject, fused.changes, tmp_path / "fused.pth")
    state = torch.load(tmp_path / "fused.pth", weights_only=True)
    assert "stage1.0.rbr_reparam.weight" in state and not any("rbr_dense" in name for name in state)
    read = load_subject(str(tmp_path / "fused.pth"), arch=_ARCH)
    with torch.no_grad():
        expected, actual = subject.model(_images(16)), read.model(_images(16))  # type: ignore[operator]
    assert float((actual - expected).abs().max()) <= 1e-4 * float(expected.abs().max())


def test_a_state_dict_without_a_network_that_takes_it_is_refused(network: nn.Sequential) -> None:
    with pytest.raises(ConfigError, match="no deployed form") as error:
        _fused(_module(network), ("fuse_branches",), _images(), as_program=False)
    assert error.value.hint is not None and ".pt2" in error.value.hint


def test_where_nothing_can_be_fused_the_other_repairs_go_on() -> None:
    network = nn.Sequential(conv_bn(3, 6, 3), nn.ReLU(), conv_bn(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
    randomized(network)

    found = _fused(_module(network), ("fuse_branches", "equalize"), _images())

    assert found.subject is None and found.changes
    assert [step.refused for step in found.result.steps] == ["the network has no parallel linear branches", None]


def test_blocks_are_chosen_by_their_names(network: nn.Sequential) -> None:
    found = _fused(_module(network), ("fuse_branches",), _images(), layers=("2", "3"))

    assert found.result.steps[0].layers == ("2.rbr_reparam", "3.rbr_reparam")
    with pytest.raises(ConfigError, match="no block of branches is called nowhere"):
        _fused(_module(network), ("fuse_branches",), _images(), layers=("nowhere",))


def test_what_gives_another_network_comes_first() -> None:
    with pytest.raises(ConfigError, match="comes first"):
        check_written(("equalize", "fuse_branches"))
