"""`symphony completion`: the script that teaches a shell to complete our commands."""

import click

from symphony.cli.console import output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script of a shell.

    It completes commands, options, files, inputs, run ids, and names of nodes, artifacts and operators.

    \b
    bash:  symphony completion bash >> ~/.bashrc
    zsh:   symphony completion zsh >> ~/.zshrc        (after compinit)
    fish:  symphony completion fish > ~/.config/fish/completions/symphony.fish
    """
    from click.shell_completion import get_completion_class

    from symphony.cli.main import COMPLETE_VARIABLE, PROGRAM, root

    completer = get_completion_class(shell)
    assert completer is not None
    made = completer(root, {}, PROGRAM, COMPLETE_VARIABLE)
    output.say(made.source_template % made.source_vars())
    return 0
