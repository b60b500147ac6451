"""Stores values of a run as artifacts and loads them: large ones by reference, secrets sealed."""

import contextlib
import logging
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.values.codec import (
    body_of,
    decode_sealed,
    encode_plain,
    encode_value,
    encoded_map,
    value_digest,
)
from symphony.pit.artifacts.values.media import BYTES_TYPE, JSON_TYPE, MSGPACK_TYPE, TEXT_TYPE
from symphony.pit.artifacts.values.sealed import SEALED_TYPE, SealedValue, hidden
from symphony.pit.artifacts.values.typed import TypedBody, typed_body, typed_value
from symphony.pit.tracker.core.changes import Base
from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.checking import CheckedValues, check_inputs, check_outputs
from symphony.pit.tracker.nodes.failures import NotStored
from symphony.pit.tracker.nodes.limits import bounded
from symphony.pit.tracker.nodes.parameters import parameters
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.sizes import large
from symphony.pit.tracker.nodes.work import CallWork, ModelWork, OperatorWork, Work, artifact_name
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, Provenance, StorageFull
from symphony.ports.values import INLINE_BYTES_MAX, ArtifactRef, Digest, StoredValue, Value
from symphony.sdk.sizes import PlainOutputs
from symphony.workflow.model import ArtifactSpec

_OWN_TYPES = {"text": TEXT_TYPE, "bytes": BYTES_TYPE, "msgpack": MSGPACK_TYPE}
"""The content types of values whose type nobody has declared, by the encoding of their own form."""

logger = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """Outputs of the declared types, and the bytes that are recorded for them."""

    outputs: dict[str, Value]
    body: bytes


class ValueStore:
    """Stores, loads and seals the values of one run. Thread-safe.

    A stored value is durable before the record that refers to it, because the run's recorder settles the
    artifact store before each commit.
    """

    def __init__(self, resources: RunResources) -> None:
        self._resources = resources
        self._artifacts, self._sealer = resources.artifacts, resources.sealer
        self.checked = CheckedValues()

    # ---- loading --------------------------------------------------------------------------

    def load(self, ref: ArtifactRef) -> Value:
        """Return the value behind a reference, verified and with its secrets.

        Raises ArtifactMissing, ArtifactCorrupt, SecretMissing.
        """
        if ref.sealed is None:
            return typed_value(self._artifacts.get(ref.digest), ref.encoding)
        value = self._sealer.unseal(decode_sealed(self._artifacts.get(ref.sealed)))
        assert not isinstance(value, ArtifactRef)
        return value

    def plain(self, value: StoredValue) -> Value:
        """Return the value itself, loaded if it is a reference."""
        return self.load(value) if isinstance(value, ArtifactRef) else value

    def all_plain(self, inputs: Mapping[str, StoredValue]) -> dict[str, Value]:
        """Return the values themselves by name, loaded if they are references."""
        return {name: self.plain(value) for name, value in inputs.items()}

    def loaded(self, work: CallWork, inputs: Mapping[str, StoredValue]) -> dict[str, Value]:
        """Return the inputs as values. References are loaded, and only then checked against their ports.

        Raises SymphonyError `type-mismatch`.
        """
        plain = self.all_plain(inputs)
        loaded = {k: plain[k] for k, v in inputs.items() if isinstance(v, ArtifactRef)}
        check_inputs(work, loaded, self.checked)
        return plain

    def holds(self, ref: ArtifactRef) -> bool:
        """True if the body is there, and of its size. It is not read."""
        size = self._artifacts.size
        return size(ref.digest) == ref.size and (ref.sealed is None or size(ref.sealed) is not None)

    def full(self) -> StorageFull | None:
        """Return the error if there is no room for any further value."""
        try:
            self._artifacts.require_room()
        except StorageFull as error:
            return error
        return None

    # ---- storing --------------------------------------------------------------------------

    def keep_large(self, value: StoredValue) -> StoredValue:
        """Return a reference if the value is large, else the value itself."""
        return value if isinstance(value, ArtifactRef) or not large(value) else self._put(value)

    def _put(self, value: Value, encoded: bytes | None = None) -> ArtifactRef:
        """Store a value in its own form. `encoded` are the bytes of a list or map without secrets."""
        if encoded is not None:
            return self._store(TypedBody(encoded, "msgpack", MSGPACK_TYPE))
        shown, sealed = self._sealed(value)
        body, encoding, _ = body_of(shown)
        return self._store(TypedBody(body, encoding, _OWN_TYPES[encoding]), sealed=sealed)

    def _declare(
        self, value: Value, declared: ArtifactSpec, name: str | None, encoded: bytes | None = None
    ) -> ArtifactRef:
        """Store a declared artifact, with the body that its content type requires."""
        shown, sealed = self._sealed(value) if encoded is None else (value, None)
        content_type = declared.content_type or _usual_type(shown)
        made = typed_body(shown, content_type, encoded)
        if not made.fits:
            held = "text" if made.encoding == "text" else "bytes" if made.encoding == "bytes" else "a value"
            told = (
                f"artifact {name or ''} holds {held}, not {content_type}: it is stored as {made.content_type}"
            )
            logger.warning(self._sealer.mask(told))
        return self._store(made, name, sealed)

    def _store(self, made: TypedBody, name: str | None = None, sealed: Digest | None = None) -> ArtifactRef:
        ref = self._artifacts.put(
            made.body, content_type=made.content_type, name=name, encoding=made.encoding, durable=False
        )
        if sealed is None:
            return ref if made.own is None else msgspec.structs.replace(ref, own=made.own)
        own = None if made.own is None else f"{made.own.partition(':')[0]}:{sealed}"
        return msgspec.structs.replace(ref, sealed=sealed, own=own)

    def _sealed(self, value: Value) -> tuple[Value, Digest | None]:
        """Return what people see of a value, `***` in place of secrets, and the body that the run opens."""
        form = self._sealer.seal(value)
        if form is value:
            return value, None
        sealed = self._artifacts.put(encode_value(form), content_type=SEALED_TYPE, durable=False).digest
        masked = hidden(form)
        assert not isinstance(masked, ArtifactRef)
        return masked, sealed

    def store_outputs(self, attempt: NodeAttempt, returned: Mapping[str, Value]) -> Finished:
        """Store large and declared outputs, linked to where they came from, and return all with references.

        Outputs that add little to the attempt's `base` stay as they are. Raises NotStored if there is no
        room.
        """
        checked = check_outputs(attempt.work, returned)
        bodies, most = self._encoded(checked), self._resources.value_bytes_max
        try:
            if not bodies or max(map(len, bodies.values())) > most or len(bodies) < len(checked):
                self.bound_outputs(checked, attempt.node)
            outputs = self._store_each(attempt, checked, bodies)
        except StorageFull as error:
            raise NotStored(error) from error
        except SerializationFailed as error:
            raise _named(error, checked) from error
        return Finished(outputs, body=self._recorded(outputs, bodies))

    def _encoded(self, outputs: Mapping[str, Value]) -> Mapping[str, bytes]:
        """Return the bytes of lists and maps, which give their size and are stored or recorded.

        Empty if there may be secrets, or if one cannot be encoded, which is reported later.
        """
        if self._sealer:
            return {}
        encode = encode_plain if type(outputs) is PlainOutputs else encode_value
        try:
            return {port: encode(value) for port, value in outputs.items() if isinstance(value, list | dict)}
        except SerializationFailed:
            return {}

    def encoded_outputs(self, outputs: Mapping[str, StoredValue]) -> bytes:
        """Return what is recorded of outputs, secrets sealed. Raises SerializationFailed, naming the port."""
        try:
            if type(outputs) is PlainOutputs and not self._sealer:
                return encode_plain(outputs)
            return encode_value(self.seal_all(outputs))
        except SerializationFailed as error:
            raise _named(error, outputs) from error

    def _recorded(self, outputs: Mapping[str, StoredValue], bodies: Mapping[str, bytes]) -> bytes:
        """Return what is recorded of outputs. Raises SerializationFailed, naming the port."""
        try:
            if not bodies:
                return self.encoded_outputs(outputs)
            return encoded_map(
                {
                    port: bodies[port] if isinstance(value, list | dict) else encode_value(value)
                    for port, value in outputs.items()
                }
            )
        except SerializationFailed as error:
            raise _named(error, outputs) from error

    def encoded(self, work: OperatorWork, returned: object) -> Encoded | None:
        """Encode an operator's result if it is one small value that fits its port unchanged; else None.

        The bytes show that nothing is large, and are also what is recorded.
        """
        result = work.result
        if result is None or self._sealer or not result.fits(returned):
            return None
        outputs: dict[str, Value] = {result.port: returned}  # type: ignore[dict-item]  # `fits` says so
        try:
            body = encode_plain(outputs)
        except SerializationFailed as error:
            raise _named(error, outputs) from error
        return Encoded(outputs, body) if len(body) <= INLINE_BYTES_MAX else None

    def bound_outputs(self, outputs: Mapping[str, StoredValue], node: str) -> None:
        """Raise ValueTooLarge for an output of `node` that exceeds the limit for values."""
        for port, value in outputs.items():
            bounded(value, f"output {port} of {node}", self._resources.value_bytes_max)

    def _store_each(
        self, attempt: NodeAttempt, returned: Mapping[str, Value], bodies: Mapping[str, bytes]
    ) -> Mapping[str, StoredValue]:
        base, declared = attempt.base, attempt.work.node.artifact
        name = artifact_name(attempt.work)
        port_of = declared.port or next(iter(returned), None) if declared else None
        out: dict[str, StoredValue] = {}
        for port, value in returned.items():
            body = bodies.get(port)
            if declared is not None and port == port_of:
                out[port] = self._declare(value, declared, name, body)
            elif base is not None and self._grows(base, value, body):
                out[port] = value
            elif body is None:
                out[port] = self.keep_large(value)
            else:
                out[port] = value if len(body) <= INLINE_BYTES_MAX else self._put(value, body)
            ref = out[port]
            if isinstance(ref, ArtifactRef):
                self._link(attempt.work, ref, port, attempt.node, attempt.inputs, attempt.config)
        return out

    def _grows(self, base: Base, value: Value, body: bytes | None) -> bool:
        """True if only a small part of an output is new, compared with the state of its round."""
        return base.difference(encode_value(self._sealer.seal(value)) if body is None else body) is not None

    def take_over(
        self, attempt: NodeAttempt, outputs: Mapping[str, StoredValue]
    ) -> Mapping[str, StoredValue]:
        """Return an earlier run's results as this run's, so that they stay if that run is deleted.

        The artifact gets the name that this run gives it. Raises NotStored if there is no room.
        """
        if attempt.work.node.artifact is not None:
            return self.store_outputs(attempt, self.all_plain(outputs)).outputs
        for port, value in outputs.items():
            if isinstance(value, ArtifactRef):
                self._link(attempt.work, value, port, attempt.node, attempt.inputs, attempt.config)
        return outputs

    def _link(
        self,
        work: Work,
        ref: ArtifactRef,
        port: str,
        node: str,
        inputs: Mapping[str, StoredValue],
        config: Mapping[str, StoredValue] | None = None,
    ) -> None:
        provenance = Provenance(
            run_id=self._resources.run_id,
            node=node,
            port=port,
            operator=work.runs or "output",
            version=work.version,
            model=work.model if isinstance(work, ModelWork) else None,
            created_at=self._resources.clock.now_s(),
            inputs={k: value_digest(v) for k, v in inputs.items() if not self._sealer.holds_secret(v)},
            parameters=parameters(work, inputs, config, self._sealer),
        )
        self._artifacts.link(ref, provenance, durable=False)

    def keep_declared(
        self, work: Work, outputs: Mapping[str, StoredValue], node: str
    ) -> Mapping[str, StoredValue]:
        """Store the output that `work` declares under its name; return the outputs, which no operator made.

        Raises StorageFull if there is no room.
        """
        declared = work.node.artifact
        assert declared is not None
        port = declared.port or next(iter(outputs))
        ref = self._declare(self.plain(outputs[port]), declared, artifact_name(work))
        self._link(work, ref, port, node, {})
        return {**outputs, port: ref}

    def keep_output(self, name: str, value: StoredValue, node: str = "") -> StoredValue:
        """Return an output of a workflow as it is recorded: a large one in the store, linked to the run.

        `node` is the sub-workflow, or the loop if the value is of its state.
        """
        kept = self.keep_large(value)
        if isinstance(kept, ArtifactRef):
            made = Provenance(
                run_id=self._resources.run_id, node=node, port=name, operator="output", version="",
                created_at=self._resources.clock.now_s(),
            )  # fmt: skip
            self._artifacts.link(kept, made, durable=False)
        return kept

    # ---- secrets --------------------------------------------------------------------------

    def seal_all(self, outputs: Mapping[str, StoredValue]) -> SealedValue:
        """Return the outputs in the form in which they may be written, with secrets sealed."""
        if not self._sealer:
            return dict(outputs)  # type: ignore[arg-type]  # every stored value is a sealed value
        return {name: self._sealer.seal(value) for name, value in outputs.items()}

    def unseal(self, form: SealedValue) -> dict[str, StoredValue]:
        """Return recorded outputs as they were. Raises SecretMissing if a secret has changed.

        Large outputs are checked too, so a run does not find out half way that it cannot open them.
        """
        assert isinstance(form, dict)
        values = {name: self._sealer.unseal(value) for name, value in form.items()}
        for value in values.values():
            if isinstance(value, ArtifactRef) and value.sealed is not None:
                with contextlib.suppress(
                    ArtifactMissing, ArtifactCorrupt
                ):  # the reader of the value gets the error
                    self.load(value)
        return values


def _named(error: SerializationFailed, outputs: Mapping[str, StoredValue]) -> SerializationFailed:
    """The error with the name of the first port that cannot be encoded."""
    for port, value in outputs.items():
        try:
            encode_value(value)
        except SerializationFailed as why:
            return SerializationFailed(f"output {port} is {why.message}", hint=why.hint)
    return error


def _usual_type(value: Value) -> str:
    """Return the content type of an artifact that declares none: people and programs read it."""
    return TEXT_TYPE if isinstance(value, str) else BYTES_TYPE if isinstance(value, bytes) else JSON_TYPE
