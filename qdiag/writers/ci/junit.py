"""A gate as JUnit XML, one test case for each check, in the form of Jenkins' junit-10.xsd."""

import re
from collections import Counter
from xml.etree import ElementTree

from qdiag.core.gate import GateCheck, GateResult
from qdiag.core.printable import printable
from qdiag.reading.words.commands.shell import as_told
from qdiag.reading.words.gate import RULE_HELP, check_sentence, check_title, harm_line, named_cause_words
from qdiag.reading.words.numbers import decibel_words


def gate_junit(result: GateResult) -> str:
    """`<failure>` where a check failed, `<error>` where it could not be judged, `<skipped>` where it is undecided.

    Warnings pass, with their words on `<system-out>`. No times and no host names: equal results give equal bytes.
    """
    name = f"qdiag.{_package(result)}"
    counts = {
        "tests": len(result.checks),
        "failures": result.count("fail"),
        "errors": result.count("cannot_judge"),
    }
    root = ElementTree.Element("testsuites", {"name": "qdiag gate", **{key: str(n) for key, n in counts.items()}})
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {"name": name, **{key: str(n) for key, n in counts.items()}, "skipped": str(result.count("undecided"))},
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _properties(result).items():
        ElementTree.SubElement(properties, "property", {"name": _clean(key), "value": _clean(value)})
    taken: Counter[str] = Counter()
    for check in result.checks:
        title = _clean(check_title(check))
        taken[title] += 1
        unique = title if taken[title] == 1 else f"{title} ({taken[title]})"
        case = ElementTree.SubElement(suite, "testcase", {"name": unique, "classname": f"{name}.{check.rule}"})
        _outcome(case, check, result)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _outcome(case: ElementTree.Element, check: GateCheck, result: GateResult) -> None:
    words = _clean(check_sentence(check))
    if check.status == "fail":
        failure = ElementTree.SubElement(case, "failure", {"type": check.rule, "message": words})
        failure.text = "\n".join(map(_clean, _story(check, result)))
    elif check.status == "cannot_judge":
        error = ElementTree.SubElement(case, "error", {"type": check.rule, "message": words})
        error.text = "\n".join(map(_clean, _story(check, result)))
    elif check.status == "undecided":
        ElementTree.SubElement(case, "skipped", {"type": check.rule, "message": words})
    else:
        ElementTree.SubElement(case, "system-out").text = f"{check.status}: {words}"


def _story(check: GateCheck, result: GateResult) -> list[str]:
    """What somebody who sees nothing but this test case needs: meaning, layers, causes, repair."""
    lines = [RULE_HELP[check.rule], check_sentence(check)]
    if len(check.places) > 1:
        lines.append(f"layers: {', '.join(check.places)}")
    lines += [f"cause: {named_cause_words(cause)}" for cause in result.causes]
    lines += [f"repair: {as_told(command)}" for command in result.commands]
    if result.weakest and check.layer is None:
        weakest = ", ".join(f"{figure.layer} {decibel_words(figure.local_db)}" for figure in result.weakest[:3])
        lines.append(f"weakest layers: {weakest}")
    return lines


def _properties(result: GateResult) -> dict[str, str]:
    own = {"source": result.source, "status": result.status, "scheme": result.scheme}
    if result.model is not None:
        own["model"] = result.model.source
    if harm_line(result):
        own["harm"] = harm_line(result)
    return {**own, **{f"fingerprint {name}": value for name, value in result.fingerprints.items()}}


def _package(result: GateResult) -> str:
    """A class name: dots would make packages of it."""
    source = result.model.source if result.model is not None else result.source
    return re.sub(r"\W+", "_", source).strip("_") or "model"


def _clean(text: str) -> str:
    return printable(text)
