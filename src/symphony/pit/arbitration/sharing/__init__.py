"""One arbiter for all processes of a home: its owner serves it on the bus, the others ask there."""

from symphony.pit.arbitration.sharing.shared import SharedArbiter

__all__ = ["SharedArbiter"]
