"""`text.render`: sandboxed Jinja2 templates."""

import hashlib
import re
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import read_bounded
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped, TemplateFailed
from symphony.ports.values import Value
from symphony.sdk import Bounds, Context, Template, TemplateFile, operator
from symphony.sdk.bounds import extent

if TYPE_CHECKING:
    from types import ModuleType

    from jinja2.nodes import Filter, Node

    from symphony.kit.sandbox import Sandbox

TEMPLATE_BYTES_MAX = 4 * 1024 * 1024
INLINE = "<text>"
_TEMPLATES_MAX = 1_000
_SOURCES_KEPT = 64
_SHORT = 64 * 1024
"""A template of so many characters is remembered."""

_MARKUP = re.compile(r"\.(html?|xhtml|xml|svg)(\.(j2|jinja2?))?$", re.IGNORECASE)
_USES_OTHERS = re.compile(r"\{%[-+]?\s*(include|extends|import|from)\b")


def _reads(inputs: Mapping[str, Value], context: Context) -> str | None:
    """Return a digest of the template file and of all that it may include, extend or import, however far.

    None if a name is worked out only when it is rendered, or if something cannot be read.
    """
    template, text = inputs.get("template"), inputs.get("text")
    file = context.base / template if isinstance(template, str) else None
    try:
        body = str(text or "").encode("utf-8", "replace") if file is None else _body(file)
        used = _used(body, _folders(context.base, file))
    except SymphonyError:
        return None
    if used is None:
        return None
    return hashlib.sha256(repr((None if file is None else body, sorted(used.items()))).encode()).hexdigest()


def _used(body: bytes, folders: list[Path]) -> dict[str, bytes | None] | None:
    """Return the templates that `body` names, and those that these name; None for one that is not there.

    Each is the one that Jinja2 would take: of the first folder that has it.
    """
    waiting, found = [body], dict[str, bytes | None]()
    while waiting:
        source = waiting.pop().decode("utf-8", "replace")
        named = _named if len(source) <= _SHORT else _named.__wrapped__
        for name in named(source) if _USES_OTHERS.search(source) else ():
            if name is None:
                return None
            if name in found:
                continue
            place = next((place for one in folders if (place := _inside(one, name)) is not None), None)
            found[name] = inner = None if place is None else _body(place)
            waiting += [] if inner is None else [inner]
            if len(found) > _TEMPLATES_MAX:
                return None
    return found


@lru_cache(maxsize=_SOURCES_KEPT)
def _named(source: str) -> list[str | None]:
    """Return the names that a template uses; None among them for one that is not written out."""
    import jinja2
    from jinja2.meta import find_referenced_templates

    try:
        return list(find_referenced_templates(jinja2.Environment().parse(source)))  # noqa: S701
    except (jinja2.TemplateError, RecursionError):
        return [None]


def _inside(folder: Path, name: str) -> Path | None:
    """Return the file that Jinja2's loader takes for `name`, if it is in this folder."""
    import jinja2
    from jinja2.loaders import split_template_path

    try:
        place = folder.joinpath(*split_template_path(name))
    except jinja2.TemplateNotFound:  # it leads out of the folder
        return None
    return place if place.is_file() else None


def _body(file: Path) -> bytes:
    return read_bounded(file, TEMPLATE_BYTES_MAX)


def _folders(base: Path, file: Path | None) -> list[Path]:
    """Return where templates are looked for, the first that has one giving it."""
    return [base] if file is None else [file.parent, base]


CHEAP_TEXT_MAX = 1_000
CHEAP_STEPS_MAX = 2_000_000
_CHEAP_DATA_MAX = 100_000
_EFFORTS_KEPT = 256
_GROWTH = 6
"""The factor by which a filter may lengthen a text: an escape for each character."""
_KEEPING_FILTERS = frozenset({
    "cell", "count", "d", "default", "first", "float", "int", "last", "length", "list", "round", "safe",
    "sort", "trim",
})  # fmt: skip
_GROWING_FILTERS = frozenset({
    "capitalize", "code", "comment", "e", "escape", "join", "lower", "md", "string", "title", "tojson",
    "upper",
})  # fmt: skip
_CONSTANT_ARGUMENTS = frozenset({"d", "default", "join"})


def _heavy(inputs: Mapping[str, Value]) -> bool:
    """True if rendering might take long, or much memory. It does not if the template is a short text
    that calls nothing and builds nothing up, and the data are so small that its loops, each over
    something in the data, come to few steps.
    """
    text, data = inputs.get("text"), inputs.get("data")
    if not isinstance(text, str) or len(text) > CHEAP_TEXT_MAX:
        return True
    size = extent(data, _CHEAP_DATA_MAX)
    if size > _CHEAP_DATA_MAX or len(text) * size > CHEAP_STEPS_MAX:
        return True
    effort = _effort(text)
    if effort is None:
        return True
    loops, growths = effort
    return bool(len(text) * size * _longest(data) ** loops * _GROWTH**growths > CHEAP_STEPS_MAX)


@lru_cache(maxsize=_EFFORTS_KEPT)
def _effort(text: str) -> tuple[int, int] | None:
    """Return how deep the loops of a short template are nested, and what makes texts longer.

    None if only rendering tells what it takes. Of one that cannot be parsed, nothing is rendered.
    """
    import jinja2
    from jinja2 import nodes

    try:
        tree = jinja2.Environment().parse(text)  # noqa: S701  (nothing is rendered here)
    except (jinja2.TemplateError, RecursionError):
        return 0, 0
    if next(tree.find_all(_costly(nodes)), None) is not None or any(
        map(_costly_filter, tree.find_all(nodes.Filter))
    ):
        return None
    ranges = [loop.iter for loop in tree.find_all(nodes.For)]
    given = _literals(nodes)
    if any(_growths(one) or isinstance(one, given) or any(one.find_all(given)) for one in ranges):
        return None
    return _loop_depth(tree), _growths(tree)


def _costly(nodes: "ModuleType") -> "tuple[type[Node], ...]":
    """Return what calls, repeats or builds up: only rendering tells how much."""
    return (
        nodes.Call, nodes.CallBlock, nodes.Macro, nodes.Include, nodes.Extends, nodes.Import,
        nodes.FromImport, nodes.Assign, nodes.AssignBlock, nodes.With, nodes.FilterBlock,
        nodes.Mul, nodes.Pow, nodes.Mod,
    )  # fmt: skip


def _literals(nodes: "ModuleType") -> "tuple[type[Node], ...]":
    """Return what a template itself may give a loop to go through."""
    return nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Add


def _costly_filter(found: "Filter") -> bool:
    from jinja2 import nodes

    if found.name not in _KEEPING_FILTERS | _GROWING_FILTERS or found.kwargs:
        return True
    constant = found.name in _CONSTANT_ARGUMENTS and all(isinstance(one, nodes.Const) for one in found.args)
    return bool(found.args) and not constant


def _growths(node: "Node") -> int:
    """Return how many filters and joined texts, each inside the next, may make a text longer."""
    from jinja2 import nodes

    below = max(map(_growths, node.iter_child_nodes()), default=0)
    grows = isinstance(node, nodes.Concat) or (
        isinstance(node, nodes.Filter) and node.name in _GROWING_FILTERS
    )
    return below + grows


def _loop_depth(node: "Node") -> int:
    from jinja2 import nodes

    below = max(map(_loop_depth, node.iter_child_nodes()), default=0)
    return below + isinstance(node, nodes.For)


def _longest(value: Value) -> int:
    """Return how many rounds a loop over something in `value` may have."""
    if isinstance(value, list):
        return max(len(value), *map(_longest, value), 1)
    if isinstance(value, dict):
        return max(len(value), *map(_longest, value.values()), *map(len, value), 1)
    return len(value) if isinstance(value, str | bytes) else 1


@operator(
    "text.render",
    version="1.1.0",
    reads=_reads,
    bounds=Bounds(heavy=_heavy, seconds="seconds"),
    output="text",
)
def render(
    context: Context,
    template: Annotated[str, TemplateFile("data", "*data")] | None = None,
    data: Value = None,
    text: Annotated[str, Template("data", "*data")] | None = None,
    escape: Literal["auto", "html", "none"] = "auto",
    seconds: float = 60.0,
) -> str:
    """Fill in a Jinja2 template.

    The template sees `data` and, if that is a map, its keys as names. It may include and extend
    templates from its own folder and the workflow's. It is sandboxed: it reaches nothing but
    the data, and an unknown name is an error. Lines that hold only a tag leave no empty line. Of
    Jinja2's filters there are five more: `md` writes a text so that Markdown shows it as it is, on
    one line; `code` makes a code span of it; `cell` lets a code span stand in a table;
    `comment` lets a text stand in a comment of HTML; `lines`
    gives the lines of a text.

    template: a file, relative to the folder of the workflow
    data: what to fill in
    text: the template itself; give this or `template`
    escape: escape for HTML; auto does so if the template's name ends with .html, .xml or .svg,
        perhaps followed by .j2
    seconds: fail if it takes longer; a template that might is rendered in a process of its own, which
        is then ended, and which may use 1 GiB of memory

    Returns:
        text: what came out, up to 64 Mi characters
    """
    if (template is None) == (text is None):
        raise InputRefused("text.render takes either template or text", hint="give one of the two inputs")
    file = None if template is None else context.base / template
    escaped = escape == "html" or (escape == "auto" and file is not None and bool(_MARKUP.search(file.name)))
    ends = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > ends:
            raise OutputTooLarge(
                f"rendering took longer than {seconds:g} s", code="timeout", hint="shorten its loops"
            )
        if context.cancelled():
            raise Stopped("text.render was cancelled")

    from symphony.kit.sandbox import sandbox

    made = sandbox(_folders(context.base, file), escaped=escaped, check=check)
    return _rendered(made, file, text, data, check)


def _rendered(
    environment: "Sandbox",
    file: Path | None,
    text: str | None,
    data: Value,
    check: Callable[[], None],
) -> str:
    import jinja2

    from symphony.kit.sandbox import TEXT_LENGTH_MAX

    names = {**data, "data": data} if isinstance(data, dict) else {"data": data}
    pieces: list[str] = []
    length = 0
    try:
        loaded = (
            environment.get_template(file.name) if file is not None else environment.template_of(text or "")
        )
        for piece in loaded.generate(names):
            check()
            length += len(piece)
            if length > TEXT_LENGTH_MAX:
                raise OutputTooLarge(
                    "the text exceeds 64 Mi characters", hint="render less, or into several files"
                )
            pieces.append(piece)
    except (SymphonyError, MemoryError):
        raise
    except jinja2.TemplateSyntaxError as error:
        place = f"{error.filename or error.name or INLINE}:{error.lineno}"
        raise TemplateFailed(f"{place}: {error.message}", hint="correct the template") from error
    except jinja2.TemplateNotFound as error:
        where = f" beside {file.parent}" if file is not None else ""
        raise TemplateFailed(
            f"no template {error.name}{where}", hint="templates lie beside the workflow"
        ) from error
    except (Exception, RecursionError) as error:
        raise TemplateFailed(
            f"{_line(error, file)}: {str(error) or type(error).__name__}",
            hint="correct the template, or what it is given",
        ) from error
    return "".join(pieces)


def _line(error: BaseException, file: Path | None) -> str:
    """Return the template's file and line, which Jinja2 writes into the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [frame for frame in frames if not frame.filename.endswith(".py")]
    if not inner:
        return INLINE if file is None else str(file)
    name = INLINE if inner[-1].filename in ("<template>", "<unknown>") else inner[-1].filename
    return f"{name}:{inner[-1].lineno}"
