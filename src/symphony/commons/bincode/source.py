"""Python source that grows function by function, and the objects that it names. Pure."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from symphony.commons.bincode import wire


class GeneratedSource:
    """Functions, written line by line; `bind` gives an object a name in them."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._lines: list[str] = []
        self._names: dict[str, object] = {}
        self._bound: dict[object, str] = {}
        self._depth = 0
        self._count = 0

    def name(self, stem: str) -> str:
        """Return a name that is not taken."""
        self._count += 1
        return f"{stem}_{self._count}"

    def bind(self, thing: object, stem: str) -> str:
        """Return the name of `thing` in the source: an object gets one name, however often it is asked."""
        key = (stem, id(thing))
        if key not in self._bound:
            self._bound[key] = self.name(stem)
            self._names[self._bound[key]] = thing
        return self._bound[key]

    def packer(self, form: str) -> str:
        """Return the name of `struct`'s pack for a little-endian form."""
        return self._struct("pack", form, struct.Struct(f"<{form}").pack)

    def unpacker(self, form: str) -> str:
        """Return the name of `struct`'s unpack_from for a little-endian form."""
        return self._struct("unpack", form, struct.Struct(f"<{form}").unpack_from)

    def _struct(self, verb: str, form: str, method: object) -> str:
        name = f"{verb}_{form.replace('?', 'o')}"
        self._names.setdefault(name, method)
        return name

    def add(self, line: str) -> None:
        """Add one line to the function that is being written."""
        self._lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add lines below `head`, indented."""
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def function(self, head: str) -> Iterator[None]:
        """Write a separate function; the one that was being written continues afterwards."""
        kept = self._lines, self._depth
        self._lines, self._depth = [], 0
        with self.block(head):
            yield
        self._done += [*self._lines, ""]
        self._lines, self._depth = kept

    @property
    def text(self) -> str:
        """Return the source of all finished functions."""
        return "\n".join(self._done)

    def compiled(self) -> dict[str, object]:
        """Return the functions by name. The source holds names and numbers of our own making, no input."""
        names: dict[str, object] = {**vars(wire), **self._names}
        exec(compile(self.text, "<bincode>", "exec"), names)  # noqa: S102  (see above)
        return names
