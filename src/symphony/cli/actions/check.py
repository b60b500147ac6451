"""One check of `symphony doctor`: a value."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at. `fix` is empty where there is nothing to repair."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""
