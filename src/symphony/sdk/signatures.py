"""Reads the signature and docstring of a function as those of an operator."""

import inspect
import typing
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import TypeAlias

import msgspec

from symphony.ports.values import Value
from symphony.sdk.annotations import Convert, converter, is_record, port_type
from symphony.sdk.context import Context
from symphony.sdk.docstrings import Docstring, parse_docstring
from symphony.sdk.errors import OperatorInvalid
from symphony.sdk.paths import Find, path_finder
from symphony.sdk.plain import to_value
from symphony.workflow.catalog import Port
from symphony.workflow.model import NAME
from symphony.workflow.types import PortType, mismatch

_NO_DEFAULT = inspect.Parameter.empty


Members: TypeAlias = Callable[[type], Mapping[str, object]]
"""Returns the fields of a record type with their annotations, in order."""


class WrittenFunction(msgspec.Struct, frozen=True):
    """A function as its author wrote it; `place` names it in messages, with its file and line.

    `annotations` has those of parameters, and that of the result under `return`.
    """

    place: str
    parameters: Mapping[str, inspect.Parameter]
    annotations: Mapping[str, object]
    doc: str | None


class Signature(msgspec.Struct, frozen=True):
    """A function as an operator.

    `converters` are those of inputs that are not plain values, `paths` find the paths in inputs.
    """

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    single_output: bool
    context_name: str | None
    doc: Docstring
    converters: Mapping[str, Convert] = msgspec.field(default_factory=dict)
    paths: Mapping[str, Find] = msgspec.field(default_factory=dict)


def read_signature(function: Callable[..., object], output: str) -> Signature:
    """Return the ports and help of `function`; `output` names its only output port.

    Raises OperatorInvalid, naming the function and the parameter, if it cannot be an operator.
    """
    written = WrittenFunction(
        place_of(function), inspect.signature(function).parameters, _annotations(function), function.__doc__
    )
    made = signature_of(written, output, members_of)
    given = {name: written.annotations[name] for name in made.inputs}
    converters = {name: convert for name, one in given.items() if (convert := converter(one)) is not None}
    paths = {name: find for name, one in given.items() if (find := path_finder(one)) is not None}
    return msgspec.structs.replace(made, converters=converters, paths=paths)


def signature_of(function: WrittenFunction, output: str, members: Members) -> Signature:
    """Return the ports and help of a function that need not exist; `members` gives the fields of its records.

    Raises OperatorInvalid. It knows neither converters nor paths.
    """
    context_name: str | None = None
    types: dict[str, PortType] = {}
    defaults: dict[str, Value] = {}
    for name, parameter in function.parameters.items():
        annotation = function.annotations.get(name)
        _check_parameter(function, parameter, name in function.annotations)
        if is_context(annotation):
            if context_name is not None:
                raise invalid(function, f"parameter {name!r} is a second Context", "ask for it once")
            context_name = name
            continue
        types[name] = _type(function, f"parameter {name!r}", annotation)
        if parameter.default is not _NO_DEFAULT:
            defaults[name] = _default(function, name, parameter.default, types[name])
    outputs, single = _outputs(function, output, members)
    doc = parse_docstring(function.doc, types, outputs)
    inputs = {
        name: Port(type=kind, default=defaults.get(name, msgspec.UNSET), description=doc.inputs.get(name, ""))
        for name, kind in types.items()
    }
    ports = {name: Port(type=kind, description=doc.outputs.get(name, "")) for name, kind in outputs.items()}
    return Signature(inputs, ports, single, context_name, doc)


def place_of(function: object) -> str:
    """Return the name of `function`, and where it is written."""
    name = getattr(function, "__qualname__", repr(function))
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return str(name) if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def invalid(function: object, problem: str, hint: str) -> OperatorInvalid:
    """Return the error for `function`, with the place where it is written."""
    place = function.place if isinstance(function, WrittenFunction) else place_of(function)
    return OperatorInvalid(f"{place} cannot be an operator: {problem}", hint=hint)


def _annotations(function: Callable[..., object]) -> dict[str, object]:
    plain = inspect.unwrap(function)
    try:
        return dict(inspect.get_annotations(plain, eval_str=True))
    except Exception as error:  # the text of an annotation may raise anything
        hint = "import the names it uses at the top of the module"
        raise invalid(function, f"an annotation cannot be read: {error}", hint) from error


def _check_parameter(function: object, parameter: inspect.Parameter, annotated: bool) -> None:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        hint = f"take a list or a map in its place: {name}: list[str]"
        raise invalid(function, f"parameter '{stars}{name}' has no fixed number of inputs", hint)
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise invalid(function, f"parameter {name!r} is positional only", "remove the / from its parameters")
    if not annotated:
        raise invalid(function, f"parameter {name!r} has no annotation", f"write its type: {name}: str")
    if NAME.fullmatch(name) is None:
        raise invalid(
            function, f"parameter {name!r} is not an input name", f"rename it to match {NAME.pattern}"
        )


def is_context(annotation: object) -> bool:
    """True if a parameter with this annotation takes the context."""
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return any(is_context(member) for member in typing.get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, Context)


def _type(function: object, what: str, annotation: object) -> PortType:
    try:
        return port_type(annotation)
    except TypeError as error:
        raise invalid(function, f"{what}: {error}", "change the annotation") from error


def _default(function: object, name: str, default: object, kind: PortType) -> Value:
    try:
        value = to_value(default)
    except TypeError as error:
        raise invalid(function, f"the default of parameter {name!r}: {error}", "use a plain value") from error
    why = mismatch(value, kind)
    if why is not None:
        hint = (
            "write `T | None` for a parameter that may be null" if value is None else "change type or default"
        )
        raise invalid(function, f"the default of parameter {name!r}: {why}", hint)
    return value


def _outputs(function: WrittenFunction, output: str, members: Members) -> tuple[dict[str, PortType], bool]:
    """Return the output ports, and whether a single port takes the whole returned value."""
    if "return" not in function.annotations:
        raise invalid(function, "it has no return annotation", "write what it returns: -> str")
    returned = function.annotations["return"]
    if returned is None or returned is NoneType:
        return {}, False
    if not is_record(returned):
        if NAME.fullmatch(output) is None:
            raise invalid(function, f"{output!r} is not a port name", f"match {NAME.pattern}")
        return {output: _type(function, "what it returns", returned)}, True
    assert isinstance(returned, type)
    fields_of = members(returned)
    if not fields_of:
        raise invalid(function, "what it returns has no fields", "give it one field for each output")
    for name in fields_of:
        if NAME.fullmatch(name) is None:
            raise invalid(
                function, f"{name!r} is not a port name", f"rename the field to match {NAME.pattern}"
            )
    return {name: _type(function, f"output {name!r}", kind) for name, kind in fields_of.items()}, False


def members_of(record: type) -> dict[str, object]:
    """Return the fields of a record type with their annotations, in order."""
    hints = typing.get_type_hints(record, include_extras=True)
    if hasattr(record, "__dataclass_fields__"):
        from dataclasses import fields

        return {item.name: hints[item.name] for item in fields(record)}
    names: tuple[str, ...] = getattr(record, "__struct_fields__", ()) or getattr(record, "_fields", ())
    return {name: hints[name] for name in names} if names else hints
