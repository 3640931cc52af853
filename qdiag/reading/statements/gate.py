"""What `qdiag gate` says of a result, sentence by sentence."""

from qdiag.core.gate import GateResult
from qdiag.reading.statements.base import Places, Statement, numbered, sentence, stopped
from qdiag.reading.words.gate import (
    STATUS_WORDS,
    check_sentence,
    harm_line,
    named_cause_words,
    shown_checks,
    verdict_words,
)
from qdiag.reading.words.size import size_words


def gate_statements(result: GateResult) -> tuple[Statement, ...]:
    """The verdict, each check, the causes with their commands, whether there is harm, and notes."""
    places, (checks, rest) = Places(result), shown_checks(result)
    harm = harm_line(result)
    return (
        Statement("verdict", verdict_words(result), ("/status", "/exit_code", "/statistics")),
        *numbered(
            "check",
            ((f"{check_sentence(check)}. Status: {STATUS_WORDS[check.status]}.", places.of(check)) for check in checks),
        ),
        *((Statement("more-checks", rest, ("/checks",)),) if rest else ()),
        *numbered("cause", ((sentence(named_cause_words(cause)), places.of(cause)) for cause in result.causes)),
        *numbered(
            "proposal",
            (
                (f"A command that repairs the causes: `{command}`.", (f"/commands/{i}",))
                for i, command in enumerate(result.commands)
            ),
        ),
        *((Statement("harm", sentence(harm), places.of(result.harm)),) if harm else ()),
        *numbered("note", ((stopped(note), (f"/notes/{i}",)) for i, note in enumerate(result.notes))),
        *numbered("size", ((sentence(words), ("/size",)) for words in size_words(result.size))),
    )
