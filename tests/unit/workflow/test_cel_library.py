"""The reference of CEL says what the library has, no more and no less, and its examples are true."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from cel_expr_python import cel

from symphony.workflow.expressions import BadExpression, Compiler
from symphony.workflow.expressions.errors import hint_for
from symphony.workflow.expressions.library import FUNCTIONS, MACROS, OPERATORS, TYPES, CelEntry
from symphony.workflow.types import ANY

_WORD = re.compile(rb"(?<![A-Za-z0-9_])[a-z][A-Za-z]{1,30}(?:_[a-z]+)*(?![A-Za-z0-9_])")
_KEYWORDS = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let",
    "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip
CALLS = (
    "{}()", "{}(_x)", "{}(_x, _x)", "{}(_x, _x, _x)", "_x.{}()", "_x.{}(_x)", "_x.{}(_x, _x)",
    "_x.{}(_x, _x, _x)",
)  # fmt: skip
MACRO_CALLS = ("{}(_x.y)", "_x.{}(v, true)", "_x.{}(v, true, true)", "_x.{}(v, w, true)", "{}(_x, v, true)")


def candidates() -> list[str]:
    """Every word that the library's file holds: what it declares is among them."""
    held = Path(str(cel.__spec__.origin)).read_bytes()
    return sorted({word.decode() for word in _WORD.findall(held)} - _KEYWORDS)


class Asked:
    """Asks the library what it declares, about many words at once."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(variables={"_x": cel.Type.DYN})

    def declared(self, words: Sequence[str], form: str) -> Iterator[str]:
        """Those of `words` with which `form` is something that the library knows."""
        for at in range(0, len(words), 100):
            yield from self._among(words[at : at + 100], form)

    def _among(self, words: Sequence[str], form: str) -> Iterable[str]:
        text = ", ".join(f"dyn({form.format(word)})" for word in words)
        try:
            self._environment.compile(f"[{text}]")
        except RuntimeError as error:
            missing = set(re.findall(r"undeclared reference to '([^']+)'", str(error)))
            left = [word for word in words if word not in missing]
            if len(left) < len(words):
                return self._among(left, form) if left else ()
            if len(words) == 1:
                return ()
            half = len(words) // 2
            return [*self._among(words[:half], form), *self._among(words[half:], form)]
        return words


@pytest.mark.slow
def test_the_functions_macros_and_types_are_those_that_the_library_declares() -> None:
    words, asked = candidates(), Asked()
    macros = {word for form in MACRO_CALLS for word in asked.declared(words, form)}
    called = {word for form in CALLS for word in asked.declared(words, form)}
    functions = {entry.name for entry in FUNCTIONS}
    assert called - macros | (macros & functions) == functions
    assert macros - functions == {entry.name for entry in MACROS}
    assert set(asked.declared(words, "{}")) == {entry.name for entry in TYPES}


@pytest.mark.parametrize("entry", [*FUNCTIONS, *MACROS, *TYPES, *OPERATORS], ids=lambda entry: entry.example)
def test_an_example_gives_what_stands_beside_it(entry: CelEntry) -> None:
    found = Compiler(lambda _: ANY).template(f"${{{{ {entry.example} }}}}").render(lambda _: None)
    assert found == entry.result
    assert type(found) is type(entry.result)
    assert entry not in (*FUNCTIONS, *MACROS) or f"{entry.name}(" in entry.example


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('"a".startWith("b")', "did you mean startsWith?"),
        ("lenght([1])", None),
        ("siz([1])", "did you mean size?"),
        ("[1].exist(x, x > 0)", "did you mean exists?"),
    ],
)
def test_a_mistyped_function_is_told_what_it_may_be(text: str, hint: str | None) -> None:
    with pytest.raises(BadExpression) as caught:
        Compiler(lambda _: ANY).template(f"${{{{ {text} }}}}")
    assert hint is None or caught.value.hint == hint


def test_a_hint_for_a_name_that_is_like_none_says_where_names_come_from() -> None:
    assert hint_for("there is no 'zzzzqq'").startswith("check the name: inputs.NAME")
