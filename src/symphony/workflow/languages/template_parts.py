"""The templates that a Jinja template is made of: what it includes, imports and extends. Renders nothing."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from jinja2.nodes import Expr

_USES_OTHERS: Final = re.compile(r"\{%[-+]?\s*(?:include|import|from|extends)\b")
_CHARS_MAX: Final = 1_000_000


class TemplatePart(NamedTuple):
    """The name of another template, and whether rendering fails without it."""

    name: str
    needed: bool


@lru_cache(maxsize=256)
def parts_of(text: str) -> tuple[TemplatePart, ...]:
    """Return the templates that `text` names; empty if `text` is not a valid template."""
    if len(text) > _CHARS_MAX or not _USES_OTHERS.search(text):
        return ()
    import jinja2

    try:
        return tuple(dict.fromkeys(_parts(text)))
    except (jinja2.TemplateError, RecursionError):
        return ()


def _parts(text: str) -> Iterator[TemplatePart]:
    import jinja2
    from jinja2 import nodes

    tree = jinja2.Environment().parse(text)  # noqa: S701  (nothing is rendered)
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        assert isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends)
        names = list(_names(node.template))
        needed = len(names) == 1 and not (isinstance(node, nodes.Include) and node.ignore_missing)
        yield from (TemplatePart(name, needed) for name in names)


def _names(template: "Expr") -> Iterator[str]:
    """Yield one name, or several of which the first that exists is used; none if they are computed at
    run time.
    """
    from jinja2 import nodes

    if isinstance(template, nodes.List | nodes.Tuple):
        for one in template.items:
            yield from _names(one)
    elif isinstance(template, nodes.Const) and isinstance(template.value, str):
        yield template.value
