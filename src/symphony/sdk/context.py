"""A run as its operators see it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from symphony.ports.values import Value


class LogSink(Protocol):
    """Takes what a node prints: one or more lines, without the end of the last one."""

    def __call__(self, text: str, stream: Literal["stdout", "stderr"]) -> None: ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its operators see it. To get it, annotate a parameter with `Context`.

    `cwd`: the caller's directory, where `path` inputs and commands resolve. `base`: the folder of the
    workflow file, where templates and modules resolve. `attempt` counts from 1. `config` is what the
    node says under `config`, its expressions evaluated: part of what a cached result depends on, as
    inputs are, but with neither ports nor types. `cancelled` tells a thread that it should stop; async
    operators are cancelled as tasks. `allowed_hosts`: the hosts that the configuration and the run
    allow operators to ask.
    """

    run_id: str
    node: str
    attempt: int
    cwd: Path
    base: Path
    log: LogSink
    cancelled: Callable[[], bool]
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    allowed_hosts: tuple[str, ...] = ()
    config: Mapping[str, Value] = msgspec.field(default_factory=dict)
