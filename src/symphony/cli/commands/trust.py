"""`symphony trust`: which settings of working trees count."""

from pathlib import Path

import click

from symphony.cli.arguments import options
from symphony.cli.console import output


@click.command("trust")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True), default=".")
@click.option("--remove", is_flag=True, help="Stop trusting them.")
@options.as_json("Print what was found as one JSON object.")
def command(folder: Path, remove: bool, as_json: bool) -> int:
    """Trust the settings of a working tree as they are now.

    A `.symphony/config.toml` in FOLDER (default: the current folder) or above it may have come with
    somebody's repository, and it could send keys and traces anywhere. Symphony ignores it until you
    have read it and trusted it here. Your data folder keeps a note of its path and content. If the file
    changes, trust it again. `symphony models add` and `remove` keep the trust.
    """
    from symphony.app.home import locate_home
    from symphony.cli.console.failures import BadUsage
    from symphony.commons.config import check_settings, read_settings_text
    from symphony.commons.settings import Config
    from symphony.commons.trust import TrustStore, keys_of

    home = locate_home(start=folder)
    file, store = home.config, TrustStore()
    if remove:
        removed = store.drop(file)
        if as_json:
            output.say_json({"file": str(file), "trusted": False, "removed": removed})
        else:
            output.note(f"{output.shown(str(file))} counts no more" if removed else "it did not count")
        return 0
    if home.origin != "tree":
        raise BadUsage(
            f"the home of {folder} is {home.path}, whose settings count already",
            hint="only a `.symphony` in this folder or above it needs your trust",
        )
    if not file.exists():
        raise BadUsage(f"there is no {file}", hint="there is nothing to vouch for")
    keys = keys_of(file)
    check_settings(Config, read_settings_text(file), str(file), whole=True)
    store.add(file)
    if as_json:
        output.say_json({"file": str(file), "trusted": True, "keys": [*keys]})
    else:
        output.say(f"{output.shown(str(file))} counts from now on; it sets:\n")
        output.say("".join(f"  {output.shown(key)}\n" for key in keys))
    return 0
