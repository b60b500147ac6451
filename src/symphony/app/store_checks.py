"""Faults of the artifact store in words, and what was or can be done about each. Blocking."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.store.checking import BodyFault, StoreCheck
from symphony.ports.runs import short_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFault:
    """One fault: `repaired` says what was done about it, if anything; `fix` what you can do."""

    kind: str
    name: str
    problem: str
    fix: str
    repaired: str = ""
    left: bool = True
    """True if there is something left for the user to do."""


def check_store(
    home: Path, keys: StoreKeys | None = None, outside: OutsidePlaces | None = None, *, repair: bool = False
) -> Iterator[StoreFault]:
    """Yield every fault of the artifact store of `home`. With `repair`, what can be repaired safely is.

    Raises StorageFull, IoFailed.
    """
    check = StoreCheck(home / "artifacts", outside, keys)
    for fault in list(check.faults()):
        repaired = check.repair(fault) if repair else ""
        lost = fault.kind == "damaged" and (fault.run or fault.known_as) is not None
        yield StoreFault(
            kind=fault.kind, name=fault.name, problem=_problem(fault),
            fix=_fix(fault, repaired=bool(repaired)), repaired=repaired, left=not repaired or lost,
        )  # fmt: skip


def _problem(fault: BodyFault) -> str:
    referring = "" if fault.run is None else f", which run {short_id(fault.run)} refers to,"
    known = "" if fault.known_as is None else f" ({fault.known_as})"
    match fault.kind:
        case "damaged":
            return f"artifact {fault.name}{known}{referring} is not what was stored"
        case "tampered":
            return f"somebody has tampered with artifact {fault.name}{known}{referring.rstrip(',')}"
        case "missing":
            return f"artifact {fault.name}{known}{referring} is not there"
        case "stale":
            return f"artifact {fault.name}{known} is recorded, but not there, and nothing refers to it"
        case "unrecorded":
            return f"artifact {fault.name} is there, but not recorded"
        case "log":
            return f"{fault.name} has {fault.count} damaged lines: names and origins of artifacts are lost"
        case "version":
            return f"{fault.name} is two artifacts in the log, or a tag on a version that it does not have"
        case "index":
            return f"{fault.name} says something else than what it is made of"
        case "pack":
            return (
                f"{fault.name} has {fault.count} bytes that are damaged, or were torn when their writer died"
            )
        case "stray":
            return f"{fault.name} was left behind by a process that died"


def _fix(fault: BodyFault, *, repaired: bool) -> str:
    run = "" if fault.run is None else short_id(fault.run)
    again = f"make it again with `symphony runs rerun {run}`, or " if run else ""
    match fault.kind:
        case "damaged" if not repaired:
            aside = "set it aside with `symphony artifacts fsck --repair`, then "
            return f"{aside}{again}restore it from a copy with `symphony artifacts put FILE`"
        case "damaged" | "missing":
            return f"{again}restore it from a copy with `symphony artifacts put FILE`"
        case "tampered":
            return "find out who can write there, and restore the folder artifacts from a copy"
        case "version":
            return "the first counts: store what you miss again, with `symphony artifacts put` or `tag`"
        case "log":
            return "restore it from a copy; until then no artifact is deleted"
        case _:
            return "`symphony artifacts fsck --repair`"
