"""One level of nodes under validation: what is found, and who depends on whom."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.expressions import BadExpression, Compiler, Read, Template
from symphony.workflow.model import Workflow
from symphony.workflow.problems import Code, Findings, did_you_mean
from symphony.workflow.types import STRING, PortType, fits, mismatch
from symphony.workflow.validation.scope import Scope

_BARE = re.compile(r"\$\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


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
        self._bare: dict[str, tuple[str, PortType]] = {}
        self._fits: dict[tuple[int, int], bool] = {}

    def error(self, code: Code, place: str, message: str, hint: str) -> None:
        """Note an error."""
        self.sheet.errors.add(code, place, message, hint)

    def bad(self, error: BadExpression, place: str) -> None:
        """Note what is wrong with an expression."""
        self.error(error.problem_code, place, error.message, error.hint or "see the CEL language definition, cel.dev")

    def exists(self, name: str) -> bool:
        """Is there a node of this name on this level, readable or not?"""
        return name in self.scope.nodes or name in self.scope.broken

    def unknown_node(self, name: str, place: str) -> None:
        """Note that a name is no node's."""
        hint = did_you_mean(name, self.scope.nodes, "name a node of the same level")
        self.error("unknown-node", place, f"there is no node {name!r}", hint)

    def bare(self, text: str, target: PortType | None, before: list[str]) -> bool:
        """The short path: is `text` one sound reference to a port, that fits? False: look closely."""
        known = self._bare.get(text)
        if known is None:
            match = _BARE.fullmatch(text)
            if match is None or match[1] not in self.scope.nodes or match[2] in ("true", "false", "in"):
                return False
            ports = self.scope.outputs(match[1])
            if ports is None or match[2] not in ports:
                return False
            known = self._bare[text] = match[1], ports[match[2]].type
        source, kind = known
        if target is not None and target.kind != "any" and kind.kind != "any":
            pair = id(kind), id(target)  # both live as long as this level
            if pair not in self._fits:
                self._fits[pair] = fits(kind, target)
            if not self._fits[pair]:
                return False
        before.append(source)
        self.sheet.edges += 1
        return True

    def value(self, value: Value, target: PortType | None, scope: Scope, before: list[str], place: str) -> PortType | None:
        """Check a value that may hold expressions; its type, None if it is not sound."""
        if isinstance(value, str) and "${{" not in value and target is not None:
            if target.kind not in ("any", "string", "path"):
                self.misfit(mismatch(value, target), target, place)
            return STRING
        try:
            template = Compiler(scope.types).template(value)
        except BadExpression as error:
            self.bad(error, place)
            return None
        self.sheet.edges += self.reads(template.reads, before)
        if target is not None:
            self.misfit(template.misfit(target), target, place)
        return template.type

    def misfit(self, why: str | None, target: PortType, place: str) -> None:
        """Note that a value does not fit, if there is a reason."""
        if why:
            self.error("type-mismatch", place, why, f"give {_article(str(target))}")

    def condition(self, text: str, scope: Scope, before: list[str], place: str) -> Template | None:
        """Check CEL of any type; None if it is not sound."""
        try:
            template = Compiler(scope.types).condition(text)
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


def required(ports: Mapping[str, Port]) -> tuple[str, ...]:
    """Names of the input ports that must be given."""
    return tuple(name for name, port in ports.items() if port.default is msgspec.UNSET)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
