"""One level of nodes under validation: what is found, and who depends on whom."""

from collections.abc import Mapping, Sequence

import msgspec

from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.expressions import BadExpression, Read, Template
from symphony.workflow.model import OperatorNode, Workflow
from symphony.workflow.problems import Code, Findings, did_you_mean
from symphony.workflow.types import ANY, STRING, PortType, fits, mismatch
from symphony.workflow.validation.scope import Scope

_SMALL = 2**53
_PLAIN = frozenset({bool, int, float, str, type(None)})
_NO_PORTS = frozenset({"true", "false", "null", "in"})  # words of CEL


class TooManyProblems(Exception):
    """The report is full: looking further would find nothing that it could hold."""


class Sheet:
    """What one validation finds, over all levels."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.errors, self.warnings = Findings(), Findings()
        self.used_inputs: set[str] = set()
        self.edges = 0
        self.nodes = 0


class Level:
    """The nodes of the workflow or of a loop's body. `before`: for each node, whom it waits for."""

    def __init__(self, sheet: Sheet, scope: Scope, place: str) -> None:
        self.sheet, self.scope, self.place = sheet, scope, place
        self.before: dict[str, list[str]] = {name: [] for name in scope.nodes}
        self.outward: dict[str, None] = {}
        self._types: dict[str, dict[str, PortType]] = {}
        self._by_operator: dict[str, dict[str, PortType]] = {}
        self._fits: dict[tuple[int, int], bool] = {}
        self._pairs: dict[str, tuple[str, str]] = {}

    def error(self, code: Code, place: str, message: str, hint: str) -> None:
        """Note an error. Raises TooManyProblems when the report is full."""
        self.sheet.errors.add(code, place, message, hint)
        if self.sheet.errors.full:
            raise TooManyProblems

    def bad(self, error: BadExpression, place: str) -> None:
        """Note what is wrong with an expression."""
        self.error(
            error.problem_code, place, error.message, error.hint or "see the CEL language definition, cel.dev"
        )

    def exists(self, name: str) -> bool:
        """Is there a node of this name on this level, readable or not?"""
        return name in self.scope.nodes or name in self.scope.broken

    def unknown_node(self, name: str, place: str) -> None:
        """Note that a name is no node's."""
        hint = did_you_mean(name, self.scope.nodes, "name a node of the same level")
        self.error("unknown-node", place, f"there is no node {name!r}", hint)

    def bare(self, value: Value, target: PortType, before: list[str]) -> bool:
        """The short path: is it one sound, fitting reference, or a list of these and of plain values?

        False: look closely. No tokenizer: what stands between the braces is looked up as it is.
        """
        if type(value) is str:
            found = self._reference(value, target)
            if found is None:
                return False
            self._note([found], before)
            return True
        if type(value) is not list:
            return False
        item = ANY if target.kind in ("any", "json") else target.item if target.kind == "list" else None
        if item is None:
            return False
        pairs: list[tuple[str, str] | None] = [None] * len(value)
        if item.kind == "any":
            try:  # one look for each element; only what is new needs more than that
                pairs = [*map(self._pairs.get, value)]  # type: ignore[arg-type]  # no other value is a key
            except TypeError:
                return False  # lists and maps inside
        if None in pairs and not self._complete(pairs, value, item):
            return False
        self._note(pairs, before)
        return True

    def _complete(self, pairs: list[tuple[str, str] | None], value: list[Value], item: PortType) -> bool:
        """Fill in what the elements of a list refer to. Is every one of them sound and fitting?"""
        for at, pair in enumerate(pairs):
            if pair is not None:
                continue
            element = value[at]
            if type(element) is str and "${{" in element:
                pairs[at] = self._reference(element, item)
                if pairs[at] is None:
                    return False
            elif type(element) is int and item.kind == "any" and -_SMALL < element < _SMALL:
                continue
            elif type(element) not in _PLAIN or mismatch(element, item):
                return False
        return True

    def _note(self, pairs: Sequence[tuple[str, str] | None], before: list[str]) -> None:
        """Note what one input reads: each port once, however often it is named."""
        nodes = [pair[0] for pair in dict.fromkeys(pairs) if pair is not None]
        if "inputs" in nodes:
            self.sheet.used_inputs.update(pair[1] for pair in pairs if pair and pair[0] == "inputs")
            nodes = [name for name in nodes if name != "inputs"]
        before += nodes
        self.sheet.edges += len(nodes)

    def _reference(self, text: str, target: PortType) -> tuple[str, str] | None:
        """Node (or `inputs`) and port that a text refers to, if it is known and fits."""
        if text[:3] != "${{" or text[-2:] != "}}" or "-" in text:  # in CEL a dash is a minus
            return None
        name, _, port = text[3:-2].strip().partition(".")
        ports = self._types.get(name) or self._types_of(name)
        kind = None if ports is None else ports.get(port)
        if kind is None:
            return None
        if kind is not target and target.kind != "any" and kind.kind != "any":
            pair = id(kind), id(target)  # both live as long as this level
            good = self._fits.get(pair)
            if good is None:
                good = self._fits[pair] = fits(kind, target)
            if not good:
                return None
        found = self._pairs[text] = name, port
        return found

    def _types_of(self, name: str) -> dict[str, PortType] | None:
        """The types of a node's ports that an expression can name; None if it is no such node."""
        if name == "inputs":
            self._types[name] = {key: spec.type for key, spec in self.sheet.workflow.inputs.items()}
            return self._types[name]
        node = self.scope.nodes.get(name)
        if node is None:
            return None
        same = node.operator if type(node) is OperatorNode and node.for_each is None else None
        types = None if same is None else self._by_operator.get(same)
        if types is None:
            ports = self.scope.outputs(name)
            if ports is None:
                return None
            types = {port: found.type for port, found in ports.items() if port not in _NO_PORTS}
            if same is not None:
                self._by_operator[same] = types
        self._types[name] = types
        return types

    def value(
        self, value: Value, target: PortType, scope: Scope, before: list[str], place: str
    ) -> PortType | None:
        """Check a value that may hold expressions; its type, None if it is not sound."""
        if isinstance(value, str) and "${{" not in value:
            if target.kind not in ("any", "string", "path"):
                self.misfit(mismatch(value, target), target, place)
            return STRING
        try:
            template = scope.compiler.template(value)
        except BadExpression as error:
            self.bad(error, place)
            return None
        self.sheet.edges += self.reads(template.reads, before)
        self.misfit(template.misfit(target) or _beyond(value), target, place)
        return template.type

    def misfit(self, why: str | None, target: PortType, place: str) -> None:
        """Note that a value does not fit, if there is a reason."""
        if why:
            self.error("type-mismatch", place, why, f"give {_article(str(target))}")

    def condition(self, text: str, scope: Scope, before: list[str], place: str) -> Template | None:
        """Check CEL of any type; None if it is not sound."""
        try:
            template = scope.compiler.condition(text)
        except BadExpression as error:
            self.bad(error, place)
            return None
        self.reads(template.reads, before)
        return template

    def boolean(self, text: str, scope: Scope, before: list[str], place: str) -> None:
        """Check CEL that must give true or false."""
        template = self.condition(text, scope, before, place)
        if template is not None and not fits(template.type, PortType("boolean", optional=True)):
            message = f"the condition gives {_article(str(template.type))}, not true or false"
            self.error("type-mismatch", place, message, "compare: for instance x > 0, or x != ''")

    def reads(self, reads: Sequence[Read], before: list[str]) -> int:
        """Note what is read; how many of it are ports of nodes."""
        count = 0
        for read in reads:
            if read.kind == "input":
                self.sheet.used_inputs.add(read.name)
            elif read.kind in ("port", "node"):
                count += 1
                if self.scope.level_of(read.name) is self.scope:
                    before.append(read.name)
                else:
                    self.outward[read.name] = None
        return count


def _beyond(value: Value) -> str | None:
    """Why a number in a list is none that any port could take."""
    if not isinstance(value, list):
        return None
    whys = ((i, mismatch(item, ANY)) for i, item in enumerate(value) if isinstance(item, int | float))
    return next((f"element {i}: {why}" for i, why in whys if why), None)


def required(ports: Mapping[str, Port]) -> tuple[str, ...]:
    """Names of the input ports that must be given."""
    return tuple(name for name, port in ports.items() if port.default is msgspec.UNSET)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
