"""The changes of a resume or a rerun to the earlier run. Values only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from symphony.app.preparing import check_hosts
from symphony.app.run_for import ANYBODY, RunFor
from symphony.commons.settings import Config
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.store.journal import RunMeta


class RunAmendment(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of `budget` take the place of the run's, `allow_hosts` are added to the run's.

    `operators` are files in place of those that the run recorded. What is None, or empty, stays.
    """

    budget: Limits | None = None
    allow_hosts: Sequence[str] = ()
    concurrency: int | None = None
    cache: bool | None = None
    operators: "Sequence[Path | str]" = ()
    run_for: RunFor = ANYBODY

    def of(self, meta: RunMeta, config: Config) -> RunMeta:
        """Return what is recorded of the run from now on. No budget goes beyond that of the settings.

        Raises ConfigInvalid for a host that cannot be one.
        """
        if self == AS_BEFORE:
            return meta
        check_hosts(self.allow_hosts)
        whom = self.run_for.checked()
        own = config.budget
        limits = amended(meta.budget or Limits(), self.budget or Limits())
        return msgspec.structs.replace(
            meta,
            budget=limits.strictest(Limits(money=own.money, tokens=own.tokens, calls=own.calls)),
            allow_hosts=tuple(dict.fromkeys((*meta.allow_hosts, *self.allow_hosts))),
            concurrency=self.concurrency or meta.concurrency,
            cache=meta.cache if self.cache is None else self.cache and config.symphony.cache,
            user=meta.user if whom.user is None else whom.user,
            project=meta.project if whom.project is None else whom.project,
            priority=meta.priority if whom.priority is None else whom.priority,
            operators=tuple(str(Path(one).absolute()) for one in self.operators) or meta.operators,
        )


AS_BEFORE: Final = RunAmendment()
"""An amendment that changes nothing."""


def amended(before: Limits, given: Limits) -> Limits:
    """Return the limits before, but for those that are given."""
    return Limits(
        money=before.money if given.money is None else given.money,
        tokens=before.tokens if given.tokens is None else given.tokens,
        calls=before.calls if given.calls is None else given.calls,
    )
