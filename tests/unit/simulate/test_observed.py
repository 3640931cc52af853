"""No layer is looked at twice: what stands before a change, or was seen as closely already, is taken over."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from qdiag.core.scheme import QuantScheme
from qdiag.simulate import session as session_module
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_clamps, with_scheme, with_tensors
from qdiag.simulate.observed import moved_sites
from qdiag.simulate.session import Session
from tests.cases import open_test_case

X = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))


def chain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU6(), nn.Linear(4, 4), nn.ReLU6(), nn.Linear(4, 2)).eval()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The layers that each pass looked at."""
    found: list[set[str]] = []
    observe = session_module.observe_network

    def observing(*args: Any, names: Collection[str], **more: Any) -> Mapping[str, Observation]:
        found.append(set(names))
        return observe(*args, names=names, **more)

    monkeypatch.setattr(session_module, "observe_network", observing)
    return found


def opened(watched: list[set[str]]) -> tuple[Session, Case]:
    """A case and a session that has seen its network."""
    session, case = Session(), open_test_case(chain(), X)
    watched.clear()
    session.observe(case.network, case.calibration, case.scheme)
    return session, case


def closely(scheme: QuantScheme, calibrator: str) -> QuantScheme:
    return replace(scheme, activations=replace(scheme.activations, calibrator=calibrator))  # type: ignore[arg-type]


def test_other_weights_are_observed_behind_them_alone(watched: list[set[str]]) -> None:
    session, case = opened(watched)
    changes = {"2.weight": 3.0 * case.tensors["2.weight"]}
    changed = with_tensors(session, case, changes, recalibrate=True)
    assert watched[1] == {"2", "4"} < watched[0]
    anew = Session().observe(changed.network, case.calibration, case.scheme)
    assert repr(changed.observations) == repr(anew)  # NaN is not equal to itself
    assert changed.observations["2"] != case.observations["2"]
    again = with_tensors(session, changed, {"4.weight": 2.0 * case.tensors["4.weight"]}, recalibrate=True)
    assert watched[-1] == {"4"}, "what was taken over is handed on"
    assert again.observations["2"] is changed.observations["2"]


def test_another_clamp_is_observed_behind_it_alone(watched: list[set[str]]) -> None:
    session, case = opened(watched)
    with_clamps(session, case, {"2": (0.0, 0.5)})
    assert watched[1] == {"2", "4"}


def test_one_histogram_serves_all_calibrators_that_read_one(watched: list[set[str]]) -> None:
    session, case = opened(watched)
    for calibrator in ("mse", "entropy", "percentile", "minmax"):
        with_scheme(session, case, closely(case.scheme, calibrator))
    assert len(watched) == 2


def test_nothing_is_taken_over_from_another_graph() -> None:
    one, other = open_test_case(chain(), X), open_test_case(nn.Sequential(*list(chain())[:3]).eval(), X)
    names = {site.name for site in one.network.graph.sites}
    assert moved_sites(one.network, one.network) == frozenset()
    assert moved_sites(one.network, other.network) == names


def test_without_channels_the_figures_of_tensors_are_the_same() -> None:
    images = torch.randn(3, 2, 512, 512, generator=torch.Generator().manual_seed(1))
    images[1, 0, 5, 7], images[2, 1, 500, 3] = 9.0, -9.5
    case = open_test_case(nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU6()).eval(), images)
    alone = Session(with_channels=False).observe(case.network, case.calibration, case.scheme)
    assert {name: repr(one.statistics) for name, one in alone.items()} == {
        name: repr(one.statistics) for name, one in case.observations.items()
    }
    assert (alone["input:input"].statistics.range.min, alone["input:input"].statistics.range.max) == (-9.5, 9.0)
    assert all(one.channels is None for one in alone.values())
    assert all(one.channels is not None for one in case.observations.values())


def test_what_was_seen_without_channels_is_looked_at_again_with_them(watched: list[set[str]]) -> None:
    session, case = Session(with_channels=False), open_test_case(chain(), X)
    session.observe(case.network, case.calibration, case.scheme)
    watched.clear()
    seen = replace(session, with_channels=True).observe(case.network, case.calibration, case.scheme)
    assert len(watched) == 1
    assert all(one.channels is not None for one in seen.values())
