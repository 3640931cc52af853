"""What a diagnosis of a network in signs says, what it leaves out, and how its repairs answer."""

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.config import load_scheme
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.plots.pictures import report_pictures

IMAGES = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(1))
RANGE_CODES = {"QD201", *(f"QD{code}" for code in range(203, 211)), "QD401", "QD402", "QD403", "QD404", "QD903"}


class Signed(nn.Module):
    """BatchNorm, hard tanh and signs of both before the second convolution; one channel far wider than the others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b, self.norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.c, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([self.bn(self.a(x))[:, :4], 200.0 * self.bn(self.a(x))[:, 4:]], 1)
        y = self.norm(self.b(y))
        return self.head(self.c(y).mean((2, 3)))


@pytest.fixture(scope="module")
def diagnosed() -> Diagnosis:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Signed().eval()
    return qdiag.diagnose(model, IMAGES, scheme="bnn", with_bits=True, with_sensitivity=True)


def test_notes_say_what_is_left_in_float_and_what_does_not_apply(diagnosed: Diagnosis) -> None:
    notes = " ".join(diagnosed.measurement.notes)
    assert "outputs stay in float, first a: signs are taken of what layers with weights read" in notes
    assert "outputs are signs, first" in notes and "do not apply there" in notes
    assert "have no integers at one scale" in notes
    assert diagnosed.batchnorms is not None, "audited as for 8 bits"


def test_findings_on_ranges_are_silent_at_signs(diagnosed: Diagnosis) -> None:
    signs = {r.name for r in diagnosed.measurement.records if r.quantizer is not None and r.quantizer.type == "binary"}
    assert signs
    for finding in diagnosed.ranking.findings:
        assert finding.code not in RANGE_CODES or not {site.layer for site in finding.sites} & signs
        if finding.code == "QD303":
            assert not {site.layer for site in finding.sites} & {"bn"}, "its sign is taken after it in any case"


def test_nothing_of_a_sign_is_clipped(diagnosed: Diagnosis) -> None:
    for record in diagnosed.measurement.records:
        if record.quantizer is not None and record.quantizer.type == "binary":
            assert record.clipped_count == 0


def test_no_repair_fails_at_a_format_that_it_does_not_know(diagnosed: Diagnosis) -> None:
    trials = [trial for cause in diagnosed.ranking.causes for trial in cause.trials]
    assert trials
    for trial in trials:
        assert not (trial.refused or "").startswith("it failed"), trial.refused


def test_reports_say_that_other_widths_are_integers(diagnosed: Diagnosis) -> None:
    words = "inary numbers come in one width: integers stand for them here."
    assert words in html_report(diagnosed)
    assert words in markdown_report(diagnosed)
    (bits,) = [picture for picture in report_pictures(diagnosed) if picture.section == "bits"]
    assert words in bits.draw().get_suptitle()


def test_a_single_layer_back_in_integers(diagnosed: Diagnosis) -> None:
    del diagnosed
    scheme = load_scheme("bnn", ["layers.b.weights.type=affine", "layers.b.weights.bits=8"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Signed().eval()
    found = qdiag.measure(model, IMAGES, scheme=scheme)
    weight = found.record("b").weight
    assert weight is not None and weight.quantizer is not None
    assert (weight.quantizer.type, weight.bits) == ("affine", 8)


class Shortcut(nn.Module):
    """A value that a convolution and an addition read."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.a(x))
        return self.head(y + self.b(y))


def test_a_sign_that_says_nothing_is_found_behind_a_shortcut_and_repaired() -> None:
    """The output is float for the addition, and nothing but +1 for the convolution."""
    found = qdiag.diagnose(Shortcut().eval(), IMAGES, scheme="bnn")
    assert found.measurement.record("sigmoid").quantizer is None
    findings = [*(f for cause in found.ranking.causes for f in cause.findings), *found.ranking.findings]
    constant = [one for one in findings if one.code == "QD211"]
    assert {site.layer for one in constant for site in one.sites} == {"sigmoid"}
    cause = next(one for one in found.ranking.causes if set(one.findings) & set(constant))
    trials = {trial.repair: trial for trial in cause.trials}
    assert trials["eight_bits"].refused is None
    assert trials["eight_bits"].settings
