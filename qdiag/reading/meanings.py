"""What the code of a finding means, in two paragraphs that a report shows where the code stands.

They are those of the detector (`qdiag explain`), which draws on more than stored results do: a test compares them.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

FILE_NAME = "meanings.json"


@cache
def meanings() -> Mapping[str, tuple[str, str]]:
    """By code, what it says in one sentence, and what that means."""
    text = files("qdiag.reading").joinpath(FILE_NAME).read_text(encoding="utf-8")
    return {code: (summary, meaning) for code, (summary, meaning) in json.loads(text).items()}
