"""`symphony artifacts key`: whether artifacts are encrypted, and what opens their key."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.cli.arguments import options
from symphony.cli.console import exits, output
from symphony.cli.lazy import CommandGroup

if TYPE_CHECKING:
    from symphony.commons.settings import EncryptionConfig


@click.group("key", cls=CommandGroup)
def command() -> None:
    """Show whether artifacts are encrypted, change what opens their key, encrypt what is there.

    `encryption.enabled` in the settings turns encryption on. Keep a copy of the file key.json in the folder
    artifacts of the home: without it, and what opens it, nobody can read encrypted artifacts.
    """


@command.command()
@options.as_json()
def status(as_json: bool) -> int:
    """Show whether artifacts are encrypted, how much is, and whether the key can be opened.

    The exit status is 1 if the settings do not open the key.
    """
    from symphony.app import Symphony, encrypting
    from symphony.cli.views import encryption

    found = encrypting.state(Symphony.open().parts)
    if as_json:
        output.say_json(encryption.state_json(found))
    else:
        output.say(encryption.state_text(found))
    return exits.FAILED if found.key.opened == "failed" else exits.OK


@command.command()
@click.option(
    "--passphrase", metavar="VARIABLE", help="The environment variable that has the new passphrase."
)
@click.option(
    "--key-file", type=click.Path(path_type=Path), help="The file with the new key: 32 random bytes or more."
)
@click.option("--key-command", metavar="COMMAND", help="The command that prints the new key.")
@options.as_json()
def rotate(passphrase: str | None, key_file: Path | None, key_command: str | None, as_json: bool) -> int:
    """Change what opens the key. What opened it before opens it no more.

    Asks for a new passphrase unless an option names what is to open the key from now on. No artifact is
    rewritten. Then name it in the settings, too.
    """
    from symphony.app import Symphony, encrypting
    from symphony.cli.console import asking
    from symphony.cli.console.failures import BadUsage
    from symphony.commons.settings import EncryptionConfig

    if sum(one is not None for one in (passphrase, key_file, key_command)) > 1:
        raise BadUsage("only one of --passphrase, --key-file and --key-command can open the key")
    if passphrase is None and key_file is None and key_command is None and not asking.asks(yes=False):
        raise BadUsage("name what is to open the key: --passphrase, --key-file or --key-command")
    new = EncryptionConfig(
        passphrase=passphrase or "",
        key_file=None if key_file is None else str(key_file),
        key_command=tuple(shlex.split(key_command or "")),
    )
    encrypting.rotate(Symphony.open().parts, new)
    if as_json:
        output.say_json({"rotated": True})
    else:
        output.say("another secret opens the key from now on\n")
        output.note(f"set {_setting(new)} in the section [encryption] of the settings")
    return exits.OK


@command.command()
@options.as_json()
def convert(as_json: bool) -> int:
    """Encrypt what is not encrypted yet; or decrypt all of it, if encryption is off.

    New artifacts are stored as the settings say; this rewrites those that are there. It may be stopped at any
    time, and goes on the next time. The exit status is 1 if something is left.
    """
    from symphony.app import Symphony, encrypting

    parts = Symphony.open().parts
    done = encrypting.convert(parts)
    verb = "encrypted" if parts.config.encryption.enabled else "decrypted"
    if as_json:
        output.say_json({"packs": done.packs, "left": done.left})
    elif done.packs or done.left:
        output.say(f"{output.count(done.packs, 'pack')} {verb}\n")
    else:
        output.say(f"everything is {verb} already\n")
    if done.left:
        left = output.count(done.left, "pack")
        output.note(f"{left} could not be: in use, or with damaged artifacts; try again later")
    return exits.FAILED if done.left else exits.OK


def _setting(new: "EncryptionConfig") -> str:
    if new.key_file is not None:
        return f'key_file = "{new.key_file}"'
    if new.key_command:
        return "key_command to the command"
    return f"passphrase = {new.passphrase!r}" if new.passphrase else "the variable to the new passphrase"
