"""Settings that differ between two runs have words, whatever the program stores of them."""

import re

from qdiag.compare.settings import differences
from qdiag.core.compare import Difference
from qdiag.reading.words.comparison.settings import setting_words
from tests.diagnoses import diagnosis, unlabelled_diagnosis


def test_every_setting_that_is_compared_has_words() -> None:
    from qdiag.compare.settings import _settings

    names = [name for name, _ in _settings(diagnosis().measurement)]
    told = [setting_words(Difference(name, "1", "2"))[0] for name in names]
    assert len(set(told)) == len(names) > 20
    field = re.compile(r"^(model|data|task|graph|versions)\.|_")
    assert [words for words in told if field.search(words) and not words.endswith(" of the scheme")] == []


def test_values_are_words_too() -> None:
    found = {d.name: setting_words(d) for d in differences(diagnosis(), unlabelled_diagnosis())}
    assert found["data.is_labelled"] == ("samples have labels", "yes", "no")
    assert setting_words(Difference("task.output", "logits", ""))[1:] == ("logits", "not set")
    assert setting_words(Difference("scheme.weights.bits", "8", "4"))[0] == "weights.bits of the scheme"
    assert setting_words(Difference("versions.torch", "2.12", "2.13"))[0] == "version of torch"
