"""Maps the kit's operators to the modules that define them, which are imported on demand."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from symphony.sdk import Operator

HOMES: Final = {
    "census": ("code.census",),
    "code": ("code.symbols",),
    "command": ("command",),
    "copies": ("code.shapes",),
    "data": ("data.filter", "data.flatten", "data.map", "data.range", "data.reduce"),
    "data_files": ("data.format", "data.read", "files.convert", "markdown.html"),
    "debug": ("debug.fail", "debug.flaky", "debug.sleep", "debug.value"),
    "documents": ("json.parse", "json.query"),
    "fs": ("fs.glob", "fs.read", "fs.write"),
    "git": ("git.changed_files", "git.churn", "git.diff", "git.log", "git.tags"),
    "grouping": ("data.group",),
    "http": ("http.get", "http.request"),
    "issues": ("issues.read",),
    "junit": ("junit.read",),
    "markdown_tables": ("data.table",),
    "pages": ("docs.check", "docs.links", "docs.passages"),
    "profiling": ("csv.profile",),
    "python": ("python.call", "python.run"),
    "records": ("data.join", "data.sort", "data.unique"),
    "rendering": ("text.render",),
    "survey": ("code.survey",),
    "tables": ("csv.format", "csv.read", "csv.write"),
    "text": ("text.diff", "text.join", "text.regex", "text.split"),
    "vectors": ("vector.near_duplicates", "vector.search"),
}
"""The modules that define operators, and which."""
_HOME: Final = {name: home for home, names in HOMES.items() for name in names}


class KitOperators(Mapping[str, "Operator"]):
    """Operators by name: first those of the kit, sorted by name, then others that were given.

    A module of the kit is imported when one of its operators is looked up, because a run needs few of them.
    """

    def __init__(self, given: "Mapping[str, Operator]" = MappingProxyType({})) -> None:
        """Operators in `given` replace the kit's."""
        self._known = dict(given)
        self._names = tuple(dict.fromkeys((*sorted(_HOME), *given)))

    def __getitem__(self, name: str) -> "Operator":
        if name not in self._known:
            self._known[name] = _loaded(name, _HOME[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in _HOME or name in self._known


def _loaded(name: str, home: str) -> "Operator":
    from importlib import import_module

    from symphony.sdk import Operator

    found = vars(import_module(f"symphony.kit.{home}")).values()
    return next(one for one in found if isinstance(one, Operator) and one.info.name == name)
