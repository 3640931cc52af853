"""What is said on a page: units stay beside their numbers, and codes open what they mean."""

import re
from collections.abc import Callable

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.meanings import meanings
from qdiag.writers.html.page_text import codes_in, held_page, linked_codes, with_explained
from qdiag.writers.html.report import html_report
from tests.diagnoses import awkward_diagnosis, diagnosis, repaired_diagnosis, unlabelled_diagnosis

KEPT = "\N{NO-BREAK SPACE}"
LITERAL = re.compile(r"<(script|style|title|pre|code|button)\b.*?</\1>", re.DOTALL)
PARTED = re.compile(r">[^<]*\d (%|pp|dB|s|kB|MB|bits|bytes)(?![\w%])[^<]*<")


@pytest.mark.parametrize("source", [diagnosis, repaired_diagnosis, unlabelled_diagnosis, awkward_diagnosis])
def test_no_sentence_of_a_report_parts_a_number_from_its_unit(source: Callable[[], Diagnosis]) -> None:
    said = LITERAL.sub("<i></i>", html_report(source()))
    assert not PARTED.search(said)
    assert f"dB{'<'}" in said and re.search(rf"\d{KEPT}dB", said)


def test_what_is_copied_or_run_stays_as_it_is() -> None:
    page = '<p class="a 3 dB">3 dB, 0.5 of 8 bits</p><code>3 dB</code> 4 s<pre><code>5 s</code> 6 s</pre> 7 apples'
    assert held_page(page) == (
        f'<p class="a 3 dB">3{KEPT}dB, 0.5 of 8{KEPT}bits</p><code>3 dB</code> 4{KEPT}s<pre><code>5 s</code> 6 s</pre>'
        " 7 apples"
    )
    assert held_page(html_report(diagnosis())) == html_report(diagnosis()), "nothing is left to be held"


def test_a_code_in_a_sentence_is_a_button_and_one_in_a_heading_or_a_command_is_not() -> None:
    button = '<button type="button" class="code" popovertarget="means-QD104">QD104</button>'
    page = "<h2>QD104</h2><p>cut off (QD104), not QD999</p><code>qdiag explain QD104</code>"
    assert linked_codes(page, ["QD104"]) == (
        f'<h2>QD104</h2><p>cut off <span class="held">({button}),</span> not QD999</p><code>qdiag explain QD104</code>'
    )
    assert linked_codes(button, ["QD104"]) == button
    assert codes_in(page, ["QD104"]) == {"QD104"}


def test_the_meanings_of_codes_are_given_as_far_as_they_speak_of_one_another() -> None:
    known = {"QD101": ("one", "see QD102"), "QD102": ("two", "QD103 or QD999"), "QD103": ("three", "QD101")}
    assert with_explained(["QD101", "QD404"], known) == ["QD101", "QD102", "QD103"]
    assert with_explained([], known) == []


@pytest.mark.parametrize("source", [diagnosis, awkward_diagnosis])
def test_every_code_that_a_page_speaks_of_can_be_opened(source: Callable[[], Diagnosis]) -> None:
    page = html_report(source())
    spoken = codes_in(page, meanings())
    opened = set(re.findall(r'popovertarget="means-(QD\d+)"', page))
    explained = re.findall(r'id="means-(QD\d+)"', page)
    assert spoken and len(explained) == len(set(explained))
    assert spoken <= set(explained)
    outside = set(re.findall(r"QD\d{3}", re.sub(r"<[^>]*>", " ", LITERAL.sub("", re.sub(r"<h2>.*?</h2>", "", page)))))
    assert not outside & set(meanings()), "a code that opens nothing"
    assert opened <= set(explained)
