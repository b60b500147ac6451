"""Asking a person for a passphrase: the command line can, and sets how; programs are never held up."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, TypeAlias

PassphrasePrompt: TypeAlias = Callable[[bool], str | None]
"""Asks for a passphrase, twice if it is a new one; None if there is nobody to ask."""

_prompt: Final[ContextVar[PassphrasePrompt | None]] = ContextVar("symphony_prompt", default=None)


def prompt_with(prompt: PassphrasePrompt) -> None:
    """Have a person asked in this context, and in tasks begun in it."""
    _prompt.set(prompt)


def asked_passphrase(new: bool) -> str | None:
    """Return what a person types; None if there is nobody to ask. Blocks."""
    prompt = _prompt.get()
    return None if prompt is None else prompt(new)
