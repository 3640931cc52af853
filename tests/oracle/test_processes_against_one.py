"""Two processes that `torchrun` starts train as one does with the whole of each batch.

What holds: gradients are means over the samples of a batch, statistics of BatchNorms and ranges are those of the whole
batch, so that the two differ by the order in which float32 sums are added up. A value that lies next to the border of
two integers may then be rounded the other way.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from qdiag.batches import Batch
from qdiag.config import load_scheme
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.simulate.case import Case
from qdiag.train.loop import Trained, Training
from qdiag.train.losses import choose_loss
from qdiag.train.processes import ONE, Processes
from qdiag.train.saved_state import StateFile
from qdiag.train.settings import TrainingSettings
from tests.cases import SESSION, open_test_case
from tests.unit.train.networks import all_names, learned, stripe_case, stripes

CLI = ["qat", "net.pth", "--arch", "./net.py:make", "--data", "data.npz", "--device", "cpu", "-q", "--no-cache"]
CLI += ["--scheme", "tf-uint8", "--set", "weights.bits=2", "--epochs", "1", "--learning-rate", "0.02", "-o", "two.pth"]

SHORT = {"epochs": 1, "batch_size": 15, "learning_rate": 0.02, "averaging_constant": 0.2}
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "float": ({"quant_delay": 1000}, ("weights.bits=8",)),
    "kept": ({"quant_delay": 1000}, ("weights.bits=8", "fold_batchnorm=false")),
    "learned": ({"freeze_bn_after": 0, "ranges": "learned", "learning_rate": 0.01}, ("weights.bits=2",)),
    "quantized": ({"epochs": 2}, ("weights.bits=2", "activations.bits=3")),
}
"""Settings and schemes; batches of 15 samples are divided into 8 and 7."""
TOLERANCES = {"float": 2e-5, "kept": 2e-5, "learned": 2e-3, "quantized": 2e-3}
"""Largest difference as a share of the largest change that the training made."""


def case_of(kind: str) -> Case:
    scheme: QuantScheme = load_scheme("tf-uint8", KINDS[kind][1])
    if scheme.fold_batchnorm:
        return stripe_case("tf-uint8", *KINDS[kind][1], is_learned=True, count=61)
    return open_test_case(learned(), stripes(61, 2), scheme, measured=stripes(64, 3))


def trained(kind: str, processes: Processes = ONE, state: StateFile | None = None, **changes: Any) -> Trained:
    """The last epoch counts, so that all comes out that training did."""
    case, settings = case_of(kind), TrainingSettings(**{**SHORT, **KINDS[kind][0], **changes})
    training = Training(
        SESSION,
        case,
        settings,
        choose_loss(case.tasks),
        case.calibration,
        case.measured,
        all_names(learned()),
        state,
        processes,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.train.loop.best_of", lambda epochs: len(epochs) - 1)
        return training.run()


def values(found: Trained) -> dict[str, Any]:
    """What came out, in plain values."""
    ends = [end for layer in found.scheme.layers for end in (layer.activations.range or layer.weights.range or ())]
    losses = [(epoch.training_loss, epoch.loss, epoch.float_loss) for epoch in found.record.epochs[1:]]
    count, is_resumed = found.record.process_count, found.record.is_resumed
    return {"changes": found.changes, "ends": ends, "losses": losses, "processes": count, "resumed": is_resumed}


@pytest.fixture(scope="module")
def found(launched: Path) -> list[dict[str, Any]]:
    return [torch.load(launched / f"found{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one_does(kind: str, found: list[dict[str, Any]]) -> None:
    """Weights, statistics of BatchNorms, ranges and losses; and a half of each batch alone would lead elsewhere."""
    two, one, before = found[0][kind], values(trained(kind)), learned().state_dict()
    assert (two["processes"], one["processes"]) == (2, 1)
    assert two["changes"].keys() == one["changes"].keys()
    assert ("1.running_mean" in one["changes"]) == (kind != "learned") and "0.weight" in one["changes"]
    for name, value in one["changes"].items():
        change = max(float((value - before[name]).abs().max()), 0.01)
        assert float((two["changes"][name] - value).abs().max()) <= TOLERANCES[kind] * change, name
    assert two["ends"] == pytest.approx(one["ends"], rel=TOLERANCES[kind]) and len(one["ends"]) >= 8
    for own, theirs in zip(two["losses"], one["losses"], strict=True):
        assert own == pytest.approx(theirs, rel=TOLERANCES[kind])
    half = trained(kind, batch_size=8).changes["0.weight"]
    change = one["changes"]["0.weight"] - before["0.weight"]
    assert float((half - one["changes"]["0.weight"]).abs().max()) > 0.05 * float(change.abs().max())


def test_all_processes_have_the_same_numbers_also_after_a_stop(found: list[dict[str, Any]]) -> None:
    first, second = found
    for kind in (*KINDS, "resumed"):
        assert all(torch.equal(x, second[kind]["changes"][name]) for name, x in first[kind]["changes"].items())
        assert (first[kind]["ends"], first[kind]["losses"]) == (second[kind]["ends"], second[kind]["losses"])
    assert first["resumed"]["resumed"] and not first["quantized"]["resumed"]
    assert first["resumed"]["losses"] == first["quantized"]["losses"]
    whole, resumed = first["quantized"]["changes"], first["resumed"]["changes"]
    assert whole and all(torch.equal(x, resumed[name]) for name, x in whole.items())


def test_the_first_process_prints_and_writes(launched: Path, found: list[dict[str, Any]]) -> None:
    text, errors = json.loads((launched / "printed.json").read_text())
    assert [one["code"] for one in found] == [0, 0] and [one["seeds differ"] for one in found] == [2, 2]
    assert text.count("The trained network is written to two.pth") == 1 and "in batches of 32 by 2 processes" in text
    names = {path.name for path in launched.iterdir() if path.name.startswith("two")}
    assert names == {"two.pth", "two.scheme.toml"} and not (launched / "no.pth").exists()
    assert [one["differing"] for one in found] == ["ranks of process 1 differ from those of the first process"] * 2
    message = "error: network, data, ranges or settings of process 1 differ from those of the first process"
    assert errors.count(message) == 2 and errors.count("process: 1\n") == 1


def test_each_process_has_its_own_samples() -> None:
    batch = Batch((torch.arange(5.0).view(5, 1),), labels=torch.arange(5))
    parts = [Processes(rank, 2).part(batch) for rank in (0, 1)]
    assert [part.labels.tolist() for part, _ in parts] == [[0, 2, 4], [1, 3]]
    assert [share for _, share in parts] == [0.6, 0.4]
    with pytest.raises(ConfigError, match="6 processes cannot share a batch of 5 samples"):
        Processes(5, 6).part(batch)
