"""`symphony models`: what `instrument:` may name."""

import click

from symphony.cli import options, output


@click.group("models")
def command() -> None:
    """List the models that workflows may use."""


@command.command("list")
@options.as_json("Print a JSON list.")
def list_models(as_json: bool) -> int:
    """List all models."""
    from symphony.cli import files, listing

    found = [model for _, model in sorted(files.catalog_with([]).models.items())]
    if as_json:
        output.say_json([listing.model_document(model) for model in found])
    else:
        output.say(listing.models_text(found))
    return 0
