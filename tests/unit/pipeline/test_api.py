"""The Python API: what it takes, what it refuses, what it returns."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

import qdiag
from tests.figures import top1_of

IMAGES = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()


def test_scheme_by_name_by_value_and_by_file(tmp_path: object) -> None:
    by_name = qdiag.measure(net(), IMAGES, scheme="w4a8")
    by_value = qdiag.measure(net(), IMAGES, scheme=qdiag.load_scheme("w4a8"))
    path = f"{tmp_path}/mine.toml"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write('base = "w4a8"\n')
    by_file = qdiag.measure(net(), IMAGES, scheme=path)
    assert by_name.outputs == by_value.outputs == by_file.outputs


def test_labels_give_accuracy_and_calibration_can_be_apart() -> None:
    labels = torch.randint(3, (8,), generator=torch.Generator().manual_seed(1))
    result = qdiag.measure(net(), (IMAGES, labels), calibration=IMAGES[:3] * 0.5)
    assert top1_of(result.task) is not None
    assert (result.data.calibration_count, result.data.measured_count) == (3, 8)
    assert result.record("input:input").clipped_count > 0


def test_equal_input_gives_an_equal_result() -> None:
    from dataclasses import replace

    first, second = (qdiag.measure(net(), IMAGES) for _ in range(2))
    assert replace(first, stages=()) == replace(second, stages=())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(qdiag.QdiagError, match="tensors") as caught:
        qdiag.measure(copy.deepcopy(net()).to(dtype), IMAGES)
    assert "float()" in str(caught.value.hint)


def test_nan_weights_are_refused() -> None:
    broken = net()
    with torch.no_grad():
        broken[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(qdiag.QdiagError, match=r"0\.weight"):
        qdiag.measure(broken, IMAGES)


def test_a_diagnosis_holds_the_measurement_and_what_was_asked_for() -> None:
    labels = torch.randint(3, (8,), generator=torch.Generator().manual_seed(1))
    data = (IMAGES, labels)
    short = qdiag.diagnose(
        net(), data, calibration=IMAGES[:3], scheme="tf-uint8", with_sensitivity=False, with_bits=False
    )
    measured = qdiag.measure(net(), (IMAGES, labels), calibration=IMAGES[:3], scheme="tf-uint8")
    assert isinstance(short, qdiag.Diagnosis)
    assert short.measurement.outputs == measured.outputs
    assert [facts.layer for facts in short.facts] == [record.name for record in measured.records]
    assert top1_of(short.ranking.before.task) == top1_of(measured.task)
    assert (short.sensitivity, short.bits) == (None, ())
    full = qdiag.diagnose(net(), IMAGES, scheme="tf-uint8", task="classify")
    assert full.sensitivity is not None
    assert {row.layer for row in full.sensitivity.rows} >= {"0", "4"}
    assert [point.bits for point in full.bits] == sorted({point.bits for point in full.bits})
    assert full.ranking.criterion is not None and full.ranking.criterion.name == "agreement"


def test_a_diagnosis_finds_the_cause_and_leaves_the_model_alone() -> None:
    """One output channel of a convolution is 2,000 times as wide as the rest; the next layer takes that back."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)).eval()
    with torch.no_grad():
        model[0].weight[0] *= 2000.0
        model[0].bias[0] *= 2000.0
        model[2].weight[:, 0] /= 2000.0
    before = copy.deepcopy(model.state_dict())
    images = torch.randn(32, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    result = qdiag.diagnose(model, images, scheme="tf-uint8", with_sensitivity=False, with_bits=False)
    assert result.ranking.harm.verdict == "harmed"
    assert result.ranking.claimed
    assert result.ranking.claimed[0].layers == ("0",)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_record_is_found_by_name() -> None:
    result = qdiag.measure(net(), IMAGES)
    assert result.record("4").kind == "linear"
    with pytest.raises(KeyError):
        result.record("nothing")


def test_progress_counts_every_sample() -> None:
    class Counter:
        def __init__(self) -> None:
            self.stages: dict[str, int] = {}
            self.stage = ""

        def start(self, stage: str, total: int | None) -> None:
            del total
            self.stage = stage
            self.stages[stage] = 0

        def advance(self, steps: int = 1) -> None:
            self.stages[self.stage] += steps

        def finish(self) -> None:
            self.stage = ""

    progress = Counter()
    qdiag.measure(net(), list(IMAGES.split(3)), progress=progress)
    assert progress.stages["calibrate"] == progress.stages["simulate"] == 8


def test_importing_qdiag_does_not_import_torch() -> None:
    code = "import sys, qdiag; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("only_new_objects_collected")
def test_nothing_grows_with_the_number_of_batches() -> None:
    """Accumulators hold sums: a longer run leaves no more tensors behind than a short one."""
    import gc

    def live() -> int:
        gc.collect()
        return sum(type(o) is torch.Tensor for o in gc.get_objects())

    model = net()
    qdiag.measure(model, list(IMAGES.split(4)))
    before = live()
    short = qdiag.measure(model, list(IMAGES.split(4)))
    middle = live()
    long = qdiag.measure(model, [IMAGES[i % 8 : i % 8 + 1] for i in range(64)])
    assert live() - middle <= middle - before + 8
    assert len(short.records) == len(long.records)
