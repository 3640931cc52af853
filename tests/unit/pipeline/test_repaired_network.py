"""The layers of the repaired network in a diagnosis: those of the network repaired by itself and measured anew."""

from dataclasses import replace

import pytest
import torch

import qdiag
from qdiag.batches import Datasets
from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.repairs.overlay import with_changes
from qdiag.subject import Subject
from tests.runs import diagnose_subject, measure_subject
from tests.unit.pipeline.test_fix_bn import Net, fixed

TF_UINT8 = qdiag.load_scheme("tf-uint8")
QUICK = DiagnoseOptions(with_sensitivity=False, with_bits=False, raises=True)
COUNT, SOME, SPARSE = 96, 64, ["pool", "head"]


def net_of(revived: tuple[int, ...] = ()) -> Net:
    """Always the same weights."""
    torch.manual_seed(0)
    return Net(revived)


def subject_of(net: torch.nn.Module) -> Subject:
    return Subject(net, "module", "net", "Net")


def datasets() -> Datasets:
    """96 samples in batches of 8, labelled by the float network, so that its loss is one of accuracy."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(COUNT, 6, 4, 4, generator=generator)
    with torch.no_grad():
        labels = net_of()(images).argmax(1)
    batches = batches_from((images, labels), batch_size=8)
    return Datasets(batches, batches, "the same")


@pytest.fixture(scope="module")
def harmed() -> Diagnosis:
    """Its layers are measured on two thirds of the samples, and the last ones, which have few values, on all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.simulate.layerwise.samples.LEAST_VALUES", 5000)
        return diagnose_subject(subject_of(net_of()), datasets(), TF_UINT8, QUICK)


def test_a_healthy_network_has_none() -> None:
    """The same channels, alive: nothing is repaired, and no pass is made for it."""
    net = net_of((1, 2))
    for norm in (net.bn1, net.bn2):
        norm.running_var[[1, 2]] = 1.0
    found = diagnose_subject(subject_of(net), datasets(), TF_UINT8, QUICK)
    assert not found.ranking.waterfall and found.repaired_network is None


def test_layers_are_those_of_the_network_that_was_repaired_by_itself(harmed: Diagnosis) -> None:
    """The reference is the repair of `qdiag fix-bn` in the model, captured, calibrated and measured anew."""
    assert [step.repair for step in harmed.ranking.waterfall] == ["reset_variance_mean"]
    found = harmed.repaired_network
    assert found is not None and found.settings == ()
    assert found.sample_count == harmed.measurement.layer_sample_count == SOME
    assert [record.local.count for record in found.records] == [r.local.count for r in harmed.measurement.records]
    assert [r.name for r in found.records if r.on_fewer is not None] == SPARSE
    _, changes = fixed(net_of())
    every = measure_subject(with_changes(subject_of(net_of()), changes), datasets(), TF_UINT8)
    assert [record.name for record in found.records] == [record.name for record in every.records]
    for own, expected in zip(found.records, every.records, strict=True):
        assert own.quantizer == expected.quantizer
        assert own.local.count * COUNT == expected.local.count * (COUNT if own.name in SPARSE else SOME)
        assert own.local.sqnr_db == pytest.approx(expected.local.sqnr_db, abs=1.0), "two thirds of the samples"
        assert own.range is None or own.range.histogram is None
    worst = min(harmed.measurement.records, key=lambda record: record.local.sqnr_db)
    [after] = [record for record in found.records if record.name == worst.name]
    assert after.local.sqnr_db > worst.local.sqnr_db + 10.0


@pytest.mark.parametrize("options", [replace(QUICK, full_losses=True), QUICK])
def test_all_samples_where_the_untreated_network_was_measured_on_all(options: DiagnoseOptions) -> None:
    """With all losses; and where fewer samples would not give a layer enough values."""
    with pytest.MonkeyPatch.context() as patch:
        if options.full_losses:
            patch.setattr("qdiag.simulate.layerwise.samples.LEAST_VALUES", 5000)
        found = diagnose_subject(subject_of(net_of()), datasets(), TF_UINT8, options)
    assert found.repaired_network is not None
    assert found.measurement.layer_sample_count is None and found.repaired_network.sample_count == COUNT
    counts = [record.local.count for record in found.repaired_network.records]
    assert counts == [record.local.count for record in found.measurement.records]


def test_all_samples_where_everything_is_asked_for(harmed: Diagnosis) -> None:
    """And then the figures are those of the network that was repaired by itself, to the last digits of float32."""
    found = diagnose_subject(subject_of(net_of()), datasets(), TF_UINT8, replace(QUICK, is_exhaustive=True))
    assert found.repaired_network is not None and harmed.repaired_network is not None
    assert found.repaired_network.sample_count == COUNT
    _, changes = fixed(net_of())
    every = measure_subject(with_changes(subject_of(net_of()), changes), datasets(), TF_UINT8)
    for own, expected in zip(found.repaired_network.records, every.records, strict=True):
        assert own.local.sqnr_db == pytest.approx(expected.local.sqnr_db, abs=1e-3)
        assert own.propagated.sqnr_db == pytest.approx(expected.propagated.sqnr_db, abs=1e-3)
