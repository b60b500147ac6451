"""The built-in arbiter, used where nothing is scarce."""

from symphony.ports.arbiter import Grant, Queued, ResourceRequest


class AtOnce:
    """`symphony.ports.arbiter.Arbiter` that grants every request at once."""

    def limits(self, request: ResourceRequest) -> bool:
        """Nothing is limited."""
        return False

    def try_acquire(self, request: ResourceRequest) -> Grant:
        """Grant the request."""
        return Grant(id="at-once", request=request, reason="nothing is limited")

    def queued(self, request: ResourceRequest) -> Queued:
        """Return that nothing keeps the request waiting."""
        return Queued(reason="nothing is limited")

    async def acquire(self, request: ResourceRequest) -> Grant:
        """Grant the request."""
        return self.try_acquire(request)

    def release(self, grant: Grant) -> None:
        """Do nothing, as nothing is held."""
