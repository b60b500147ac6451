"""Models on the command line: what is known of one, and a small call that tries it."""

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symphony.app import spelling
from symphony.cli.console import output
from symphony.cli.console.failures import BadUsage
from symphony.cli.views import listing
from symphony.cli.views.usage import usage_text
from symphony.ports.models import Estimate, Usage

if TYPE_CHECKING:
    from symphony.app.home import Home
    from symphony.commons.settings import Kind, ModelConfig, Provider
    from symphony.ports.values import Value
    from symphony.workflow.catalog import ModelInfo

_QUESTION = "Say hello in one word."
_ANSWER_TOKENS = 16
_OPTIONS = {"model": "name", "price": "price-in"}
"""The options of `models add` whose names differ from the settings that they give."""
_DEFAULT_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model with its settings, if the settings name it."""

    info: "ModelInfo"
    config: "ModelConfig | None"


@dataclass(slots=True)
class ModelTrial:
    """The result of a trial call. Times are in seconds; `first_s` is until the first token."""

    model: str
    answer: str
    took_s: float
    first_s: float | None
    usage: Usage


@dataclass(slots=True)
class _Watch:
    """A caller that looks at the clock."""

    began: float
    first: float | None = None
    usage: Usage = field(default_factory=Usage)
    run: str | None = None
    priority: int = 0

    async def reserve(self, model: str, most: Estimate) -> None:
        """Always granted: that is what the command is for."""

    def used(self, usage: Usage) -> None:
        """Add it up."""
        self.usage += usage

    def token(self, text: str) -> None:
        """Note when the first piece came."""
        self.first = self.first or time.monotonic()


def found(model: str) -> FoundModel:
    """Return a model by id. Raises SymphonyError `unknown-model`, ConfigInvalid."""
    from symphony.app.home import config_of, locate_home
    from symphony.cli.arguments import files
    from symphony.commons.errors import SymphonyError
    from symphony.workflow.problems import did_you_mean

    models = files.catalog_with([]).models
    if model not in models:
        hint = did_you_mean(model, models, "symphony models list shows all")
        raise SymphonyError(f"there is no model {model!r}", code="unknown-model", hint=hint)
    return FoundModel(models[model], config_of(locate_home()).models.get(model))


def document(model: FoundModel) -> dict[str, spelling.JSON]:
    """One model as JSON, with its settings."""
    shown = listing.model_document(model.info)
    if model.config is None:
        return shown
    used, unused = _settings(model.config)
    more: dict[str, spelling.JSON] = {"unused_settings": [*unused]} if unused else {}
    return {**shown, "settings": used, **more, "key_set": _key_set(model.config)}


def text(model: FoundModel) -> str:
    """Return all about one model."""
    info = model.info
    lines = [f"{info.id} {info.version} ({info.provider})", output.shown(info.summary)]
    lines += listing.ports_lines(info.inputs, info.outputs)
    if model.config is not None:
        used, unused = _settings(model.config)
        lines.append("\nsettings:")
        lines += [f"  {name} = {_setting(name, value, model.config)}" for name, value in used.items()]
        if unused:
            lines.append(f"\nset, but not used by {model.config.provider}: {', '.join(unused)}")
    return "\n".join(lines) + "\n"


def _settings(config: "ModelConfig") -> tuple[dict[str, spelling.JSON], list[str]]:
    """Return the settings that count, with their values, and the names of those that are set for nothing."""
    from symphony.commons.settings import ModelConfig, settings_used

    counting = settings_used(config.provider, config.kind)
    values: dict[str, spelling.JSON] = msgspec.to_builtins(config)
    used: dict[str, spelling.JSON] = {
        name: value for name, value in values.items() if name in counting and value is not None
    }
    default = msgspec.to_builtins(ModelConfig())
    return used, [name for name in values if name not in counting and values[name] != default[name]]


def check_used(provider: "Provider", kind: "Kind", given: "Mapping[str, object]") -> None:
    """Raise BadUsage for an option that would change nothing."""
    from symphony.commons.settings import settings_used

    for name in given.keys() - settings_used(provider, kind):
        words = f"{provider} {kind} models do not use {name.replace('_', '-')}"
        raise BadUsage(words, hint=f"leave out --{_OPTIONS.get(name, name).replace('_', '-')}")


def _setting(name: str, value: object, config: "ModelConfig") -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {amount}" for key, amount in value.items() if amount is not None)
    said = output.shown(str(value))
    return said if name != "key" else f"{said} ({'set' if _key_set(config) else 'not set'})"


def _key_set(config: "ModelConfig") -> bool:
    return config.key is not None and bool(os.environ.get(config.key))


def key_name(given: str | None, provider: str, url: str | None) -> str | None:
    """Return the key's variable: as given, or the provider's usual one where its own address is meant."""
    return given if given is not None or url is not None else _DEFAULT_KEYS.get(provider)


def price(read: Decimal | None, written: Decimal | None, cached: Decimal | None) -> dict[str, str]:
    """Return the price as the settings spell it, exact. Raises BadUsage."""
    if read is None and (written is not None or cached is not None):
        raise BadUsage("--price-in is missing", hint="a price has at least that of tokens read")
    amounts = {"input": read, "output": written, "cached": cached}
    return {name: f"{amount:f}" for name, amount in amounts.items() if amount is not None}


def tried(model: FoundModel) -> ModelTrial:
    """Ask the model. Raises ModelUnavailable, ModelFailed."""
    from symphony.cli.actions.opening import opened

    async def ask() -> ModelTrial:
        async with opened() as symphony:
            watch = _Watch(time.monotonic())
            chat = "prompt" in model.info.inputs
            inputs: dict[str, Value] = (
                {"prompt": _QUESTION, "max_tokens": _ANSWER_TOKENS} if chat else {"texts": [_QUESTION]}
            )
            answer = await symphony.models.invoke(model.info.id, inputs, {}, watch)
            took = time.monotonic() - watch.began
            first = None if watch.first is None else watch.first - watch.began
            return ModelTrial(model.info.id, _said(answer), took, first, watch.usage)

    return asyncio.run(ask())


def _said(answer: "Mapping[str, Value]") -> str:
    vectors = answer.get("vectors")
    if isinstance(vectors, list) and vectors and isinstance(vectors[0], list):
        return f"a vector of {len(vectors[0])} numbers"
    return str(answer.get("text", ""))


def tried_text(tried: ModelTrial) -> str:
    """Return how it went, for people."""
    first = "" if tried.first_s is None else f", first token after {output.duration(tried.first_s)}"
    return (
        f"{output.shown(tried.model)} answers: {output.brief(tried.answer, 200)}\n"
        f"{output.duration(tried.took_s)}{first}; {usage_text(tried.usage)}\n"
    )


def tried_document(tried: ModelTrial) -> dict[str, spelling.JSON]:
    """Return how it went, as JSON."""
    return {
        "model": tried.model,
        "answer": tried.answer,
        "seconds": round(tried.took_s, 3),
        "first_token_seconds": None if tried.first_s is None else round(tried.first_s, 3),
        "usage": spelling.usage(tried.usage),
    }


@dataclass(frozen=True, slots=True)
class Removal:
    """The removable parts of a model: its settings, the folder of its files, or both."""

    model: str
    home: "Home"
    configured: bool
    folder: Path | None

    @property
    def _steps(self) -> list[tuple[str, str]]:
        settings = [("remove", f"{self.model} from {output.shown(str(self.home.config))}")]
        files = [] if self.folder is None else [("delete", output.shown(str(self.folder)))]
        return settings * self.configured + files

    @property
    def told(self) -> str:
        """Return in words what is to be done."""
        return " and ".join(f"{verb} {what}" for verb, what in self._steps)

    def done(self) -> list[str]:
        """Do it; says what was done. Raises ConfigInvalid, IoFailed."""
        from symphony.app.home import keeping_trust
        from symphony.commons.config_writing import remove_section
        from symphony.commons.errors import IoFailed

        if self.configured:
            with keeping_trust(self.home):
                remove_section(self.home.config, ("models", self.model))
        if self.folder is not None:
            try:
                shutil.rmtree(self.folder)
            except OSError as error:
                raise IoFailed.of(error, f"delete {self.folder}") from error
        return [f"{verb}d {what}" for verb, what in self._steps]


def removal(model: str) -> Removal:
    """Return what can be removed of the model.

    Raises SymphonyError `unknown-model` if there is nothing, ConfigInvalid.
    """
    from symphony.app.home import config_of, locate_home
    from symphony.commons.errors import SymphonyError
    from symphony.kit.instruments.files import BUNDLES
    from symphony.workflow.problems import did_you_mean

    home = locate_home()
    configured, folder = config_of(home).models, home.path / "models" / model
    pulled = model in BUNDLES and folder.is_dir()
    if model in configured or pulled:
        return Removal(model, home, model in configured, folder if pulled else None)
    if model in BUNDLES:
        raise SymphonyError(
            f"{model} ships with Symphony, and no files of it are in {home.path / 'models'}",
            code="unknown-model",
        )
    hint = did_you_mean(model, configured, "symphony models list shows all")
    raise SymphonyError(f"there is no model {model!r}", code="unknown-model", hint=hint)
