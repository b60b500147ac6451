"""Documentation in Markdown and HTML: links, anchors and passages. `docs.*`."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypedDict
from urllib.parse import unquote, urlsplit

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import read_text_bounded
from symphony.commons.lines import lines_of, unified
from symphony.kit.errors import InputRefused, Stopped
from symphony.kit.html_tags import start_tags
from symphony.kit.markdown import tokens_of
from symphony.kit.slugs import Slugs
from symphony.ports.values import Value
from symphony.sdk import Context, operator
from symphony.workflow.types import ANY, PortType

if TYPE_CHECKING:
    from markdown_it.token import Token

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
PASSAGE_CHARS_MIN, PASSAGE_CHARS_MAX = 100, 20_000
_HTML: Final = (".html", ".htm", ".xhtml")


class PageLink(TypedDict):
    """One link or image; `line` counts from 1."""

    target: str
    text: str
    line: int
    image: bool


class PageLinks(TypedDict):
    """What `docs.links` returns."""

    name: str
    links: list[PageLink]
    anchors: list[str]
    problem: str | None


class BrokenLink(TypedDict):
    """A link that leads nowhere, and why."""

    file: str
    line: int
    target: str
    text: str
    why: str


class Outside(TypedDict):
    """An address on the network, and where it stands."""

    target: str
    count: int
    files: list[str]


class LinkReport(TypedDict):
    """What `docs.check` returns."""

    broken: list[BrokenLink]
    external: list[Outside]
    checked: int
    unreadable: list[str]


class Passage(TypedDict):
    """A piece of a text with the headings above it."""

    file: str
    line: int
    heading: str
    text: str


class Passages(TypedDict):
    """What `docs.passages` returns."""

    passages: list[Passage]
    texts: list[str]
    problem: str | None


@operator("docs.links", version="1.0.0", pure=True, output="page")
def links(path: Path, context: Context, name: str = "") -> Annotated[PageLinks, PortType("map", ANY)]:
    """List the links, images and anchors of a page in Markdown or HTML.

    A page that cannot be read as text of at most 4 MiB is told in `problem` and does not fail the node.

    path: the page; HTML if its name ends with .html, .htm or .xhtml, Markdown otherwise
    name: what to call it in the result; empty for its path as given

    Returns:
        page: a map of name; links, which are maps of target, text, line and image; anchors, which a link
            may name behind # (headings as GitHub and Python-Markdown spell them, and ids); and problem,
            why it could not be read
    """
    name = name or path.as_posix()
    try:
        text = read_text_bounded(context.cwd / path, PAGE_BYTES_MAX)
    except SymphonyError as error:
        return PageLinks(name=name, links=[], anchors=[], problem=error.message)
    found, anchors = _of_html(text) if path.suffix.lower() in _HTML else _of_markdown(text)
    return PageLinks(name=name, links=found, anchors=anchors, problem=None)


@operator("docs.check", version="1.0.0", read=True)
def check(root: Path, pages: list[Value], context: Context) -> LinkReport:
    """Check the links between pages: files, images and anchors. The network is not asked.

    A path that begins with / is one below the root. What leads out of the root is broken, too: it is
    so for everybody who has only this folder.

    root: the folder that the names of the pages are relative to
    pages: maps as docs.links gives them
    broken: maps of file, line, target, text and why
    external: addresses on the network: maps of target, count and files
    checked: how many links lead to files or anchors
    unreadable: names of pages that could not be read
    """
    base = os.path.realpath(context.cwd / root)
    known = {page["name"]: page for page in map(_page, pages)}
    anchors = {os.path.join(base, name): set(page["anchors"]) for name, page in known.items()}  # noqa: PTH118
    broken: list[BrokenLink] = []
    outside: dict[str, list[str]] = {}
    checked = 0
    for name, page in known.items():
        if context.cancelled():
            raise Stopped("docs.check was cancelled")
        for link in page["links"]:
            if _is_external(link["target"]):
                outside.setdefault(link["target"], []).append(name)
                continue
            checked += 1
            why = _wrong(link["target"], name, base, anchors)
            if why is not None:
                broken.append(
                    BrokenLink(
                        file=name, line=link["line"], target=link["target"], text=link["text"], why=why
                    )
                )
    return LinkReport(
        broken=broken,
        external=[
            Outside(target=target, count=len(files), files=sorted(set(files)))
            for target, files in sorted(outside.items())
        ],
        checked=checked,
        unreadable=[name for name, page in known.items() if page["problem"] is not None],
    )


def _page(value: Value) -> PageLinks:
    import msgspec

    try:
        return msgspec.convert(value, PageLinks)
    except msgspec.ValidationError as error:
        raise InputRefused(f"input pages: {error}", hint="give what docs.links returns") from error


def _is_external(target: str) -> bool:
    return target.startswith("//") or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", target) is not None


def _wrong(target: str, name: str, base: str, anchors: dict[str, set[str]]) -> str | None:
    """Return why a link leads nowhere; None if it does not."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "it is not an address"
    wanted, fragment = unquote(parts.path), unquote(parts.fragment)
    if "\0" in wanted:
        return "it is not a path"
    if not wanted:
        place = os.path.join(base, name)  # noqa: PTH118
    else:
        folder = base if wanted.startswith("/") else os.path.dirname(os.path.join(base, name))  # noqa: PTH118, PTH120
        place = os.path.normpath(os.path.join(folder, wanted.lstrip("/")))  # noqa: PTH118
        if place != base and not place.startswith(base.rstrip("/") + "/"):
            return "it leads out of the folder"
        if not os.path.exists(place):  # noqa: PTH110
            return "there is no such file"
    if fragment and place in anchors and fragment not in anchors[place] and fragment != "top":
        return f"{'the page' if wanted else 'this page'} has no anchor #{fragment}"
    return None


# ---- Markdown -----------------------------------------------------------------------------


def _of_markdown(text: str) -> tuple[list[PageLink], list[str]]:
    found: list[PageLink] = []
    anchors: dict[str, None] = {}
    slugs = Slugs()
    heading = False
    for token in tokens_of(text):
        line = token.map[0] + 1 if token.map else 1
        if token.type == "inline":
            children = token.children or []
            if heading:
                pictured = _plain(children, "text", "code_inline", "image")
                anchors |= dict.fromkeys(
                    slugs.of(_plain(children, "text", "code_inline"), token.content, pictured)
                )
            found += _of_inline(children, line)
            for child in children:
                if child.type == "html_inline":
                    anchors |= dict.fromkeys(_of_html(child.content)[1])
        elif token.type == "html_block":
            more, ids = _of_html(token.content, line)
            found += more
            anchors |= dict.fromkeys(ids)
        heading = token.type == "heading_open"
    return found, list(anchors)


def _of_inline(children: "Sequence[Token]", line: int) -> Iterator[PageLink]:
    open_links: list[tuple[str, int, list[str]]] = []
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        elif child.type == "link_open":
            open_links.append((str(child.attrGet("href") or ""), line, []))
        elif child.type == "link_close" and open_links:
            target, began, texts = open_links.pop()
            yield PageLink(target=target, text="".join(texts), line=began, image=False)
        elif child.type == "image":
            yield PageLink(target=str(child.attrGet("src") or ""), text=child.content, line=line, image=True)
        elif child.type == "html_inline":
            yield from _of_html(child.content, line)[0]
            line += child.content.count("\n")
        elif child.type in ("text", "code_inline"):
            for _, _, texts in open_links:
                texts.append(child.content)


def _plain(children: "Sequence[Token]", *kinds: str) -> str:
    return "".join(child.content for child in children if child.type in kinds)


# ---- HTML ---------------------------------------------------------------------------------

_TARGETS: Final = {
    **dict.fromkeys(("a", "link", "area"), ("href", False)),
    **dict.fromkeys(("img", "script", "iframe", "video", "audio", "source"), ("src", True)),
}


def _of_html(text: str, first_line: int = 1) -> tuple[list[PageLink], list[str]]:
    links: list[PageLink] = []
    anchors: list[str] = []
    for tag in start_tags(unified(text)):
        given = tag.attributes
        anchors += [given[key] for key in (("id", "name") if tag.name == "a" else ("id",)) if given.get(key)]
        attribute, image = _TARGETS.get(tag.name, ("", False))
        if attribute in given:
            line, alt = tag.line + first_line - 1, given.get("alt", "")
            links.append(PageLink(target=given[attribute].strip(), text=alt, line=line, image=image))
    return links, anchors


# ---- passages -----------------------------------------------------------------------------


@operator("docs.passages", version="1.0.0", pure=True)
def passages(path: Path, context: Context, name: str = "", chars: int = 800) -> Passages:
    """Cut a text or a page of Markdown into passages of whole paragraphs, for embedding and searching.

    A passage ends before a heading and before it exceeds its length; a longer paragraph is a passage of
    its own, cut at blanks. A file that cannot be read as text of at most 4 MiB is told in `problem`.

    path: the file
    name: what to call it in the result; empty for its path as given
    chars: how long a passage may be, 100 to 20,000 characters

    Returns:
        passages: maps of file, line, heading (those above it, joined by ›) and text
        texts: heading and text of each, as a model should read them
        problem: why the file could not be read
    """
    if not PASSAGE_CHARS_MIN <= chars <= PASSAGE_CHARS_MAX:
        raise InputRefused(
            f"input chars must lie between {PASSAGE_CHARS_MIN} and {PASSAGE_CHARS_MAX:,}", hint="change it"
        )
    name = name or path.as_posix()
    try:
        text = read_text_bounded(context.cwd / path, PAGE_BYTES_MAX)
        if "\0" in text:
            raise InputRefused(f"{name} is no text")
    except SymphonyError as error:
        return Passages(passages=[], texts=[], problem=error.message)
    found = [
        Passage(file=name, line=line, heading=heading, text=piece)
        for line, heading, piece in _passages(text, chars)
    ]
    texts = [f"{one['heading']}\n{one['text']}" if one["heading"] else one["text"] for one in found]
    return Passages(passages=found, texts=texts, problem=None)


_HEADING: Final = re.compile(r"(#{1,6})(?:\s+|$)")
_FENCE: Final = re.compile(r"\s{0,3}(`{3,}|~{3,})")


def _passages(text: str, chars: int) -> Iterator[tuple[int, str, str]]:
    """Line, headings above, and text of each passage."""
    headings: list[tuple[int, str]] = []
    held: list[str] = []
    began, size = 1, 0
    for line, block in _blocks(text):
        heading = None if "\n" in block else _heading(block)
        if held and (heading or size + len(block) > chars):
            yield began, " › ".join(title for _, title in headings), "\n\n".join(held)
            held, size = [], 0
        if heading:
            headings = [*(one for one in headings if one[0] < heading[0]), heading]
            continue
        pieces = _cut(block, chars)
        for piece in pieces[:-1]:
            yield line, " › ".join(title for _, title in headings), piece
        began = began if held else line
        held.append(pieces[-1])
        size += len(pieces[-1])
    if held:
        yield began, " › ".join(title for _, title in headings), "\n\n".join(held)


def _heading(line: str) -> tuple[int, str] | None:
    """Depth and title of a heading that begins with `#`; None for any other line."""
    begin = _HEADING.match(line)
    if begin is None:
        return None
    return len(begin[1]), line[begin.end() :].rstrip().rstrip("#").rstrip()


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs, headings and fenced code, each with its first line."""
    held: list[str] = []
    began, fence = 1, ""
    for number, line in enumerate(lines_of(text), start=1):
        mark = _FENCE.match(line)
        if fence:
            held.append(line)
            fence = "" if mark and mark[1].startswith(fence) else fence
            continue
        alone = _heading(line) is not None
        if held and (alone or not line.strip()):
            yield began, "\n".join(held)
            held = []
        if alone:
            yield number, line
        elif line.strip():
            began = began if held else number
            held.append(line)
            fence = mark[1] if mark else ""
    if held:
        yield began, "\n".join(held)


def _cut(block: str, chars: int) -> list[str]:
    """Return `block` in pieces of at most `chars`, cut at blanks where there are any."""
    pieces: list[str] = []
    begin = 0
    while len(block) - begin > chars:
        at = max(block.rfind(" ", begin + 1, begin + chars), block.rfind("\n", begin + 1, begin + chars))
        at = at if at > 0 else begin + chars
        pieces.append(block[begin:at].rstrip())
        while at < len(block) and block[at].isspace():
            at += 1
        begin = at
    return [*pieces, block[begin:]]
