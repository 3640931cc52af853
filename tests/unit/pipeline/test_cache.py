"""Finished passes are found again exactly when they would come out the same, and cost nothing when they are lost."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.batches import Datasets
from qdiag.config import load_preset
from qdiag.core.by_identity import ByIdentity
from qdiag.errors import ConfigError
from qdiag.files.cache_folder import FolderCache, cache_folder, cache_limit
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.preparation.inputs import inputs_for
from qdiag.simulate import surroundings as surroundings_module
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_clamps, with_plan_edits, with_scheme, with_tensors, without_quantizers
from qdiag.simulate.passes.fingerprints import Fingerprints, NoFingerprint
from qdiag.simulate.passes.pass_cache import PassKeeper
from qdiag.simulate.passes.pass_values import OBSERVATIONS, decode_scores, encode_scores
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import surroundings
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.simulate.task.user import MetricRequest
from qdiag.subject import Subject
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.cases import open_test_case
from tests.runs import diagnose_subject

KEY, OTHER, THIRD = "0" * 64, "1" * 64, "2" * 64


class DictCache:
    """Keeps in memory, and counts."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.hits = 0

    def get(self, key: str) -> bytes | None:
        self.hits += key in self.values
        return self.values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 5)).eval()


def data(seed: int = 0, batch_size: int = 4) -> object:
    torch.manual_seed(seed)
    return batches_from((torch.randn(12, 3, 8, 8), torch.arange(12) % 5), batch_size)


@pytest.fixture(scope="module")
def plain() -> Case:
    return open_test_case(network(), data(), "int8")


@pytest.fixture
def store() -> DictCache:
    return DictCache()


@pytest.fixture
def session(store: DictCache) -> Session:
    return keeping(store)


def keeping(store: DictCache, scope: str = "scope") -> Session:
    return Session(passes=PassKeeper(store, scope))


def anew(session: Session) -> Session:
    """With the same finished passes, in a later run."""
    return replace(session, scored=ByIdentity())


def scores(session: Session, case: Case) -> bytes:
    found, effort = session.score([case], "test")
    return encode_scores(found, [effort.computed_count, effort.reused_count])


def test_a_kept_pass_has_equal_bytes_and_runs_nothing(
    session: Session, plain: Case, store: DictCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = scores(Session(), plain)
    assert scores(session, plain) == fresh
    assert (len(store.values), store.hits) == (1, 0)
    monkeypatch.setattr("qdiag.simulate.task.score_cases.LaneRunner", None)
    assert scores(keeping(store), plain) == fresh
    assert store.hits == 1


CHANGES: dict[str, Callable[[Session, Case], Case]] = {
    "weights": lambda s, c: with_tensors(s, c, {"0.weight": c.tensors["0.weight"] * 1.001}, recalibrate=False),
    "data": lambda s, c: replace(c, measured=data(1)),
    "labels": lambda s, c: replace(
        c, measured=batches_from((torch.cat([b.args[0] for b in c.measured]), torch.zeros(12).long()), 4)
    ),
    "batch size": lambda s, c: replace(c, measured=data(0, 6)),
    "scheme": lambda s, c: with_scheme(s, c, load_preset("tf-uint8")),
    "bits": lambda s, c: with_scheme(s, c, replace(c.scheme, weights=replace(c.scheme.weights, bits=7))),
    "accumulator": lambda s, c: with_scheme(s, c, replace(c.scheme, accumulator_bits=24)),
    "clamp": lambda s, c: with_clamps(s, c, {next(x.name for x in c.network.graph.layers if x.clamp): (0.0, 5.0)}),
    "bias shift": lambda s, c: with_plan_edits(s, c, {"4": {"bias_shift": torch.full((5,), 0.1)}}),
    "no quantizers": lambda s, c: without_quantizers(c),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_the_result_makes_another_pass(
    session: Session, plain: Case, store: DictCache, change: str
) -> None:
    scores(session, plain)
    check_another(store, session, CHANGES[change](session, plain))


def test_another_scope_makes_another_pass(session: Session, plain: Case, store: DictCache) -> None:
    scores(session, plain)
    check_another(store, keeping(store, "other versions"), plain)


def check_another(store: DictCache, session: Session, changed: Case) -> None:
    hits = store.hits
    count = len(store.values)
    scores(session, changed)
    assert store.hits == hits
    assert len(store.values) == count + 1
    scores(anew(session), changed)
    assert store.hits == hits + 1


def test_equal_things_made_anew_are_the_same_pass(session: Session, plain: Case, store: DictCache) -> None:
    scores(session, plain)
    twin = open_test_case(network(), data(), "int8")
    scores(keeping(store), twin)
    assert (len(store.values), store.hits) == (1, 1)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"PK\x03\x04"])
def test_a_pass_that_cannot_be_read_is_run_and_replaced(
    session: Session, plain: Case, store: DictCache, damage: bytes
) -> None:
    good = scores(session, plain)
    (key,) = store.values
    store.values[key] = damage
    assert scores(anew(session), plain) == good
    assert len(store.values[key]) > 100


def test_scores_and_observations_come_back_as_they_were(plain: Case) -> None:
    (one,), _ = Session().score([plain], "test")
    odd = replace(one, noise={(0, 0): np.array([np.nan, np.inf, 0.1])}, tables=None, relative_delta=float("inf"))
    data = encode_scores([one, odd], [1, 2])
    (back, strange), counts = decode_scores(data, one.tasks)
    assert counts == [1, 2]
    assert back.score == one.score
    assert encode_scores([back, strange], counts) == data
    assert strange.tables is None
    assert np.array_equal(strange.noise[0, 0], [np.nan, np.inf, 0.1], equal_nan=True)
    assert OBSERVATIONS.decode(OBSERVATIONS.encode(plain.observations)) == plain.observations


def test_code_that_may_change_unnoticed_has_no_fingerprint(plain: Case) -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(torch.nn.functional.gelu, (x,)))
    with pytest.raises(NoFingerprint):
        Fingerprints().of(graph)
    changed = replace(plain.origin, program=replace(plain.origin.program, graph=graph))
    store = DictCache()
    ran = []
    PassKeeper(store).finished(
        "kind", OBSERVATIONS, lambda: ran.append(1) or {}, batches=[plain.measured], depends_on=[changed]
    )
    assert (ran, store.values) == ([1], {})


def test_versions_device_and_threads_are_part_of_the_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    found = {surroundings(cpu)}
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    found.add(surroundings(cpu))
    monkeypatch.setattr(surroundings_module, "versions", lambda: {"qdiag": "0", "torch": "0"})
    found.add(surroundings(cpu))
    monkeypatch.setattr(surroundings_module, "_own_code", lambda: "another checkout")
    found.add(surroundings(cpu))
    assert len(found) == 4


def test_nothing_is_kept_without_a_cache_or_for_a_part_of_a_network(store: DictCache) -> None:
    whole = Subject(network(), "module", "module", "Sequential")
    part = replace(whole, model=whole.model[0], parent=whole.model, submodule="0")
    sets = Datasets(data(), data(1), "two draws")
    for subject, keeper in ((whole, PassKeeper()), (part, PassKeeper(store))):
        given = inputs_for(subject, sets)
        for batches in ([given.calibration], [given.evaluation], [data(), given.evaluation]):
            keeper.finished("kind", OBSERVATIONS, dict, batches=batches, depends_on=[])
    assert store.values == {}
    PassKeeper(store).finished("kind", OBSERVATIONS, dict, batches=[sets.calibration], depends_on=[])
    assert len(store.values) == 1


def test_a_folder_gives_back_what_was_stored(tmp_path: Path) -> None:
    first = FolderCache(tmp_path / "a" / "b")
    assert first.get(KEY) is None
    first.put(KEY, b"value")
    assert first.get(KEY) == b"value"
    assert (first.stored, first.used) == ({KEY}, set())
    second = FolderCache(tmp_path / "a" / "b")
    assert second.get(KEY) == b"value"
    assert (second.stored, second.used) == (set(), {KEY})


@pytest.mark.parametrize(
    "spoil", [lambda d: d[:-1], lambda d: b"", lambda d: d[:20] + b"x" + d[21:], lambda d: d + b"x"]
)
def test_a_damaged_file_counts_as_absent_and_is_replaced(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    cache = FolderCache(tmp_path)
    cache.put(KEY, b"value" * 10)
    path = tmp_path / f"{KEY}.pass"
    path.write_bytes(spoil(path.read_bytes()))
    assert cache.get(KEY) is None
    assert not path.exists()
    cache.put(KEY, b"value" * 10)
    assert cache.get(KEY) == b"value" * 10


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path, limit_bytes=2500)
    cache.put(KEY, b"a" * 1000)
    cache.put(OTHER, b"b" * 1000)
    for age, key in ((200, KEY), (100, OTHER)):
        stamp = (tmp_path / f"{key}.pass").stat().st_mtime - age
        os.utime(tmp_path / f"{key}.pass", (stamp, stamp))
    assert cache.get(KEY) is not None  # used last
    cache.put(THIRD, b"c" * 1000)
    assert [cache.get(key) is not None for key in (KEY, OTHER, THIRD)] == [True, False, True]
    assert cache.use().used_bytes <= 2500
    cache.put("3" * 64, b"d" * 5000)  # larger than the whole folder may be
    assert cache.get("3" * 64) is None
    assert cache.get(KEY) is not None


def test_a_folder_that_cannot_be_written_is_a_problem_but_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = FolderCache(tmp_path / "file" / "folder")
    cache.put(KEY, b"value")
    assert cache.get(KEY) is None
    assert cache.problem is not None
    assert str(tmp_path) in cache.problem


def test_clear_deletes_our_files_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = FolderCache(folder)
    cache.put(KEY, b"value")
    (folder / f".{OTHER}.x_1.part").write_bytes(b"half")
    foreign = [folder / "notes.txt", folder / f"{KEY}.pass.bak", folder / "short.pass"]
    for path in foreign:
        path.write_text("mine")
    (folder / "sub").mkdir()
    (folder / "sub" / f"{KEY}.pass").write_text("mine too")
    (folder / f"{OTHER}.pass").symlink_to(foreign[0])
    done = cache.clear()
    assert (done.pass_count, done.foreign_count) == (1, 4)
    left = {path.name for path in folder.iterdir()}
    assert left == {*(path.name for path in foreign), "sub", f"{OTHER}.pass"}
    assert (folder / "sub" / f"{KEY}.pass").exists()
    empty = FolderCache(tmp_path / "other")
    empty.put(KEY, b"value")
    empty.clear()
    assert not (tmp_path / "other").exists()
    assert empty.clear().pass_count == 0


def test_where_the_folder_is_and_how_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("QDIAG_CACHE_DIR", "XDG_CACHE_HOME", "QDIAG_CACHE_MB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "qdiag"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "qdiag"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "qdiag"
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(tmp_path / "q"))
    assert cache_folder() == tmp_path / "q"
    assert cache_limit() == 1_024_000_000
    monkeypatch.setenv("QDIAG_CACHE_MB", "10")
    assert cache_limit() == 10_000_000
    monkeypatch.setenv("QDIAG_CACHE_MB", "ten")
    with pytest.raises(ConfigError, match="no number of megabytes"):
        cache_limit()


class Counter:
    """A metric of the user's own that counts its calls."""

    def __init__(self) -> None:
        self.__name__, self.count = "counter", 0

    def __call__(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return (outputs.argmax(1) == labels).double()


def diagnosed(store: DictCache | None, metric: object | None = None) -> str:
    subject = Subject(network(), "module", "module", "Sequential")
    sets = Datasets(data(1), data(2), "two draws")
    request = TaskRequest(metric=MetricRequest(metric)) if metric is not None else None
    found = diagnose_subject(subject, sets, load_preset("tf-uint8"), request=request, cache=store)
    return re.sub(r'"elapsed_s": [^\n]*', "", diagnosis_to_json(found))


def test_a_diagnosis_from_kept_passes_has_the_bytes_of_one_without(store: DictCache) -> None:
    undisturbed = diagnosed(None)
    assert diagnosed(store) == undisturbed
    stored = dict(store.values)
    assert diagnosed(store) == undisturbed
    assert store.values == stored
    assert store.hits >= len(stored) > 3


def test_a_metric_of_the_users_is_always_computed(store: DictCache) -> None:
    first, second = Counter(), Counter()
    assert diagnosed(store, first) == diagnosed(store, second)
    assert second.count == first.count > 0
    assert store.hits > 0
