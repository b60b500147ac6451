"""Sub-workflows as validation sees them: their ports, and what is wrong with them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.workflow.catalog import Catalog, OwnOperators, Port
from symphony.workflow.compiled import Compilation
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.problems import Code, ValidationReport, WorkflowInvalid
from symphony.workflow.validation.effects import has_effects
from symphony.workflow.validation.errors import WorkflowRecursive

Resolve: TypeAlias = Callable[[str], Workflow | None]
Ports: TypeAlias = Mapping[str, Port]
DEPTH_MAX = 32
_NONE = OwnOperators()
FILES_MAX = 1_000


class ChildWorkflow(msgspec.Struct, frozen=True):
    """One sub-workflow. Ports are None where they are not known."""

    inputs: Ports | None = None
    outputs: Ports | None = None
    problem: tuple[Code, str, str] | None = None
    """The code, message and hint of each problem."""
    effects: bool = True
    """True if any of its nodes has effects, or if that is not known."""


Outputs: TypeAlias = Callable[["Workflow", "Children"], Ports]
Check: TypeAlias = Callable[["Workflow", "Children"], ValidationReport]


class Children:
    """The sub-workflows of one workflow, each looked at once.

    Each may use the operators of `catalog`, and those that it names files for itself. `outputs` gives a
    sub-workflow's output ports, `check` validates it (None: it is not validated); `compilation` has the
    compiled form of each.
    """

    def __init__(
        self,
        catalog: Catalog,
        resolve: Resolve | None,
        outputs: Outputs,
        check: Check | None,
        compilation: Compilation | None = None,
    ) -> None:
        self.catalog, self.compilation = catalog, compilation or Compilation()
        self.own = _NONE
        self._shared = catalog
        self.recursive = self.too_deep = False
        self._resolve, self._outputs, self._check = resolve, outputs, check
        self._known: dict[str, ChildWorkflow] = {}
        self._above: tuple[Workflow, ...] = ()
        self._seen = [0]  # shared with all below, as different spellings of a few files could multiply

    def begin(self, workflow: Workflow) -> "Children":
        """Note that `workflow` is being checked, so that a reference back to it is found; return these
        children.

        From now on, the catalogue has its own operators, too.
        """
        self._above = (*self._above, workflow)
        if workflow.operators:
            read: Callable[[Sequence[str]], OwnOperators] | None
            read = getattr(self._resolve, "own_operators", None)
            files = workflow.operators
            self.own = OwnOperators(partial=files) if read is None else read(files)
            self.catalog = self._shared.beside(self.own)
        return self

    def get(self, reference: str) -> ChildWorkflow:
        """Return the sub-workflow that `reference` names."""
        child = self._known.get(reference)
        if child is None:
            child = self._known[reference] = self._look(reference)
        return child

    def template(self, name: str) -> str | None:
        """Return the text of a template beside the workflow; None if that is not known.

        Raises SymphonyError if it cannot be read.
        """
        read: Callable[[str], str | None] | None = getattr(self._resolve, "template", None)
        return None if read is None else read(name)

    def defining(self, operator: str) -> str | None:
        """Return the Python file beside the workflow that defines the operator; None if that is not known."""
        find: Callable[[str], str | None] | None = getattr(self._resolve, "defining", None)
        return None if find is None else find(operator)

    def has_effects(self, reference: str) -> bool:
        """True if the sub-workflow that `reference` names has a node with effects."""
        return self.get(reference).effects

    def _look(self, reference: str) -> ChildWorkflow:
        if self._resolve is None:
            return ChildWorkflow()
        self._seen[0] += 1
        if self._seen[0] > FILES_MAX:
            return _failed(
                "limit-exceeded", f"more than {FILES_MAX:,} sub-workflows", "use fewer sub-workflows"
            )
        try:
            found = self._resolve(reference)
        except WorkflowRecursive as error:
            return self._cycle(error.message)
        except WorkflowInvalid as error:
            return _failed("unknown-workflow", self._invalid(reference, error.report), error.hint or _MEND)
        except SymphonyError as error:
            return _failed(
                "unknown-workflow", f"{reference} cannot be used: {error.message}", error.hint or _MEND
            )
        if found is None:
            hint = "the path is looked up beside the workflow file"
            return _failed("unknown-workflow", f"there is no workflow {reference!r}", hint)
        deep = len(self._above) >= DEPTH_MAX
        # a resolver may make a new object each time; equal ones are the same only where there is no end
        if any(found is one or (deep and found == one) for one in self._above):
            return self._cycle(f"{reference} leads back to a workflow that contains it")
        if deep:
            return self._deeper()
        return self._inside(reference, found)

    def _inside(self, reference: str, found: Workflow) -> ChildWorkflow:
        resolve = self._below(reference)
        below = Children(self._shared, resolve, self._outputs, self._check, self.compilation)
        below._above, below._seen = self._above, self._seen
        below.begin(found)
        inputs = {name: _input_port(spec) for name, spec in found.inputs.items()}
        report = ValidationReport() if self._check is None else self._check(found, below)
        outputs = self._outputs(found, below)
        if report.ok:
            effects = any(
                has_effects(node, below.catalog, below.has_effects) for node in found.nodes.values()
            )
            return ChildWorkflow(inputs, outputs, effects=effects)
        if below.too_deep:
            return msgspec.structs.replace(self._deeper(), inputs=inputs, outputs=outputs)
        self.recursive |= below.recursive
        code: Code = "cycle" if below.recursive else "unknown-workflow"
        return ChildWorkflow(inputs, outputs, (code, self._invalid(reference, report), report.errors[0].hint))

    def _invalid(self, reference: str, report: ValidationReport) -> str:
        """Return the first problem of a sub-workflow, with its file and line if these are known."""
        first, where = report.errors[0], getattr(self._resolve, "where", None)
        named = reference if where is None else where(reference, first)
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        said = ": ".join(part for part in (first.place, first.message) if part)
        return f"{named} is not valid: {said}{more}"

    def _cycle(self, message: str) -> ChildWorkflow:
        self.recursive = True
        return _failed("cycle", message, "a workflow cannot contain itself: use a loop")

    def _deeper(self) -> ChildWorkflow:
        self.too_deep = True
        message = f"sub-workflows are nested more than {DEPTH_MAX} deep here"
        return _failed("limit-exceeded", message, "nest them less deeply")

    def _below(self, reference: str) -> Resolve | None:
        nested: Callable[[str], Resolve] | None = getattr(self._resolve, "child", None)
        return self._resolve if nested is None else nested(reference)


_MEND = "check that file on its own: symphony validate FILE"


def _failed(code: Code, message: str, hint: str) -> ChildWorkflow:
    return ChildWorkflow(problem=(code, message, hint))


def _input_port(spec: InputSpec) -> Port:
    default = None if spec.default is msgspec.UNSET and spec.type.optional else spec.default
    return Port(type=spec.type, default=default, description=spec.description)
