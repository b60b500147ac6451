"""What is scarce, and what claims need of it: amounts as integers in the smallest unit. Pure."""

from typing import Final, TypeAlias

import msgspec

from symphony.ports.arbitration import ConflictKind

UNIT: Final = 1_000
"""A core is so many of the smallest units, and so is a call of a model."""
SHARE_MIN: Final = 0.001
"""What is held counts as at least this part of all there is."""
Needs: TypeAlias = tuple[tuple[str, int], ...]
"""Names of supplies with the amount needed of each, without zeros."""


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of which there is only so much. Amounts are in its smallest unit.

    What is taken comes back when its claim is released. With `per_s` it does not: `amount` is then the
    size of a bucket that fills again at that rate. `spent` is gone for good, as money is.
    """

    name: str
    kind: ConflictKind
    amount: int
    per_s: float = 0.0
    spent: int = 0
    waits: bool = True
    """False: a claim that no longer fits beside what is spent is refused, as waiting would not help."""
    batch: int = 1
    """So many claims may share one place, if the strategy is collaborative and they need the same."""
    setting: str = ""
    """The setting that raises the amount."""
    unit: str = ""
    scale: int = 1
    """So many of the smallest units are one `unit`."""

    def said(self, amount: float) -> str:
        """Return an amount in words: `1.5 cores`."""
        number = f"{amount / self.scale:,.6f}".rstrip("0").rstrip(".")
        return f"{number} {self.unit}" if self.unit else number


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the machine sees it. `id` is unique among all that wait or hold."""

    id: str
    user: str = ""
    run: str = ""
    node: str = ""
    resource: str = ""
    priority: int = 0
    needs: Needs = ()


class NeedShape:
    """What claims with the same needs have in common, worked out once.

    `pairs` and `rated` are numbers of supplies with amounts: what comes back, and what does not.
    `fits` has what must be free for each: no more than there is of what refills, so that a request
    larger than the bucket waits until it is full and leaves it in debt.
    """

    __slots__ = (
        "batch",
        "fits",
        "lump_s",
        "needs",
        "pairs",
        "rated",
        "refusal",
        "setting",
        "share",
        "stalled",
    )

    def __init__(self, needs: Needs, numbers: dict[str, int], supplies: list[Supply]) -> None:
        self.needs = needs
        known = [(numbers[name], amount) for name, amount in needs if name in numbers and amount > 0]
        self.pairs = tuple((i, amount) for i, amount in known if not supplies[i].per_s)
        self.rated = tuple((i, amount) for i, amount in known if supplies[i].per_s)
        self.fits = self.pairs + tuple((i, min(n, supplies[i].amount)) for i, n in self.rated)
        shared = [(i, n) for i, n in self.pairs if supplies[i].kind is not ConflictKind.COST]
        parts = [min(1.0, n / supplies[i].amount) for i, n in shared if supplies[i].amount]
        self.share = max(SHARE_MIN, *parts, 0.0) if self.fits else 0.0
        """The dominant share: the largest part that one claim takes of what comes back, in [0, 1]."""
        self.lump_s = max((n / supplies[i].per_s for i, n in self.rated), default=0.0)
        """The seconds in which what does not come back fills again."""
        self.batch = (
            1
            if self.rated
            else min((supplies[i].batch for i, _ in self.pairs if supplies[i].batch > 1), default=1)
        )
        self.stalled = any(n > supplies[i].amount - supplies[i].spent for i, n in self.pairs)
        """True if the claim does not fit even when nothing is held: what is spent must come back first."""
        self.refusal: str | None = None
        self.setting = ""
        for i, amount in self.pairs:
            self._refuse_if_larger(supplies[i], amount)

    def _refuse_if_larger(self, supply: Supply, amount: int) -> None:
        if amount > supply.amount:
            self.refusal = f"it needs {supply.said(amount)}, and there are only {supply.said(supply.amount)}"
        elif not supply.waits and amount > supply.amount - supply.spent:
            self.refusal = (
                f"it may need {supply.said(amount)}, and {supply.said(supply.spent)} "
                f"of {supply.said(supply.amount)} are spent"
            )
        else:
            return
        self.setting = supply.setting
