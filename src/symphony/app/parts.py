"""The parts that the runs of one Symphony need: settings, operators, stores, models, the bus.

Each part is imported and made when first needed: commands that only look at runs need few of them.
`close` ends those that were made.
"""

import os
import threading
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.app.configured_operators import configured_files, configured_infos
from symphony.app.pools import Pools
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory
from symphony.commons.quantities import size_bytes
from symphony.commons.settings import Config
from symphony.commons.time import SystemClock
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.budgets import NO_SHARED_BUDGETS, SharedBudgets
from symphony.ports.clock import Clock
from symphony.ports.insight import RunViews
from symphony.ports.models import Models
from symphony.ports.tracing import Tracing
from symphony.workflow.catalog import Catalog, ModelInfo
from symphony.workflow.model import OnFinish

if TYPE_CHECKING:
    from symphony.app.bodies_at_need import BodiesAtNeed
    from symphony.app.journals import Journals
    from symphony.app.live import LiveBus
    from symphony.app.news import PitNews
    from symphony.app.searching import Searching
    from symphony.bus import Bus
    from symphony.pit.arbitration.local import PitArbiter
    from symphony.pit.arbitration.purse import HomeBudgets
    from symphony.pit.arbitration.sharing import SharedArbiter
    from symphony.pit.artifacts import FileArtifacts, ResultCache
    from symphony.pit.artifacts.encryption.keys import StoreKeys
    from symphony.pit.artifacts.packs.away import OutsidePlaces
    from symphony.ports.arbiter import Arbiter
    from symphony.ports.arbitration import ArbiterEvent
    from symphony.ports.retention import RetainedStore
    from symphony.sdk import Operator


class Parts:
    """The parts of one Symphony. Settings are read when they are first needed."""

    def __init__(
        self,
        home: Path | None,
        operators: "Sequence[Operator]",
        files: Sequence[str],
        settings: Callable[[], Config],
        *,
        clock: Clock | None = None,
        models: Models | None = None,
        catalog: Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """Without a `home` everything is kept in memory; `files` are those that define `operators`."""
        self.home, self.files = home, tuple(files)
        self.clock = clock or SystemClock()
        self.environment: ChainMap[str, str] = ChainMap({}, os.environ)
        self.pools = Pools(listen_idle=isinstance(self.clock, SystemClock))
        self.attended: Callable[[Sequence[str]], bool] | None = None
        self._artifacts: RetainedStore | None = None
        self._opening = threading.Lock()
        self._journals: Journals | None = None
        self._settings, self._given = settings, tuple(operators)
        self._models, self._more_models = models, catalog or {}
        self._arbiter: PitArbiter | SharedArbiter | None = None
        self._budgets: HomeBudgets | None = None
        self._cost_news: PitNews | None = None
        self._tracing: Tracing | None = None
        self._traces_known = False
        self.on_finish: Callable[[OnFinish, Mapping[str, str]], None] | None = None
        """Stands in for telling of the end of runs; it is given what a command would be told."""
        self._stores: list[Callable[[], None]] = []  # closes the parts that were made

    @cached_property
    def config(self) -> Config:
        """All settings. Raises ConfigInvalid, IoFailed."""
        return self._settings()

    @property
    def journals(self) -> "Journals | None":
        """Makes the journals of new runs; None in memory."""
        if self._journals is None and self.home is not None:
            from symphony.app.journals import Journals

            self._journals = Journals(self.home, lambda: self.runs, os.getpid())
        return self._journals

    @property
    def given(self) -> "Sequence[Operator]":
        """The operators that were given."""
        return self._given

    @cached_property
    def operators(self) -> "Mapping[str, Operator]":
        """Every operator by name; given ones replace the kit's."""
        return self.operators_with({one.info.name: one for one in self._given})

    def operators_with(self, more: "Mapping[str, Operator]") -> "Mapping[str, Operator]":
        """Return the kit's operators by name, those of `more` in place of others."""
        from symphony.kit.homes import KitOperators

        return KitOperators(more)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalogue of what workflows may name. Operator files of the settings are read, not run."""
        from symphony.workflow.builtin import builtin_catalog

        shipped = builtin_catalog()  # the kit's catalogue, so that the kit need not be loaded
        models = dict(shipped.models)
        if self.config.models:
            from symphony.kit.instruments.hosted.configured import configured

            models |= configured(self.config.models)
        models |= self._more_models
        own, partial = configured_infos(configured_files(self.config, self.home))
        given = {one.info.name: one.info for one in self._given}
        return Catalog(
            operators={**shipped.operators, **own, **given},
            models=models,
            keys=self.config.key_names,
            partial=partial,
        )

    @property
    def tracing(self) -> Tracing | None:
        """Where traces of runs go, if anywhere."""
        if not self._traces_known:
            from symphony.app.tracing import tracing_for

            self.trace_to(tracing_for(self.config.tracing, os.environ))
        return self._tracing

    def trace_to(self, tracing: Tracing | None) -> None:
        """Draw traces there, in place of where the settings say. It is closed with the rest."""
        self._traces_known, self._tracing = True, tracing

    @cached_property
    def store_keys(self) -> "StoreKeys":
        """Opens what artifacts are encrypted with. Raises SymphonyError for a Symphony in memory."""
        from symphony.app.key_sources import store_keys

        if self.home is None:
            raise SymphonyError(
                "a Symphony in memory encrypts nothing", code="no-home", hint="give it a home"
            )
        return store_keys(self.config.encryption, self.home, self.environment)

    @cached_property
    def outside(self) -> "OutsidePlaces":
        """Where artifacts lie outside of the home. Raises ConfigInvalid."""
        from symphony.app.object_storage import outside_places

        return outside_places(self.config, self.environment, self.home)

    @property
    def artifacts(self) -> "RetainedStore":
        """Where large and declared values go. Thread-safe."""
        with self._opening:
            if self._artifacts is None:
                self._artifacts = self._opened_artifacts()
            return self._artifacts

    @cached_property
    def bodies(self) -> "BodiesAtNeed":
        """The artifacts, for runs: the store is opened for the first body of any of them."""
        from symphony.app.bodies_at_need import BodiesAtNeed

        folder = None if self.home is None else self.home / "artifacts"
        if folder is not None and self.config.encryption.enabled and self.store_keys.asks:
            self.artifacts.make_ready()  # asks for the passphrase, before anything else is on the terminal
        return BodiesAtNeed(lambda: self.artifacts, lambda: self._artifacts is not None, folder)

    def _opened_artifacts(self) -> "RetainedStore":
        if self.home is None:
            from symphony.pit.artifacts import MemoryArtifacts

            return MemoryArtifacts(self.clock.now_s)
        private_directory(self.home)
        made = self.unopened_artifacts()
        self._stores.append(made.close)
        return made

    def unopened_artifacts(self, outside: "OutsidePlaces | None" = None) -> "FileArtifacts":
        """Return the store of the home, which writes nothing before it is used. The caller closes it.

        `outside` stands in for the places that the settings name.
        """
        from symphony.pit.artifacts import FileArtifacts

        assert self.home is not None
        return FileArtifacts(self.home / "artifacts", outside or self.outside, keys=self.store_keys)

    @cached_property
    def searching(self) -> "Searching":
        """The search of artifacts. Raises SymphonyError for a Symphony in memory, which has none."""
        from symphony.app.searching import Searching

        if self.home is None:
            raise SymphonyError("a Symphony in memory has no search", code="no-home", hint="give it a home")
        return Searching(
            self.home, self.artifacts, self.config.search, self.clock, lambda: self.runs,
            encrypted=self.config.encryption.enabled,
        )  # fmt: skip

    @cached_property
    def cache(self) -> "ResultCache":
        """The cache of results. Raises SymphonyError for a Symphony in memory, which has none."""
        from symphony.pit.artifacts import ResultCache

        if self.home is None:
            raise SymphonyError("a Symphony in memory caches nothing", code="no-home", hint="give it a home")
        made = ResultCache(
            private_directory(private_directory(self.home) / "artifacts") / "cache.db",
            bytes_max=size_bytes(self.config.retention.cache.max_total),
        )
        self._stores.append(made.close)
        return made

    @cached_property
    def runs(self) -> Runs:
        """The runs under the home."""
        if self.home is None:
            raise SymphonyError(
                "a Symphony in memory keeps no runs", code="no-home", hint="open it with a home"
            )
        return Runs(self.home, self.clock, self._unlink)

    def _unlink(self, run_id: str) -> None:
        self.artifacts.unlink_run(run_id)  # opened only when a run is deleted

    @cached_property
    def views(self) -> RunViews:
        """The views of the runs under the home. Raises SymphonyError in memory, where none are kept."""
        from symphony.app.views import HomeViews

        runs, home = self.runs, self.home
        assert home is not None  # otherwise there are no runs
        return HomeViews(home, runs)

    @property
    def models(self) -> Models:
        """Models by id, their processes started when first used."""
        if self._models is None:
            from symphony.app.models import AllModels

            self._models = AllModels(self.config, self.home, self.clock, self.environment, self._reach_bus)
        return self._models

    @cached_property
    def arbiter(self) -> "Arbiter":
        """Grants what the runs share; one arbiter for all processes of the home, if anything is limited."""
        from symphony.app.arbitration import arbiter_of, limits_anything

        arbiter: Arbiter
        if limits_anything(self.config):
            arbiter = self._arbiter = arbiter_of(self.config, self.home, self.clock, self._reach_bus)
        else:
            from symphony.app.at_once import AtOnce

            arbiter = AtOnce()
        if self.config.budget.shared:
            from symphony.pit.arbitration.gate import BudgetGate

            return BudgetGate(arbiter, self.budgets)
        return arbiter

    @property
    def budgets(self) -> SharedBudgets:
        """The budgets that runs of the home share."""
        if self._budgets is None:
            if not self.config.budget.shared:
                return NO_SHARED_BUDGETS
            from symphony.app.arbitration import budgets_of

            told = self.home is not None and self.config.arbiter.metrics_enabled
            observe = (self._tell_cost,) if told else ()
            self._budgets = budgets_of(self.config.budget, self.home, self.clock, *observe)
        return self._budgets

    @cached_property
    def live(self) -> "LiveBus":
        """The bus of the home; in memory, of this process alone."""
        from symphony.app.beyond import beyond_of
        from symphony.app.live import LiveBus

        return LiveBus(self.home, lambda: beyond_of(self.config.bus, self.environment))

    def _tell_cost(self, event: "ArbiterEvent") -> None:
        """Tell the processes of the home who waits for a budget."""
        from symphony.app.news import PitNews
        from symphony.pit.arbitration.sharing import messages

        if self._cost_news is None:
            self._cost_news = PitNews("budgets", self._reach_bus)
        self._cost_news.tell(messages.topic_of(event), messages.told(event))

    async def _reach_bus(self) -> "Bus | None":
        return await self.live.reach()  # made when a model of this machine is first needed

    async def close(self) -> None:
        """Close all parts that were made."""
        import asyncio

        if self._journals is not None:
            await self._journals.close()
        if self._arbiter is not None:
            await self._arbiter.stop()
        if self._budgets is not None:
            await self._budgets.stop()
        if self._cost_news is not None:
            await self._cost_news.close()
        if self._models is not None:
            await self._models.close()  # while the bus is there: others use the models of this process
        if "live" in self.__dict__:
            await self.live.close()
        await self.pools.close()
        self.close_stores()
        if self._tracing is not None:
            from symphony.app.tracing import TRACE_PATIENCE_S

            await asyncio.to_thread(self._tracing.close, TRACE_PATIENCE_S)

    def close_stores(self) -> None:
        """Close the files of the stores that were made; the next use opens them again."""
        for close in self._stores:
            close()
