"""Decides who gets what is scarce, and says why. Pure: a function of its inputs and the seed.

The shell tells what happened (`ask`, `release`, `change`, …) with the time, in seconds of one monotonic
clock, and calls `tick` when `due_s` says. Strategies say in which order claims that wait are looked at
(`strategies`). What holds whatever the strategy:

- Nothing is granted that does not fit beside what is held.
- A claim that can never fit is refused at once.
- The first claim in order that does not fit is promised what it needs: it stays first until it is granted.
  It waits for what is held then, and for nothing that comes later: others pass it only if they fit beside
  what is kept for it (EASY backfilling, Lifka 1995, without estimates of durations). So a large claim
  among small ones waits no longer than a small one. It is charged to its user for the time in which it was
  kept or held, whichever is longer: large claims that are held for moments pay for what they keep idle.

How long a claim waits at most follows from this: see `waits`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heapreplace
from typing import Final

from symphony.pit.arbitration.core import wording
from symphony.pit.arbitration.core.decisions import (
    ArbiterDecision,
    ArbiterInput,
    ArbiterTicked,
    ClaimAdopted,
    ClaimAsked,
    ClaimGranted,
    ClaimRefused,
    ClaimReleased,
    ClaimWait,
    SupplyChanged,
)
from symphony.pit.arbitration.core.lanes import HeldClaim, Lane, LaneKey, SharedPlace, WaitingClaim
from symphony.pit.arbitration.core.strategies import ArbiterPolicy, OrderKey, bounded, level
from symphony.pit.arbitration.core.supplies import Claim, Needs, NeedShape, Supply
from symphony.pit.arbitration.core.users import PARTS, QUANTUM_S, UserAccount, report
from symphony.ports.arbitration import Contention, FairnessReport

_SMOOTHING: Final = 1 / 16


class ArbiterMachine:
    """The arbiter's decisions. One thread.

    A claim that need not wait costs O(its needs). What others wait for is given out in
    O(lanes x log lanes) for each release, where a lane holds all claims of one user, priority and need.
    """

    def __init__(
        self,
        supplies: Iterable[Supply] = (),
        policy: ArbiterPolicy | None = None,
        *,
        now_s: float,
        seed: int = 0,
        record: Callable[[ArbiterInput], None] | None = None,
    ) -> None:
        """`record` gets every input before it takes effect. See `replaying`."""
        self.policy, self._seed, self._record = policy or ArbiterPolicy(), seed, record
        self._supplies: list[Supply] = []
        self._numbers: dict[str, int] = {}
        self._free: list[float] = []
        self._filled_s: list[float] = []
        self._latest: list[Claim | None] = []
        self._shapes: dict[Needs, NeedShape] = {}
        self._users: dict[str, UserAccount] = {}
        self._held: dict[str, HeldClaim] = {}
        self._waiting: dict[str, WaitingClaim] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._wanted: dict[int, list[int]] = {}
        """Of each supply that somebody waits for: how many claims, and how much they need."""
        self._promised: WaitingClaim | None = None
        self._promised_s = now_s
        self._rated: list[int] = []
        self._count = self._turns = 0
        self._virtual = 0.0
        """The virtual time at which a user who comes back begins: that of the latest grant."""
        self._expected_s = 0.0
        self._rolled = deque[float]([now_s], maxlen=PARTS + 1)
        self._roll_s = now_s + self.policy.window_s / PARTS
        self._decisions: list[ArbiterDecision] = []
        for supply in supplies:
            self._set(supply, now_s)

    # What happens.

    def grant_at_once(self, claim: Claim, now_s: float) -> bool:
        """Grant the claim if it fits and nobody waits for anything that it needs; else change nothing."""
        if self._record is not None:
            self._record(ClaimAsked(claim, now_s, at_once=True))
        shape = self._shapes.get(claim.needs) or self._shape(claim.needs)
        if shape.rated:
            self._refill(now_s)
        free = self._free
        for index, amount in shape.fits:
            if amount > free[index] or index in self._wanted:
                return False
        if shape.refusal is not None:
            return False
        if shape.fits:
            self._hold(claim, shape, now_s)
        return True

    def refusal(self, claim: Claim) -> ClaimRefused | None:
        """Return why the claim can never be granted; None if it can. Changes nothing."""
        shape = self._shapes.get(claim.needs) or self._shape(claim.needs)
        return None if shape.refusal is None else ClaimRefused(claim.id, shape.refusal, shape.setting)

    def ask(self, claim: Claim, now_s: float) -> tuple[ArbiterDecision, ...]:
        """Grant the claim now or later, or refuse it. Asking again with a known id changes nothing."""
        if self._record is not None:
            self._record(ClaimAsked(claim, now_s))
        if claim.id in self._held or claim.id in self._waiting:
            return ()
        shape = self._shapes.get(claim.needs) or self._shape(claim.needs)
        if shape.refusal is not None:
            return (ClaimRefused(claim.id, shape.refusal, shape.setting),)
        if not shape.fits:
            return (ClaimGranted(claim.id, wording.AT_ONCE),)
        lane = self._lane(claim, shape, now_s)
        self._count += 1
        waiting = WaitingClaim(claim, lane, now_s, self._count)
        lane.queue.append(waiting)
        self._waiting[claim.id] = waiting
        lane.user.waiting += 1
        lane.run.waiting += 1
        self._want(shape)
        if len(lane.queue) == 1:  # those before it in its lane do not fit, and so neither does it
            self._serve(now_s)
        return self._taken()

    def release(self, claim_id: str, now_s: float) -> tuple[ArbiterDecision, ...]:
        """The claim is given back, or given up. Releasing twice, or what is unknown, changes nothing."""
        if self._record is not None:
            self._record(ClaimReleased(claim_id, now_s))
        if now_s >= self._roll_s:
            self._roll(now_s)
        held = self._held.pop(claim_id, None)
        if held is not None:
            self._give_back(held, now_s)
        elif (waiting := self._waiting.get(claim_id)) is not None:
            self._give_up(waiting, now_s)
        else:
            return ()
        if self._wanted:
            self._serve(now_s)
        return self._taken()

    def adopt(self, claim: Claim, now_s: float) -> None:
        """Note a claim that another arbiter granted: it holds, even if there is less than it needs."""
        if self._record is not None:
            self._record(ClaimAdopted(claim, now_s))
        if claim.id in self._held:
            return
        shape = self._shapes.get(claim.needs) or self._shape(claim.needs)
        if (waiting := self._waiting.get(claim.id)) is not None:
            self._give_up(waiting, now_s)
        if shape.fits:
            self._hold(claim, shape, now_s)

    def change(self, supply: Supply, now_s: float) -> tuple[ArbiterDecision, ...]:
        """There is so much of the supply from now on. What is held stays held.

        A claim that waits and can never be granted now is refused.
        """
        if self._record is not None:
            self._record(SupplyChanged(supply, now_s))
        self._break_promise(now_s)
        self._set(supply, now_s)
        self._shapes.clear()
        self._wanted.clear()
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.shape = self._shapes.get(lane.key[3]) or self._shape(lane.key[3])
            for one in lane.queue:
                if not one.gone:
                    self._want(lane.shape)
        for lane in lanes:
            self._refuse(lane)
        if self._wanted:
            self._serve(now_s)
        return self._taken()

    def tick(self, now_s: float) -> tuple[ArbiterDecision, ...]:
        """Time has passed: what fills again may suffice now, and claims have aged."""
        if self._record is not None:
            self._record(ArbiterTicked(now_s))
        if now_s >= self._roll_s:
            self._roll(now_s)
        if self._wanted:
            self._serve(now_s)
        return self._taken()

    # What is seen of it.

    def due_s(self, now_s: float) -> float | None:
        """When enough may have filled again for a claim that waits.

        None: not before something else happens.
        """
        dues = list[float]()
        for index in self._rated:
            if index in self._wanted:
                need = min(
                    dict(lane.shape.fits)[index]
                    for lane in self._lanes.values()
                    if any(index == one for one, _ in lane.shape.fits)
                )
                full_s = (need - self._free[index]) / self._supplies[index].per_s
                dues.append(max(now_s, self._filled_s[index] + full_s))
        return min(dues, default=None)

    def contentions(self) -> tuple[Contention, ...]:
        """Return every supply of which more is held and wanted than there is. O(supplies that are wanted)."""
        found = list[Contention]()
        for index, (waiting, wanted) in sorted(self._wanted.items()):
            if wanted > self._free[index]:
                supply = self._supplies[index]
                taken = int(supply.amount - self._free[index])
                found.append(
                    Contention(
                        kind=supply.kind,
                        supply=supply.name,
                        amount=supply.amount,
                        taken=taken,
                        wanted=wanted,
                        waiting=waiting,
                    )
                )
        return tuple(found)

    def why(self, claim: Claim) -> ClaimWait | None:
        """Return why the claim has to wait now; None if it need not. O(its needs), changes nothing."""
        shape = self._shapes.get(claim.needs) or self._shape(claim.needs)
        fits = sorted(shape.fits, key=lambda pair: self._free[pair[0]] - pair[1])
        for index, amount in fits:
            others = self._wanted.get(index, (0, 0))[0] - (claim.id in self._waiting)
            if amount > self._free[index] or others > 0:
                return wording.waits(
                    self._supplies[index],
                    amount,
                    self._free[index],
                    max(0, others),
                    self._latest[index],
                    stalled=shape.stalled,
                )
        return None

    def fairness(self, now_s: float) -> FairnessReport:
        """Return how users fared in the sliding window."""
        if now_s >= self._roll_s:
            self._roll(now_s)
        self._count_held(now_s)
        waits_s = dict[str, float]()
        for one in self._waiting.values():
            user = one.claim.user
            waits_s[user] = max(waits_s.get(user, 0.0), now_s - one.since_s)
        amounts = [0 if supply.per_s else supply.amount for supply in self._supplies]
        elapsed_s = max(0.0, now_s - self._rolled[0])
        return report(self._users.values(), amounts, waits_s, elapsed_s, len(self._rolled))

    def holds(self, claim_id: str) -> bool:
        """True if the claim holds."""
        return claim_id in self._held

    def held(self) -> tuple[Claim, ...]:
        """Return the claims that hold, in the order in which they were granted."""
        return tuple(held.claim for held in self._held.values())

    def waiting(self) -> tuple[Claim, ...]:
        """Return the claims that wait, in the order in which they came."""
        return tuple(one.claim for one in self._waiting.values())

    def ages_s(self, now_s: float) -> dict[str, float]:
        """Return for how long each claim has held or waited, by id."""
        held = {name: now_s - one.since_s for name, one in self._held.items()}
        return held | {name: now_s - one.since_s for name, one in self._waiting.items()}

    def supplies(self) -> Iterator[tuple[Supply, float]]:
        """Return each supply with how much of it is free; less than nothing, if it was lowered."""
        return zip(tuple(self._supplies), tuple(self._free), strict=True)

    # Giving out.

    def _serve(self, now_s: float) -> None:
        """Grant what fits, in order, beside what is kept for the first claim that does not fit."""
        self._refill(now_s)
        spare = list(self._free)
        if self._promised is not None and not self._kept(self._promised, spare, now_s):
            self._promised = None
        if self._promised is not None and all(spare[index] <= 0 for index in self._wanted):
            return
        order = self._order(now_s)
        lanes = (lane for lane in self._lanes.values() if not lane.shape.stalled)
        heap = [(order(lane), lane) for lane in self._passing(lanes, spare)]
        heapify(heap)
        while heap:
            key, lane = heap[0]
            if not lane.queue:
                heappop(heap)
            elif (fresh := order(lane)) != key:
                heapreplace(heap, (fresh, lane))
            elif _fits(lane.shape, spare):
                self._grant_first(lane, order, now_s)
                _take(lane.shape, spare)
            elif self._promised is not None:
                heappop(heap)
            else:
                self._promise(lane.queue[0], now_s)
                _take(lane.shape, spare)
                rest = self._passing((lane for _, lane in heap), spare)
                heap = [(order(lane), lane) for lane in rest if lane.queue]
                heapify(heap)

    def _passing(self, lanes: Iterable[Lane], spare: list[float]) -> Iterable[Lane]:
        """Return the lanes that may be granted something: all, until a claim is promised what it needs."""
        if self._promised is None:
            return lanes
        return [lane for lane in lanes if _fits(lane.shape, spare)]

    def _kept(self, promised: WaitingClaim, spare: list[float], now_s: float) -> bool:
        """Grant what was promised, if it fits now; else keep it in `spare`, and return True."""
        lane = promised.lane
        if _fits(lane.shape, spare):
            self._grant_first(lane, self._order(now_s), now_s)
            _take(lane.shape, spare)
            return False
        if lane.shape.stalled:
            self._break_promise(now_s)
            return False
        _take(lane.shape, spare)
        return True

    def _promise(self, first: WaitingClaim, now_s: float) -> None:
        """Let the claim be first until it is granted. What is kept for it counts as if it had it."""
        self._promised, self._promised_s = first, now_s
        lane = first.lane
        for account in (lane.user, lane.run):
            account.begin(lane.shape.share, now_s)

    def _break_promise(self, now_s: float, *, kept: bool = False) -> float:
        """Nothing is kept any longer for the claim that was promised something; return for how long it was.

        `kept`: it is granted, and pays when it is released: see `_give_back`.
        """
        promised, self._promised = self._promised, None
        if promised is None:
            return 0.0
        kept_s = now_s - self._promised_s
        for account in (promised.lane.user, promised.lane.run):
            account.end(promised.lane.shape.share, self._promised_s, 0.0 if kept else kept_s)
        return kept_s

    def _order(self, now_s: float) -> Callable[[Lane], OrderKey]:
        """Return the sort key of lanes by their first claim. It does not fall while grants are made."""
        policy, expected_s = self.policy, self._expected_s
        ageing_s = policy.ageing_s
        if policy.strategy == "queue":
            return lambda lane: (0, 0, 0, 0, lane.queue[0].number)
        if policy.strategy == "priority":
            return lambda lane: (
                0, lane.queue[0].since_s - lane.priority * ageing_s, 0, 0, lane.queue[0].number
            )  # fmt: skip
        top = max((lane.priority for lane in self._lanes.values()), default=0)

        def by_turn(lane: Lane) -> OrderKey:
            first = lane.queue[0]
            raised = level(lane.priority, now_s - first.since_s, ageing_s, top)
            return -raised, lane.user.turn, 0, lane.run.turn, first.number

        def by_share(lane: Lane) -> OrderKey:
            first, user = lane.queue[0], lane.user
            raised = level(lane.priority, now_s - first.since_s, ageing_s, top)
            run_key = lane.run.key(now_s, expected_s)
            return -raised, user.key(now_s, expected_s), user.draw, run_key, first.number

        return by_turn if policy.strategy == "round-robin" else by_share

    def _grant_first(self, lane: Lane, order: Callable[[Lane], OrderKey], now_s: float) -> None:
        """Grant the first claim of the lane, and with it those that share its place."""
        kept = lane.queue[0] is self._promised
        kept_s = self._break_promise(now_s, kept=True) if kept else 0.0
        first = self._next(lane)
        riders = list[WaitingClaim]()
        if lane.shape.batch > 1 and self.policy.strategy == "collaborative":
            alike = [one for one in self._lanes.values() if one.shape is lane.shape and one.queue]
            while alike and len(riders) < lane.shape.batch - 1:
                best = min(alike, key=order)
                if best.queue[0] is self._promised:
                    self._break_promise(now_s, kept=True)
                riders.append(self._next(best))
                if not best.queue:
                    alike.remove(best)
        batch = SharedPlace(1 + len(riders)) if riders else None
        waited_s = now_s - first.since_s
        strategy = self.policy.strategy
        reason = wording.granted(first.claim, strategy, waited_s, kept=kept, riders=len(riders))
        self._grant(first, reason, now_s, batch)
        self._held[first.claim.id].kept_s = kept_s
        for rider in riders:
            self._grant(rider, wording.rides(first.claim), now_s, batch, rides=True)

    def _next(self, lane: Lane) -> WaitingClaim:
        first = lane.queue[0]
        self._leave(first)
        return first

    def _give_up(self, waiting: WaitingClaim, now_s: float) -> None:
        """The claim is not wanted any more."""
        if waiting is self._promised:
            self._break_promise(now_s)
        self._leave(waiting)

    def _grant(
        self, one: WaitingClaim, reason: str, now_s: float, batch: SharedPlace | None, *, rides: bool = False
    ) -> None:
        waited_s = now_s - one.since_s
        user = one.lane.user
        user.waited_max_s = max(user.waited_max_s, waited_s)
        self._hold(one.claim, one.lane.shape, now_s, batch, rides=rides)
        self._decisions.append(ClaimGranted(one.claim.id, reason, waited_s))

    def _hold(
        self,
        claim: Claim,
        shape: NeedShape,
        now_s: float,
        batch: SharedPlace | None = None,
        *,
        rides: bool = False,
    ) -> None:
        """Take what the claim needs, unless it rides along, and charge its user."""
        if now_s >= self._roll_s:
            self._roll(now_s)
        user = self._users.get(claim.user) or self._account(claim.user)
        if not rides:
            free, latest = self._free, self._latest
            for index, amount in shape.pairs:
                free[index] -= amount
                latest[index] = claim
            for index, amount in shape.rated:
                free[index] -= amount
                latest[index] = claim
        run = user.runs.get(claim.run) or user.run(claim.run)
        held = self._held[claim.id] = HeldClaim(claim, shape, user, run, now_s)
        if batch is not None:
            held.batch, held.share = batch, shape.share / batch.members
        expected_s, window_s = self._expected_s, self.policy.window_s
        key = user.join(self._virtual, window_s, now_s, expected_s)
        if key > self._virtual:
            self._virtual = key
        key = run.join(user.latest, window_s, now_s, expected_s)
        if key > user.latest:
            user.latest = key
        share = held.share
        charge = share * QUANTUM_S + shape.lump_s
        user.begin(share, now_s, charge)
        run.begin(share, now_s, charge)
        user.grants += 1
        self._turns += 1
        user.turn = run.turn = self._turns

    def _give_back(self, held: HeldClaim, now_s: float) -> None:
        batch = held.batch
        lasted_s = now_s - held.since_s
        charged_s = max(lasted_s, held.kept_s)
        held.user.end(held.share, held.since_s, charged_s)
        held.run.end(held.share, held.since_s, charged_s)
        held.user.count(held.shape, 1 if batch is None else batch.members, now_s - held.counted_s)
        self._expected_s += (lasted_s - self._expected_s) * _SMOOTHING
        if batch is not None:
            batch.left -= 1
            if batch.left:
                return
        for index, amount in held.shape.pairs:
            self._free[index] += amount

    def _leave(self, waiting: WaitingClaim) -> None:
        """The claim waits no longer."""
        del self._waiting[waiting.claim.id]
        waiting.gone = True
        lane = waiting.lane
        lane.user.waiting -= 1
        lane.run.waiting -= 1
        while lane.queue and lane.queue[0].gone:
            lane.queue.popleft()
        if not lane.queue:
            self._lanes.pop(lane.key, None)
        for index, amount in lane.shape.fits:
            wanted = self._wanted[index]
            wanted[0] -= 1
            wanted[1] -= amount
            if not wanted[0]:
                del self._wanted[index]

    def _want(self, shape: NeedShape) -> None:
        for index, amount in shape.fits:
            wanted = self._wanted.setdefault(index, [0, 0])
            wanted[0] += 1
            wanted[1] += amount

    def _lane(self, claim: Claim, shape: NeedShape, now_s: float) -> Lane:
        key = (claim.user, claim.run, bounded(claim.priority), claim.needs)
        lane = self._lanes.get(key)
        if lane is None:
            user = self._users.get(claim.user) or self._account(claim.user)
            run = user.run(claim.run)
            user.join(self._virtual, self.policy.window_s, now_s, self._expected_s)
            run.join(user.latest, self.policy.window_s, now_s, self._expected_s)
            lane = self._lanes[key] = Lane(key, shape, user, run)
        return lane

    # Supplies and users.

    def _set(self, supply: Supply, now_s: float) -> None:
        index = self._numbers.get(supply.name)
        if index is None:
            index = self._numbers[supply.name] = len(self._supplies)
            if supply.per_s:
                self._rated.append(index)
            self._supplies.append(supply)
            self._free.append(supply.amount - supply.spent)
            self._filled_s.append(now_s)
            self._latest.append(None)
            for user in self._users.values():
                user.taken.append(0.0)
            return
        self._refill(now_s)
        before = self._supplies[index]
        self._supplies[index] = supply
        if supply.per_s:
            self._free[index] = min(self._free[index], supply.amount)
        else:
            self._free[index] += (supply.amount - supply.spent) - (before.amount - before.spent)

    def _refill(self, now_s: float) -> None:
        for index in self._rated:
            supply = self._supplies[index]
            if now_s > self._filled_s[index]:
                filled = self._free[index] + (now_s - self._filled_s[index]) * supply.per_s
                self._free[index] = min(float(supply.amount), filled)
                self._filled_s[index] = now_s

    def _refuse(self, lane: Lane) -> None:
        """Refuse all that waits in the lane, if it can never be granted."""
        refusal, setting = lane.shape.refusal, lane.shape.setting
        if refusal is not None:
            for one in [one for one in lane.queue if not one.gone]:
                self._leave(one)
                self._decisions.append(ClaimRefused(one.claim.id, refusal, setting))

    def _shape(self, needs: Needs) -> NeedShape:
        shape = self._shapes[needs] = NeedShape(needs, self._numbers, self._supplies)
        return shape

    def _account(self, name: str) -> UserAccount:
        weight = self.policy.weights.get(name, 1.0)
        user = self._users[name] = UserAccount(name, weight, self._seed, len(self._supplies))
        return user

    # Reports.

    def _roll(self, now_s: float) -> None:
        """Move the sliding window to `now_s`; forget users of whom it holds nothing."""
        step_s = self.policy.window_s / PARTS
        missed = int((now_s - self._roll_s) / step_s) + 1
        for part in range(max(0, missed - PARTS - 1), missed):
            at_s = self._roll_s + part * step_s
            self._count_held(at_s)
            self._rolled.append(at_s)
            for user in list(self._users.values()):
                if user.idle and user.key(at_s, 0.0) <= self._virtual:
                    del self._users[user.name]
                else:
                    user.roll()
        self._roll_s += missed * step_s

    def _count_held(self, now_s: float) -> None:
        for held in self._held.values():
            members = 1 if held.batch is None else held.batch.members
            held.user.count(held.shape, members, now_s - held.counted_s)
            held.counted_s = now_s

    def _taken(self) -> tuple[ArbiterDecision, ...]:
        decisions = tuple(self._decisions)
        self._decisions.clear()
        return decisions


def _fits(shape: NeedShape, spare: list[float]) -> bool:
    return all(amount <= spare[index] for index, amount in shape.fits)


def _take(shape: NeedShape, spare: list[float]) -> None:
    for index, amount in shape.pairs + shape.rated:
        spare[index] -= amount
