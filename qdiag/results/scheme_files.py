"""Schemes that a report proposes, as files beside it: commands then name a file in place of a row of settings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qdiag.config import change_scheme
from qdiag.config.scheme_text import scheme_toml
from qdiag.core.diagnosis import Diagnosis
from qdiag.errors import ConfigError
from qdiag.files.atomic import write_file
from qdiag.files.folder import make_folder
from qdiag.reading.words.causes import repair_title
from qdiag.reading.words.commands.repairing import leaves_all_in_float, plan_settings, takes_scheme_files

CHANGE_FILE, REPAIRS_FILE = "scheme.toml", "repaired_scheme.toml"


def write_scheme_files(diagnosis: Diagnosis, folder: str | Path) -> Diagnosis:
    """Writes the change of scheme that helps most, and what the proposed repairs change of the scheme.

    Returns:
        The diagnosis, which then knows where the files are; as it was where there is nothing to write.

    Raises:
        WriteError: the folder cannot be made, or a file not be written.
    """
    root = Path(folder)
    texts = scheme_texts(diagnosis)
    if texts:
        make_folder(root)
    for name, text in texts.items():
        write_file(root / name, text)
    paths = {name: str(root / name) for name in texts}
    return replace(diagnosis, scheme_file=paths.get(CHANGE_FILE, ""), repaired_scheme_file=paths.get(REPAIRS_FILE, ""))


def scheme_texts(diagnosis: Diagnosis) -> dict[str, str]:
    """The files by their names: every field of each scheme, so that nothing else has to be said."""
    if not takes_scheme_files(diagnosis):
        return {}
    ranking, texts = diagnosis.ranking, dict[str, str]()
    if ranking.way_around is not None and not leaves_all_in_float(diagnosis, ranking.way_around):
        title = repair_title(ranking.way_around.repair)
        texts[CHANGE_FILE] = _text(diagnosis, ranking.way_around.settings, title)
    texts[REPAIRS_FILE] = _text(diagnosis, plan_settings(ranking), "what the proposed repairs change of it")
    return {name: text for name, text in texts.items() if text}


def _text(diagnosis: Diagnosis, settings: Sequence[str], what: str) -> str:
    """Empty where there are no settings, or where a file cannot say them."""
    scheme = diagnosis.measurement.scheme
    if not settings:
        return ""
    try:
        changed = change_scheme(scheme, settings)
    except ConfigError:  # `--set` stays the way to say it
        return ""
    return scheme_toml(
        changed,
        f"{scheme.name}, with one change: {what}.\nCommands of qdiag take the path of this file as their scheme.",
    )
