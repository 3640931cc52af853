"""The identity outlier in a network that is not fused yet: no harm as it was read, and a suspect of what it becomes."""

import pytest
import torch

from qdiag.core.scheme import LayerOverride, TensorChange
from qdiag.reading.scheme_changes import scheme_changes
from qdiag.reading.told import best_trial
from qdiag.reading.words.causes import commands, headline, trial_title
from qdiag.reading.words.evidence import evidence_words
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.faults_branches import SOURCE_GAINS, fused_identity, trained_identity
from tests.planted.networks import DATA, Data
from tests.planted.words import assert_surfaces_follow, assert_words_follow

ONES = dict.fromkeys(SOURCE_GAINS, 1.0)
FEW = Data(DATA.fit, DATA.calibration, (DATA.measured[0][:160], DATA.measured[1][:160]))
# the stem's weights of the channels that vary little are small beside the others of the stem: that is another fault
SCHEME = scheme(8, 16, layers=(LayerOverride("stem.0", weights=TensorChange(bits=16)),))
TRAINED = Network(lambda: trained_identity(SOURCE_GAINS), SCHEME, FEW)
TWIN = Network(lambda: trained_identity(ONES), SCHEME, FEW)


@pytest.mark.parametrize("gains", [SOURCE_GAINS, ONES])
def test_both_forms_compute_the_same(gains: dict[int, float]) -> None:
    x = DATA.measured[0][:8]
    with torch.no_grad():
        torch.testing.assert_close(trained_identity(gains)(x), fused_identity(gains)(x), rtol=1e-4, atol=1e-4)


def test_it_is_no_harm_as_it_was_read_and_a_cause_once_fused() -> None:
    ranking = diagnosis(TRAINED).ranking
    assert ranking.harm.verdict == "healthy"
    assert ranking.claimed == ()
    first = ranking.causes[0]
    assert (first.rank, first.code, first.verdict) == (1, "QD408", "fused")
    assert first.reason == "in the fused network, its repair alone recovers accuracy"
    (site,) = first.sites
    assert set(SOURCE_GAINS) == set(site.channels)
    assert site.layer in {record.name for record in diagnosis(TRAINED).measurement.records}
    found = finding(diagnosis(TRAINED), "QD408")
    assert found is not None and found.sites == first.sites


def test_an_sqnr_of_the_fused_convolution_is_not_told_as_that_of_the_layer_as_it_was_read() -> None:
    (site,) = diagnosis(TRAINED).ranking.causes[0].sites
    (fused,) = (evidence for evidence in site.evidence if evidence.unit == "dB")
    assert evidence_words(fused).startswith("in the fused convolution the local SQNR is ")
    as_read = next(r for r in diagnosis(TRAINED).measurement.records if r.name == site.layer)
    assert fused.value < 28.0 < as_read.local.sqnr_db


def test_fusion_is_tried_first_and_every_repair_on_top_of_it() -> None:
    ranking = diagnosis(TRAINED).ranking
    fusion, *others = ranking.causes[0].trials
    assert (fusion.repair, fusion.first) == ("fuse_branches", ())
    assert fusion.recovery is not None and fusion.recovery.task_interval.high < 0.0, "fusion costs accuracy"
    assert all(trial.first == ("fuse_branches",) for trial in others)
    tried = {trial.repair: trial for trial in others if trial.recovery is not None}
    assert {"absorb_identity", "per_channel_weights", "keep_float"} <= set(tried)
    best = tried["absorb_identity"].recovery
    assert best is not None and best.task_interval.low > 0.0
    assert best.recovered_task >= -0.6 * fusion.recovery.recovered_task, "it gives most of that back"


def test_it_is_said_to_be_so_and_proposes_nothing_for_the_network_as_it_was_read() -> None:
    found = diagnosis(TRAINED)
    best = best_trial(found.ranking.causes[0])
    assert best is not None and trial_title(best).startswith("once fused: ")
    assert headline(found).startswith(("Nothing to repair", "No harm was measured"))
    assert found.notes[-1].startswith("with its branches fused, the network loses accuracy")
    assert "QD408 in add" in found.notes[-1]
    assert not any("fused, the network loses" in note for note in diagnosis(TWIN).notes)
    assert commands(found) == ()
    assert not any(trial.first for trial in scheme_changes(found.ranking))
    assert_words_follow(found)
    assert_surfaces_follow(found)


def test_the_twin_is_silent() -> None:
    found = diagnosis(TWIN)
    assert finding(found, "QD408") is None
    assert all(cause.code != "QD408" for cause in found.ranking.causes)
    assert found.ranking.harm.verdict == "healthy"
