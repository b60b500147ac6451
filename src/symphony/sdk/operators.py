"""The operator API: a plain function becomes an operator. Light to import, no I/O at import."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from symphony.ports.values import Value
from symphony.workflow.catalog import OperatorInfo


class LogSink(Protocol):
    """Takes what a node prints."""

    def __call__(self, text: str, stream: Literal["stdout", "stderr"]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an operator may know of its run; ask for it with a parameter annotated `Context`.

    `cwd`: the caller's directory, where `path` inputs and commands resolve. `base`: the folder
    of the workflow file, where templates and modules resolve. `cancelled` tells a thread that
    it should stop; async operators are cancelled as tasks.
    """

    run_id: str
    node: str
    attempt: int
    cwd: Path
    base: Path
    log: LogSink
    cancelled: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A function with its description.

    `style`: `inline` (async, driven on the loop without a task of its own: it must never
    suspend), `task` (async), `thread` (sync). `inputs` of `info` are the function's keyword
    arguments, except the context. `fingerprint` is the SHA-256 of the defining source file.
    `reads`, for effect `read`: a text that changes whenever what the operator reads changes,
    which makes its result cacheable; it runs in a thread.
    """

    info: OperatorInfo
    function: Callable[..., object]
    style: Literal["inline", "task", "thread"]
    context_name: str | None = None
    fingerprint: str = ""
    single_output: bool = True
    reads: Callable[[Mapping[str, Value], Context], str | None] | None = None

    def ports(self, returned: object) -> dict[str, Value]:
        """The output ports for what the function returned.

        Raises TypeError if several outputs are declared and `returned` is not such a value.
        """
        raise NotImplementedError  # replaced by the implementation of this module
