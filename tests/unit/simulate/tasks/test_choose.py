"""Which output is judged, and by what: by labels, names, operations, and by what the user says."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.core.measures.task import TaskResult
from qdiag.errors import ConfigError, QdiagError
from qdiag.simulate.task.user import MetricRequest

N = 24


class Net(nn.Module):
    """A small network whose outputs are made by `heads`, each of them behind its name."""

    def __init__(self, **heads: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Any:
        x = self.conv(x).relu()
        return {name: head(x) for name, head in self.heads.items()}


def vector(columns: int, *more: nn.Module) -> nn.Module:
    torch.manual_seed(columns)  # the same head each time, whatever was drawn before
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, columns), *more)


def pixels(classes: int) -> nn.Module:
    torch.manual_seed(classes)
    return nn.Conv2d(6, classes, 1)


def images() -> Tensor:
    return torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def task_of(net: nn.Module, labels: Any = None, **words: Any) -> TaskResult:
    return qdiag.measure(net, images() if labels is None else (images(), labels), **words).task


def names(task: TaskResult) -> list[str]:
    return [figure.criterion.name for figure in task.figures]


def zeros_and_ones() -> Tensor:
    return torch.arange(N) % 2


THREE = {"boxes": vector(4), "kinds": vector(10), "faces": vector(2)}


def test_labels_choose_the_output_that_they_fit() -> None:
    task = task_of(Net(**THREE), zeros_and_ones())
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("classify", "faces", "labels")
    assert names(task) == ["top-1", "agreement"]


def test_more_classes_choose_a_wider_output() -> None:
    task = task_of(Net(**THREE), torch.arange(N) % 9)
    assert (task.choice.output, names(task)) == ("kinds", ["top-1", "top-5", "agreement"])


def test_the_figure_is_that_of_the_chosen_output() -> None:
    net = Net(**THREE)
    task = task_of(net, zeros_and_ones())
    with torch.no_grad():
        answers = net(images())["faces"].argmax(1)
    assert task.judged is not None
    assert task.judged.reference == pytest.approx(100.0 * float((answers == zeros_and_ones()).float().mean()))


def test_a_name_decides_between_two_that_fit_alike() -> None:
    task = task_of(Net(first=vector(4), logits=vector(4)), torch.arange(N) % 4)
    assert task.choice.output == "logits"


def test_logits_beside_an_embedding_are_found_by_name() -> None:
    task = task_of(Net(embedding=vector(16), logits=vector(10)))
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("classify", "logits", "name")
    assert (task.choice.named_by, names(task)) == ("logits", ["agreement"])


def test_an_output_without_a_name_or_labels_is_judged_by_sqnr() -> None:
    for name in ("out", "embedding"):
        task = task_of(Net(**{name: vector(10)}))
        assert (task.choice.kind, task.choice.output, task.choice.reason) == ("none", name, "no_sign")
        assert task.figures == () and task.judged is None
    assert task_of(Net(first=vector(4), second=vector(4))).choice.output == "", "all of several are judged"


class Last(nn.Module):
    """A network whose last layer has a name of its own."""

    def __init__(self, name: str, last: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.name = nn.Conv2d(3, 6, 3, padding=1), name
        self.add_module(name, last)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = getattr(self, self.name)(self.conv(x).relu())
        return found


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("fc", vector(1)),
        ("head", pixels(4)),
        ("scores", pixels(1)),
        ("prediction", nn.Sequential(nn.Flatten(2), nn.Linear(64, 5))),
        ("fc", vector(3, nn.Sigmoid())),
    ],
)
def test_a_layer_called_head_makes_a_classifier_of_a_vector_alone(name: str, other: nn.Module) -> None:
    """These names are one set of words: what else the layer gives is tried with one of them each."""
    found = task_of(Last(name, vector(3))).choice
    assert (found.kind, found.reason) == ("classify", "name") and found.named_by.startswith(name)
    task = task_of(Last(name, other))
    assert (task.choice.kind, task.figures) == ("none", ())


@pytest.mark.parametrize("name", ["classifier", "logits"])
def test_a_layer_named_after_classes_says_so_of_maps_too(name: str) -> None:
    task = task_of(Last(name, pixels(4)))
    assert (task.choice.kind, task.choice.reason, names(task)) == ("segment", "name", ["pixel agreement"])
    assert task.choice.named_by.startswith(name)
    assert task_of(Last(name, pixels(1))).choice.kind == "none"


class Shifted(nn.Module):
    """Multiplies each number and adds to it."""

    def __init__(self, factors: list[float], offsets: list[float]) -> None:
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))
        self.register_buffer("offsets", torch.tensor(offsets))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors + self.offsets


@pytest.mark.parametrize("name", ["fc", "head"])
def test_numbers_of_unequal_size_are_no_classes_for_a_layer_called_fc(name: str) -> None:
    """Two places in pixels and a radius as a share of the width."""
    place = Shifted([60.0, 60.0, 0.5], [32.0, 32.0, 0.2])
    choice = task_of(Last(name, vector(3, place))).choice
    assert (choice.kind, choice.output, choice.reason) == ("none", "output", "unequal_numbers")
    assert choice.named_by.startswith(name)
    asked = task_of(Last(name, vector(3, place)), task="classify").choice
    assert (asked.kind, asked.reason) == ("classify", "asked")


def test_other_evidence_leaves_a_classifier_one() -> None:
    level = Shifted([1.0, 1.0, 1.0], [100.0, 0.0, -100.0])  # samples of one class alone
    constant = Shifted([1.0, 1.0, 0.0], [0.0, 0.0, 0.0])
    unequal = Shifted([60.0, 60.0, 0.5], [0.0, 0.0, 0.0])
    for net in (Last("fc", vector(3, level)), Last("fc", vector(3, constant)), Last("logits", vector(3, unequal))):
        assert task_of(net).choice.reason == "name"
    assert task_of(Last("fc", vector(3, unequal)), torch.arange(N) % 3).choice.reason == "labels"
    few = qdiag.measure(Last("fc", vector(3, unequal)), images()[:3]).task.choice
    assert few.reason == "name", "a spread of three samples says nothing"


def test_float_targets_make_a_regression_of_a_layer_called_fc() -> None:
    choice = task_of(Last("fc", vector(3)), torch.randn(N, 3)).choice
    assert (choice.kind, choice.output, choice.reason) == ("regress", "output", "targets")


class TwoHeads(nn.Module):
    def __init__(self, second: str, columns: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pool, self.second = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), second
        self.head_boxes = nn.Linear(3, 4)
        self.add_module(second, nn.Linear(3, columns))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.pool(x)
        return self.head_boxes(x), getattr(self, self.second)(x)


def test_the_names_of_several_layers_decide_nothing() -> None:
    assert task_of(TwoHeads("head_kinds", 10)).choice.kind == "none"
    found = task_of(TwoHeads("head_age", 1)).choice
    assert (found.kind, found.named_by) == ("classify", "head_boxes")
    assert task_of(TwoHeads("kinds", 10), output="1", task="classify").choice.output == "1"


def test_a_softmax_at_the_end_is_a_classifier() -> None:
    task = task_of(Net(a=vector(4), b=vector(10, nn.Softmax(1))))
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("classify", "b", "softmax")


def test_masks_choose_segmentation() -> None:
    masks = torch.randint(0, 5, (N, 8, 8), generator=torch.Generator().manual_seed(2))
    masks[:, 0] = 255
    task = task_of(Net(depth=pixels(1), out=pixels(5)), masks)
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("segment", "out", "targets")
    assert names(task) == ["mIoU", "pixel accuracy", "pixel agreement"]


def test_masks_of_one_foreground_choose_the_single_channel() -> None:
    task = task_of(Net(out=pixels(1)), torch.randint(0, 2, (N, 8, 8)))
    assert task.choice.kind == "segment"
    assert task.judged is not None and task.judged.criterion.name == "mIoU"


def late_class(high: int) -> Tensor:
    """Masks of 0 and 1, but for one pixel of the last one."""
    masks = torch.arange(N * 64).reshape(N, 8, 8) % 2
    masks[-1, 0, 0] = high
    return masks


def one_hot(masks: Tensor, classes: int) -> Tensor:
    return nn.functional.one_hot(masks, classes).movedim(-1, 1).float()


def test_all_masks_decide_whether_they_fit() -> None:
    data = lambda masks: [(x, y) for x, y in zip(images().split(8), masks.split(8), strict=True)]  # noqa: E731
    net = Net(two=pixels(2), five=pixels(5))
    assert qdiag.measure(net, data(late_class(1))).task.choice.output == "two"
    assert qdiag.measure(net, data(late_class(4))).task.choice.output == "five"
    with pytest.raises(ConfigError, match="fit no output") as caught:
        qdiag.measure(net, data(late_class(7)))
    assert "the largest class in the masks is 7" in str(caught.value.hint)


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
def test_one_hot_masks_are_masks(kind: torch.dtype) -> None:
    masks = torch.randint(0, 3, (N, 8, 8), generator=torch.Generator().manual_seed(2))
    assert task_of(Net(out=pixels(3)), one_hot(masks, 3).to(kind)) == task_of(Net(out=pixels(3)), masks)


def test_float_masks_of_a_single_channel_are_masks() -> None:
    masks = late_class(1)
    for given in (masks.float(), masks.float().unsqueeze(1)):
        assert task_of(
            Net(
                out=pixels(
                    1,
                )
            ),
            given,
        ) == task_of(Net(out=pixels(1)), masks)
    assert task_of(Net(out=pixels(4)), masks.float()) == task_of(Net(out=pixels(4)), masks)


def test_one_soft_value_makes_targets_of_masks() -> None:
    soft = late_class(1).float()
    soft[-1, 0, 0] = 0.5
    assert task_of(Net(out=pixels(1)), soft).choice.kind == "regress"
    soft = one_hot(late_class(1), 2)
    soft[-1, :, 0, 0] = 0.5
    assert task_of(Net(out=pixels(2)), soft).choice.kind == "regress"
    assert task_of(Net(out=pixels(1)), late_class(1).float(), task="regress").choice.kind == "regress"


@pytest.mark.parametrize("kind", [torch.float32, torch.int64])
def test_one_hot_rows_are_class_numbers(kind: torch.dtype) -> None:
    classes = torch.arange(N) * 5 % 4
    net = Net(pose=vector(3), kinds=vector(4))
    assert task_of(net, nn.functional.one_hot(classes, 4).to(kind)) == task_of(net, classes)
    assert task_of(net, one_hot(classes, 4) + 0.1).choice.kind == "regress"


def test_the_peak_of_images_is_that_of_all_of_them() -> None:
    bright = torch.rand(N, 3, 8, 8)
    bright[-1, 0, 0, 0] = 255.0
    net = Net(out=pixels(3))
    dark, found = (
        qdiag.measure(net, list(zip(images().split(8), y.split(8), strict=True))).task
        for y in (bright.clamp(0, 1), bright)
    )
    assert dark.judged is not None and found.judged is not None
    assert found.judged.reference > dark.judged.reference + 20.0


def test_whole_numbers_for_each_pixel_of_one_channel_are_no_masks() -> None:
    """Depth in centimetres: more values than background and foreground."""
    task = task_of(Net(out=pixels(1)), torch.randint(0, 90, (N, 8, 8)))
    assert task.choice.kind == "regress"
    assert {"MAE", "RMSE"} <= set(names(task))


def test_labels_of_steps_choose_a_sequence() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x[:, 0])

    task = task_of(Steps(), torch.randint(0, 5, (N, 8)))
    assert (task.choice.kind, names(task)) == ("segment", ["step accuracy", "step agreement"])


def test_float_targets_choose_regression() -> None:
    task = task_of(Net(scores=vector(4), pose=vector(3)), torch.randn(N, 3))
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("regress", "pose", "targets")
    assert names(task) == ["nMAE", "MAE", "RMSE"]


def test_images_as_targets_are_judged_by_psnr() -> None:
    task = task_of(Net(out=pixels(3)), torch.rand(N, 3, 8, 8))
    assert (task.choice.kind, names(task)) == ("regress", ["PSNR", "MAE", "RMSE"])


@pytest.mark.parametrize("ends", [(), (nn.Sigmoid(),)])
def test_one_column_with_labels_0_and_1_is_a_classifier(ends: tuple[nn.Module, ...]) -> None:
    net = Net(out=vector(1, *ends))
    task = task_of(net, zeros_and_ones())
    with torch.no_grad():
        answers = (net(images())["out"][:, 0] > (0.5 if ends else 0.0)).long()
    assert (task.choice.kind, names(task)) == ("classify", ["top-1", "agreement"])
    assert task.judged is not None
    assert task.judged.reference == pytest.approx(100.0 * float((answers == zeros_and_ones()).float().mean()))


def test_one_column_with_other_whole_numbers_is_a_regression() -> None:
    ages = torch.arange(N) + 20
    net = Net(out=vector(1))
    task = task_of(net, ages)
    with torch.no_grad():
        error = (net(images())["out"][:, 0].double() - ages).abs().mean()
    assert (task.choice.kind, names(task)) == ("regress", ["MAE", "RMSE"])
    assert task.judged is not None and task.judged.reference == pytest.approx(float(error), rel=1e-5)


@pytest.mark.parametrize("labels", [zeros_and_ones().reshape(N, 1), zeros_and_ones().bool(), np.arange(N) % 2])
def test_class_numbers_come_in_several_forms(labels: Any) -> None:
    assert task_of(Net(out=vector(2)), labels) == task_of(Net(out=vector(2)), zeros_and_ones())


def test_what_the_user_asks_for_counts() -> None:
    net = Net(**THREE)
    task = task_of(net, task="classify", output="kinds")
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("classify", "kinds", "asked")
    assert names(task) == ["agreement"]
    assert task_of(net, zeros_and_ones(), output="boxes").choice.output == "boxes"
    assert names(task_of(net, task="embed", output="kinds")) == ["cosine"]
    assert task_of(net, zeros_and_ones(), task="none").figures == ()
    assert names(task_of(Net(out=pixels(4)), task="segment")) == ["pixel agreement"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.arange(N) + 7, "class numbers from 7 to 30"),
        (torch.rand(N), "floats (N,)"),
        (torch.randn(N, 5), "floats (N, 5)"),
        (torch.randint(0, 3, (N, 4, 4)), "mask (N, 4, 4)"),
        (["a"] * N, "texts"),
    ],
)
def test_labels_that_fit_no_output_list_the_outputs(labels: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        task_of(Net(**THREE), labels)
    assert f"the labels, {words}, fit no output" in str(caught.value)
    assert "boxes (N, 4), kinds (N, 10), faces (N, 2)" in str(caught.value.hint)


def test_an_output_that_does_not_exist_lists_the_outputs() -> None:
    with pytest.raises(ConfigError, match="no float output is called 'nose'") as caught:
        task_of(Net(**THREE), output="nose")
    assert "boxes (N, 4), kinds (N, 10), faces (N, 2)" in str(caught.value.hint)


def test_a_task_that_no_output_has_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no output fits the task segment"):
        task_of(Net(**THREE), task="segment")


def test_a_metric_of_texts_judges() -> None:
    seen: list[str] = []

    def right(outputs: Tensor, texts: list[str]) -> Tensor:
        seen.extend(texts)
        return torch.tensor([float("ab"[int(i)] == text) for i, text in zip(outputs.argmax(1), texts, strict=True)])

    net = Net(out=vector(2))
    with torch.no_grad():
        texts = ["ab"[int(i)] for i in net(images())["out"].argmax(1)]
    task = task_of(net, texts, metric=MetricRequest(right, limit=0.1))
    assert task.judged is not None
    assert (task.judged.criterion.name, task.judged.reference) == ("right", 1.0)
    assert (task.choice.reason, task.choice.output) == ("metric", "out")
    assert set(seen) <= {"a", "b"} and len(seen) == 2 * N


def test_a_metric_judges_and_labels_still_count_beside_it() -> None:
    task = task_of(Net(out=vector(2)), zeros_and_ones(), metric=lambda outputs, labels: outputs[:, 0])
    assert names(task)[1:] == ["top-1", "agreement"]
    assert task.choice.reason == "metric"


def test_labels_that_fit_nothing_are_for_the_metric() -> None:
    tree = {"pose": torch.randn(N, 2), "texts": ["x"] * N}
    task = task_of(Net(**THREE), tree, metric=lambda outputs, targets: (outputs[0][:, :2] - targets["pose"]).mean(1))
    assert task.judged is not None and task.judged.sample_count == N
    with pytest.raises(QdiagError):
        task_of(Net(**THREE), tree)
