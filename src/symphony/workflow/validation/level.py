"""One level of nodes under validation: the problems found, and which node depends on which."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.expressions import BadExpression, Read, ValueTemplate
from symphony.workflow.expressions.compiler import OUTSIDE
from symphony.workflow.expressions.errors import GENERAL
from symphony.workflow.model import OperatorNode, Workflow
from symphony.workflow.problems import Code, Findings, did_you_mean
from symphony.workflow.types import ANY, Language, PortType, called, fits, mismatch
from symphony.workflow.validation.scope import Scope

if TYPE_CHECKING:
    from symphony.workflow.languages import LiteralFault

_SMALL = 2**53
_BOOLEAN = PortType("boolean", optional=True)
_PLAIN = frozenset({bool, int, float, str, type(None)})


class TooManyProblems(Exception):
    """The report is full, so further checks would add nothing to it."""


class Sheet:
    """The findings of one validation, over all levels."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.errors, self.warnings = Findings(), Findings()
        self.used_inputs: set[str] = set()
        self.edges = 0
        self.nodes = 0
        self.texts: dict[tuple[str, Language, tuple[str, ...] | None], tuple[LiteralFault, ...]] = {}
        """What is wrong with texts in a language, by the text and the names that it may use."""
        self.work = 0
        """How much work it was to compile these."""


class Level:
    """The nodes of the workflow or of a loop's body.

    `before`: for each node, by number, the numbers of those it waits for; OUTSIDE for one that could
    not be read.
    """

    def __init__(self, sheet: Sheet, scope: Scope, place: str) -> None:
        self.sheet, self.scope, self.place = sheet, scope, place
        self.names, self._index = scope.compiled.names, scope.compiled.index
        self.before: list[list[int]] = [[] for _ in self.names]
        self.outward: dict[str, None] = {}
        self._by_operator: dict[str, Mapping[str, PortType]] = {}
        self._kinds: dict[ValueTemplate, PortType] = {}
        self._inputs: set[ValueTemplate] = set()
        self._looked = False
        self._sound: dict[int, tuple[PortType, set[ValueTemplate]]] = {}  # keyed by the identity of a type

    def number(self, name: str) -> int:
        """Return the number of a node of this level."""
        return self._index.get(name, OUTSIDE)

    def error(self, code: Code, place: str, message: str, hint: str) -> None:
        """Note an error. Raises TooManyProblems when the report is full."""
        self.sheet.errors.add(code, place, message, hint)
        if self.sheet.errors.full:
            raise TooManyProblems

    def bad(self, error: BadExpression, place: str) -> None:
        """Report the problem of an expression."""
        self.error(error.problem_code, place, error.message, error.hint or GENERAL)

    def exists(self, name: str) -> bool:
        """True if this level has a node of this name, even one that could not be read."""
        return name in self.scope.nodes or name in self.scope.broken

    def unknown_node(self, name: str, place: str) -> None:
        """Report a name that no node has."""
        hint = did_you_mean(name, self.scope.nodes, "name a node of the same level")
        self.error("unknown-node", place, f"there is no node {name!r}", hint)

    def bare(self, template: ValueTemplate, target: PortType) -> bool:
        """True if the value is one valid, fitting reference, or a list of these and of plain values.

        This is the short path: if False, check closely. Each reference is looked up once for all values
        that contain it.
        """
        varying = template.varying
        if varying is not None:
            kind = _of_elements(target)
            if kind is None:
                return False
            if not self._sound_for(kind).issuperset(varying):
                return False
            for value in template.constants:
                if not _is_plain(value, kind):
                    return False
            if self._inputs and not self._inputs.isdisjoint(varying):
                self.sheet.used_inputs.update(self._inputs_of(varying))
            return True
        if template.constant:
            value = template.value
            if type(value) is not list:
                return _is_plain(value, target)
            kind = _of_elements(target)
            return kind is not None and all(_is_plain(one, kind) for one in value)
        if template not in self._sound_for(target):
            return False
        if template in self._inputs:
            self.sheet.used_inputs.update(self._inputs_of((template,)))
        return True

    def _inputs_of(self, templates: Iterable[ValueTemplate]) -> Iterator[str]:
        return (t.bare.name for t in templates if t in self._inputs and t.bare is not None)

    def _sound_for(self, target: PortType) -> set[ValueTemplate]:
        """Return the bare references of this level that fit a port of a type."""
        held = self._sound.get(id(target))
        if held is None:
            if not self._looked:
                self._look()
            kinds = {id(kind): kind for kind in self._kinds.values()}
            fitting = {key for key, kind in kinds.items() if fits(kind, target)}
            if len(fitting) == len(kinds):
                found = set(self._kinds)
            else:
                found = {template for template, kind in self._kinds.items() if id(kind) in fitting}
            held = self._sound[id(target)] = (target, found)
        return held[1]

    def _look(self) -> None:
        """Look up what each bare reference to an input, or to a port of this level, means."""
        self._looked = True
        given, nodes = self.sheet.workflow.inputs, list(self.scope.nodes.values())
        known = self._by_operator
        for template in self.scope.compiled.splitter.bare.values():
            read = template.bare
            assert read is not None
            kind: PortType | None = None
            if read.kind == "port":
                if template.node >= 0:
                    node = nodes[template.node]
                    ports = None
                    if type(node) is OperatorNode and node.for_each is None:
                        ports = known.get(node.operator)
                    ports = ports or self._types_of(read.name)
                    kind = None if ports is None else ports.get(read.port)
            elif read.kind == "input" and read.name in given:
                kind = given[read.name].type
                self._inputs.add(template)
            if kind is not None:
                self._kinds[template] = kind

    def _types_of(self, name: str) -> Mapping[str, PortType] | None:
        """Return the types of a node's ports; None if it is not a node of this level, or they are not
        known.
        """
        node = self.scope.nodes.get(name)
        if node is None:
            return None
        same = node.operator if type(node) is OperatorNode and node.for_each is None else None
        types = None if same is None else self._by_operator.get(same)
        if types is None:
            ports = self.scope.outputs(name)
            if ports is None:
                return None
            types = {port: found.type for port, found in ports.items()}
            if same is not None:
                self._by_operator[same] = types
        return types

    def value(
        self, template: ValueTemplate, target: PortType, scope: Scope, before: list[int], place: str
    ) -> PortType | None:
        """Check a value that may hold expressions. Return its type, or None if something is wrong with it."""
        try:
            kind = template.type_in(scope.types)
        except BadExpression as error:
            if not self._about_misnamed(template):
                self.bad(error, place)
            return None
        self.sheet.edges += self.reads(template.reads, before)
        self._newline(template.source, scope, place)
        if template.constant:
            value = template.value
            why = mismatch(value, target) or _beyond(value)
            self.misfit(why, target, place, _fix(value, target, scope) if why else None)
        elif self._about_misnamed(template):
            pass
        elif template.inside is not None:
            why = template.misfit(target, scope.types) or _beyond(template.source)
            self.misfit(why, target, place, _fix(template.source, target) if why else None)
        elif not fits(kind, target):
            self.misfit(f"{kind} does not fit {target}", target, place)
        return kind

    def _newline(self, source: Value, scope: Scope, place: str) -> None:
        if isinstance(source, str) and ".std" in source and ("=" in source or "[" in source):
            from symphony.workflow.validation.newlines import newline_fault  # few expressions get here

            if (found := newline_fault(source, scope)) is not None:
                self.sheet.warnings.add("bad-expression", place, *found)

    def _about_misnamed(self, template: ValueTemplate) -> bool:
        """True if the text mentions a node whose name is reserved: expressions take the name for
        something else.
        """
        misnamed = self.scope.misnamed
        return misnamed is not None and _mentions(misnamed, template.source)

    def misfit(self, why: str | None, target: PortType, place: str, remedy: str | None = None) -> None:
        """Report that a value does not fit, if there is a reason. `remedy` is what to write instead, if
        that is known.
        """
        if why:
            self.error("type-mismatch", place, why, remedy or f"give {called(target)}")

    def condition(
        self, template: ValueTemplate, scope: Scope, before: list[int], place: str
    ) -> PortType | None:
        """Check CEL of any type. Return its type, or None if something is wrong with it."""
        try:
            kind = template.type_in(scope.types)
        except BadExpression as error:
            if not self._about_misnamed(template):
                self.bad(error, place)
            return None
        self.reads(template.reads, before)
        self._newline(template.source, scope, place)
        return kind

    def boolean(self, template: ValueTemplate, scope: Scope, before: list[int], place: str) -> None:
        """Check CEL that must give true or false."""
        kind = self.condition(template, scope, before, place)
        if (
            kind is not None
            and kind is not _BOOLEAN
            and not fits(kind, _BOOLEAN)
            and not self._about_misnamed(template)
        ):
            message = f"the condition gives {called(kind)}, not true or false"
            self.error("type-mismatch", place, message, "compare: for instance x > 0, or x != ''")

    def reads(self, reads: Sequence[Read], before: list[int]) -> int:
        """Note what an expression reads; return how many of these are ports of nodes."""
        count = 0
        for read in reads:
            if read.kind == "input":
                self.sheet.used_inputs.add(read.name)
            elif read.kind in ("port", "node"):
                count += 1
                if self.scope.level_of(read.name) is self.scope:
                    before.append(self.number(read.name))
                else:
                    self.outward[read.name] = None
        return count


def _mentions(names: re.Pattern[str], value: Value) -> bool:
    if isinstance(value, str):
        return names.search(value) is not None
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_mentions(names, item) for item in items)


def _of_elements(target: PortType) -> PortType | None:
    """Return the type that each element of a fitting list must have; None if that is not enough to tell."""
    return ANY if target.kind in ("any", "json") else target.item if target.kind == "list" else None


def _is_plain(value: Value, target: PortType) -> bool:
    """True if a constant is a scalar that fits."""
    if type(value) is int and target.kind == "any" and -_SMALL < value < _SMALL:
        return True
    return type(value) in _PLAIN and not mismatch(value, target)


def _beyond(value: Value) -> str | None:
    """Return why a list contains a number that no port can take; None if it does not."""
    if not isinstance(value, list):
        return None
    whys = ((i, mismatch(item, ANY)) for i, item in enumerate(value) if isinstance(item, int | float))
    return next((f"element {i}: {why}" for i, why in whys if why), None)


def speaks(port: Port) -> bool:
    """True if the port takes texts in a language, itself or inside lists and maps."""
    return port.type.innermost.language is not None


def required(ports: Mapping[str, Port]) -> tuple[str, ...]:
    """Return the names of the input ports that must be given."""
    return tuple(name for name, port in ports.items() if port.default is msgspec.UNSET)


def _fix(value: Value, target: PortType, scope: Scope | None = None) -> str | None:
    """Return what to write in place of a value that does not fit; with a `scope`, perhaps the reference
    that was meant.
    """
    from symphony.workflow.validation.remedies import forgotten, remedy

    meant = forgotten(value, scope) if scope is not None and isinstance(value, str) else None
    return f"did you mean {meant}?" if meant else remedy(value, target)
