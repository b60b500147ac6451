"""The checks of `symphony doctor`. Each reports what it found and how to repair it."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from symphony.cli.actions import pit_checks
from symphony.cli.actions.check import Check
from symphony.cli.console import output
from symphony.commons.environment import without
from symphony.commons.errors import ConfigInvalid, SymphonyError
from symphony.ports.clock import Clock
from symphony.ports.runs import short_id

PYTHON_MIN: Final = (3, 11)
SQLITE_MIN: Final = (3, 35, 0)
DISK_LOW_BYTES: Final = 1024**3
DISK_EMPTY_BYTES: Final = 100 * 1024**2
HOME_LARGE_BYTES: Final = 20 * 1024**3
CLOCK_EARLIEST_S: Final = 1_735_689_600.0
"""2025-01-01: Symphony is younger than any earlier time."""
CLOCK_AHEAD_S: Final = 120.0
_REMOTE: Final = frozenset((
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs",
    "ceph", "glusterfs", "lustre", "beegfs", "virtiofs", "vboxsf", "webdav",
    "davfs", "afpfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone",
))  # fmt: skip


def examine(home: Path | None, clock: Clock, *, homeless: SymphonyError | None = None) -> list[Check]:
    """Look at everything; `home` is where the state lies, or None with the reason in `homeless`."""
    checks = [check_python(sys.version_info[:3]), check_sqlite(sqlite3.sqlite_version_info)]
    if home is None:
        why = homeless.message if homeless is not None else "there is none"
        fix = (homeless.hint if homeless is not None else None) or "set SYMPHONY_HOME to a folder of yours"
        checks.append(Check(name="home", verdict="failed", found=why, fix=fix))
    else:
        checks += [
            _guarded("home", lambda: check_home(home)),
            _guarded("settings", check_settings),
            _guarded("file system", lambda: check_file_system(home, mounts())),
            _guarded("disk", lambda: check_disk(home, shutil.disk_usage(_nearest(home)).free)),
            _guarded("size", lambda: check_size(home)),
            _guarded("records", lambda: check_records(home, clock)),
            _guarded("processes", lambda: check_processes(home, clock)),
            _guarded("pool", lambda: check_pool(home)),
            _guarded("arbiter", lambda: pit_checks.check_arbiter(home)),
            _guarded("artifacts", lambda: pit_checks.check_artifacts(home)),
            _guarded("store", lambda: pit_checks.check_store(home)),
            _guarded("encryption", lambda: pit_checks.check_encryption(home)),
            _guarded("search", lambda: pit_checks.check_search(home)),
            _guarded("tiers", lambda: pit_checks.check_tiers(home)),
            _guarded("retention", lambda: pit_checks.check_retention(home, clock.now_s())),
        ]
    checks += [
        _guarded("clock", lambda: check_clock(clock.now_s(), _newest(home))),
        _guarded("model", lambda: check_model(home)),
        _guarded("git", check_git),
    ]
    return checks


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A check that breaks has found something, too."""
    try:
        return check()
    except (OSError, SymphonyError, sqlite3.Error, subprocess.SubprocessError, ImportError) as error:
        return Check(name=name, verdict="failed", found=f"{type(error).__name__}: {error}",
                     fix=getattr(error, "hint", None) or "repair what the message names")  # fmt: skip


def check_python(version: Sequence[int]) -> Check:
    """Check that Python is recent enough."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < PYTHON_MIN:
        return Check(name="python", verdict="failed", found=text, fix="install Python 3.11 or newer")
    return Check(name="python", verdict="ok", found=f"{text} ({sys.executable})")


def check_sqlite(version: Sequence[int]) -> Check:
    """Check that the SQLite inside Python is recent enough for the journal."""
    text = ".".join(map(str, version))
    if tuple(version) < SQLITE_MIN:
        return Check(
            name="sqlite", verdict="failed", found=text, fix="use a Python with SQLite 3.35 or newer"
        )
    return Check(name="sqlite", verdict="ok", found=text)


def check_home(home: Path) -> Check:
    """Check that files can be written, made durable and removed in the home."""
    place = _nearest(home)
    probe = place / f".symphony-doctor-{os.getpid()}"
    try:
        with probe.open("xb") as file:
            file.write(b"symphony")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check(name="home", verdict="failed", found=f"{home}: {error.strerror}",
                     fix=f"make {place} writable, or set SYMPHONY_HOME to a folder of yours")  # fmt: skip
    finally:
        with suppress(OSError):
            probe.unlink()
    if place != home:
        return Check(name="home", verdict="ok", found=f"{home} (made by the first run)")
    mode = home.stat().st_mode
    if hasattr(os, "geteuid") and mode & 0o022:
        return Check(
            name="home", verdict="warning", found=f"{home}: others may write to it", fix=f"chmod go-w {home}"
        )
    return Check(name="home", verdict="ok", found=str(home))


def check_settings() -> Check:
    """Check that the settings of the home count, can be read, and name models that there are."""
    from symphony.app.home import config_of, locate_home
    from symphony.cli.arguments.files import catalog_with

    home = locate_home()
    try:
        limited = config_of(home).arbiter.models
        unknown = [model for model in limited if model not in catalog_with([]).models]
    except ConfigInvalid as error:
        fix = error.hint or "correct what the message names"
        return Check(name="settings", verdict="failed", found=error.message, fix=fix)
    if unknown:
        return Check(
            name="settings", verdict="warning",
            found=f"arbiter.models has limits for {', '.join(unknown)}, and there is no such model",
            fix="`symphony models list` shows the ids of all models",
        )  # fmt: skip
    if not home.config.exists():
        return Check(name="settings", verdict="ok", found=f"none: there is no {home.config}")
    if not home.vouched():
        return Check(
            name="settings", verdict="warning",
            found=f"{home.config} does not count: nobody has vouched for it",
            fix=f"read it, then say: symphony trust {home.path.parent}",
        )  # fmt: skip
    return Check(name="settings", verdict="ok", found=str(home.config))


def check_file_system(home: Path, known: Sequence[tuple[str, str]]) -> Check:
    """Check that the home is on this machine's own disk. Locks and SQLite cannot be trusted on network
    shares.

    `known` are pairs of mount point and type; empty where they cannot be read.
    """
    place = str(_nearest(home).resolve())
    holding = [m for m in known if place == m[0] or place.startswith(m[0].rstrip("/") + "/")]
    if not holding:
        return Check(name="file system", verdict="ok", found="not known on this system; taken as local")
    point, kind = max(holding, key=lambda mount: len(mount[0]))
    if kind in _REMOTE:
        fix = "set SYMPHONY_HOME to a folder on a local disk: locks on network shares do not hold"
        return Check(name="file system", verdict="failed", found=f"{kind} at {point}", fix=fix)
    return Check(name="file system", verdict="ok", found=f"{kind} at {point}")


def check_disk(home: Path, free_bytes: int) -> Check:
    """Check that there is room on the disk."""
    found = f"{output.size(free_bytes)} free"
    fix = f"make room on the disk of {home}; `symphony runs delete` and `symphony cache clear` help"
    if free_bytes < DISK_EMPTY_BYTES:
        return Check(name="disk", verdict="failed", found=found, fix=fix)
    if free_bytes < DISK_LOW_BYTES:
        return Check(name="disk", verdict="warning", found=found, fix=fix)
    return Check(name="disk", verdict="ok", found=found)


def check_size(home: Path) -> Check:
    """Check that the home has not grown large."""
    from symphony.app.home_size import sizes

    parts = sizes(home)
    total = sum(parts.values())
    largest = sorted(parts.items(), key=lambda part: -part[1])
    told = ", ".join(f"{name} {output.size(size)}" for name, size in largest[:4] if size)
    found = f"{output.size(total)}: {told}" if told else output.size(total)
    if total < HOME_LARGE_BYTES:
        return Check(name="size", verdict="ok", found=found)
    fix = "`symphony artifacts gc --dry-run` and `symphony runs prune --dry-run` show what may go; settings "
    return Check(name="size", verdict="warning", found=found, fix=f"{fix}under [retention] set limits")


def check_processes(home: Path, clock: Clock) -> Check:
    """Check that nothing is still running of runs that no process owns."""
    from symphony.app import Runs
    from symphony.commons.marks import RUN_VARIABLE, home_marks
    from symphony.commons.processes import holders

    runs = Runs(home, clock, lambda _: None)
    known = set(runs.ids())
    left = {
        short_id(run_id): pids
        for run_id, pids in holders(RUN_VARIABLE, *home_marks(home)).items()
        if run_id in known and not runs.lock(run_id).held()
    }
    if not left:
        return Check(name="processes", verdict="ok", found="none is left of runs that were killed")
    told = "; ".join(f"{' '.join(map(str, pids))} of run {run}" for run, pids in left.items())
    run = next(iter(left))
    fix = f"`symphony runs resume {run}` goes on with it; `symphony runs cancel {run}` ends it"
    return Check(name="processes", verdict="warning", found=f"still running: {told}", fix=fix)


def check_pool(home: Path) -> Check:
    """Check that the owner of the pool of models answers, and that no model of it fails."""
    from symphony.cli.actions.pits import pool_now

    try:
        found = pool_now(home)
    except SymphonyError as error:
        return Check(name="pool", verdict="failed", found=error.message, fix=error.hint or "end that process")
    if found is None:
        return Check(name="pool", verdict="ok", found="no model is loaded: no process of the home has a pool")
    pool = found.pool
    told = f"process {found.owner} owns it: {output.count(pool.models_loaded, 'model')} loaded"
    failing = [one for one in pool.models if one.failures]
    if not failing:
        return Check(name="pool", verdict="ok", found=f"{told}, {output.size(pool.bytes_loaded)}")
    first = failing[0]
    found_wrong = f"{told}; {first.model} failed {output.count(first.failures, 'time')}: {first.reason}"
    fix = f"symphony models test {shlex.quote(first.model)} shows whether it answers now"
    return Check(name="pool", verdict="warning", found=found_wrong, fix=fix)


def check_records(home: Path, clock: Clock) -> Check:
    """Check the home's records for damage. Artifacts are left to `symphony fsck`."""
    from symphony.app.damage import examine_home

    found = examine_home(home, clock, bodies=False)
    if not found.damages:
        number = output.count(found.looked_at.get("journal", 0), "journal")
        return Check(name="records", verdict="ok", found=f"{number}, the cache and the index are sound")
    first = found.damages[0]
    more = f"; {len(found.damages) - 1:,} more" if len(found.damages) > 1 else ""
    return Check(name="records", verdict="failed", found=first.problem + more, fix=first.fix)


def check_clock(now_s: float, newest_s: float) -> Check:
    """Check that the clock is later than Symphony itself and than everything that runs have written."""
    found = output.moment(now_s)
    if now_s < CLOCK_EARLIEST_S:
        return Check(
            name="clock", verdict="failed", found=f"{found} is in the past", fix="set the clock (NTP)"
        )
    if newest_s > now_s + CLOCK_AHEAD_S:
        found += f", but files of the home are from {output.moment(newest_s)}"
        fix = "set the clock (NTP); times of runs may be out of order"
        return Check(name="clock", verdict="warning", found=found, fix=fix)
    return Check(name="clock", verdict="ok", found=found)


def check_model(home: Path | None) -> Check:
    """Check that the embedding model is in the home or the Python environment, and undamaged."""
    from symphony.kit.instruments.files import FETCH, locate, problems

    place = locate(None if home is None else home / "models")
    if wrong := problems(place):
        return Check(name="model", verdict="failed", found="; ".join(wrong),
                     fix=f"run: {FETCH} --to {shlex.quote(str(place))}")  # fmt: skip
    return Check(name="model", verdict="ok", found=f"minilm in {place}, verified")


def check_git() -> Check:
    """Check that git is installed. Only the git operators need it."""
    program = shutil.which("git")
    if program is None:
        return Check(
            name="git", verdict="warning", found="not found", fix="install git: the git.* operators need it"
        )
    told = subprocess.run(
        [program, "--version"], env=without(os.environ, os.environ.keys()), capture_output=True, text=True,
        timeout=10, check=True,
    )  # fmt: skip
    return Check(name="git", verdict="ok", found=told.stdout.strip())


def mounts() -> list[tuple[str, str]]:
    """Mount points and their types, in the order of mounting; empty where the system does not say."""
    try:
        with Path("/proc/self/mounts").open(encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    return [(_unescaped(row[1]), row[2]) for row in rows if len(row) > 2]


def _unescaped(point: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, character)
    return point


def _nearest(home: Path) -> Path:
    """Return the home, or the nearest folder above it that exists."""
    return next((place for place in (home, *home.absolute().parents) if place.is_dir()), Path("/"))


def _newest(home: Path | None) -> float:
    """When something in the home's journal was last written, in seconds since the epoch; 0 if never."""
    if home is None:
        return 0.0
    try:
        return max((entry.stat().st_mtime for entry in os.scandir(home / "journal")), default=0.0)
    except OSError:
        return 0.0
