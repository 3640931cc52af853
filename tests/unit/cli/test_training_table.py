"""What `qdiag qat` prints of a training."""

import io
import json
from dataclasses import replace

from rich.console import Console

from qdiag.cli.tables.training.qat import print_training
from qdiag.core.causes.training import ModelTraining
from qdiag.core.measures.task import TaskResult
from qdiag.writers.json.results import result_to_json
from tests.trainings import refitted, training


def printed(result: ModelTraining, width: int = 120) -> str:
    file = io.StringIO()
    print_training(Console(file=file, width=width, color_system=None), result)
    return file.getvalue()


def test_losses_figures_and_what_was_written() -> None:
    text = printed(training())
    assert "cross-entropy on 1,280 samples in batches of 32, 2.1 minutes" in text
    assert "only conv may move" in text and "2 tensors changed, epoch 1 is kept" in text
    rows = [line.split() for line in text.splitlines() if line[:2] in ("0 ", "1 ", "2 ")]
    assert [row[0] for row in rows] == ["0", "1", "2"] and rows[1][1] == "kept"
    assert rows[0][1:4] == ["-", "0.75", "0.14"] and "5.0e-04" in rows[1] and "61.0" in rows[1]
    assert text.rstrip().endswith(
        "The trained network is written to trained.pt2, for the scheme in trained.scheme.toml."
    )


def test_a_training_without_a_gain() -> None:
    text = printed(training(has_gained=False))
    assert "No epoch was better than the network as it was read, so nothing is written." in text
    assert "is kept" not in text and training(has_gained=False).exit_code == 1


def test_a_network_without_a_figure_has_losses_alone() -> None:
    found = training()
    epochs = tuple(replace(epoch, task=TaskResult(64)) for epoch in found.training.epochs)
    text = printed(replace(found, training=replace(found.training, epochs=epochs)))
    assert "0.75" in text


def test_what_was_rewritten_before() -> None:
    found = refitted()
    assert found.after is not None
    text = printed(found)
    assert "rewritten 2 separable convolutions, variant c" in text and "behind blocks.0.dw, blocks.1.dw" in text
    assert "ReLU for ReLU6 in 1 other place " in text
    assert "as they were: blocks.2.dw: something else reads it" in text
    assert "as they were: blocks.3.dw: not asked for" in text and "by 5.0e-01 of its largest value" in text
    old, new = (one.task.figures[0] for one in (found.before, found.after))
    chain = f"{old.simulated:.1f} % as read → {old.simulated:.1f} % rewritten → {new.simulated:.1f} % trained"
    assert f"quantized {old.criterion.name} {chain}" in text and "is no better" not in text
    assert f"float     {old.criterion.name} {old.reference:.1f} % as read" in text
    same = replace(found, after=found.before)
    assert "the trained network, quantized, is no better than the quantized network as it was read" in printed(same)
    text = printed(refitted(has_gained=False))
    assert "No epoch was better than the rewritten network before training, so nothing is written." in text


def test_a_rewritten_network_without_labels_has_the_sqnr() -> None:
    found = refitted()
    assert found.refit is not None
    unjudged = replace(found.refit.original, task=TaskResult(64))
    text = printed(replace(found, refit=replace(found.refit, original=unjudged)))
    assert "each beside its own float network" in text and "dB as read → " in text


def test_as_json() -> None:
    plain = json.loads(result_to_json(training()))
    assert plain["training"]["best"] == 1 and plain["training"]["epochs"][0]["training_loss"] == "NaN"
    assert plain["after"]["task"]["figures"][0]["simulated"] > plain["before"]["task"]["figures"][0]["simulated"]
