"""Names of the rules that choose an assistant; imports nothing heavy, for the command line lists them."""

from __future__ import annotations

from typing import Literal

Rule = Literal["lambda", "log_loss", "gap"]
"""By what the assistant is chosen among the candidates."""
