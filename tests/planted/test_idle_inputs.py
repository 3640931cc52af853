"""Weights on inputs that carry nothing: what is printed repairs the network, and the float network stays."""

import pytest
import torch
from torch import nn

from qdiag.batches import Datasets
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.repair import RepairOptions, repair_model
from qdiag.reading.words.causes import commands
from qdiag.repairs.overlay import with_changes
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.faults_weights import idle_inputs
from tests.planted.networks import DATA, Chain, fit_classifier
from tests.runs import diagnose_subject

PER_CHANNEL, PER_TENSOR = scheme(per_channel=True), scheme()


def constant_inputs(gain: float) -> Chain:
    """As `idle_inputs`, but what the filters give is a constant other than zero."""
    model, constant = idle_inputs(gain), 0.5
    with torch.no_grad():
        model.stem[0].bias[[2, 5, 9]] = constant
        model.body[0].bias -= constant * model.body[0].weight[:, [2, 5, 9]].sum((1, 2, 3))
    return fit_classifier(model)


NETWORKS = {
    "zero, a scale per channel": Network(lambda: idle_inputs(300.0), PER_CHANNEL),
    "zero, one scale": Network(lambda: idle_inputs(300.0), PER_TENSOR),
    "constant": Network(lambda: constant_inputs(100.0), PER_CHANNEL),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_printed_command_repairs_it(name: str) -> None:
    network = NETWORKS[name]
    found = diagnosis(network)
    first = found.ranking.causes[0]
    assert (first.code, first.verdict, first.layers) == ("QD107", "cause", ("body.0",))
    assert first.sites[0].inputs == (2, 5, 9)
    (line, *_) = commands(found, "net.pt2", ())
    assert line == "qdiag repair net.pt2 --with clip_idle_weights -o net.fixed.pt2"

    model = network.build()
    assert isinstance(model, nn.Module)
    subject = Subject(model, "module", "net", "Chain")
    datasets = Datasets(batches_from(DATA.calibration), batches_from(DATA.measured), "drawn apart")
    with open_session() as session:
        result, changes = repair_model(
            session, subject, datasets, network.scheme, RepairOptions(("clip_idle_weights",))
        )
    assert result.steps[0].refused is None
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False)
    repaired = diagnose_subject(with_changes(subject, changes), datasets, network.scheme, options)
    assert repaired.ranking.harm.verdict == "healthy"
    assert finding(repaired, "QD107") is None


@pytest.mark.parametrize("build", [lambda: idle_inputs(1.0), lambda: constant_inputs(1.0)], ids=["zero", "constant"])
@pytest.mark.parametrize("how", [PER_CHANNEL, PER_TENSOR], ids=["a scale per channel", "one scale"])
def test_the_healthy_twin_is_silent(build: object, how: object) -> None:
    found = diagnosis(Network(build, how))  # type: ignore[arg-type]
    assert finding(found, "QD107") is None
    assert found.ranking.harm.verdict != "harmed"
