"""Diagnoses of real networks: the failure of arXiv 1803.08607 is named and ranked; healthy ones stay silent."""

import csv
from pathlib import Path

import pytest

from qdiag.batches import Datasets
from qdiag.config import load_preset
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import DataRequest, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.numerics.spearman import rank_correlation
from qdiag.pipeline.begin import begin
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.rank.trials import costs_too_much
from qdiag.reading.words.causes import headline
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.changes import without_quantizers
from qdiag.simulate.session import open_session
from qdiag.simulate.task.scoring import float_cost
from qdiag.subject import Subject
from tests.figures import top1_of
from tests.runs import diagnose_subject, sensitivity_of_subject

pytestmark = pytest.mark.real

MEASURED = 48
"""Images: enough for intervals of 14 points around a loss of 67; the full set takes ten times as long."""
ORDERED = 32
"""Images for an order of layers by the noise at the output, of which every image has a thousand numbers."""
DEAD = {f"blocks.{block}.dw": count for block, count in ((0, 10), (1, 2), (2, 2), (5, 1), (10, 1), (11, 1), (12, 4))}


def mobilenet_on(real_data: Path, samples: int) -> tuple[Subject, Datasets]:
    subject = load_subject(str(real_data / "mobilenet_v1_0.75_224.safetensors"), arch="zoo:mobilenet_v1?width=0.75")
    request = DataRequest(
        data=str(real_data / "imagenet_val_600"),
        preprocessing=preset("tf").override(crop=224),
        samples=samples,
        calib_samples=32,
    )
    return subject, open_datasets(request)


@pytest.fixture(scope="module")
def mobilenet(real_data: Path) -> tuple[Subject, Datasets]:
    return mobilenet_on(real_data, MEASURED)


@pytest.fixture(scope="module")
def diagnosis(mobilenet: tuple[Subject, Datasets]) -> Diagnosis:
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    return diagnose_subject(*mobilenet, load_preset("tf-uint8"), options=options)


def test_the_dead_depthwise_channels_are_the_first_cause(diagnosis: Diagnosis) -> None:
    first = diagnosis.ranking.causes[0]
    assert (first.code, first.verdict) == ("QD301", "cause")
    assert {site.layer: len(site.channels) for site in first.sites} == DEAD
    reset = next(trial for trial in first.trials if trial.repair == "reset_variance_mean")
    assert reset.recovery is not None and reset.placebo is not None
    assert reset.recovery.recovered_task > 40.0
    assert reset.placebo.recovery.recovered_task < 20.0, "on 32 samples, of which 4 are 12.5 %"
    assert reset.float_cost is not None
    assert reset.float_cost.loss == 0.0 and reset.float_cost.relative_delta < 1e-3


def test_what_is_left_is_in_the_weights_and_has_a_way_around(diagnosis: Diagnosis) -> None:
    ranking = diagnosis.ranking
    assert ranking.waterfall[0].code == "QD301"
    float_percent = top1_of(ranking.before.task).reference_percent  # type: ignore[union-attr]
    parts = {part.part: part for part in ranking.parts}
    assert parts["activations"].before.task_value > float_percent - 5.0
    assert parts["weights"].before.task_value < float_percent - 40.0
    suspected = {site.layer for cause in ranking.causes for site in cause.sites if cause.code in ("QD101", "QD302")}
    assert "blocks.12.dw" in suspected  # the live outlier
    assert ranking.way_around is not None and ranking.way_around.repair == "per_channel_weights"
    assert ranking.way_around.after is not None and ranking.way_around.after.task_value > float_percent - 5.0


def test_relu6_is_not_replaced_where_the_float_network_needs_it(mobilenet: tuple[Subject, Datasets]) -> None:
    with open_session() as session:
        case = begin(session, *mobilenet, load_preset("tf-uint8")).case
        treated = REPAIRS["replace_relu6"].apply(case, (), RepairContext(session=session)).case
        (scored,), _ = session.score([without_quantizers(treated)], "float")
    cost = float_cost(scored)
    assert cost.loss > 4.0  # 76.4 to 65.6 on all 500 images
    assert costs_too_much(cost) is not None


def test_the_sensitivity_order_is_that_of_the_measured_table(real_data: Path) -> None:
    subject, datasets = mobilenet_on(real_data, ORDERED)
    result = sensitivity_of_subject(
        subject, datasets, load_preset("tf-uint8"), SensitivityOptions("weights", with_all_but=False)
    )
    names = [row.layer for row in result.most_sensitive]
    assert names[:3] == ["blocks.0.dw", "blocks.1.dw", "blocks.2.dw"]
    with (real_data / "mobilenet_v1_0.75_layers.csv").open() as file:
        table = list(csv.DictReader(file))
    wanted = {row["layer"]: float(row["logit_sqnr_if_only_this_W8pt_dB"]) for row in table}
    ours = {row.layer: row.alone.output_sqnr_db for row in result.rows if row.alone is not None}
    shared = sorted(set(wanted) & set(ours))
    assert len(shared) >= 25
    correlation = rank_correlation([wanted[n] for n in shared], [ours[n] for n in shared])
    print(f"rank correlation with the table over {len(shared)} layers: {correlation:.3f}")
    assert correlation > 0.9
    assert result.fisher_rank_correlation > 0.6


HEALTHY = {
    "resnet20_cifar10": ("resnet20_cifar10", "cifar10_test2000.npz", "imagenet-stats", 240),
    "nin_cifar10": ("nin_cifar10", "cifar10_test2000.npz", "cifar10", 240),
    "mobilenet_v1_0.25_vww96": ("mobilenet_v1_025_vww", "vww96_600.npz", "none", 400),
}
"""Architecture, data, preprocessing, and how many samples tell that it is healthy."""


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("resnet20_cifar10", "int8"), ("nin_cifar10", "tf-uint8"), ("mobilenet_v1_0.25_vww96", "tf-uint8")],
)
def test_nothing_is_claimed_in_healthy_networks(real_data: Path, name: str, scheme: str) -> None:
    arch, data, preprocessing, samples = HEALTHY[name]
    subject = load_subject(str(real_data / f"{name}.safetensors"), arch=f"{real_data / 'networks.py'}:{arch}")
    request = DataRequest(
        data=str(real_data / data),
        preprocessing=preset(preprocessing),
        samples=samples,
        calib_samples=100,
        batch_size=50,
    )
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    result = diagnose_subject(subject, open_datasets(request), load_preset(scheme), options=options)
    found = result.ranking
    assert found.harm.verdict == "healthy"
    assert found.claimed == () and found.waterfall == ()
    is_sure = found.harm.interval.high <= found.harm.limit
    words = "Nothing to repair" if is_sure else "No harm was measured, but the samples are too few to be sure"
    assert headline(found).startswith(f"{words}: quantization ")
    nothing = "harmless" if is_sure else "undecided"  # of too few samples nothing is called harmless
    assert all(cause.verdict in (nothing, "untested") for cause in found.causes)
    if name.endswith("vww96") and scheme == "tf-uint8":
        dead = [cause for cause in found.causes if cause.code == "QD301"]
        assert dead and dead[0].verdict == nothing  # zero variance alone is no cause
        assert result.batchnorms is not None and result.batchnorms.dead_count == 1540
