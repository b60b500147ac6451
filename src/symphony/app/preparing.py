"""A run made ready: its documents read, its operators found, its secrets known. Nothing begins here."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from symphony.app.own_operators import OperatorsAtHand
from symphony.app.unset import unset_in_texts
from symphony.commons.collector import uncollected
from symphony.commons.environment import is_needed
from symphony.commons.errors import ConfigInvalid, SymphonyError
from symphony.commons.settings import Config
from symphony.pit.artifacts.values.codec import decode_sealed, encode_value
from symphony.pit.artifacts.values.sealed import hidden
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.core.structure import plan_of
from symphony.pit.tracker.nodes.graphs import OperatorsOf, WorkGraph, graph_of
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.sealing import NoSecrets, Sealer
from symphony.pit.tracker.store.documents import ChildDocument, Recorded, record_children, recorded_form
from symphony.pit.tracker.store.following import CONCURRENCY
from symphony.pit.tracker.store.journal import RunMeta
from symphony.pit.tracker.store.source_files import SourceFiles
from symphony.ports.values import StoredValue, Value
from symphony.workflow.catalog import Catalog
from symphony.workflow.compiled import Compilation
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.files import Resolver, loads
from symphony.workflow.model import Workflow
from symphony.workflow.problems import ValidationReport, WorkflowInvalid
from symphony.workflow.validation import Checked


class InputInvalid(WorkflowInvalid):
    """Inputs that the workflow does not take; `report` holds every problem."""

    code = "input-invalid"


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run needs to begin or to go on. `meta` is what may be recorded."""

    meta: RunMeta
    job: Job
    sealer: Sealer
    unhidden: tuple[str, ...] = ()
    """The variables whose values are too short to be hidden."""
    unset: tuple[str, ...] = ()
    """Listed variables that are not set, but are given to commands or put into texts."""


class PreparedWorkflow(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """A workflow that was checked, compiled and planned once, for any number of runs of one `Symphony`.

    Nothing of a run is in it, and no run changes it: templates and plans keep only what is the same
    for every run. Lists and maps that stand in the workflow reach operators as they are, though: where
    `holds_values` says that there are such, an operator that changes what it is given would change it
    for later runs too. `source` is the file it came from, `base` the folder beside which it resolves
    paths, `document` what a journal keeps, `children` its sub-workflows, `variables` those that it and
    they list under `env`. `declaring` are those of them that name files of operators, with their folders;
    `loaded`: there are no such files, or they were run. `only`: no more than these nodes and what they need
    is in it, so that the outputs `lacking` are not.
    """

    source: str | None
    base: Path
    workflow: Workflow
    report: ValidationReport
    document: bytes
    children: Recorded
    graph: WorkGraph
    variables: tuple[str, ...]
    declaring: tuple[tuple[Workflow, Path], ...] = ()
    loaded: bool = True
    only: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    digest: str = ""
    read: Mapping[str, DocumentReading] = msgspec.field(default_factory=dict)
    """The files that it was read from, by path, as far as places in them are known."""

    def with_graph(self, graph: WorkGraph) -> "PreparedWorkflow":
        """Prepare a run whose operator files have been executed: `graph` knows their operators."""
        return msgspec.structs.replace(self, graph=graph, loaded=True)

    @property
    def holds_values(self) -> bool:
        """True if it contains a list or a map without expressions, which runs would share."""
        return self.graph.holds_values()


def prepared_workflow(
    found: Checked, source: str | None, resolver: Resolver, at_hand: OperatorsAtHand
) -> PreparedWorkflow:
    """Return what was found valid, made ready for plans; `resolver` has seen its sub-workflows.

    Raises BadExpression for what is sound, but too deep to be evaluated.
    """
    workflow, compilation = found.workflow, found.compilation
    assert workflow is not None
    with uncollected():
        document = recorded_form(workflow)
        known: dict[int, Workflow] = {}
        documents, references = record_children(workflow, resolver, known)
        base = Path.cwd() if source is None else resolver.path.parent
        children = Recorded(documents, references, str(base), known)
        graph = work_graph(workflow, children, at_hand.catalog, at_hand.of, compilation)
        compilation.ready()
    each = [(workflow, children.base), *children.placed()]
    declaring = tuple((one, folder) for one, folder in each if one.operators)
    return PreparedWorkflow(
        source=source,
        base=base,
        workflow=workflow,
        report=found.report,
        document=document,
        children=children,
        graph=graph,
        variables=_listed(workflow, children),
        declaring=declaring,
        digest="" if found.reading is None else found.reading.digest,
        read=dict(_read(found, source, resolver, documents)),
        loaded=not declaring and not at_hand.files,
    )


def _read(
    found: Checked, source: str | None, resolver: Resolver, documents: Iterable[ChildDocument]
) -> Iterator[tuple[str, DocumentReading]]:
    if source is not None and found.reading is not None:
        yield source, found.reading.located_only()
    for one in documents:
        if (reading := resolver.reading(Path(one.source))) is not None:
            yield one.source, reading.located_only()


def read_copy(workflow: Workflow) -> Workflow | None:
    """Return a workflow that was made in code, as a journal gives it back; None for what no file could say.

    What its author does to its lists and maps afterwards is nothing to a run.
    """
    try:
        return loads(recorded_form(workflow), "json")
    except (SymphonyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def work_graph(
    workflow: Workflow,
    children: Recorded,
    catalog: Catalog,
    operators: OperatorsOf,
    compilation: Compilation,
) -> WorkGraph:
    """Return the graph of a workflow; `operators` gives what it and each of its sub-workflows may use."""
    plan = plan_of(workflow, children, compilation.of)
    return graph_of(workflow, plan, catalog, operators, children, compilation)


def _listed(workflow: Workflow, children: Recorded) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*workflow.env, *(name for child in children.all() for name in child.env))))


def recalled(
    meta: RunMeta,
    catalog: Catalog,
    operators: OperatorsOf,
    environment: Mapping[str, str],
    inputs: Mapping[str, Value] | None = None,
    *,
    keys: Mapping[str, str],
) -> Prepared:
    """Make a run ready from what is recorded of it; for the rest see `prepare`. Raises BadExpression too."""
    with uncollected():
        workflow, children = loads(meta.workflow, "json"), meta.recorded()
        graph = work_graph(workflow, children, catalog, operators, Compilation())
        graph.ready()
        listed = _listed(workflow, children)
        return prepare(meta, graph, listed, environment, inputs, keys=keys, children=children)


def prepare(
    meta: RunMeta,
    graph: WorkGraph,
    listed: Collection[str],
    environment: Mapping[str, str],
    inputs: Mapping[str, Value] | None = None,
    *,
    keys: Mapping[str, str],
    children: Recorded,
    read: Mapping[str, DocumentReading] | None = None,
) -> Prepared:
    """Make a run ready; `inputs` are those of a new one, else they are recorded.

    `environment` holds the variables, of which the workflow and its sub-workflows list some. `keys` are
    those of models: kept out of the home as well, though no node may read them. Raises SecretMissing if
    a variable is gone. `children` and `read` as in `PreparedWorkflow`.
    """
    variables = {name: environment[name] for name in listed if name in environment}
    sealer = _sealer({**keys, **variables})
    if inputs is None:
        _require(meta.variables, variables)
        form = sealer.unseal(decode_sealed(meta.inputs))
        assert isinstance(form, dict)
        inputs = form
    else:
        body = encode_value(sealer.seal(dict(inputs)))
        meta = msgspec.structs.replace(meta, inputs=body, variables=tuple(variables))
    job = Job(
        run_id=meta.run_id,
        graph=graph,
        inputs=inputs,
        environment=variables,
        cwd=Path(meta.cwd),
        base=Path(meta.base),
        started_at=meta.created_at,
        limit=meta.concurrency or CONCURRENCY,
        afresh=meta.afresh,
        sources=SourceFiles(graph.workflow, meta, children, read),
    )
    short = (name for name in sealer.ignored if not is_needed(name))
    missing = [name for name in dict.fromkeys(listed) if name not in environment]
    unset = unset_in_texts((graph.workflow, *children.all()), missing) if missing else ()
    return Prepared(meta=meta, job=job, sealer=sealer, unhidden=tuple(short), unset=unset)


def _sealer(secrets: Mapping[str, str]) -> Sealer:
    if not secrets:
        return NoSecrets()
    from symphony.pit.artifacts.values.redaction import Redactor

    return Redactor(secrets)


def _require(needed: Iterable[str], variables: Mapping[str, str]) -> None:
    """Raise if a variable that the run began with is missing, as its nodes would go on with null instead."""
    for name in needed:
        if name not in variables:
            from symphony.pit.artifacts.values.redaction import SecretMissing

            raise SecretMissing(
                f"the run needs the variable {name} as it was", hint=f"set {name} and resume again"
            )


def opened_outputs(body: bytes, sealer: Sealer) -> dict[str, StoredValue]:
    """Return the recorded outputs of a run as they were, or with `***` if a secret has changed."""
    form = decode_sealed(body)
    assert isinstance(form, dict)
    try:
        return {name: sealer.unseal(value) for name, value in form.items()}
    except SymphonyError:
        return {name: hidden(value) for name, value in form.items()}


def limits_of(workflow: Workflow, config: Config) -> Limits:
    """Return what the workflow and the settings limit."""
    own, given = config.budget, workflow.budget
    limits = Limits(money=own.money, tokens=own.tokens, calls=own.calls)
    if given is None:
        return limits
    # The shortest decimal that is this double: what was written in the file.
    money = None if given.money is None else Decimal(repr(given.money))
    return limits.strictest(Limits(money=money, tokens=given.tokens, calls=given.calls))


def check_hosts(patterns: Sequence[str]) -> None:
    """Raise ConfigInvalid for an invalid pattern, before anything runs."""
    if patterns:
        from symphony.kit.hosts import Allowed

        try:
            Allowed.of(patterns)
        except ValueError as error:
            raise ConfigInvalid(
                f"allowed hosts: {error}", hint="correct --allow-host, or [http] allow in config.toml"
            ) from error
