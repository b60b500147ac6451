"""Makes workflows ready for the runs of one Symphony: read, checked, their operators found."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import msgspec

from symphony.app.own_operators import Beside, OperatorsAtHand
from symphony.app.parts import Parts
from symphony.app.preparing import PreparedWorkflow, prepared_workflow, read_copy, work_graph
from symphony.app.remembering import Remembered
from symphony.workflow.catalog import OwnOperators
from symphony.workflow.compiled import Compilation
from symphony.workflow.files import Resolver, checked_bytes, checked_file
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.problems import WorkflowInvalid
from symphony.workflow.validation import Checked, check


class Readying:
    """Makes workflows ready, and remembers the last ones. Blocking."""

    def __init__(self, parts: Parts, files: Sequence[str] | None = None) -> None:
        """`files` of operators stand in place of those that the settings name."""
        self._parts = parts
        self.remembered = Remembered()
        self._read = OperatorsAtHand(parts, load=False, files=files)
        self._run = OperatorsAtHand(parts, load=True, files=files)
        self._loaded: WeakKeyDictionary[PreparedWorkflow, PreparedWorkflow] = WeakKeyDictionary()

    @property
    def files(self) -> list[Path]:
        """The files of operators that the settings name."""
        return self._run.files

    def ready(
        self,
        workflow: Workflow | Path | str | PreparedWorkflow,
        *,
        load: bool,
        nodes: Sequence[str] = (),
        body: bytes | None = None,
    ) -> PreparedWorkflow:
        """Check a workflow and make it ready, or recall that; `load` runs its files of operators.

        `nodes`: only these and what they need. `body`: the document, in place of what is in the file that
        `workflow` names. Raises WorkflowInvalid, WorkflowNotFound, NodeUnknown,
        ConfigInvalid, OperatorsNotLoaded.
        """
        if not isinstance(workflow, PreparedWorkflow):
            if nodes or body is not None:
                workflow = self._made_ready(workflow, nodes, body)
            else:
                workflow = self.remembered.get(workflow, self._made_ready)
        return self.loaded(workflow) if load else workflow

    def loaded(self, ready: PreparedWorkflow) -> PreparedWorkflow:
        """Return the workflow with its files of operators run, if there are any.

        What they define counts, where their text told something else. Raises WorkflowInvalid,
        ConfigInvalid, OperatorsNotLoaded.
        """
        if ready.loaded:
            return ready
        known = self._loaded.get(ready)
        if known is None:
            known = self._loaded[ready] = self._load(ready)
        return known

    def _made_ready(
        self, workflow: Workflow | Path | str, nodes: Sequence[str] = (), body: bytes | None = None
    ) -> PreparedWorkflow:
        at_hand = self._read
        if isinstance(workflow, Workflow):
            source, resolver = None, Resolver(Path.cwd() / "workflow", operators=at_hand.read)
            copy = read_copy(workflow)
            broken = None if copy is None else ()  # what was read needs only its meaning checked
            found = check(copy or workflow, at_hand.catalog, resolve=resolver, broken=broken)
        else:
            path = Path(workflow)
            resolver = Resolver(path, operators=at_hand.read)
            if body is None:
                source, found = str(path.absolute()), checked_file(path, at_hand.catalog, resolver)
            else:
                source, found = str(path), checked_bytes(body, path, at_hand.catalog, resolver)
        if found.workflow is None or not found.report.ok:
            raise WorkflowInvalid(found.report, None if source is None else str(workflow))
        if not nodes:
            return prepared_workflow(found, source, resolver, at_hand)
        from symphony.workflow.selection import selected  # few runs are of a part of a workflow

        part = selected(found.workflow, nodes)
        ready = prepared_workflow(self._part(part.workflow, found, resolver), source, resolver, at_hand)
        return msgspec.structs.replace(ready, only=tuple(nodes), lacking=part.outputs)

    def _part(self, workflow: Workflow, whole: Checked, resolver: Resolver) -> Checked:
        """Return a part of a workflow, compiled by itself. Inputs that it does not read need not be given."""
        catalog = self._read.catalog
        found = check(workflow, catalog, resolve=resolver, broken=())
        unread = {one.place.partition(".")[2] for one in found.report.warnings if one.code == "unused-input"}
        if any(workflow.inputs[name].required for name in unread):
            inputs = {
                name: _needless(spec) if name in unread else spec for name, spec in workflow.inputs.items()
            }
            workflow = msgspec.structs.replace(workflow, inputs=inputs)
            found = check(workflow, catalog, resolve=resolver, broken=())
        assert found.report.ok, found.report.errors  # the whole was checked
        return msgspec.structs.replace(whole, workflow=workflow, compilation=found.compilation)

    def _load(self, ready: PreparedWorkflow) -> PreparedWorkflow:
        compilation = Compilation()
        if list(_seen(ready, self._read)) != list(_seen(ready, self._run)):
            resolve = Beside(ready.children, self._run)
            found = check(ready.workflow, self._run.catalog, resolve=resolve, broken=())
            if not found.report.ok:
                raise WorkflowInvalid(found.report, ready.source)
            compilation = found.compilation
        graph = work_graph(ready.workflow, ready.children, self._run.catalog, self._run.of, compilation)
        graph.ready()
        return ready.with_graph(graph)


def _needless(spec: InputSpec) -> InputSpec:
    """Return an input that may be given, and need not be."""
    if not spec.required:
        return spec
    return msgspec.structs.replace(spec, type=msgspec.structs.replace(spec.type, optional=True))


def _seen(ready: PreparedWorkflow, at_hand: OperatorsAtHand) -> Iterator[object]:
    """Yield what validation sees of all operators in files."""
    yield at_hand.catalog.operators
    for workflow, folder in ready.declaring:
        own: OwnOperators = at_hand.read(folder, workflow.operators)
        yield own.operators, own.partial
