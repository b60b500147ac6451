"""What makes a configured model another one."""

from pathlib import Path

from symphony.commons.settings import ModelConfig
from symphony.kit.instruments.hosted.catalog import fingerprint


def test_other_weights_at_the_same_path_are_another_model(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    config = ModelConfig(provider="llama", file=str(file))
    absent = fingerprint("local", config)
    file.write_bytes(b"GGUF one")
    first = fingerprint("local", config)
    file.write_bytes(b"GGUF another")
    assert len({absent, first, fingerprint("local", config)}) == 3
