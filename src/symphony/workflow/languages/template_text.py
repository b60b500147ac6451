"""Jinja templates as `text.render` takes them: their syntax, their filters, the names that they use.

Jinja evaluates constant expressions when it compiles a template, which may take any time. Here that is
switched off, and a template is compiled only to list the names that it looks up.
"""

from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from symphony.workflow.languages.faults import LiteralFault
from symphony.workflow.problems import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import Filter, Name, Node, Template, Test
    from jinja2.runtime import Context

LENGTH_MAX: Final = 64 * 1024
"""The most characters of a template that is checked; longer ones are left to the run."""
FILTERS: Final = ("md", "code", "cell", "comment", "lines")
"""The filters that `text.render` has besides those of Jinja."""

_GENERAL: Final = "see jinja.palletsprojects.com for the language of templates"
_TOLERANT: Final = frozenset({"default", "d", "defined", "undefined"})
"""Filters and tests that accept an undefined name."""
_SHOWN: Final = 12
_STRICT: Final = frozenset({
    "capitalize", "cell", "code", "comment", "count", "e", "escape", "first", "float", "int", "join", "last",
    "length", "lines", "lower", "md", "round", "sort", "string", "sum", "title", "tojson", "trim", "upper",
})  # fmt: skip
"""Filters that fail on an undefined value."""


def template_faults(text: str, names: Collection[str] | None) -> tuple[LiteralFault, ...]:
    """Return what is wrong with a template that is given `names`; None: they are not known."""
    import jinja2

    if len(text) > LENGTH_MAX:
        return ()
    try:
        tree = _environment().parse(text)
        found = _Nodes(tree)
        faults = [*_unknown_functions(found)]
        used = _looked_up(tree, found)
    except jinja2.TemplateSyntaxError as error:
        return (LiteralFault(message=error.message or "it cannot be read", hint=_GENERAL, line=error.lineno),)
    except RecursionError:  # the depth that is left depends on the caller
        return ()
    except ValueError as error:  # a number of thousands of digits
        return (LiteralFault(message=str(error), hint="write it otherwise"),)
    if names is not None and used is not None:
        faults += _unknown_names(tree, found, used - set(names), names)
    return tuple(sorted(faults, key=lambda fault: fault.line or 0))


class _Nodes:
    """The nodes of a template that matter here, found in one walk. Those in `soft` may be skipped at
    run time.
    """

    def __init__(self, tree: "Template") -> None:
        from jinja2 import nodes

        self.names: list[Name] = []
        self.functions: list[tuple[Filter | Test, bool]] = []
        self.extends = self.folds = False
        waiting: list[tuple[Node, bool]] = [(tree, False)]
        while waiting:
            node, soft = waiting.pop()
            if isinstance(node, nodes.Name):
                self.names.append(node)
            elif isinstance(node, nodes.Filter | nodes.Test):
                self.functions.append((node, soft))
            elif isinstance(node, nodes.Extends):
                self.extends = True
            elif isinstance(node, nodes.ScopedEvalContextModifier):
                self.folds |= any(not isinstance(one.value, nodes.Const) for one in node.options)
            soft = soft or isinstance(node, nodes.If | nodes.CondExpr)
            waiting += [(inner, soft) for inner in node.iter_child_nodes()]


@cache
def _environment() -> "Environment":
    """Return the environment of `text.render`, changed so that compiling evaluates nothing: what is
    shown goes through `finalize`.
    """
    import jinja2

    @jinja2.pass_context
    def as_it_is(context: "Context", value: object) -> object:  # noqa: ARG001
        return value

    made = jinja2.Environment(  # noqa: S701  (nothing is rendered)
        optimized=False, finalize=as_it_is, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    made.filters.update(dict.fromkeys(FILTERS, str))
    return made


def _unknown_functions(found: _Nodes) -> Iterator[LiteralFault]:
    """Filters and tests that do not exist; their nodes get the names of such as do, so that Jinja goes on.

    Of those that may be passed over at run time, it is not sure that they are missed.
    """
    from jinja2 import nodes

    environment = _environment()
    for one, soft in found.functions:
        is_filter = isinstance(one, nodes.Filter)
        known = environment.filters if is_filter else environment.tests
        if one.name not in known:
            hint = did_you_mean(one.name, known, _GENERAL)
            message = f"there is no {'filter' if is_filter else 'test'} {one.name!r}"
            yield LiteralFault(message=message, hint=hint, line=one.lineno, sure=not soft)
            one.name = "string" if is_filter else "none"


def _looked_up(tree: "Template", found: _Nodes) -> set[str] | None:
    """Return the names that a template expects to be given; None if others may give them, or it cannot
    be known.

    Raises TemplateSyntaxError for what Jinja finds when it compiles.
    """
    from jinja2.meta import TrackingCodeGenerator

    if found.folds:  # compiling would evaluate the constant
        return None
    generator = TrackingCodeGenerator(_environment())
    generator.optimizer = None  # it evaluates what is constant, such as 9 ** 9 ** 9
    generator.visit(tree)
    return None if found.extends else generator.undeclared_identifiers


def _unknown_names(
    tree: "Template", found: _Nodes, unknown: set[str], names: Collection[str]
) -> Iterator[LiteralFault]:
    """Return the names that are not given, each at its first use.

    Names that are tested for, or that the template sets in some branch itself, are left out.
    """
    from jinja2 import nodes

    if not unknown:
        return
    tested = {
        one.node.name
        for one, _ in found.functions
        if isinstance(one.node, nodes.Name) and one.name in _TOLERANT
    }
    surely = dict(reversed([*_surely_used(tree.body)]))
    set_here = {one.name for one in found.names if one.ctx != "load"}  # which branch sets it is not known
    lines: dict[str, int] = {}
    for one in found.names:
        lines[one.name] = min(one.lineno, lines.get(one.name, one.lineno))
    seen = f"it is given {', '.join(sorted(names)[:_SHOWN])}" if names else "it is given nothing"
    for name in sorted(unknown - tested - (set_here - surely.keys())):
        hint = did_you_mean(name, sorted(names), f"{seen}; give it in data: {{{name}: …}}")
        line = surely.get(name, lines.get(name, 1))
        message = f"nothing called {name!r} is given to the template"
        yield LiteralFault(message=message, hint=hint, line=line, sure=name in surely)


def _surely_used(body: "list[Node]") -> "Iterator[tuple[str, int]]":
    """Yield the names that rendering always needs, each with its line."""
    from jinja2 import nodes

    for node in body:
        needed: list[Node] = []
        if isinstance(node, nodes.Output):
            needed = list(node.nodes)
        elif isinstance(node, nodes.For):
            needed = [node.iter]
        elif isinstance(node, nodes.If):
            needed = [node.test]
        elif isinstance(node, nodes.FilterBlock | nodes.Scope | nodes.With):
            yield from _surely_used(list(node.body))
        for one in needed:
            name = _leftmost(one)
            if name is not None:
                yield name.name, name.lineno


def _leftmost(node: "Node") -> "Name | None":
    """Return the name that must have a value for an expression to work; None if that cannot be told."""
    from jinja2 import nodes

    while True:
        if isinstance(node, nodes.Name):
            return node
        if isinstance(node, nodes.Getattr | nodes.Getitem) or (
            isinstance(node, nodes.Filter) and node.node is not None and node.name in _STRICT
        ):
            inner = node.node
            assert inner is not None
            node = inner
        else:
            return None
