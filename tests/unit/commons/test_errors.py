import copy
import pickle

import pytest

from symphony.commons.errors import IoFailed, SymphonyError, ValidationFailed


class SlotMissing(SymphonyError):
    """A subclass with a constructor of its own."""

    code = "slot-missing"

    def __init__(self, slot: int) -> None:
        super().__init__(f"no slot {slot}", details={"slot": slot}, hint="wait")
        self.slot = slot


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_an_error_with_its_own_constructor_survives_pickling_and_copying(copied) -> None:
    error = copied(SlotMissing(3))
    assert (type(error), error.slot, error.message, error.code, error.hint) == (
        SlotMissing, 3, "no slot 3", "slot-missing", "wait",
    )  # fmt: skip
    assert error.details == {"slot": 3}


def test_an_instance_may_narrow_its_code_and_keeps_it() -> None:
    error = ValidationFailed("no", code="too-long")
    assert error.code == "too-long"
    assert pickle.loads(pickle.dumps(error)).code == "too-long"
    assert ValidationFailed.code == "validation-failed"


def test_str_is_the_message_and_repr_shows_what_else_there_is() -> None:
    error = SymphonyError("it broke", code="x", details={"n": 1}, hint="mend it")
    assert str(error) == "it broke"
    assert repr(error) == "SymphonyError('it broke', code='x', details={'n': 1}, hint='mend it')"
    assert repr(SymphonyError("it broke")) == "SymphonyError('it broke')"


def test_an_os_error_becomes_ours_with_path_and_number() -> None:
    error = IoFailed.of(FileNotFoundError(2, "No such file or directory", "a.txt"), "read a.txt")
    assert error.message == "cannot read a.txt: No such file or directory"
    assert error.details == {"errno": 2, "path": "a.txt"}


def test_an_os_error_without_text_is_named_by_its_kind() -> None:
    assert IoFailed.of(TimeoutError(), "connect").message == "cannot connect: TimeoutError"
