"""The arbitration seam: when a node may start."""

from typing import Protocol


class Arbiter(Protocol):
    """Grants scarce resources. The built-in one grants at once; the pit's arbiter comes later."""

    async def acquire(self, run_id: str, node: str, resource: str) -> None:
        """Return when `node` may use `resource` (an operator's or model's name)."""
        ...

    def release(self, run_id: str, node: str, resource: str) -> None: ...
