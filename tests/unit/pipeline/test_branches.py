"""What is measured of branches, against the same figures by hand; and what a fused network is worth."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.batches import Datasets
from qdiag.compare.layers import match_layers
from qdiag.compare.sides import Side
from qdiag.config import load_scheme
from qdiag.core.measures.branches import BranchBlock, BranchesReport, block_layers
from qdiag.core.measures.measurement import lowest_sqnr_db
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.branches import UNTRAINED, measure_branches
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.networks.branches import RepVGGBlock, conv_bn, randomized, stack_of

_FAINT = 2
"""A channel of the first block's input that hardly moves, so that the identity's BatchNorm blows it up."""


def faint_identity() -> nn.Sequential:
    """Two RepVGG blocks and a QARepVGG block; the first one's input has a faint channel, as its BatchNorm knows."""
    torch.manual_seed(0)
    network = stack_of(RepVGGBlock(6, 6), RepVGGBlock(6, 6), RepVGGBlock(6, 6, identity_bn=False, after=True))
    randomized(network)
    with torch.no_grad():
        network[0][0].weight[_FAINT] *= 1e-3
        network[0][0].bias[_FAINT] = 0.0
        faint = network[0](_images())[:, _FAINT]
        norm = network[1].rbr_identity
        norm.running_mean[_FAINT], norm.running_var[_FAINT] = faint.mean(), faint.var()
        norm.eps = 1e-9
    return network.eval()


def _images() -> Tensor:
    return torch.randn(12, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def _measured(network: nn.Module, scheme: str = "tf-uint8") -> BranchesReport:
    data = batches_from(_images(), 4)
    with open_session() as session:
        subject = Subject(network, "module", "net", "net")
        return measure_branches(session, subject, Datasets(data, data, "the same"), load_scheme(scheme))


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    return faint_identity()


@pytest.fixture(scope="module")
def report(network: nn.Sequential) -> BranchesReport:
    return _measured(network)


@pytest.fixture(scope="module")
def values(network: nn.Sequential) -> dict[str, np.ndarray]:
    """Outputs of all modules, and inputs of the blocks, by hooks."""
    seen: dict[str, np.ndarray] = {}
    hooks = [
        module.register_forward_hook(
            lambda _m, args, out, name=name: seen.update(
                {name: out.detach().double().numpy(), f"{name}.x": args[0].double().numpy()}
            )  # type: ignore[misc]
        )
        for name, module in network.named_modules()
        if name
    ]
    with torch.no_grad():
        network(_images())
    for hook in hooks:
        hook.remove()
    return seen


def _blocks(report: BranchesReport) -> Iterator[tuple[str, BranchBlock]]:
    return zip(("1", "2", "3"), report.blocks, strict=True)


def test_blocks_stand_where_their_layers_are(report: BranchesReport) -> None:
    assert [(block.name, block.fused_layer) for block in report.blocks] == [
        ("1", "1.rbr_reparam"),
        ("2", "2.rbr_reparam"),
        ("3", "3.rbr_reparam"),
    ]
    assert report.after is not None
    for block in report.blocks:
        assert block.layer in {record.name for record in report.before.records}
        assert block.fused_layer in {record.name for record in report.after.records}
    assert report.block("3").norm is not None and report.block("3").norm.name == "3.bn"  # type: ignore[union-attr]


def test_variances_and_means_are_those_of_the_modules(report: BranchesReport, values: dict[str, np.ndarray]) -> None:
    axes = (0, 2, 3)
    for name, block in _blocks(report):
        outputs = {"rbr_dense": values[f"{name}.rbr_dense"], "rbr_1x1": values[f"{name}.rbr_1x1"]}
        outputs["rbr_identity" if name != "3" else "identity"] = values[f"{name}.rbr_identity"]
        for branch in block.branches:
            expected = outputs[branch.name.rpartition(".")[2]]
            assert branch.activations is not None
            np.testing.assert_allclose(branch.activations.mean, expected.mean(axes), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(branch.activations.variance, expected.var(axes), rtol=1e-5)
        total = sum(outputs.values())
        assert block.sum is not None and block.output is not None
        np.testing.assert_allclose(block.sum.variance, total.var(axes), rtol=1e-5)  # type: ignore[union-attr]
        np.testing.assert_allclose(block.output.variance, values[f"{name}.nonlinearity.x"].var(axes), rtol=1e-5)
        parts = sum(output.var(axes).mean() for output in outputs.values())
        assert block.variance_inflation == pytest.approx(total.var(axes).mean() / parts, rel=1e-5)  # type: ignore[union-attr]


def test_the_lemma_by_hand(report: BranchesReport, network: nn.Sequential, values: dict[str, np.ndarray]) -> None:
    block, module = report.block("2"), network[2]
    wanted = -values["2.rbr_identity"].mean((0, 2, 3)) / 2.0
    three, one = (m.bn.bias.detach().double().numpy() for m in (module.rbr_dense, module.rbr_1x1))
    rms = lambda x: float(np.sqrt(np.square(x).mean()))  # noqa: E731

    assert block.alignment is not None
    np.testing.assert_allclose(block.alignment.wanted, wanted, rtol=1e-6)
    first, second = block.alignment.branches
    assert (first.branch, second.branch) == ("2.rbr_dense", "2.rbr_1x1")
    assert first.distance == pytest.approx(rms(three - wanted) / rms(wanted), rel=1e-6)
    assert second.correlation == pytest.approx(np.corrcoef(one, wanted)[0, 1], rel=1e-6)
    assert block.alignment.beta_difference == pytest.approx(rms(three - one) / rms(wanted), rel=1e-6)


def test_the_identity_with_a_huge_alpha_breaks_c1_and_is_named(report: BranchesReport, network: nn.Sequential) -> None:
    block = report.block("1")
    identity = block.identity
    assert identity is not None and identity.norm is not None

    norm = network[1].rbr_identity
    alpha = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().double()
    assert identity.norm.widest_channel == _FAINT
    assert identity.norm.gain_max_abs == pytest.approx(float(alpha.abs().max()), rel=1e-6)
    assert identity.norm.gain_range == pytest.approx(float(alpha.max() - alpha.min()), rel=1e-6)
    assert identity.norm.gain_std == pytest.approx(float(alpha.std(unbiased=False)), rel=1e-6)
    assert block.c1 is not None and block.c1.holds is False
    assert block.c1.at_fault == "1.rbr_identity"
    assert [report.block(name).c1.holds for name in ("2", "3")] == [True, True]  # type: ignore[union-attr]


def test_c1_is_the_sqnr_of_the_fused_weight_in_the_fused_network(report: BranchesReport) -> None:
    assert report.after is not None
    by_name = {record.name: record for record in report.after.records}
    for block in report.blocks:
        weight = by_name[block.fused_layer or ""].weight
        assert weight is not None and block.fusion is not None and block.c1 is not None
        assert block.weight_channel_sqnr_db == pytest.approx(weight.channel_sqnr_db_median, abs=1e-3)
        assert block.c1.sqnr_db == min(block.weight_channel_sqnr_db, block.weight_output_sqnr_db)
        assert (block.fusion.weight.min, block.fusion.weight.max) == pytest.approx((weight.min, weight.max), rel=1e-6)
        assert block.fusion.weight_shape == weight.shape


@pytest.fixture(scope="module")
def per_channel(network: nn.Sequential) -> BranchesReport:
    return _measured(network, "int8")


def test_a_loss_by_fusion_is_seen_where_the_weights_make_it(report: BranchesReport) -> None:
    assert [block.makes_fusion_loss for block in report.blocks] == [True, False, False]
    assert [block.has_fusion_loss for block in report.blocks] == [True, True, True]
    assert next(repair.layers for repair in report.repairs if repair.repair == "keep_float") == ("1.rbr_reparam",)


def test_rounding_of_the_weight_alone_by_hand(report: BranchesReport, network: nn.Sequential) -> None:
    """The weight with the scale of its record, in NumPy, and the float input."""
    assert report.after is not None
    x = network[0](_images())
    for name, block in _blocks(report):
        assert block.fusion is not None
        weight = report.after.record(block.fused_layer or "").weight
        assert weight is not None and weight.quantizer is not None and weight.quantizer.scale is not None
        module, scale = network[int(name)], weight.quantizer.scale
        kernel = _fused_kernel(module)
        steps = np.round(kernel / scale)
        noise = torch.from_numpy(steps * scale - kernel).float()
        with torch.no_grad():
            reference = module(x)
            before = torch.nn.functional.conv2d(x, torch.from_numpy(kernel).float(), padding=1)
            bias = _bias(module, x, before)
            simulated = (before + bias + torch.nn.functional.conv2d(x, noise, padding=1)).relu()
            error = (simulated - reference).double().square().sum()
            expected = 10.0 * math.log10(float(reference.double().square().sum() / error))
        assert block.weight_output_sqnr_db == pytest.approx(expected, abs=0.05)
        x = reference


def _fused_kernel(module: nn.Module) -> np.ndarray:
    """By hand: every branch's kernel times its gain, added up at the centre."""
    gain = lambda bn: (bn.weight / (bn.running_var + bn.eps).sqrt()).detach().double().numpy()  # noqa: E731
    assert isinstance(module, RepVGGBlock)
    is_after = isinstance(module.bn, nn.BatchNorm2d)
    kernel = module.rbr_dense.conv.weight.detach().double().numpy() * gain(module.rbr_dense.bn)[:, None, None, None]
    point = module.rbr_1x1 if is_after else module.rbr_1x1.conv
    centre = point.weight.detach().double().numpy()[:, :, 0, 0]
    centre = centre if is_after else centre * gain(module.rbr_1x1.bn)[:, None]
    kernel[:, :, 1, 1] += centre
    kernel[:, :, 1, 1] += np.eye(6) if is_after else np.diag(gain(module.rbr_identity))
    return kernel * gain(module.bn)[:, None, None, None] if is_after else kernel


def _bias(module: nn.Module, x: Tensor, product: Tensor) -> Tensor:
    """What the block adds to the product with its fused weight, from its own output before the ReLU."""
    assert isinstance(module, RepVGGBlock)
    skip = module.rbr_identity(x)
    whole = module.bn(module.rbr_dense(x) + module.rbr_1x1(x) + skip)
    return (whole - product).mean((0, 2, 3), keepdim=True)


def test_with_a_scale_per_channel_the_weights_bear_it_and_the_activations_do_not(per_channel: BranchesReport) -> None:
    block = per_channel.block("1")

    assert block.c1 is not None and block.c1.holds and block.c1.at_fault is None
    assert block.c2 is not None and block.c2.holds is False and block.c2.at_fault == "1.rbr_identity"
    assert all(per_channel.block(name).c2.holds for name in ("2", "3"))  # type: ignore[union-attr]


def test_c2_by_hand(per_channel: BranchesReport, network: nn.Sequential) -> None:
    assert per_channel.after is not None
    quantizers = {record.name: record.quantizer for record in per_channel.after.records}

    def rounded(x: Tensor, layer: str) -> Tensor:
        quantizer = quantizers[layer]
        assert quantizer is not None and quantizer.scale is not None
        steps = (x.double() / quantizer.scale).round() * quantizer.scale
        return steps.clamp(quantizer.range_min, quantizer.range_max).float()

    before = "0.0"
    with torch.no_grad():
        x = network[0](_images())
        for name, block in _blocks(per_channel):
            module, layer = network[int(name)], f"{name}.rbr_reparam"
            reference = module(x)
            error = rounded(module(rounded(x, before)), layer) - reference
            expected = 10.0 * math.log10(float(reference.double().square().sum() / error.double().square().sum()))
            assert block.c2 is not None and block.c2.sqnr_db == pytest.approx(expected, abs=0.05)
            x, before = reference, layer


def test_fusion_is_exact_and_both_networks_are_measured_at_the_same_place(report: BranchesReport) -> None:
    assert report.after is not None
    assert report.float_relative_delta <= 1e-5
    before = {record.name: record.propagated for record in report.before.records}
    after = {record.name: record.propagated for record in report.after.records}
    for block in report.blocks:
        assert block.fusion is not None and block.fusion.relative_delta <= 1e-5
        assert block.before == before[block.layer]
        assert block.after == after[block.fused_layer or ""]
        assert block.before is not None and block.after is not None
        # the same float values at both places
        assert block.before.signal_power == pytest.approx(block.after.signal_power, rel=1e-4)


def test_how_far_fusion_moves_the_output_is_told_over_all_batches(
    report: BranchesReport, network: nn.Sequential
) -> None:
    with torch.no_grad():
        largest = float(network(_images()).abs().max())
    assert report.float_relative_delta == pytest.approx(report.float_max_abs_delta / largest, rel=1e-5)


def test_a_comparison_pairs_each_block_with_its_fused_convolution(report: BranchesReport) -> None:
    assert report.after is not None
    sides = Side(report.before.records, block_layers(report.blocks, report.before.records)), Side(report.after.records)
    matching = match_layers(*sides, has_same_signals=True)
    fused = {m.before.name: m.after.name for m in matching.matches if m.matched_by == "fused block"}
    assert fused == {block.layer: block.fused_layer for block in report.blocks}
    assert matching.new == ()
    assert {record.name for record in matching.missing} == {name for block in sides[0].blocks for name in block.inside}
    for match in matching.matches:
        assert match.before.local.signal_power == pytest.approx(match.after.local.signal_power, rel=1e-5)
    # results stored before blocks were kept: no branch is taken for the whole
    unknown = match_layers(Side(report.before.records), Side(report.after.records), has_same_signals=True)
    assert {m.matched_by for m in unknown.matches} == {"name"}


def test_the_harm_of_fusing_is_undone_without_training(report: BranchesReport) -> None:
    tried = {repair.repair: repair for repair in report.repairs}

    assert tuple(tried) == UNTRAINED
    assert all("1.rbr_reparam" in repair.layers for repair in report.repairs if repair.refused is None)
    best = max(repair.recovery.recovered_db for repair in report.repairs if repair.recovery is not None)
    assert best > 1.0
    for repair in report.repairs:
        if repair.score is not None and repair.recovery is not None and report.after is not None:
            gained = repair.score.output_sqnr_db - lowest_sqnr_db(report.after.outputs, report.after.task)
            assert repair.recovery.recovered_db == pytest.approx(gained, abs=1e-6)


def test_a_network_without_branches_has_none() -> None:
    network = nn.Sequential(
        conv_bn(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )

    report = _measured(randomized(network))

    assert (report.blocks, report.after, report.repairs) == ((), None, ())
    assert math.isnan(report.float_max_abs_delta)
    assert report.before.outputs


def test_the_network_is_left_as_it_was(report: BranchesReport, network: nn.Sequential) -> None:
    before = faint_identity().state_dict()

    assert report.blocks
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
