"""Writes the files of `symphony init`. Plans first, then writes: it never overwrites anything."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from symphony.cli.console.failures import BadUsage
from symphony.commons.filesystem import private_directory, read_text_bounded, write_atomic
from symphony.commons.lines import lines_of

WORKFLOW_NAME: Final = "workflow.yaml"
HOME_NAME: Final = ".symphony"
IGNORED: Final = ".symphony/"
_GITIGNORE_BYTES_MAX: Final = 1024 * 1024

WORKFLOW: Final = """\
symphony: 1
name: Hello
description: Greets, counts the files of a folder in parallel with it, and writes a note
inputs:
  who: {type: string, default: world}
  folder: {type: path, default: "."}
nodes:
  files:
    operator: fs.glob
    inputs: {root: "${{ inputs.folder }}", patterns: ["*"]}
  greeting:
    command: printf 'Hello, %s!' "$WHO"        # inputs arrive as environment variables
    inputs: {who: "${{ inputs.who }}"}
  note:
    operator: text.join
    inputs:
      parts: ["${{ greeting.stdout }}", "There are ${{ size(files.paths) }} files here."]
      separator: "\\n"
    artifact: {name: note, content_type: text/plain}
outputs:
  greeting: "${{ greeting.stdout }}"
  note: "${{ note.result }}"
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """The files that were written, without those that were there already."""

    folder: Path
    written: tuple[Path, ...]


def begin(folder: Path) -> Begun:
    """Write a small workflow, a home and a line in .gitignore into `folder`, which is made if need be.

    Raises BadUsage, before anything is written, if there is a workflow already; IoFailed, OSError.
    """
    workflow, home, ignore = folder / WORKFLOW_NAME, folder / HOME_NAME, folder / ".gitignore"
    if folder.exists() and not folder.is_dir():
        raise BadUsage(f"{folder} is not a folder", hint="name another one: symphony init FOLDER")
    if workflow.exists() or workflow.is_symlink():
        raise BadUsage(
            f"{workflow} exists already",
            hint="nothing was written; name another folder: symphony init FOLDER",
        )
    if (home.exists() or home.is_symlink()) and not home.is_dir():
        raise BadUsage(f"{home} exists and is not a folder", hint="nothing was written; move it away")
    lines = _with_ignored(ignore)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if not home.exists():
        written.append(private_directory(home))
    if lines is not None:
        write_atomic(ignore, lines)
        written.append(ignore)
    with workflow.open("x", encoding="utf-8", newline="\n") as file:  # `x`: still does not overwrite
        file.write(WORKFLOW)
    written.append(workflow)
    return Begun(folder, tuple(written))


def _with_ignored(ignore: Path) -> str | None:
    """Return what .gitignore must say, or None if it says so already."""
    text = read_text_bounded(ignore, _GITIGNORE_BYTES_MAX) if ignore.exists() else ""
    if any(line.strip() in (IGNORED, HOME_NAME, f"/{IGNORED}", f"/{HOME_NAME}") for line in lines_of(text)):
        return None
    return text + ("\n" if text and not text.endswith("\n") else "") + IGNORED + "\n"
