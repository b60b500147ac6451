"""`symphony schema`: the format of workflow files, for editors."""

from pathlib import Path

import click

from symphony.cli.arguments import options


@click.command("schema")
@click.option("--ports", is_flag=True, help="Include operators and models, with their inputs.")
@options.operators
@options.output
def command(ports: bool, operators: tuple[Path, ...], target: Path | None) -> int:
    """Print the JSON Schema of workflow files (draft 2020-12).

    Editors use it to complete and check YAML and JSON. --operators includes --ports and adds the
    operators of those files.
    """
    import json

    from symphony.cli.arguments import files
    from symphony.cli.console import writing
    from symphony.workflow.json_schema import json_schema

    catalog = files.catalog_with(operators) if ports or operators else None
    text = json.dumps(json_schema(catalog), indent=2, ensure_ascii=False) + "\n"
    writing.deliver(text.encode(), target)
    return 0
