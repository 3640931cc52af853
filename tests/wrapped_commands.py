"""Commands as they are printed, which go on in the next line behind a backslash."""

import re


def on_one_line(text: str) -> str:
    """Each command as one line, as a shell reads it."""
    return re.sub(r" \\\n\s*", " ", text)
