"""Names of files as people can read them: any name that a file system takes, in one line of printable text."""

import os

LONGEST = 300  # characters; a text of base64 in the place of a path has thousands


def shown(name: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """A name or path for messages, figures and pages: control characters and what is no text as escapes, cut short.

    File names may hold anything but ``/`` and null: line ends, bytes that are no UTF-8 (surrogates in Python),
    marks that turn the direction of writing.
    """
    text = os.fsdecode(name)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
