"""What is shown of the encryption of artifacts."""

from symphony.app.encrypting import EncryptionState
from symphony.app.spelling import JSON
from symphony.cli.console import output


def state_json(found: EncryptionState) -> dict[str, JSON]:
    """Return the state for programs."""
    cost = found.key.scrypt
    return {
        "enabled": found.enabled,
        "source": found.source,
        "key": {
            "file": str(found.path),
            "opens": found.key.opens,
            "scrypt": None if cost is None else {"n": cost.n, "r": cost.r, "p": cost.p},
            "state": found.key.opened,
            "why": found.key.why or None,
        },
        "plain_bytes": found.plain_bytes,
        "encrypted_bytes": found.encrypted_bytes,
    }


def state_text(found: EncryptionState) -> str:
    """Return the state for people."""
    lines = [
        ("encryption", "on" if found.enabled else "off"),
        ("key", _key(found)),
        ("encrypted", output.size(found.encrypted_bytes)),
        ("plain", output.size(found.plain_bytes)),
    ]
    text = "".join(f"{name:<12}{output.shown(said)}\n" for name, said in lines)
    wrong = found.plain_bytes if found.enabled else found.encrypted_bytes
    if wrong and (found.enabled or found.encrypted_bytes):
        verb = "encrypts" if found.enabled else "decrypts"
        text += f"`symphony artifacts key convert` {verb} the rest\n"
    return text


def _key(found: EncryptionState) -> str:
    if found.key.opens is None:
        return "made when the first artifact is stored" if found.enabled else "none"
    match found.key.opened:
        case "opened":
            return f"{found.path}, opened by {found.source}"
        case "failed":
            return f"{found.path}, NOT opened: {found.key.why}"
        case "unknown":
            return f"{found.path}, not tried: {found.key.why}"
