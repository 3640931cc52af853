"""How an agent works with verdicts, as a page."""

from importlib.resources import files


def skill_page() -> str:
    """The page, with the head that collections of skills ask for."""
    return files("qdiag.cli.agents").joinpath("SKILL.md").read_text(encoding="utf-8")
