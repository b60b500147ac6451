"""The things that the nodes of a run use from outside: stores, models, clock, logs, limits. Values only."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from symphony.pit.tracker.nodes.caching import Cache
from symphony.pit.tracker.nodes.limits import HEAVY_STEPS, VALUE_BYTES_MAX
from symphony.pit.tracker.nodes.sealing import NoSecrets, Sealer
from symphony.pit.tracker.nodes.spending import Spending
from symphony.ports.arbiter import Arbiter
from symphony.ports.artifacts import Provenance
from symphony.ports.clock import Clock
from symphony.ports.models import Models
from symphony.ports.values import ArtifactRef, Digest

if TYPE_CHECKING:
    from symphony.pit.workers import Workers

THREADS = min(32, (os.cpu_count() or 1) * 4)


class LogWriter(Protocol):
    """Receives what nodes print and models write."""

    def __call__(self, node: str, text: str, stream: Literal["stdout", "stderr", "tokens"]) -> None: ...


class RunBodies(Protocol):
    """What a run asks of the artifact store. Every `symphony.ports.artifacts.ArtifactStore` is one."""

    def put(
        self,
        body: bytes,
        *,
        content_type: str,
        name: str | None = None,
        encoding: str = "bytes",
        durable: bool = True,
    ) -> ArtifactRef: ...
    def get(self, digest: Digest) -> bytes: ...
    def size(self, digest: Digest) -> int | None: ...
    def holds(self, ref: ArtifactRef) -> bool: ...
    def link(self, ref: ArtifactRef, provenance: Provenance, *, durable: bool = True) -> None: ...
    def require_room(self) -> None: ...
    def settle(self) -> None: ...


class RunResources(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside the run that its nodes use."""

    run_id: str
    cwd: Path
    base: Path
    artifacts: RunBodies
    models: Models
    arbiter: Arbiter
    clock: Clock
    log: LogWriter
    user: str = ""
    """The user whose run it is, for the arbiter; empty if not known."""
    project: str = ""
    """The project that the run belongs to."""
    priority: int = 0
    """The run's priority at the arbiter: a higher one goes first."""
    cache: Cache | None = None
    sealer: Sealer = msgspec.field(default_factory=NoSecrets)
    spending: Spending = msgspec.field(default_factory=Spending)
    capture: Callable[
        [Callable[[str, Literal["stdout", "stderr"]], None]], contextlib.AbstractContextManager[None]
    ]
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The listed variables, including those that the process itself does not have."""
    keys: frozenset[str] = frozenset()
    """Variables that hold keys of models."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that operators may ask over HTTP."""
    value_bytes_max: int = VALUE_BYTES_MAX
    """The largest size of a value, in bytes."""
    threads: int = THREADS
    marks: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The marks that the run's processes carry in their environment."""
    workers: "Callable[[], Workers] | None" = None
    """The workers for operators that compute for long or have a timeout; made at first use."""
    expressions: "Callable[[], Workers] | None" = None
    """The workers for heavy expressions. Operators never keep them waiting."""
    heavy_steps: int = HEAVY_STEPS
    """An expression that may take more steps is heavy; a step is about a microsecond."""
