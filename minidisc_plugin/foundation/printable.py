"""Text from elsewhere (configs, file names, plug-ins, hosts), fit for a terminal: one line, nothing that acts."""

from __future__ import annotations

import re

# Control characters (ANSI escapes begin with one), what turns the direction of writing, halves of surrogate pairs.
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_BREAKS = re.compile(r"\s*[\t\n\v\f\r\x85\u2028\u2029]+\s*")
_LONG = 120


def printable(text: str) -> str:
    r"""The text with every character that a terminal would act on written out, as in `\\x1b`."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def one_line(text: str) -> str:
    """The text, printable, with its lines one after another."""
    return printable(_BREAKS.sub(" ", text.strip()))


def shown(value: object) -> str:
    """A value in an error message: as Python writes it, cut where it is long; where it cannot be written, its type."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__} too large to be written"
    except Exception:  # a foreign object's own
        return f"<{type(value).__name__}>"
    return shortened(printable(text))


def shortened(text: str, length: int = _LONG) -> str:
    """The text, its end left out where it is longer than that."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text)} characters)"
