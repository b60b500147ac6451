"""The sandbox that templates are rendered in. Loads Jinja2.

What a template compiles to is kept by the digest of its text: in a fan-out, compiling takes many times
as long as rendering.
"""

import marshal
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from pprint import pformat
from types import CodeType
from typing import Any, Final, TypeAlias

import jinja2
from jinja2.bccache import Bucket, BytecodeCache
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from symphony.commons.lines import lines_of
from symphony.kit.markdown_escapes import html_comment, markdown_cell, markdown_code, markdown_text

TEXT_LENGTH_MAX: Final = 64 * 1024 * 1024
POWER_MAX: Final = 1000
KEPT_MAX: Final = 256
"""The most compiled templates that are kept, the most recently used ones."""
KEPT_BYTES_MAX: Final = 16 * 1024 * 1024
"""The most bytes that all of them take together."""

_METHODS: Final = frozenset(name for name in dir(dict) if not name.startswith("_"))
_METHOD: Final = "(method)"
"""The name of a filter that no template can write."""

Key: TypeAlias = tuple[str, str]
"""The digests of a template's place and of its text."""


class CompiledTemplates(BytecodeCache):
    """Compiled templates by digest, bounded in number and size, for any thread."""

    def __init__(self, *, most: int = KEPT_MAX, bytes_most: int = KEPT_BYTES_MAX) -> None:
        self._most, self._bytes_most = most, bytes_most
        self._kept: OrderedDict[Key, tuple[CodeType, int]] = OrderedDict()
        self._bytes = 0
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Put the code into `bucket`, if it is kept."""
        key = bucket.key, bucket.checksum
        with self._changing:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                bucket.code = found[0]

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code in `bucket`; those that were used least lately make room."""
        assert bucket.code is not None
        key, size = (bucket.key, bucket.checksum), len(marshal.dumps(bucket.code))
        with self._changing:
            _, before = self._kept.pop(key, (None, 0))
            self._kept[key] = bucket.code, size
            self._bytes += size - before
            while len(self._kept) > self._most or self._bytes > self._bytes_most:
                _, (_, gone) = self._kept.popitem(last=False)
                self._bytes -= gone


class Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox whose calls also watch the clock, whose numbers stay small, and where data comes first.

    `group.items` is the value of the key `items`, if there is one, and `group.items()` calls the method.
    """

    intercepted_binops = frozenset({"*", "**"})
    check: Callable[[], None]
    """Raises if rendering must end."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what `obj.attribute` is: of a map the value of that key before its methods."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def method(self, obj: Any, name: str) -> Any:
        """Return what `obj.name(…)` calls, whatever keys a map has."""
        return super().getattr(obj, name)

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        tree = super()._parse(source, name, filename)
        for call in tree.find_all(jinja2.nodes.Call):
            called = call.node
            if isinstance(called, jinja2.nodes.Getattr) and called.attr in _METHODS:
                wanted = jinja2.nodes.Const(called.attr, lineno=called.lineno)
                call.node = jinja2.nodes.Filter(
                    called.node, _METHOD, [wanted], [], None, None, lineno=called.lineno
                )
        return tree

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Return what a template calls."""
        self.check()
        return super().call(*args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Return what it multiplies."""
        self.check()
        sizes = [len(x) for x in (left, right) if isinstance(x, str | bytes | list | tuple)]
        times = [x for x in (left, right) if isinstance(x, int)]
        if sizes and times and sizes[0] * times[0] > TEXT_LENGTH_MAX:
            raise SecurityError("the product is too large")
        if operator == "**" and (abs(left) > POWER_MAX or abs(right) > POWER_MAX):
            raise SecurityError(f"a power of numbers beyond {POWER_MAX}")
        if len(times) == 2 and max(abs(times[0]), abs(times[1])) > 2**63:
            raise SecurityError("an integer beyond 64 bits")
        return super().call_binop(context, operator, left, right)

    def template_of(self, text: str) -> jinja2.Template:
        """Like `from_string`, which never looks for a template that is kept."""
        kept = self.bytecode_cache
        assert kept is not None
        bucket = kept.get_bucket(self, "", None, text)
        if bucket.code is None:
            bucket.code = self.compile(text)
            kept.set_bucket(bucket)
        return self.template_class.from_code(self, bucket.code, self.make_globals(None), None)


def sandbox(folders: Sequence[Path], *, escaped: bool, check: Callable[[], None]) -> Sandbox:
    """One for one rendering. `folders` are where templates are looked for; `check` raises to end it."""
    made = _parent(escaped).overlay(loader=jinja2.FileSystemLoader(folders))
    made.check = check
    return made


@cache
def _parent(escaped: bool) -> Sandbox:
    """Return what all renderings share, and nothing changes."""
    made = Sandbox(
        autoescape=escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
        bytecode_cache=CompiledTemplates(),
    )
    made.filters.update(md=markdown_text, code=markdown_code, cell=markdown_cell, comment=html_comment)
    made.filters[_METHOD] = _method
    made.filters.update(lines=lambda value: lines_of(str(value)), pprint=_printed)
    made.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return made


@jinja2.pass_context
def _method(context: jinja2.runtime.Context, value: object, name: str) -> object:
    environment = context.environment
    assert isinstance(environment, Sandbox)
    return environment.method(value, name)


def _printed(value: object) -> str:
    """Jinja2's own filter `pprint`, but for the order of keys, which stays."""
    return pformat(value, sort_dicts=False)
