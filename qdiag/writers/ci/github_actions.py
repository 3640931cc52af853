"""What GitHub Actions reads from the standard output of a step: annotations."""

from qdiag.core.gate import GateCheck, GateResult
from qdiag.core.printable import printable
from qdiag.reading.words.gate import check_sentence, check_title, harm_line, named_cause_words

ANNOTATIONS_AT_MOST = 10
"""Of each kind; GitHub shows no more of one step."""


def annotations(result: GateResult) -> tuple[str, ...]:
    """Workflow commands: errors for what failed or could not be judged and for causes, warnings for the rest.

    Single layers come last: of ten places, they would take all.
    """
    grave = [check for status in ("fail", "cannot_judge") for check in result.checks if check.status == status]
    slight = [check for check in result.checks if check.status in ("undecided", "warn")]
    errors = [
        *(_command("error", check) for check in grave if check.layer is None),
        *(_line("error", "cause", named_cause_words(cause)) for cause in result.causes if grave),
        *(_command("error", check) for check in grave if check.layer is not None),
    ]
    warnings = [
        *([_line("warning", "harm", harm_line(result))] if result.is_harm_overlooked else []),
        *(_command("warning", check) for check in sorted(slight, key=lambda check: check.layer is not None)),
    ]
    return (*errors[:ANNOTATIONS_AT_MOST], *warnings[:ANNOTATIONS_AT_MOST])


def _command(kind: str, check: GateCheck) -> str:
    return _line(kind, check_title(check), check_sentence(check))


def _line(kind: str, title: str, text: str) -> str:
    return f"::{kind} title={_property(f'qdiag: {title}')}::{_data(text)}"


def _data(text: str) -> str:
    return printable(text, lines=True).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
