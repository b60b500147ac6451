"""The place of a home's bus, and the names of its temporary endpoints."""

import os
from pathlib import Path
from typing import Final

from symphony.commons.time import random_bits

RETAINED: Final = "pit.>"
"""The topics whose events are kept for those who come late: they belong to no one run."""
RETAINED_LAST: Final = 64
"""How many events of each topic are kept."""
_PATH_BYTES_MAX: Final = 100


def bus_address(home: Path) -> str:
    """Return where the bus of `home` is: `run/bus.sock` in it, or elsewhere if that is too long for a
    socket.
    """
    path = home.absolute() / "run" / "bus.sock"
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        import hashlib  # rarely needed, and slow to import
        import tempfile

        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        path = Path(tempfile.gettempdir()) / f"symphony-{os.geteuid()}" / f"{name}.sock"
    return f"unix://{path}"


def passing_name(role: str) -> str:
    """Return a name for an endpoint that comes and goes, which no other has, on this machine or another."""
    return f"{role}.{os.getpid()}.{random_bits(32):08x}"
