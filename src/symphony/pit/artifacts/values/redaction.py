"""Secrets: masked where people read, sealed where a run must get them back. Pure.

A secret is the value of a variable that a workflow names. Masking replaces it by `***` for good;
sealing replaces it by the variable's name, so that it can be put back from the environment.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from symphony.commons.cutting import CUT
from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.pit.artifacts.values.sealed import MASK, Part, Sealed, SealedKind, SealedMap, SealedValue
from symphony.pit.artifacts.values.searching import Needle, Run, Text, between, covered, runs_in
from symphony.pit.artifacts.values.spellings import LENGTH_MIN, spellings, utf8
from symphony.ports.values import VALUE_DEPTH_MAX, ArtifactRef, StoredValue, Value

_REST = -1
_PASSES_MAX = 4
"""What is masked may read like a secret that has asterisks itself; after so many times nothing is shown."""
_LEFT_MIN = 4
_WIDE = ("utf-16-le", "utf-16-be")
_NUMERIC = frozenset("0123456789.+-e")
_NOTHING_IN = frozenset({type(None), bool, int, float})


class SecretMissing(SymphonyError):
    """A sealed value cannot be opened: a variable is not set, or has changed.

    `details["variables"]` names them.
    """

    code = "secret-missing"


class Redactor:
    """Finds secrets in all their spellings (see `spellings`): JSON, URL, shell, HTML, base64, hex.

    `secrets` maps names of variables to values. Ignored are values of fewer than 6 characters,
    and those that the name of a variable contains, which are no secret; `ignored` names them.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        names = "\n".join(secrets)
        kept = {n: v for n, v in secrets.items() if len(v.strip()) >= LENGTH_MIN and v not in names}
        self.ignored = tuple(sorted(name for name in secrets.keys() - kept.keys() if secrets[name].strip()))
        self._texts = [Needle(n, form, text) for n, v in kept.items() for form, text in spellings(v).items()]
        self._of_lines = [needle for needle in self._texts if "\n" in needle.text]
        self._bodies = [Needle(n.name, n.form, utf8(n.text)) for n in self._texts]
        for name, value in kept.items():
            for form in _WIDE:
                self._bodies.append(Needle(name, form, value.encode(form, "surrogatepass")))
        self._checks = {name: _check(name, value) for name, value in kept.items()}
        self._numbers = [needle for needle in self._texts if _NUMERIC.issuperset(needle.text)]

    def __bool__(self) -> bool:
        """Return whether there is anything to look for."""
        return bool(self._texts)

    def mask(self, text: str) -> str:
        """`text` with `***` in place of every secret."""
        for _ in range(_PASSES_MAX):
            if not (runs := runs_in(text, self._texts)):
                return text
            text = MASK.join(between(text, covered(runs)))
        return MASK if runs_in(text, self._texts) else text

    def mask_cut(self, text: str) -> str:
        """Return `text` with `***` in place of every secret, and of fragments of secrets at a cut.

        Where something was cut stands a mark; see `cutting`. Fewer than four characters are left alone.
        """
        text = self.mask(text)
        if not self._texts or CUT not in text:
            return text
        first, *rest = text.split(CUT)
        pieces = [first, *(self._without_end_of_secret(piece) for piece in rest)]
        return CUT.join([*map(self._without_begun_secret, pieces[:-1]), pieces[-1]])

    def _without_begun_secret(self, text: str) -> str:
        at = min(needle.begun(text) for needle in self._texts)
        return text[:at] + MASK if len(text) - at >= _LEFT_MIN else text

    def _without_end_of_secret(self, text: str) -> str:
        left = max(needle.ended(text) for needle in self._texts)
        return MASK + text[left:] if left >= _LEFT_MIN else text

    def stream(self) -> "StreamMask":
        """A masker for text that comes in pieces: it finds secrets across their borders too."""
        return StreamMask(self)

    def seal(self, value: StoredValue) -> SealedValue:
        """`value` with sealed forms in place of secrets; `value` itself if there are none.

        Strings, bytes, keys of maps and numbers are searched; references are not looked into.
        Raises SerializationFailed for what is nested too deep to be a value.
        """
        return self._sealed(value, 0) if self._texts else _unsealed(value)

    def unseal(self, form: SealedValue) -> StoredValue:
        """The value that was sealed, if this redactor has the same secrets. Raises SecretMissing."""
        return unseal(form, self._secrets)

    def holds_secret(self, value: StoredValue) -> bool:
        """Return whether sealing would change the value, or has done so already."""
        return value.sealed is not None if isinstance(value, ArtifactRef) else self.seal(value) is not value

    def settled(self, text: str) -> int:
        """Return the length of the beginning of `text` in which no secret starts that ends after `text`."""
        needles = self._of_lines if text.endswith("\n") else self._texts
        return min((needle.begun(text) for needle in needles), default=len(text))

    def stretches(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in `text`: those that touch or overlap as one."""
        return covered(runs_in(text, self._texts))

    def _sealed(self, value: StoredValue, depth: int) -> SealedValue:
        if isinstance(value, str):
            return self._leaf(value)
        if isinstance(value, bytes):
            runs = runs_in(value, self._bodies)
            return Sealed("bytes", tuple(self._segments(value, runs))) if runs else value
        if isinstance(value, bool) or value is None or isinstance(value, ArtifactRef):
            return value
        if isinstance(value, int | float):
            runs_in_number = runs_in(repr(value), self._numbers)
            kind: SealedKind = "integer" if isinstance(value, int) else "number"
            return (
                Sealed(kind, tuple(self._segments(repr(value), runs_in_number))) if runs_in_number else value
            )
        if depth >= VALUE_DEPTH_MAX:
            raise SerializationFailed(f"no value: it is nested more than {VALUE_DEPTH_MAX} deep")
        return self._list(value, depth) if isinstance(value, list) else self._map(value, depth)

    def _leaf(self, text: str) -> str | Sealed:
        runs = runs_in(text, self._texts)
        return Sealed("text", tuple(self._segments(text, runs))) if runs else text

    def _list(self, items: list[Value], depth: int) -> SealedValue:
        if not self._numbers and _NOTHING_IN.issuperset(map(type, items)):
            return _unsealed(items)
        forms = [self._sealed(item, depth + 1) for item in items]
        changed = any(form is not item for form, item in zip(forms, items, strict=True))
        return forms if changed else _unsealed(items)

    def _map(self, items: dict[str, Value], depth: int) -> SealedValue:
        forms = {key: self._sealed(item, depth + 1) for key, item in items.items()}
        keys = {key: self._leaf(key) for key in items}
        if any(isinstance(key, Sealed) for key in keys.values()):
            return SealedMap(tuple((keys[key], form) for key, form in forms.items()))
        changed = any(form is not items[key] for key, form in forms.items())
        return forms if changed else _unsealed(items)

    def _segments(self, text: Text, runs: list[Run[Text]]) -> Iterator[Text | Part]:
        """`text` as literals and parts; where runs overlap, the later one gives only what is left."""
        at = 0
        for run in runs:
            if run.stop <= at:
                continue
            if run.start > at:
                yield text[at : run.start]
                at = run.start
            name, form = run.needle.name, run.needle.form
            yield Part(name, form, at - run.start, _REST, self._checks[name])
            at = run.stop
        if at < len(text):
            yield text[at:]


class StreamMask:
    """Masks a text that comes in pieces. Text is held back only while it may be the start of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._masked = -1
        """How much of what is held belongs to a secret that has been shown as `***`; -1: nothing."""

    @property
    def idle(self) -> bool:
        """Return whether no text is held back."""
        return not self._held and self._masked < 0

    def feed(self, text: str) -> str:
        """The next piece in; what can be shown by now out."""
        text = self._held + text
        return self._shown(text, self._redactor.settled(text))

    def finish(self) -> str:
        """Return what was held back, at the end of the text."""
        return self._shown(self._held, len(self._held))

    def _shown(self, text: str, cut: int) -> str:
        """`text` up to `cut`, masked; the rest is held."""
        pieces: list[str] = []
        at, masked = 0, self._masked
        for start, stop in self._redactor.stretches(text):
            if start >= cut and start > masked:
                break
            if start > masked:
                pieces += (text[max(at, masked, 0) : start], MASK)
            at = masked = max(stop, masked)
        at = max(at, masked, 0)
        pieces.append(text[at:cut])
        self._held, self._masked = text[cut:], masked - cut if masked >= cut else -1
        return "".join(pieces)


def unseal(form: SealedValue, environment: Mapping[str, str]) -> StoredValue:
    """The value that was sealed, with secrets from `environment` (names of variables to values).

    Raises SecretMissing, naming all variables that are not set, or that do not hold what they held
    (of changed values one in four thousand is not noticed, and stands in the result).
    """
    parts = frozenset(_parts(form))
    missing = {part.name for part in parts if not environment.get(part.name)}
    if missing:
        raise _missing(missing, "not set")
    changed = {part.name for part in parts if part.check != _check(part.name, environment[part.name])}
    if changed:
        raise _missing(changed, "not what it was")
    known: dict[str, dict[str, str]] = {}
    for name in {part.name for part in parts}:
        known[name] = spellings(environment[name]) | dict.fromkeys(_WIDE, environment[name])
    return _opened(form, known)


def variables(form: SealedValue) -> frozenset[str]:
    """The names of the variables that `unseal` will need."""
    return frozenset(part.name for part in _parts(form))


def _parts(form: SealedValue) -> Iterator[Part]:
    if isinstance(form, Sealed):
        yield from (segment for segment in form.segments if isinstance(segment, Part))
    elif isinstance(form, SealedMap):
        for key, item in form.pairs:
            yield from _parts(key)
            yield from _parts(item)
    elif isinstance(form, list):
        for item in form:
            yield from _parts(item)
    elif isinstance(form, dict):
        for item in form.values():
            yield from _parts(item)


def _opened(form: SealedValue, known: Mapping[str, Mapping[str, str]]) -> StoredValue:
    if isinstance(form, Sealed):
        return _opened_leaf(form, known)
    if isinstance(form, SealedMap):
        return {str(_opened(key, known)): _inner(item, known) for key, item in form.pairs}
    if isinstance(form, list):
        return [_inner(item, known) for item in form]
    if isinstance(form, dict):
        return {key: _inner(item, known) for key, item in form.items()}
    return form


def _inner(form: SealedValue, known: Mapping[str, Mapping[str, str]]) -> Value:
    return _opened(form, known)  # type: ignore[return-value]  # references inside lists stay where they were


def _opened_leaf(form: Sealed, known: Mapping[str, Mapping[str, str]]) -> Value:
    if form.kind == "bytes":
        return b"".join(s if isinstance(s, bytes) else _cut(s, _body(s, known)) for s in form.segments)
    text = "".join(s if isinstance(s, str) else _cut(s, _text(s, known)) for s in form.segments)
    if form.kind == "text":
        return text
    try:
        return int(text) if form.kind == "integer" else float(text)
    except ValueError:
        raise _missing(variables(form), "not what it was") from None


def _text(part: Part | bytes, known: Mapping[str, Mapping[str, str]]) -> str:
    assert isinstance(part, Part), "the codec lets only literals of the form's kind through"
    spelled = known[part.name].get(part.form)
    if spelled is None:
        raise _missing({part.name}, "not what it was")
    return spelled


def _body(part: Part | str, known: Mapping[str, Mapping[str, str]]) -> bytes:
    assert isinstance(part, Part), "the codec lets only literals of the form's kind through"
    if part.form in _WIDE:
        return known[part.name]["raw"].encode(part.form, "surrogatepass")
    return utf8(_text(part, known))


def _cut(part: Part | str | bytes, spelled: Text) -> Text:
    assert isinstance(part, Part)
    return spelled[part.start :] if part.stop == _REST else spelled[part.start : part.stop]


def _check(name: str, value: str) -> int:
    """Return twelve bits of a digest, too few to tell right guesses at the secret from wrong ones."""
    return int(hashlib.sha256(utf8(f"{name}={value}")).hexdigest()[:3], 16)


def _missing(names: Iterable[str], why: str) -> SecretMissing:
    listed = ", ".join(sorted(names))
    verb = "are" if ", " in listed else "is"
    return SecretMissing(
        f"this run needs the value of {listed} again, which {verb} {why}",
        details={"variables": listed.split(", ")},
        hint=f"set {listed} as when the run began, then resume it",
    )


def _unsealed(value: StoredValue | list[Value] | dict[str, Value]) -> SealedValue:
    """`value` itself: every stored value is a sealed one too, which the type of a list cannot say."""
    return value  # type: ignore[return-value]
