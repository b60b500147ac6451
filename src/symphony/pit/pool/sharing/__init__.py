"""One pool of models for all processes of a home: its owner serves it on the bus, the others ask there."""

from symphony.pit.pool.sharing.shared import SharedModels, SharedSpec

__all__ = ["SharedModels", "SharedSpec"]
