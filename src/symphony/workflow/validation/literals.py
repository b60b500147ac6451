"""Texts in a language that are written out in a workflow: compiled before anything runs.

A text with `${{ … }}` is known only during the run, and is checked then.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.languages import LiteralFault, faults_in, work_of
from symphony.workflow.languages.template_parts import parts_of
from symphony.workflow.problems import child, shown
from symphony.workflow.types import LANGUAGES, Language, PortType
from symphony.workflow.validation.level import Level, speaks

_PARTS_MAX: Final = 200
WORK_MAX: Final = 1024 * 1024
"""The most work that one validation spends on compiling, a few seconds. The rest is left to the run."""


def check_literals(
    level: Level, place: str, inputs: Mapping[str, ValueTemplate], ports: Mapping[str, Port],
    fed: Collection[str],
) -> None:  # fmt: skip
    """Check the texts among a node's `inputs`. `place` is that of the inputs; `fed` are the inputs that
    edges give.
    """
    for name, template in inputs.items():
        port = ports.get(name)
        if port is not None and speaks(port):
            for at, text, language in _texts(template, port.type, child(place, name)):
                _check(level, at, text, language, inputs, fed)


def _texts(template: ValueTemplate, kind: PortType, place: str) -> Iterator[tuple[str, str, Language]]:
    """Yield the texts of a value that are written out, with their places and languages."""
    inside = template.inside
    if template.constant:
        yield from _constant_texts(template.value, kind, place)
    elif kind.item is None or inside is None:
        return
    elif isinstance(inside, Mapping):
        for key, one in inside.items():
            yield from _texts(one, kind.item, child(place, key))
    else:
        for at, one in enumerate(inside):
            yield from _texts(one, kind.item, child(place, at))


def _constant_texts(value: Value, kind: PortType, place: str) -> Iterator[tuple[str, str, Language]]:
    if kind.language is not None and isinstance(value, str):
        yield place, value, kind.language
    elif kind.item is not None and isinstance(value, list | dict):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _constant_texts(one, kind.item, child(place, key))


def _check(
    level: Level, place: str, text: str, language: Language, inputs: Mapping[str, ValueTemplate],
    fed: Collection[str],
) -> None:  # fmt: skip
    what, folder = LANGUAGES[language.name].partition(" ")[2], ""
    if language.name == "template-file":
        what = f"{what} {shown(text)[1:-1]}"
        try:
            found = level.scope.children.template(text)
        except SymphonyError as error:  # a node before may make it
            hint = "templates lie beside the workflow file"
            level.sheet.warnings.add("bad-expression", place, f"{what}: {error.message}", hint)
            return
        if found is None:
            return
        text, folder = found, text.rpartition("/")[0]
    if language.name in ("template", "template-file"):
        _check_parts(level, place, text, folder)
    names = _names(language, inputs, fed)
    for fault in _faults(level, text, language, names):
        message, hint = f"{what}: {fault.told(text)}", _hint(level, fault)
        if fault.sure:
            level.error(fault.code, place, message, hint)
        else:
            level.sheet.warnings.add(fault.code, place, message, hint)


def _check_parts(level: Level, place: str, text: str, folder: str) -> None:
    """Check the templates that a template includes, imports or extends, directly or not.

    They are beside the template, in `folder`, or beside the workflow. The names that they may use are
    not known.
    """
    waiting, seen = [text], set[str]()
    while waiting:
        for name, needed in parts_of(waiting.pop()):
            if name in seen or ".." in name.split("/") or len(seen) == _PARTS_MAX:
                continue
            seen.add(name)
            what = f"the template {shown(name)[1:-1]}"
            try:
                found = _part(level, folder, name)
            except SymphonyError as error:
                if needed:  # a node before may make it
                    hint = "templates lie beside the workflow file, or beside the template that names them"
                    level.sheet.warnings.add("bad-expression", place, f"{what}: {error.message}", hint)
                continue
            if found is None:
                continue
            waiting.append(found)
            for fault in _faults(level, found, Language("template"), None):
                # What replaces it is known only during the run.
                found_by = level.error if fault.sure and needed else level.sheet.warnings.add
                found_by(fault.code, place, f"{what}: {fault.told(found)}", fault.hint)


def _part(level: Level, folder: str, name: str) -> str | None:
    """Return the text of a template that another names. Raises SymphonyError if it cannot be read."""
    if folder:
        try:
            return level.scope.children.template(f"{folder}/{name}")
        except SymphonyError:
            pass
    return level.scope.children.template(name)


def _names(
    language: Language, inputs: Mapping[str, ValueTemplate], fed: Collection[str]
) -> tuple[str, ...] | None:
    """Return the names that a text may use; None if they are not known."""
    if not language.names:
        return None
    names: list[str] = []
    for name in language.names:
        if not name.startswith("*"):
            names.append(name)
            continue
        given = inputs.get(name[1:])
        if name[1:] in fed:
            return None
        if given is None:
            continue
        if given.constant:
            names += given.value if isinstance(given.value, dict) else ()
        elif isinstance(given.inside, Mapping):
            names += given.inside
        elif given.inside is None:
            return None
    return tuple(dict.fromkeys(names))


def _faults(
    level: Level, text: str, language: Language, names: tuple[str, ...] | None
) -> tuple[LiteralFault, ...]:
    """Return what is wrong with a text; equal texts are checked once."""
    known = level.sheet.texts
    key = text, language, names
    found = known.get(key)
    if found is None:
        level.sheet.work += work_of(text, language)
        found = known[key] = faults_in(text, language, names) if level.sheet.work <= WORK_MAX else ()
    return found


def _hint(level: Level, fault: LiteralFault) -> str:
    """Return the hint of a fault. An unknown name that the workflow has counts as read, and the hint
    says how to read it.
    """
    read = fault.read
    if read is None:
        return fault.hint
    if read.kind == "input":
        level.sheet.used_inputs.add(read.name)
    elif read.kind in ("port", "node") and level.scope.level_of(read.name) is not None:
        return f"write ${{{{ {read} }}}}: the expression itself does not see the nodes"
    return fault.hint
