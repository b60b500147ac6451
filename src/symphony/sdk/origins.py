"""The places where another process can find an operator: a module, or a file that was loaded."""

import importlib
import sys

from symphony.commons.raised import is_interrupt
from symphony.commons.unicode import described
from symphony.ipc.operator_calls import FileOrigin, ModuleOrigin, Origin
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.loading import load_source, loaded_file
from symphony.sdk.operators import Operator


def origin_of(operator: Operator) -> Origin | None:
    """Return where another process finds this very operator; None if it cannot.

    It cannot if the operator is not bound to a name at the top of its module (made in a function, or
    changed after it was made), or if the module is the main program or an interactive session.
    """
    name = operator.function.__module__
    module = sys.modules.get(name)
    if module is None or all(value is not operator for value in vars(module).values()):
        return None
    if (loaded := loaded_file(name)) is not None:
        return FileOrigin(loaded.file, loaded.digest)
    if name == "__main__" or module.__spec__ is None:
        return None
    return ModuleOrigin(name)


def source_of(origin: Origin) -> bytes | None:
    """Return the source of a file as it was when this process loaded it; None for modules."""
    if isinstance(origin, ModuleOrigin):
        return None
    loaded = loaded_file(origin.digest)
    assert loaded is not None
    return loaded.source


def load_origin(origin: Origin, source: bytes | None) -> dict[str, Operator]:
    """Return the operators at `origin`, by name. Raises OperatorsNotLoaded, OperatorInvalid."""
    if isinstance(origin, FileOrigin):
        assert source is not None
        return {one.info.name: one for one in load_source(origin.file, source)}
    try:
        module = importlib.import_module(origin.module)
    except BaseException as error:  # a module may raise anything
        if is_interrupt(error):
            raise
        raise OperatorsNotLoaded(
            f"module {origin.module} cannot be imported by a worker: {described(error)}",
            hint="operators that need a process of their own must be importable there",
        ) from error
    found = [value for value in vars(module).values() if isinstance(value, Operator)]
    return {one.info.name: one for one in found if one.function.__module__ == origin.module}
