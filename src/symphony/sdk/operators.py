"""The operator API: a plain function becomes an operator. Light to import, no I/O at import."""

import copy
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from opcode import opmap
from types import CodeType, CoroutineType
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import Value
from symphony.sdk.annotations import Convert
from symphony.sdk.bounds import Bounds
from symphony.sdk.context import Context, LogSink
from symphony.sdk.fingerprints import code_digest, fingerprint, part_digest
from symphony.sdk.paths import Find
from symphony.sdk.plain import to_value
from symphony.sdk.signatures import Signature, invalid, read_signature
from symphony.workflow.catalog import OperatorInfo

__all__ = ["Context", "DecoratedOperator", "LogSink", "Operator", "Reads", "operator"]

P = ParamSpec("P")
R = TypeVar("R")
Style: TypeAlias = Literal["inline", "task", "thread"]
Effect: TypeAlias = Literal["pure", "read", "write"]
Reads: TypeAlias = Callable[[Mapping[str, Value], Context], str | None]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
NAME_LENGTH_MAX = 100
VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", re.ASCII
)

_AS_IT_IS = frozenset({type(None), bool, str, bytes})
_HOLDERS = (list, dict, set)
_SUSPENDING = frozenset(opmap[name] for name in ("GET_AWAITABLE", "GET_AITER") if name in opmap)


class Operator(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A function with its description.

    `function` takes the inputs of `info` as keyword arguments, plain values all, and the context under
    `context_name` if that is set. `style`: `inline` (async, driven on the loop without a task of its
    own: it must never suspend), `task` (async), `thread` (sync). `reads`, for effect `read`: a text
    that changes whenever what the operator reads changes, which makes its result cacheable; None if it
    cannot tell. It runs in a thread. `cpu`: it computes for long, and runs in a worker process, as do
    calls that are heavy by its `bounds`. `paths` find the paths in inputs that may have some; None if
    the types of the ports tell. `memory_mb`: megabytes that a call is declared to need, for the arbiter.
    """

    info: OperatorInfo
    function: Callable[..., object]
    style: Style
    context_name: str | None = None
    single_output: bool = True
    reads: Reads | None = None
    cpu: bool = False
    bounds: Bounds | None = None
    paths: Mapping[str, Find] | None = None
    memory_mb: int = 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the defining source file, read at first use, once for each file."""
        return fingerprint(self.function)

    @property
    def code(self) -> str | None:
        """A digest of all the code that it runs, files that its file imports included.

        None if only running it tells what that is; then its results are not cached.
        """
        return code_digest(self.function)

    @property
    def part(self) -> str | None:
        """A digest of the code that it runs in its file, and of its imports; None if that cannot be told."""
        return part_digest(self.function)

    def ports(self, returned: object, plain: Callable[[object], Value] = to_value) -> dict[str, Value]:
        """Return the output ports for what the function returned, as plain values, which `plain` makes.

        Raises TypeError if several outputs are declared and `returned` is not such a value, or if it
        holds something that is not a value, and SymphonyError if it is a coroutine.
        """
        kind = type(returned)
        if self.single_output and (
            kind in _AS_IT_IS or (kind is int and INTEGER_MIN <= returned <= INTEGER_MAX)  # type: ignore[operator]
        ):  # most results: a third of the time of the way below
            (name,) = self.info.outputs
            return {name: returned}  # type: ignore[dict-item]  # all exact types are values
        if isinstance(returned, CoroutineType):
            from symphony.sdk.unawaited import not_awaited  # a mistake that is seldom made

            returned.close()
            raise not_awaited(self.info.name, self.function, returned)
        if self.single_output:
            (name,) = self.info.outputs
            return {name: self._value(name, returned, plain)}
        if not self.info.outputs:
            return {}
        return {name: self._value(name, value, plain) for name, value in self._fields(returned).items()}

    def _fields(self, returned: object) -> dict[str, object]:
        outputs = self.info.outputs
        if isinstance(returned, Mapping):
            unknown = [str(key) for key in returned if key not in outputs]
            missing = [
                name for name, port in outputs.items() if name not in returned and not port.type.optional
            ]
            values: dict[str, object] = {name: returned.get(name) for name in outputs}
        else:
            unknown, missing = [], [name for name in outputs if not hasattr(returned, name)]
            values = {name: getattr(returned, name, None) for name in outputs}
        if missing or unknown:
            what = f"without {', '.join(missing)}" if missing else f"with an unknown {', '.join(unknown)}"
            kind, names = type(returned).__name__, ", ".join(outputs)
            raise TypeError(f"{self.info.name} returned a {kind} {what}: its outputs are {names}")
        return values

    def _value(self, port: str, returned: object, plain: Callable[[object], Value]) -> Value:
        try:
            return plain(returned)
        except RecursionError as error:
            raise TypeError(
                f"output {port} of {self.info.name} contains itself, or is nested too deeply"
            ) from error
        except (TypeError, ValueError) as error:
            raise TypeError(f"output {port} of {self.info.name}: {error}") from error


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the decorator; `heavy`: it is `cpu` or has `bounds`."""

    name: str
    version: str
    pure: bool = False
    read: bool = False
    idempotent: bool = False
    heavy: bool = False
    memory_mb: int = 0
    output: str = "result"

    def check(self, function: object, *, sync: bool) -> None:
        """Raise OperatorInvalid for what cannot be said of an operator, or not of such a function."""
        if NAME.fullmatch(self.name) is None or len(self.name) > NAME_LENGTH_MAX:
            hint = "use letters, digits, _ and -, in parts joined by dots: text.split"
            raise invalid(function, f"{self.name!r} is not an operator name", hint)
        if VERSION.fullmatch(self.version) is None:
            raise invalid(function, f"{self.version!r} is not a version", "use three numbers: 1.0.0")
        if self.heavy and not sync:
            raise invalid(function, "only a sync function can be cpu", "write def in place of async def")
        if isinstance(self.memory_mb, bool) or not 0 <= self.memory_mb <= 1_000_000_000:
            raise invalid(function, f"{self.memory_mb!r} is not a number of megabytes", "memory_mb=512")
        if self.pure and self.read:
            raise invalid(function, "it is declared pure and reading", "choose one of pure and read")

    def info(self, signature: Signature) -> OperatorInfo:
        """Return the operator as validation and people see it."""
        effect: Effect = "pure" if self.pure else "read" if self.read else "write"
        return OperatorInfo(
            name=self.name,
            version=self.version,
            inputs=signature.inputs,
            outputs=signature.outputs,
            effect=effect,
            idempotent=self.idempotent or effect != "write",
            summary=signature.doc.summary,
            help=signature.doc.help,
        )


class DecoratedOperator(Operator, Generic[P, R], frozen=True, kw_only=True, eq=False):
    """An operator that can still be called like the function it was made from."""

    original: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.original(*args, **kwargs)


def operator(
    name: str,
    *,
    version: str,
    pure: bool = False,
    read: bool = False,
    reads: Reads | None = None,
    idempotent: bool = False,
    inline: bool | None = None,
    cpu: bool = False,
    bounds: Bounds | None = None,
    memory_mb: int = 0,
    output: str = "result",
) -> Callable[[Callable[P, R]], DecoratedOperator[P, R]]:
    """Make an operator of a function, sync or async.

    Ports, types and defaults come from the signature, help from the docstring; a parameter annotated
    `Context` is given the context. `output` names the only output; a TypedDict, NamedTuple, dataclass
    or msgspec Struct as return annotation gives one output for each field.

    The effect is `write` unless `pure` (a function of the inputs and of what the `path` inputs point
    to) or `read` (looks outside, changes nothing) is said; `reads` implies `read` and makes the result
    cacheable. `idempotent`: a write that may be repeated after a crash.

    A sync function runs in a thread, an async one as a task; an async one that cannot suspend, because
    it contains no await, runs on the loop without a task. `inline=False` gives it a task anyway;
    `inline=True` promises that it never suspends in spite of an await.

    `cpu=True`, for a sync function that computes for long: it runs in a worker process, so that several
    cores work at once and it can be ended at any moment. So does every sync function in a node with a
    `timeout`. Workers find a function by its file or module and its name. `bounds`, for a sync function
    that runs what a workflow gives it, such as a template or a pattern: calls that are heavy by its
    measure run in a worker process, within its time and memory.

    `memory_mb`: megabytes that a call needs. Where `arbiter.memory_mb` is set, calls wait until so much is
    free; nothing holds a call to it. Such an operator never runs inline.

    Raises OperatorInvalid, naming the function and the parameter, if the function cannot be an
    operator.
    """
    declared = Declaration(
        name=name, version=version, pure=pure, read=read or reads is not None, idempotent=idempotent,
        heavy=cpu or bounds is not None, memory_mb=memory_mb, output=output,
    )  # fmt: skip

    def decorate(function: Callable[P, R]) -> DecoratedOperator[P, R]:
        style = _style(function, False if memory_mb and inline is None else inline)
        declared.check(function, sync=style == "thread")
        signature = read_signature(function, output)
        return DecoratedOperator(
            info=declared.info(signature),
            function=_called_with(function, signature.converters),
            style=style,
            context_name=signature.context_name,
            single_output=signature.single_output,
            reads=reads,
            cpu=cpu,
            bounds=bounds,
            paths=signature.paths,
            memory_mb=memory_mb,
            original=function,
        )

    return decorate


def _style(function: object, inline: bool | None) -> Style:
    if not inspect.isfunction(function):
        what = "a class" if isinstance(function, type) else f"a {type(function).__name__}"
        raise invalid(function, f"it is {what}", "decorate a plain function, sync or async")
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    sync = not inspect.iscoroutinefunction(function)
    check_kind(function, yields=yields, sync=sync, inline=inline)
    if sync:
        return "thread"
    if inline is None:
        inline = not _may_suspend(function.__code__)
    return "inline" if inline else "task"


def check_kind(function: object, *, yields: bool, sync: bool, inline: bool | None) -> None:
    """Raise OperatorInvalid for a kind of function that cannot be an operator."""
    if yields:
        raise invalid(function, "it yields", "return a list")
    if sync and inline:
        raise invalid(
            function, "only an async function can be inline", "write async def, or leave inline out"
        )


def _may_suspend(code: CodeType) -> bool:
    """True if `await`, `async for` or `async with` is in the function: each of them gets an awaitable.

    Nested functions have their own code: to wait for one, this function must await it.
    """
    return not _SUSPENDING.isdisjoint(code.co_code[::2])


def _called_with(function: Callable[..., Any], converters: Mapping[str, Convert]) -> Callable[..., Any]:
    """Return `function`, taking plain values where its annotations say `Path`.

    A default that is a list, a map or a set is copied for each call, so a call changes only its own
    copy.
    """
    parameters = inspect.signature(function).parameters.values()
    defaults = {one.name: one.default for one in parameters if isinstance(one.default, _HOLDERS)}
    if not converters and not defaults:
        return function

    def converted(inputs: dict[str, Any]) -> dict[str, Any]:
        made = {k: converters[k](v) if k in converters else v for k, v in inputs.items()}
        for name, default in defaults.items():
            if name not in made:
                made[name] = copy.deepcopy(default)
        return made

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(**inputs: Any) -> Any:
            return await function(**converted(inputs))

        return run_async

    @functools.wraps(function)
    def run(**inputs: Any) -> Any:
        return function(**converted(inputs))

    return run
