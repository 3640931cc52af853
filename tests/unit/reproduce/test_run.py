"""Seeds, epochs and time of an experiment, and what is kept of it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from qdiag.core.reproductions.reproduction import Reproduction
from qdiag.core.reproductions.seeds import Place, SeedResult
from qdiag.errors import ConfigError
from qdiag.files.cache_folder import FolderCache
from qdiag.reading.words.reproductions.sentences import command_words, reason_words, run_lines
from qdiag.reproduce import run as run_module
from qdiag.reproduce.lab import Lab
from qdiag.reproduce.probe import Probe
from qdiag.reproduce.run import RunRequest, run_experiment
from qdiag.simulate.session import Session, open_session
from qdiag.train.plain import loop as loop_module
from qdiag.train.plain.loop import PlainLoop
from qdiag.train.plain.settings import PlainSettings
from qdiag.train.settings import TrainingSettings
from tests.unit.reproduce.sets import SMALL, Rows, stripes


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FolderCache:
    return FolderCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def session(cache: FolderCache) -> Iterator[Session]:
    with open_session(cache=cache) as opened:
        yield opened


@pytest.fixture(scope="module")
def done(session: Session) -> Reproduction:
    return run_experiment(session, SMALL, stripes(), RunRequest(seeds=2, epochs=2))


def same(seed: SeedResult) -> SeedResult:
    """Without its time."""
    return replace(seed, seconds=0.0, cpu_seconds=0.0)


def test_the_result_says_how_it_was_run(done: Reproduction) -> None:
    run = done.run
    assert (run.epochs, run.are_epochs_chosen, run.minutes, run.seed_count) == (2, False, None, 2)
    assert (run.images.train_count, run.images.judge_count, run.images.test_count) == (29, 7, 24)
    assert run.threads == torch.get_num_threads() and run.machine
    assert [seed.seed for seed in done.seeds] == [0, 1]
    assert [seed.trained_epochs for seed in done.seeds] == [3, 3]  # two in float, and one of half as many
    assert {len(curve.values) for curve in done.seeds[0].curves if curve.row == "float"} == {2}
    assert done.cell("float", "top1").mean == pytest.approx(
        sum(seed.value(Place("float", "top1")) or 0.0 for seed in done.seeds) / 2
    )


def test_what_does_not_hold_has_its_reasons(done: Reproduction) -> None:
    by_key = {one.expectation.key: one for one in done.judged}
    assert by_key["loses_4c"].outcome == "holds" and by_key["loses_4c"].reasons == ()
    assert by_key["recovers_4c"].outcome == "fails" and by_key["recovers_4c"].reasons[0].key == "nothing_lost"


def test_the_same_seed_gives_the_same_numbers(done: Reproduction) -> None:
    with open_session() as fresh:
        again = run_experiment(fresh, SMALL, stripes(), RunRequest(seeds=1, epochs=2, first_seed=1))
    assert same(again.seeds[0]) == same(done.seeds[1])
    assert same(done.seeds[0]) != same(done.seeds[1])


def test_finished_seeds_are_used_again(done: Reproduction, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(lab: Lab) -> None:
        raise AssertionError(f"seed {lab.seed} is run again")

    stopped = replace(SMALL, run_seed=fail)
    again = run_experiment(session, stopped, stripes(), RunRequest(seeds=2, epochs=2))
    assert again.seeds == done.seeds
    with pytest.raises(AssertionError, match="seed 2"):
        run_experiment(session, stopped, stripes(), RunRequest(seeds=3, epochs=2))
    with pytest.raises(AssertionError, match="seed 0"):
        run_experiment(session, stopped, replace(stripes(), digest="others"), RunRequest(seeds=2, epochs=2))


def test_the_time_decides_about_the_epochs_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    request = RunRequest(seeds=1, minutes=5.0)
    found = run_experiment(session, SMALL, stripes(), request)
    assert found.run.are_epochs_chosen and found.run.epochs == SMALL.epochs_at_most
    monkeypatch.setattr(run_module, "Probe", None)
    assert run_experiment(session, SMALL, stripes(), request).seeds == found.seeds


def test_no_seed_begins_that_would_not_end_in_time() -> None:
    seconds = iter(range(0, 10_000, 100))

    def slow(lab: Lab) -> None:
        lab.record("float", "top1", 50.0)

    class Clock:
        @staticmethod
        def perf_counter() -> float:
            return float(next(seconds))

        process_time = perf_counter

    experiment = replace(SMALL, run_seed=slow)
    with open_session() as fresh, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "time", Clock)
        found = run_experiment(fresh, experiment, stripes(), RunRequest(seeds=5, epochs=1, minutes=12.0))
    assert 1 <= len(found.seeds) < 5 and found.run.seed_count == 5


@pytest.mark.parametrize(("seconds", "epochs"), [(10_000.0, 200), (1.0, 1), (1000.0, 82)])
def test_epochs_fit_into_the_time(seconds: float, epochs: int) -> None:
    """0.85 of 1000 s less a probe of 10 s are 280 s for each of 3 seeds, of which 6 s are no training: 274 / 3.3333."""
    probe = Probe(epoch_seconds=10.0 / 3.0, step_seconds=4.0)
    assert probe.epochs_within(seconds=seconds, seeds=3, probed=10.0, at_most=200) == epochs


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"epochs": 0}, {"minutes": 0.0}, {"width": -1.0}])
def test_nothing_below_zero_is_run(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RunRequest(**wrong)  # type: ignore[arg-type]


def test_a_report_is_a_folder(done: Reproduction, tmp_path: Path) -> None:
    from qdiag.writers.reproduction_dir import write_reproduction

    written = [path.relative_to(tmp_path).as_posix() for path in write_reproduction(done, tmp_path)]
    assert written == ["result.json", "plots/accuracy.png", "plots/training.png", "report.md", "report.html"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "<script" not in page and "http://" not in page.split("<svg")[0]
    assert "plots/accuracy.png" in (tmp_path / "report.md").read_text(encoding="utf-8")


def one_of_two_diverges(lab: Lab) -> None:
    """The float network of the second seed, and in both seeds the one that is trained with quantizers."""
    model = Rows()
    settings = PlainSettings(learning_rate=1e30 if lab.seed == 1 else 0.05, batch_size=12)
    lab.train(model, settings)
    lab.record("float", "top1", 80.0 + lab.seed)
    with lab.variant("qat4c"):
        lab.train(Rows(), PlainSettings(learning_rate=1e30, batch_size=12))
        lab.record("qat4c", "top1", 0.0)


def test_a_training_that_diverges_does_not_end_the_run(cache: FolderCache) -> None:
    """It is missing in its seed, which says so; others go on, and means are theirs."""
    experiment = replace(SMALL, run_seed=one_of_two_diverges, level=Place("float", "top1"))
    with open_session(cache=cache) as fresh:
        found = run_experiment(
            fresh, experiment, replace(stripes(), digest="of its own"), RunRequest(seeds=3, epochs=2)
        )
        again = run_experiment(
            fresh, experiment, replace(stripes(), digest="of its own"), RunRequest(seeds=3, epochs=2)
        )
    assert again.seeds == found.seeds
    assert found.cell("float", "top1").values == (80.0, 82.0)
    assert found.cell("qat4c", "top1").values == ()
    assert [[one.row for one in seed.diverged] for seed in found.seeds] == [["qat4c"], [""], ["qat4c"]]
    words = dict(run_lines(found))["diverged"]
    assert words.startswith("seed 0: 4 bits, per channel, trained (the loss is nan in epoch ")
    assert "; seed 1: the network that others begin with (the loss is nan in epoch " in words
    by_key = {one.expectation.key: one for one in found.judged}
    recovers = by_key["recovers_4c"]
    assert recovers.outcome == "undecided" and recovers.reasons[0].key == "diverged"
    assert reason_words(found, recovers).startswith("A training diverged in 3 of 3 seeds.")


def test_where_nothing_diverges_nothing_is_said_of_it(done: Reproduction) -> None:
    assert "diverged" not in dict(run_lines(done)) and all(not seed.diverged for seed in done.seeds)


def test_where_every_float_network_diverges_chance_is_not_blamed() -> None:
    def fails(lab: Lab) -> None:
        lab.train(Rows(), PlainSettings(learning_rate=1e30, batch_size=12))

    experiment = replace(SMALL, run_seed=fails, level=Place("float", "top1"))
    with open_session() as fresh:
        found = run_experiment(fresh, experiment, stripes(), RunRequest(seeds=1, epochs=2))
    assert {one.reasons[0].key for one in found.judged} == {"diverged"}
    assert found.run.device == "cpu"
    assert "--device" not in command_words(found)
    on_gpu = replace(found, run=replace(found.run, device="cuda (NVIDIA H100)"))
    assert command_words(on_gpu).endswith("--device cuda --epochs 2 --seeds 1")
    assert "cuda (NVIDIA H100)" in dict(run_lines(on_gpu))["machine"]


def test_the_probe_takes_times_and_cannot_diverge(session: Session) -> None:
    """Learning rates that end in infinity within two epochs are not used where only the time counts."""
    probe = Probe()
    lab = Lab(session, 0, stripes().divided(0), 1, probe=probe)
    started = time.perf_counter()
    with torch.random.fork_rng():
        model = Rows()
        lab.train(model, PlainSettings(learning_rate=1e30, batch_size=12), share=2.0)
        lab.train_quantized(model, "tf-uint8", TrainingSettings(learning_rate=1e30, batch_size=12), share=0.5)
    assert 0.0 < probe.step_seconds < time.perf_counter() - started
    assert probe.epoch_seconds > 0.0


def test_the_time_of_an_update_is_that_of_the_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten updates the first five take a second each, and the others a tenth."""
    times = iter([0.0, *range(1, 6), *(5.0 + 0.1 * i for i in range(1, 6))])
    monkeypatch.setattr(loop_module, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    with open_session() as fresh:
        loop = PlainLoop(fresh, PlainSettings(batch_size=2), 1, 0, steps_at_most=10)
        found = loop.run(Rows(), stripes().divided(0).pixels)
    assert found.step_seconds == pytest.approx(0.1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_experiments_are_run_on_a_gpu() -> None:
    with open_session(device="cuda") as fresh:
        found = run_experiment(fresh, SMALL, stripes(), RunRequest(seeds=1, epochs=2))
    assert found.run.device == f"cuda ({torch.cuda.get_device_name()})"
    assert set(found.seeds[0].measured) and not found.seeds[0].diverged
