"""Counts and intervals of the task view."""

import math

import numpy as np
import pytest
import torch

from qdiag.batches import Batch
from qdiag.core.measures.outcomes import SampleOutcomes, unpack_bits
from qdiag.core.measures.task import Figure, PairedCounts, TaskResult
from qdiag.errors import ConfigError, DataError
from qdiag.simulate.task.base import Task
from qdiag.simulate.task.choice.choose import TaskRequest, choose_tasks
from qdiag.simulate.task.choice.hints import Output
from qdiag.simulate.task.choice.label_values import LabelValues
from qdiag.simulate.task.choice.seen import Seen
from qdiag.simulate.task.classes import Agreement, Logits, TopK
from qdiag.simulate.task.tasks import Tasks, TaskSink
from qdiag.simulate.task.user import MetricRequest, user_task


def run(reference: torch.Tensor, simulated: torch.Tensor, labels: torch.Tensor | None, size: int = 7) -> TaskResult:
    where = Logits(0, reference.shape[1])
    criteria: tuple[Task, ...] = (Agreement(where),)
    if labels is not None:
        criteria = (TopK(where), *([TopK(where, 5)] if where.classes > 5 else []), *criteria)
    return measured(criteria, reference, simulated, labels, [size] * math.ceil(len(reference) / size))


def measured(
    criteria: tuple[Task, ...],
    reference: torch.Tensor,
    simulated: torch.Tensor,
    labels: torch.Tensor | None,
    sizes: list[int],
) -> TaskResult:
    """The figures of `criteria` over batches of these sizes."""
    sink, first = TaskSink(Tasks(criteria)), 0
    for size in sizes:
        part = slice(first, first + size)
        batch = Batch((reference[part],), labels=None if labels is None else labels[part])
        sink.add(batch, reference=(reference[part],), simulated=(simulated[part],))
        first += size
    return sink.result()


def counts_of(result: TaskResult, name: str) -> PairedCounts:
    figure = result.figure(name)
    assert figure is not None and figure.counts is not None
    return figure.counts


def agreeing(result: TaskResult) -> int:
    return counts_of(result, "agreement").both


def outcomes_of(result: TaskResult, name: str) -> SampleOutcomes:
    figure = result.figure(name)
    assert figure is not None and figure.outcomes is not None
    return figure.outcomes


def logits(n: int = 100, classes: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(n, classes, generator=generator)
    simulated = reference + 0.7 * torch.randn(n, classes, generator=generator)
    labels = torch.where(
        torch.rand(n, generator=generator) < 0.7,
        reference.argmax(1),
        torch.randint(classes, (n,), generator=generator),
    )
    return reference, simulated, labels


def test_counts_equal_numpy() -> None:
    reference, simulated, labels = logits()
    result = run(reference, simulated, labels)
    r, s, y = reference.numpy(), simulated.numpy(), labels.numpy()
    right_r, right_s = r.argmax(1) == y, s.argmax(1) == y
    assert counts_of(result, "top-1") == PairedCounts(
        int((right_r & right_s).sum()),
        int((right_r & ~right_s).sum()),
        int((~right_r & right_s).sum()),
        int((~right_r & ~right_s).sum()),
    )
    assert agreeing(result) == int((r.argmax(1) == s.argmax(1)).sum())
    order = np.argsort(-r, axis=1)[:, :5]
    assert counts_of(result, "top-5").reference_percent == pytest.approx(100 * (order == y[:, None]).any(1).mean())
    assert result.sample_count == 100


def test_without_labels_there_is_agreement_and_no_accuracy() -> None:
    reference, simulated, _ = logits()
    result = run(reference, simulated, None)
    assert result.accuracy is None
    assert result.figure("top-1") is None and result.figure("top-5") is None
    assert result.agreement is not None and result.agreement.counts is not None


def test_few_classes_have_no_top5() -> None:
    reference, simulated, labels = logits(classes=4)
    tasks = choose_tasks(TaskRequest(), Seen([Output(0, "out", (4,))], labels, lambda: LabelValues(0, 3), "classes"))
    result = measured(tasks.criteria, reference, simulated, labels, [100])
    assert result.figure("top-1") is not None
    assert result.figure("top-5") is None


def test_maps_are_no_logits() -> None:
    x = torch.randn(4, 3, 8, 8)
    tasks = choose_tasks(TaskRequest(), Seen([Output(0, "out", (3, 8, 8))], None, LabelValues, "none"))
    result = measured(tasks.criteria, x, x, None, [4])
    assert tasks.logits is None
    assert result.agreement is None and result.figure("agreement") is None


def test_a_row_of_nan_is_never_right() -> None:
    reference, simulated, labels = logits()
    simulated[:10] = float("nan")
    broken = counts_of(run(reference, simulated, labels), "top-1")
    kept = counts_of(run(reference[10:], simulated[10:], labels[10:]), "top-1")
    assert broken.both == kept.both


@pytest.mark.parametrize("label", [-1, 10, 1000])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    reference, simulated, labels = logits()
    labels[3] = label
    with pytest.raises(DataError, match=f"label {label}"):
        run(reference, simulated, labels)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Coverage over simulated experiments with a known drop, small samples included."""
    generator = np.random.default_rng(0)
    for n, lost, won in ((60, 0.08, 0.02), (200, 0.03, 0.02), (500, 0.10, 0.01)):
        counts = generator.multinomial(n, (lost, won, 1 - lost - won), size=3000)
        inside = 0
        for only_reference, only_simulated, rest in counts:
            interval = PairedCounts(int(rest), int(only_reference), int(only_simulated), 0).drop_interval_pp
            inside += interval.low <= 100 * (lost - won) <= interval.high
        assert 0.93 <= inside / 3000 <= 0.995


def test_interval_of_no_disagreement_is_not_a_point() -> None:
    interval = PairedCounts(50, 0, 0, 0).drop_interval_pp
    assert interval.low < 0 < interval.high


def scored(
    function: object, reference: torch.Tensor, simulated: torch.Tensor, labels: torch.Tensor | None, sizes: list[int]
) -> Figure:
    judged = measured((user_task(MetricRequest(function)),), reference, simulated, labels, sizes).judged
    assert judged is not None
    return judged


def test_metric_per_sample_has_an_interval() -> None:
    def margin(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return outputs.gather(1, labels.unsqueeze(1)).squeeze(1)

    reference, simulated, labels = logits()
    score = scored(margin, reference, simulated, labels, [30, 70])
    a, b = margin(reference, labels).double().numpy(), margin(simulated, labels).double().numpy()
    assert score.reference == pytest.approx(a.mean())
    assert score.simulated == pytest.approx(b.mean())
    error = (a - b).std(ddof=1) / np.sqrt(len(a))
    assert score.loss_interval.high - score.loss_interval.low == pytest.approx(2 * 1.95996 * error, rel=1e-3)


def test_metric_per_batch_is_weighted_by_its_samples() -> None:
    x = torch.randn(10, 3)
    score = scored(lambda outputs, labels: float(outputs.mean()), x, x + 1, None, [3, 7])
    assert score.reference == pytest.approx(float(x.mean()), abs=1e-6)
    assert score.simulated == pytest.approx(float(x.mean()) + 1, abs=1e-6)
    assert math.isnan(score.loss_interval.low) and math.isnan(score.loss_interval.high)


class Largest:
    """A torchmetrics-like class: what it computes needs all samples."""

    def __init__(self) -> None:
        self.value = -float("inf")

    def update(self, outputs: torch.Tensor, labels: torch.Tensor | None) -> None:
        self.value = max(self.value, float(outputs.max()))

    def compute(self) -> float:
        return self.value


def test_metric_class_is_made_once_per_network() -> None:
    x = torch.randn(10, 3)
    score = scored(Largest, x, 2 * x, None, [10])
    assert (score.reference, score.simulated) == (float(x.max()), float(2 * x.max()))


def test_broken_metrics_are_the_users_fault() -> None:
    x = torch.randn(4, 3)

    def fails(outputs: torch.Tensor, labels: object) -> float:
        raise KeyError("no such class")

    for function, match in ((fails, "KeyError"), (lambda o, y: torch.zeros(2, 2), "shape")):
        with pytest.raises(ConfigError, match=match):
            scored(function, x, x, None, [4])
    with pytest.raises(ConfigError, match="not a function"):
        user_task(MetricRequest(3))


def test_outcomes_of_samples_come_to_the_same_counts() -> None:
    reference, simulated, labels = logits(n=101)
    task = run(reference, simulated, labels)
    kept, own = outcomes_of(task, "top-1"), outcomes_of(task, "agreement")
    assert kept.count == own.count == 101
    paired = PairedCounts.of_bits(reference=kept.reference, simulated=kept.simulated, count=101)
    assert paired == counts_of(task, "top-1")
    agree = unpack_bits(own.simulated, 101)
    assert agree is not None
    assert [bool(agree >> i & 1) for i in range(101)] == (reference.argmax(1) == simulated.argmax(1)).tolist()
    top5 = task.figure("top-5")
    assert top5 is not None and top5.outcomes is None


def test_outcomes_without_labels_hold_agreement_alone() -> None:
    reference, simulated, _ = logits(n=20)
    result = run(reference, simulated, None)
    kept = outcomes_of(result, "agreement")
    assert [figure.criterion.name for figure in result.figures] == ["agreement"]
    assert kept.simulated
    assert not kept.reference
    assert PairedCounts.of_bits(reference=kept.reference, simulated=kept.simulated, count=20) is None


def test_equal_logits_are_told_apart_as_argmax_does() -> None:
    """8-bit outputs have ties; where labels are the float network's top-1, flips and drop must be one number."""
    reference, simulated, _ = logits(n=400, classes=20)
    coarse = (simulated * 2.0).round() / 2.0
    assert (coarse == coarse.amax(1, keepdim=True)).sum() > 400
    result = run(reference, coarse, reference.argmax(1))
    assert counts_of(result, "top-1").reference_only == 400 - agreeing(result)
    order = np.argsort(-coarse.numpy(), axis=1, kind="stable")[:, :5]
    wanted = (order == reference.argmax(1).numpy()[:, None]).any(1)
    assert counts_of(result, "top-5").simulated_percent == pytest.approx(100 * wanted.mean())


def test_nan_in_one_network_alone_is_no_agreement() -> None:
    reference = torch.tensor([[1.0, 0.0], [1.0, 0.0], [torch.nan, 0.0], [torch.nan, 0.0]])
    simulated = torch.tensor([[torch.nan, 0.0], [2.0, 0.0], [torch.nan, 1.0], [1.0, 0.0]])
    result = run(reference, simulated, torch.zeros(4, dtype=torch.int64))
    assert agreeing(result) == 2  # the same answer, and no answer of either
    assert counts_of(result, "top-1") == PairedCounts(both=1, reference_only=1, simulated_only=1, neither=1)
