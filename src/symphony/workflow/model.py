"""The workflow model: what a workflow file says, as values. Knows no file format and no I/O.

Expressions stay text here (`${{ … }}` in values, bare CEL in conditions): see `expressions`.
Durations stay text too (`200ms`): `commons.quantities.duration_s` reads them.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from symphony.ports.values import Value
from symphony.workflow.types import ANY, PortType

SCHEMA_VERSION = 2
NODES_MAX = 10_000
EDGES_MAX = 50_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")

ControlKind: TypeAlias = Literal["branch", "merge", "delay", "approval", "loop"]


def slug_of(name: str) -> str:
    """Return the identifier that is made of a workflow's name: its letters and digits, of any script,
    in small.

    >>> slug_of("Wörk flow №2")
    'wörk-flow-no2'
    """
    if name.isascii():
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "workflow"
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    words = "".join(character if in_word(character) else " " for character in folded).split()
    # A mark, such as a vowel sign, belongs to the letter before it, so it cannot come first.
    kept = (word.lstrip("".join(filter(_is_mark, word))) for word in words)
    return "-".join(filter(None, kept)) or "workflow"


def in_word(character: str) -> bool:
    """True if the character is a letter, a digit, or a mark on one, in any script."""
    return unicodedata.category(character)[0] in "LMN"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


class InputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a workflow. `default` is `msgspec.UNSET` where there is none."""

    type: PortType = ANY
    default: Value | msgspec.UnsetType = msgspec.UNSET
    min: float | int | None = None
    max: float | int | None = None
    description: str = ""

    @property
    def required(self) -> bool:
        """True if the input must be given. An optional type without a default is null."""
        return self.default is msgspec.UNSET and not self.type.optional


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often and when a failed node is tried again; `attempts` counts all tries, ≥1."""

    attempts: int = 1
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    initial: str = "1s"
    max: str | None = None
    jitter: bool = False


class OnError(msgspec.Struct, frozen=True, kw_only=True):
    """What a failure means: fail the run, skip, take `value` (port → value), or run `fallback`."""

    action: Literal["fail", "skip", "value", "fallback"] = "fail"
    value: Mapping[str, Value] = {}
    fallback: str | None = None


FAIL = OnError()


class ArtifactSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A node's declared artifact; `port` names the output where there are several."""

    name: str
    content_type: str | None = None
    port: str | None = None


class NodeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that every kind of node has."""

    inputs: Mapping[str, Value] = {}
    config: Mapping[str, Value] = {}
    for_each: str | list[Value] | None = None
    concurrency: int | None = None
    fail_fast: bool = True
    label: str | None = None
    when: str | None = None
    after: tuple[str, ...] = ()
    join: Literal["all", "any"] = "all"
    retry: Retry | None = None
    timeout: str | None = None
    on_error: OnError = FAIL
    idempotent: bool | None = None
    priority: int = 0
    cache: Literal["auto", "on", "off"] = "auto"
    artifact: ArtifactSpec | None = None
    description: str = ""
    position: tuple[float | int, float | int] | None = None
    enabled: bool = True
    metadata: Mapping[str, Value] = {}


class OperatorNode(NodeOptions, frozen=True, kw_only=True, tag_field="kind", tag="operator"):
    """Runs an operator; `operator` is `NAME` or `NAME@VERSION`."""

    operator: str


class InstrumentNode(NodeOptions, frozen=True, kw_only=True, tag_field="kind", tag="instrument"):
    """Runs a model; `instrument` is `MODEL` or `MODEL@VERSION`."""

    instrument: str


class CommandNode(NodeOptions, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """Runs a shell command; inputs arrive as environment variables."""

    command: str


class SubWorkflowNode(NodeOptions, frozen=True, kw_only=True, tag_field="kind", tag="workflow"):
    """Runs another workflow file."""

    workflow: str


class ControlNode(NodeOptions, frozen=True, kw_only=True, tag_field="kind", tag="control"):
    """Steers the run. Which keys belong to which kind is in `schema_nodes.CONTROL_KEYS`."""

    control: ControlKind
    # branch
    condition: str | None = None
    switch: str | None = None
    cases: Mapping[str, Value] | None = None
    default: str | None = None
    # delay
    for_: str | None = msgspec.field(default=None, name="for")
    until: str | None = None  # a timestamp of a delay, the end condition of a loop
    # approval
    message: str | None = None
    on_timeout: Literal["fail", "approve", "reject"] | None = None
    # loop
    state: Mapping[str, Value] | None = None
    body: "Mapping[str, Node] | None" = None
    next: Mapping[str, Value] | None = None
    while_: str | None = msgspec.field(default=None, name="while")
    max_iterations: int | None = None


Node: TypeAlias = OperatorNode | InstrumentNode | CommandNode | SubWorkflowNode | ControlNode


class DataEdge(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="data"):
    """A value travels from `source`.`output` to `target`.`input`, through `transform` if any.

    An empty `output` or `input` stands for the only one; the builder fills them in. The
    `output` of a derived edge is `*` where an expression reads all ports of the source.
    """

    source: str = ""
    target: str = ""
    output: str = ""
    input: str = ""
    transform: str | None = None
    derived: bool = False


class ControlEdge(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="control"):
    """`target` begins after `source` succeeded; with `branch`, only if that branch was taken.

    A derived edge from a node to its fallback is one too: there `target` begins if `source` fails.
    """

    source: str = ""
    target: str = ""
    branch: str | None = None
    priority: int = 0
    derived: bool = False


class ConditionalEdge(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="conditional"):
    """`target` begins if the condition `when` holds on at least one of its conditional edges."""

    source: str = ""
    target: str = ""
    when: str = "true"
    label: str | None = None


Edge: TypeAlias = DataEdge | ControlEdge | ConditionalEdge


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the models of one run may use up; None means no limit.

    `money` ≥ 0 in the currency of the settings, `tokens` read and written, `calls` answered.
    """

    money: float | int | None = None
    tokens: int | None = None
    calls: int | None = None


class OnFinish(msgspec.Struct, frozen=True, kw_only=True):
    """What to notify when a run ends: a shell command to run or a server to ask, one of the two."""

    command: str | None = None
    url: str | None = None


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A whole workflow. `edges` holds only those that the file says explicitly;

    `graph.all_edges` adds the ones derived from expressions, `after` and fallbacks.
    """

    name: str
    version: str = "0.1.0"
    description: str = ""
    tags: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    inputs: Mapping[str, InputSpec] = {}
    nodes: Mapping[str, Node] = {}
    edges: tuple[Edge, ...] = ()
    outputs: Mapping[str, Value] = {}
    metadata: Mapping[str, Value] = {}
    budget: Budget | None = None
    operators: tuple[str, ...] = ()
    """Python files beside the workflow that define operators for it, and for no sub-workflow."""
    on_finish: OnFinish | None = None

    @property
    def slug(self) -> str:
        """The name as an identifier: lower case, runs of anything else become one dash."""
        return slug_of(self.name)
