"""Metrics of the user's own: functions, classes and objects, and what is said when they do not work."""

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from qdiag.errors import ConfigError
from qdiag.simulate.task.meters.groups import FEW_GROUPS, GROUPS, SAMPLES_MIN
from qdiag.simulate.task.meters.held import held_bytes
from qdiag.simulate.task.meters.tally import can_merge
from qdiag.simulate.task.user import MetricRequest, UserFunction, UserMeter, user_task
from tests.judged import gained, is_undefined, judged

N = 60


def answers() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(N, 3, generator=generator)
    reference = targets + 0.3 * torch.randn(N, 3, generator=generator)
    return reference, reference + 0.3 * torch.randn(N, 3, generator=generator), targets


def error_of_samples(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean(1)


def error_of_batch(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs - targets).abs().mean())


class Correlation:
    """Needs all samples at once."""

    higher_is_better = True
    limit = 0.02

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.pairs.append((outputs[:, 0], targets[:, 0]))

    def compute(self) -> Tensor:
        x, y = (torch.cat([pair[i] for pair in self.pairs]) for i in (0, 1))
        return torch.corrcoef(torch.stack([x, y]))[0, 1]


def correlation(outputs: Tensor, targets: Tensor) -> float:
    return float(np.corrcoef(outputs[:, 0].numpy(), targets[:, 0].numpy())[0, 1])


def test_one_score_per_sample() -> None:
    reference, simulated, targets = answers()
    figure = judged(user_task(MetricRequest(error_of_samples, False)), reference, simulated, targets, (25, 35))
    wanted = [np.abs(x.numpy() - targets.numpy()).mean() for x in (reference, simulated)]
    assert (figure.reference, figure.simulated) == (pytest.approx(wanted[0]), pytest.approx(wanted[1]))
    assert figure.criterion.name == "error_of_samples" and figure.loss > 0
    assert figure.loss_interval.low < figure.loss < figure.loss_interval.high
    assert figure.outcomes is not None and figure.outcomes.count == N


def test_one_number_per_batch_has_no_interval() -> None:
    reference, simulated, targets = answers()
    figure = judged(user_task(MetricRequest(error_of_batch, False)), reference, simulated, targets, (10, 50))
    assert figure.simulated == pytest.approx(np.abs(simulated.numpy() - targets.numpy()).mean())
    assert figure.sample_count == N
    assert is_undefined(figure.loss_interval) and figure.outcomes is None


def test_batches_of_one_sample_have_scores_of_samples() -> None:
    reference, simulated, targets = answers()
    one = judged(user_task(MetricRequest(error_of_batch, False)), reference, simulated, targets, (1,) * N)
    other = judged(user_task(MetricRequest(error_of_samples, False)), reference, simulated, targets)
    assert one.loss_interval.low == pytest.approx(other.loss_interval.low, rel=1e-5)


@pytest.mark.parametrize("metric", [Correlation, Correlation()])
def test_classes_and_objects_see_all_samples(metric: object) -> None:
    reference, simulated, targets = answers()
    figure = judged(user_task(MetricRequest(metric)), reference, simulated, targets, (7, 20, 33))
    assert figure.reference == pytest.approx(correlation(reference, targets), abs=1e-5)
    assert figure.simulated == pytest.approx(correlation(simulated, targets), abs=1e-5)
    assert figure.criterion.name == "Correlation" and figure.limit == 0.02


class Merged(Correlation):
    """Counts how often it is handed samples."""

    handed = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        super().update(outputs, targets)
        Merged.handed += len(outputs)

    def merge_state(self, other: "Merged") -> None:
        self.pairs += other.pairs


@pytest.mark.parametrize("metric", [Correlation, Merged])
def test_the_interval_of_an_object_is_a_jackknife_over_groups(metric: type[Correlation]) -> None:
    Merged.handed = 0
    reference, simulated, targets = answers()
    figure = judged(user_task(MetricRequest(metric)), reference, simulated, targets, (7, 20, 33))
    without = []
    groups = GROUPS if hasattr(metric, "merge_state") else FEW_GROUPS
    for group in range(groups):
        kept = torch.tensor([i for i in range(N) if i % groups != group])
        without.append(correlation(reference[kept], targets[kept]) - correlation(simulated[kept], targets[kept]))
    spread = np.sum((np.array(without) - np.mean(without)) ** 2)
    margin = scipy.stats.t.ppf(0.975, groups - 1) * math.sqrt((groups - 1) / groups * spread)
    assert figure.loss_interval.low == pytest.approx(figure.loss - margin, abs=1e-5)
    assert figure.loss_interval.high == pytest.approx(figure.loss + margin, abs=1e-5)
    assert Merged.handed in (0, 2 * 2 * N)  # of both networks, once over all and once in a group


def test_objects_that_hold_too_much_have_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, simulated, targets = answers()
    monkeypatch.setattr("qdiag.simulate.task.meters.tally.HELD_AT_MOST", 400)
    figure = judged(user_task(MetricRequest(Correlation)), reference, simulated, targets, (30, 30))
    assert figure.simulated == pytest.approx(correlation(simulated, targets), abs=1e-5)
    assert is_undefined(figure.loss_interval) and is_undefined(figure.simulated_interval)
    assert math.isfinite(gained(user_task(MetricRequest(Correlation)), reference, simulated, reference, targets).value)


def test_what_an_object_holds_is_counted_once() -> None:
    one, x = Correlation(), torch.zeros(100)
    one.pairs = [(x, x[:50]), (torch.zeros(10), torch.zeros(10))]
    assert held_bytes([one, one]) == 480
    one.more = {"deep": [np.zeros(5), "abc", {1.5, None}]}  # type: ignore[attr-defined]
    assert held_bytes([one]) == 480 + 40 + 3


def test_metrics_of_torchmetrics_are_merged_where_that_is_exact() -> None:
    def dim_zero_mean() -> None: ...
    def dim_zero_sum() -> None: ...

    one = Merged()
    assert can_merge(one) and not can_merge(Correlation())
    for name, value in (
        ("full_state_update", None),
        ("dist_sync_on_step", True),
        ("_reductions", {"a": dim_zero_mean}),
    ):
        other = Merged()
        setattr(other, name, value)
        assert not can_merge(other)
    one._reductions = {"a": dim_zero_sum}  # type: ignore[attr-defined]
    assert can_merge(one)


def test_few_samples_make_no_groups() -> None:
    reference, simulated, targets = (x[: SAMPLES_MIN - 1] for x in answers())
    figure = judged(user_task(MetricRequest(Correlation)), reference, simulated, targets)
    assert math.isfinite(figure.loss) and is_undefined(figure.loss_interval)


def test_an_object_of_the_user_is_left_as_it_was() -> None:
    reference, simulated, targets = answers()
    own = Correlation()
    own.update(reference, targets)
    figure = judged(user_task(MetricRequest(own)), simulated, simulated, targets)
    assert len(own.pairs) == 1
    assert figure.reference == pytest.approx(correlation(simulated, targets), abs=1e-5)


@pytest.mark.parametrize(
    ("attribute", "option", "wanted"),
    [(None, None, True), (True, None, True), (False, None, False), (False, True, True), (True, False, False)],
)
def test_direction_by_attribute_and_by_option(attribute: bool | None, option: bool | None, wanted: bool) -> None:
    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    metric.higher_is_better = attribute  # type: ignore[attr-defined]
    task = user_task(MetricRequest(metric, option))
    assert task.criterion.higher_is_better is wanted
    reference = torch.ones(5, 1)
    assert judged(task, reference, reference - 0.5).loss == (0.5 if wanted else -0.5)
    assert gained(task, reference, reference - 0.5, reference).value == (0.5 if wanted else -0.5)


def test_limits_are_relative_unless_the_user_gives_one() -> None:
    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    x = torch.full((5, 1), 30.0)
    assert judged(user_task(MetricRequest(metric)), x, x).limit == pytest.approx(0.3)
    assert judged(user_task(MetricRequest(metric)), -x, -x).limit == pytest.approx(0.3)
    assert judged(user_task(MetricRequest(metric, limit=2.0)), x, x).limit == 2.0
    metric.limit = 4.0  # type: ignore[attr-defined]
    assert judged(user_task(MetricRequest(metric)), x, x).limit == 4.0
    assert judged(user_task(MetricRequest(metric, limit=0.0)), x, x).limit == 0.0


def test_a_percentage_changes_by_points() -> None:
    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    metric.unit = "%"  # type: ignore[attr-defined]
    criterion = user_task(MetricRequest(metric)).criterion
    assert (criterion.unit, criterion.change_unit, criterion.is_share) == ("%", "pp", True)


def test_several_outputs_come_as_a_tuple() -> None:
    seen: list[Any] = []

    def metric(outputs: Any, targets: Any) -> float:
        seen.append(outputs)
        return 0.0

    x, y = torch.zeros(4, 2), torch.zeros(4, 5)
    judged(user_task(MetricRequest(metric)), (x, y), (x, y))
    assert [tuple(tuple(output.shape) for output in pair) for pair in seen] == [((4, 2), (4, 5))] * 2


def test_what_a_metric_changes_in_place_is_its_own() -> None:
    def share(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.sigmoid_()[:, 0]

    class Sigmoid(Correlation):
        def update(self, outputs: Tensor, targets: Tensor) -> None:
            super().update(outputs.sigmoid_(), targets)

    for metric in (share, Sigmoid):
        reference, simulated, targets = answers()
        before = reference.clone(), simulated.clone()
        judged(user_task(MetricRequest(metric)), reference, simulated, targets)
        assert torch.equal(reference, before[0]) and torch.equal(simulated, before[1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_outputs_of_a_gpu_come_to_the_targets() -> None:
    reference, simulated, targets = answers()
    for metric in (error_of_samples, Correlation):
        task = user_task(MetricRequest(metric))
        own = judged(task, reference.cuda(), simulated.cuda(), targets)
        assert own.loss == pytest.approx(judged(task, reference, simulated, targets).loss, abs=1e-6)


def test_texts_reach_the_metric_and_its_groups() -> None:
    class Hits:
        def __init__(self) -> None:
            self.right = self.count = 0

        def update(self, outputs: Tensor, targets: list[str]) -> None:
            self.right += sum("ab"[int(i)] == text for i, text in zip(outputs.argmax(1), targets, strict=True))
            self.count += len(targets)

        def compute(self) -> float:
            return self.right / self.count

    outputs = torch.randn(N, 2, generator=torch.Generator().manual_seed(3))
    texts = [("ab"[int(i)] if n % 4 else "?") for n, i in enumerate(outputs.argmax(1))]
    figure = judged(user_task(MetricRequest(Hits)), outputs, -outputs, texts, (13, 47))
    assert (figure.reference, figure.simulated) == (0.75, 0.0)
    assert math.isfinite(figure.loss_interval.low)


def test_nan_of_the_user_is_no_good_figure() -> None:
    x = torch.ones(5, 1)
    broken = x.clone()
    broken[2] = torch.nan
    figure = judged(user_task(MetricRequest(lambda outputs, targets: outputs[:, 0])), x, broken)
    assert math.isnan(figure.simulated) and math.isnan(figure.loss) and is_undefined(figure.loss_interval)


def fails(outputs: Any, targets: Any) -> float:
    raise KeyError("no such class")


class Uncopied:
    def __deepcopy__(self, memo: object) -> "Uncopied":
        raise TypeError("cannot pickle a lock")

    def update(self, outputs: Any, targets: Any) -> None: ...
    def compute(self) -> float:
        return 0.0

    def reset(self) -> None: ...


class NoReset:
    def update(self, outputs: Any, targets: Any) -> None: ...
    def compute(self) -> float:
        return 0.0


class NeedsArguments(NoReset):
    def __init__(self, classes: int) -> None:
        self.classes = classes


class GivesVector(NoReset):
    def compute(self) -> Tensor:  # type: ignore[override]
        return torch.zeros(3)


class GivesNames(NoReset):
    def compute(self) -> dict[str, float]:  # type: ignore[override]
        return {"map": 0.5, "mar": 0.6}


class GivesText(NoReset):
    def compute(self) -> str:  # type: ignore[override]
        return "good"


class GivesNothing(NoReset):
    def compute(self) -> None:  # type: ignore[override]
        return None


@pytest.mark.parametrize(
    ("metric", "words", "hint"),
    [
        (fails, "the metric failed: there is no 'no such class' (KeyError", "the data has no labels: labels is None"),
        (
            lambda o, y: torch.zeros(2, 2),
            "the metric returned shape (2, 2) for a batch of 4 samples",
            "return a score for each sample (N,)",
        ),
        (
            lambda o, y: torch.zeros(3),
            "the metric returned shape (3,) for a batch of 4 samples",
            "or one number for the batch",
        ),
        (lambda o, y: None, "the metric returned None", "return a score for each sample"),
        (lambda o, y: "0.5", "the metric returned the text '0.5'", "return a score for each sample"),
        (lambda o, y: object(), "the metric returned an object of type object", "return a score for each sample"),
        (lambda o, y: [torch.zeros(2)] * 4, "the metric returned a list of tensors", "return a score for each sample"),
        (lambda o, y: torch.zeros(4, dtype=torch.complex64), "the metric returned complex numbers", "return a score"),
        (GivesNames, "compute() returned a dictionary", "it holds map, mar: give an object"),
        (GivesText, "compute() returned the text 'good'", "return one number over all samples"),
        (GivesNothing, "compute() returned None", "return one number over all samples"),
        (Uncopied(), "the metric cannot be copied: cannot pickle a lock (TypeError)", "give its class instead"),
        (NoReset(), "NoReset has update and compute, but no reset", "add reset()"),
        (NeedsArguments, "missing 1 required positional argument: 'classes'", None),
        (GivesVector, "compute() returned shape (3,)", "return one number over all samples"),
        (3, "int is not a function", "give fn(outputs, targets)"),
    ],
)
def test_what_does_not_work_is_said(metric: object, words: str, hint: str | None) -> None:
    x = torch.ones(4, 1)
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        judged(user_task(MetricRequest(metric)), x, x)
    assert hint is None or hint in str(caught.value.hint)


def test_figures_of_the_users_code_are_not_kept_between_passes() -> None:
    made = [user_task(MetricRequest(metric)) for metric in (error_of_samples, Correlation)]
    assert [type(task) for task in made] == [UserFunction, UserMeter]
    assert all(task.key is None for task in made)
