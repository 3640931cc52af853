"""Power, the filters of a mel spectrum, a logarithm: all of it is the front end, back to the layer that is squared."""

import torch
from torch import Tensor, nn

from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, scheme
from tests.planted.faults_activations import LOUD, Energy
from tests.planted.networks import DATA, Chain, Data, build, fit_classifier

FRONT_END = {"stem.0", "mul", "pool", "bank", "add", "log"}
INT8 = scheme(8, 8, per_channel=True)


class Mel(Energy):
    """The powers of the filters are added up, with weights, before the logarithm."""

    def __init__(self) -> None:
        super().__init__(width=24)
        self.bank = nn.Conv2d(24, 24, 1, bias=False)

    def features(self, x: Tensor) -> Tensor:
        filtered = self.stem[0](x)
        return torch.log(self.bank(self.pool(filtered * filtered)) + 1e-6).flatten(1)


def mel(data: Data) -> Chain:
    model = build(Mel)
    assert isinstance(model, Mel)
    with torch.no_grad():
        model.bank.weight.copy_(torch.rand(24, 24, 1, 1, generator=torch.Generator().manual_seed(5)) ** 8)
    return fit_classifier(model, data)


SICK = Network(lambda: mel(LOUD), INT8, LOUD)
TWIN = Network(lambda: mel(DATA), INT8, DATA)


def test_the_whole_front_end_is_the_cause_and_float_for_it_repairs_all() -> None:
    ranking = diagnosis(SICK).ranking
    assert ranking.harm.verdict == "harmed"
    first = ranking.causes[0]
    assert (first.code, first.verdict) == ("QD207", "cause")
    assert set(first.layers) == FRONT_END
    recovered = {t.repair: t.recovery.recovered_task for t in first.trials if t.recovery is not None}
    assert recovered["keep_float"] >= 0.9 * ranking.harm.value
    assert recovered["activations_16bit"] >= 0.9 * ranking.harm.value


def test_recordings_of_one_loudness_do_without() -> None:
    found = diagnosis(TWIN)
    assert finding(found, "QD207") is None
    assert found.ranking.harm.verdict != "harmed" and found.ranking.claimed == ()


def test_other_weights_are_the_end_of_a_front_end() -> None:
    """Without a power before them, the weights before a function are where its part of the network begins."""

    class Deep(Energy):
        def features(self, x: Tensor) -> Tensor:
            filtered = self.body[0](self.stem(x))
            return torch.log(self.pool(filtered * filtered) + 1e-6).flatten(1)

    network = Network(lambda: fit_classifier(build(lambda: Deep(width=24)), LOUD), INT8, LOUD)
    found = finding(diagnosis(network), "QD207")
    assert found is not None
    assert set(found.layers) == {"body.0", "mul", "pool", "add", "log"}
