"""The owner's side: grants what the other processes of the home ask for."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Final

from symphony.bus.owning import ENTER, LEAVING
from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import MessageEnvelope, RequestPayload
from symphony.pit.arbitration.core.supplies import Claim
from symphony.pit.arbitration.local import PitArbiter
from symphony.pit.arbitration.sharing import messages
from symphony.pit.arbitration.sharing.holders import HoldersFile
from symphony.pit.arbitration.sharing.messages import (
    AcquireCall,
    ClaimIds,
    GrantAnswer,
    HolderGreeting,
    WaitAnswer,
)
from symphony.ports.values import Value

ABSENT_S: Final = 3.0
"""How long a process may take to greet a new owner, or after the hub of the bus changed, before it counts
as gone."""


class ArbiterService:
    """Serves `arbiter` to others. `answer` is the handler of the endpoint; `gone` frees what a process held.

    A new owner grants nothing before the processes that may hold something have said what. They do so
    when they greet it.
    """

    def __init__(self, arbiter: PitArbiter, holders: HoldersFile) -> None:
        self._arbiter, self._holders = arbiter, holders
        self._members: dict[str, _Member] = {}
        self._awaited: set[str] = set()
        self._ready = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._absent: asyncio.TimerHandle | None = None
        self._owns = self._leaving = False

    @property
    def ready(self) -> bool:
        """True if all that others hold is known."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Wait until all that others hold is known, for `ABSENT_S` at most."""
        await self._ready.wait()

    def took_over(self, own: str) -> None:
        """This process, `own`, is the owner now: wait for the others who may hold something."""
        self._awaited = self._holders.inherit() - {own}
        self._owns = True
        if self._awaited:
            self._timer = asyncio.get_running_loop().call_later(ABSENT_S, self._drop_awaited)
        else:
            self._ready.set()

    def answer(self, envelope: MessageEnvelope) -> Value | Coroutine[object, None, Value]:
        """The handler of the endpoint."""
        request, sender = envelope.payload, envelope.header.sender
        assert isinstance(request, RequestPayload)
        if self._leaving and request.method != messages.RELEASE:
            raise SymphonyError("the owner of the arbiter is about to end", code=LEAVING)
        match request.method:
            case messages.ACQUIRE:
                return self._acquire(sender, messages.read(AcquireCall, request.arguments).claim)
            case messages.RELEASE:
                for claim_id in messages.read(ClaimIds, request.arguments).ids:
                    self._member(sender).claims.pop(claim_id, None)
                    self._arbiter.give_back(claim_id)
            case messages.WHY:
                return self._why(messages.read(ClaimIds, request.arguments).ids)
            case messages.STATUS:
                return messages.value_of(self._arbiter.status())
            case _ if request.method == ENTER:
                return self._enter(sender, messages.read(HolderGreeting, request.arguments))
            case other:
                raise SymphonyError(f"the arbiter has no {other!r:.100}", code="method-unknown")
        return None

    def gone(self, sender: str | None) -> None:
        """A process has left the bus; None: the hub is gone, and those that are left greet again."""
        if sender is not None:
            member = self._members.pop(sender, None)
            if member is not None:
                member.end()
                for claim_id in member.claims:
                    self._arbiter.give_back(claim_id)
                self._holders.discard(sender)
            self._heard_of(sender)
            return
        for member in self._members.values():
            member.present = False
            member.end()  # the answers would reach nobody: they ask again
        if self._absent is not None:
            self._absent.cancel()
        self._absent = asyncio.get_running_loop().call_later(ABSENT_S, self._drop_absent)

    def leave(self) -> None:
        """Grant nothing more. Those who wait ask the next owner, and tell it what they hold."""
        self._leaving = True
        self._ready.set()
        for timer in (self._timer, self._absent):
            if timer is not None:
                timer.cancel()
        for member in self._members.values():
            member.end()

    # What is asked.

    def _enter(self, sender: str, greeting: HolderGreeting) -> Value:
        """What the process says that it holds is what it holds; what it waits for, it asks for again."""
        member = self._member(sender)
        member.present = True
        member.end()
        held = {claim.id: claim for claim in greeting.held}
        for claim_id in [one for one in member.claims if one not in held]:
            del member.claims[claim_id]
            self._arbiter.give_back(claim_id)
        if held:
            self._holders.add(sender)
        for claim in held.values():
            member.claims[claim.id] = claim
            self._arbiter.adopt(claim)
        self._heard_of(sender)
        return {"pid": os.getpid()}

    async def _acquire(self, sender: str, claim: Claim) -> Value:
        member = self._member(sender)
        task = asyncio.current_task()
        assert task is not None
        member.tasks.add(task)
        try:
            self._holders.add(sender)
            await self._ready.wait()
            granted = await self._arbiter.wait(claim)
        except asyncio.CancelledError:
            if self._leaving:
                raise SymphonyError("the owner of the arbiter is about to end", code=LEAVING) from None
            raise
        finally:
            member.tasks.discard(task)
        member.claims[claim.id] = claim
        return messages.value_of(GrantAnswer(reason=granted.reason, waited_s=granted.waited_s))

    def _why(self, ids: tuple[str, ...]) -> Value:
        found = {claim_id: self._arbiter.why(claim_id) for claim_id in ids}
        waits = {name: (one.reason, one.before) for name, one in found.items() if one is not None}
        return messages.value_of(WaitAnswer(waits=waits))

    # Processes.

    def _member(self, sender: str) -> "_Member":
        found = self._members.get(sender)
        if found is None:
            found = self._members[sender] = _Member()
        return found

    def _heard_of(self, sender: str) -> None:
        """It is known what the process holds."""
        self._awaited.discard(sender)
        if self._owns and not self._awaited:
            self._ready.set()

    def _drop_awaited(self) -> None:
        for name in list(self._awaited):
            self._holders.discard(name)
            self._heard_of(name)

    def _drop_absent(self) -> None:
        self._absent = None
        for sender in [name for name, member in self._members.items() if not member.present]:
            self.gone(sender)


class _Member:
    """Another process: what it waits for and holds."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self.claims: dict[str, Claim] = {}
        self.present = True

    def end(self) -> None:
        """Give up what it waits for."""
        for task in list(self.tasks):
            task.cancel()
