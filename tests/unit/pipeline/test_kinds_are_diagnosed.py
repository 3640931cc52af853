"""Every kind of network is diagnosed without a special case, and left as it was."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.diagnosis import Diagnosis
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.subject import Subject
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.divided import datasets_from
from tests.figures import agreeing, top1_of
from tests.models import KINDS, output_tensors
from tests.runs import diagnose_subject


def diagnosed(model: nn.Module, data: object, scheme: str = "tf-uint8", batch_size: int = 16) -> Diagnosis:
    subject = Subject(model, "module", "net", type(model).__name__)
    found = diagnose_subject(
        subject, datasets_from(data, calib_data=data, batch_size=batch_size), load_preset(scheme),
        options=DiagnoseOptions(with_sensitivity=True, with_bits=True),
    )  # fmt: skip
    # wall times are all that may differ between two runs
    return replace(found, stages=(), measurement=replace(found.measurement, stages=()))


def labelled(name: str, model: nn.Module) -> Batch:
    args, kwargs = KINDS[name].inputs(4, 0)
    with torch.no_grad():
        outputs = output_tensors(model(*args, **kwargs))
    logits = next((x for x in outputs if x.is_floating_point() and x.ndim == 2 and x.shape[1] > 1), None)
    return Batch(args, kwargs, logits.argmax(1) if logits is not None else None)


@pytest.mark.parametrize("name", KINDS)
def test_a_diagnosis_is_made_and_the_network_left_as_it_was(name: str) -> None:
    model = KINDS[name].build()
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 2 == 0)
    next(model.children(), model).train()
    batch = labelled(name, model.eval())
    next(model.children(), model).train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    modes = {key: module.training for key, module in model.named_modules()}
    found = diagnosed(model, [batch])
    assert found.measurement.records and found.sensitivity is not None and found.sensitivity.notes == ()
    # what is drawn from one sample to another is nothing: labels are the float network's own answers
    top1, agree = top1_of(found.ranking.before.task), agreeing(found.ranking.before.task)
    assert (top1 is None) == (batch.labels is None or agree is None)
    assert top1 is None or top1.reference_only == top1.sample_count - (agree or 0)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert modes == {key: module.training for key, module in model.named_modules()}
    assert [p.requires_grad for p in model.parameters()] == [i % 2 == 0 for i, _ in enumerate(model.parameters())]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_twice_the_same_bytes() -> None:
    model = KINDS["depthwise_separable"].build()
    batch = labelled("depthwise_separable", model)
    first, second = (diagnosis_to_json(diagnosed(model, [batch], "w4a8")) for _ in range(2))
    assert first == second


def separable() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """A network, and 16 samples labelled with its own answers."""
    kind = KINDS["depthwise_separable"]
    model = kind.build()
    (x,), _ = kind.inputs(16, 0)
    return model, (x, model(x).argmax(1))


@pytest.fixture(scope="module")
def estimates_on_all_samples() -> Iterator[None]:
    """Fewer samples are whole batches, so that which ones they are depends on the batch size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.pipeline.sensitivity.ESTIMATE_SAMPLES", 16)
        yield


@pytest.fixture(scope="module")
def in_one_batch(estimates_on_all_samples: None) -> Diagnosis:
    del estimates_on_all_samples
    return diagnosed(*separable(), "w4a8")


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_does_not_matter(batch_size: int, in_one_batch: Diagnosis) -> None:
    wanted, found = in_one_batch, diagnosed(*separable(), "w4a8", batch_size)
    assert [(c.code, c.verdict, c.layers) for c in found.ranking.causes] == [
        (c.code, c.verdict, c.layers) for c in wanted.ranking.causes
    ]
    assert found.ranking.harm == wanted.ranking.harm
    for one, other in zip(found.bits, wanted.bits, strict=True):
        # beyond 10 bits, the last bit of a float tips some values over to the next step, and little else is left
        tolerance = 0.01 if one.bits <= 10 else 1.0
        assert one.score.output_sqnr_db == pytest.approx(other.score.output_sqnr_db, abs=tolerance)
    assert found.sensitivity is not None and wanted.sensitivity is not None
    for row, same in zip(found.sensitivity.rows, wanted.sensitivity.rows, strict=True):
        assert row.alone is not None and same.alone is not None
        assert row.alone.output_sqnr_db == pytest.approx(same.alone.output_sqnr_db, abs=0.05)
        assert row.fisher == pytest.approx(same.fisher, rel=1e-3)


def test_what_is_known_already_is_the_same_number() -> None:
    found = diagnosed(*separable(), "int8")
    assert next(point.score for point in found.bits if point.bits == 8) == found.ranking.before


class Predicts(nn.Module):
    """Answers with classes instead of logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x).argmax(1)


def test_a_network_that_answers_with_classes_is_not_called_healthy_or_harmed() -> None:
    found = diagnosed(Predicts().eval(), torch.randn(8, 6))
    assert found.ranking.harm.verdict == "undecided" and found.ranking.ways_around == ()
    assert "let the network return logits" in found.ranking.notes[0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_samples_is_measured_and_said_to_be_too_few(count: int) -> None:
    model = KINDS["plain"].build()
    (x,), _ = KINDS["plain"].inputs(count, 0)
    found = diagnosed(model, (x, model(x).argmax(1)))
    assert "too few" in " ".join(found.ranking.notes) or found.ranking.harm.verdict == "undecided"
    assert found.ranking.claimed == ()
