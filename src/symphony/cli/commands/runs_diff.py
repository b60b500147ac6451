"""`symphony runs diff`: what differs between two runs."""

import click

from symphony.cli.arguments import completing, options
from symphony.cli.console import exits, output


@click.command("diff")
@click.argument("run_a", metavar="A", shell_complete=completing.runs)
@click.argument("run_b", metavar="B", shell_complete=completing.runs)
@options.as_json()
def command(run_a: str, run_b: str, as_json: bool) -> int:
    """Show what differs between two runs.

    Compares the workflows, inputs, statuses, errors, results and outputs; texts line by line. Ends with 0
    if all of these are the same, else with 1, also if it is not known of a result. Durations, reuse and
    usage are shown and do not count.
    """
    from symphony.app import Symphony
    from symphony.cli.views import comparing
    from symphony.ports.values import ArtifactRef, StoredValue

    symphony = Symphony.open()
    ids = [symphony.runs.find(run_a), symphony.runs.find(run_b)]
    found = symphony.views.compare(*ids)
    shorts = symphony.runs.shorts(ids)

    def body(ref: ArtifactRef) -> bytes:
        return symphony.artifacts.get(ref.digest)

    def text_of(value: StoredValue) -> str | None:
        return comparing.comparable(value, body)

    if as_json:
        output.say_json(comparing.document(found, shorts))
    else:
        output.say(comparing.text(found, shorts, text_of))
    return exits.OK if found.same else exits.FAILED
