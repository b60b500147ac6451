"""Secrets: nothing masked or sealed shows one, and sealing loses nothing."""

import base64
import html
import json
import random
import re
import shlex
import string
import subprocess
import time
import unicodedata
import urllib.parse
import xml.sax.saxutils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.cutting import beginning, ending
from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.values.codec import decode_sealed, decode_value, encode_value, value_digest
from symphony.pit.artifacts.values.redaction import Redactor, SecretMissing, unseal, variables
from symphony.pit.artifacts.values.sealed import Sealed, hidden
from symphony.pit.artifacts.values.spellings import spellings
from symphony.ports.values import ArtifactRef, Digest, Value

SECRET = "pä$$ \"w0rd\"/\\ 'x' <&>\t+%"
PEM = "-----BEGIN KEY-----\nMIIBVwIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"


def redactor(*values: str) -> Redactor:
    return Redactor({f"V{i}": value for i, value in enumerate(values)})


def test_a_secret_is_masked_wherever_it_stands() -> None:
    mask = redactor("hunter2!").mask
    assert mask("a hunter2! b hunter2!hunter2! c") == "a *** b *** c"
    assert mask("nothing here") == "nothing here"


SPELLED = {
    "json": json.dumps({"k": SECRET}),
    "json, unicode": json.dumps({"k": SECRET}, ensure_ascii=False),
    "json in json": json.dumps(json.dumps({"k": SECRET})),
    "repr": repr([SECRET]),
    "bytes repr": repr([SECRET.encode()]),
    "query": urllib.parse.urlencode({"q": SECRET}),
    "path": urllib.parse.quote(SECRET),
    "component": urllib.parse.quote(SECRET, safe=""),
    "shell": shlex.join(["echo", SECRET]),
    "html": html.escape(f"<p>{SECRET}</p>"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64, url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "basic auth": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "in a cookie": base64.b64encode(f"u={SECRET};v=1".encode()).decode(),
    "hex": SECRET.encode().hex(),
}


SPELLED |= {
    "JSON of Go": json.dumps({"k": SECRET}, ensure_ascii=False)
    .replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    "XML": xml.sax.saxutils.escape(SECRET),
    "an attribute in XML": xml.sax.saxutils.escape(SECRET, {"'": "&apos;", '"': "&quot;"}),
    "a query in a query": urllib.parse.quote(urllib.parse.quote(SECRET, safe=""), safe=""),
    "a decomposed letter": unicodedata.normalize("NFD", SECRET),
    "base64 of echo": base64.b64encode(f"{SECRET}\n".encode()).decode(),
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLED.values(), ids=SPELLED.keys())
def test_it_is_masked_in_the_spellings_of_other_formats(text: str) -> None:
    masked = redactor(SECRET).mask(text)
    assert "***" in masked
    for spelled in spellings(SECRET).values():
        assert spelled not in masked
    form = redactor(SECRET).seal(text)
    assert form is not text
    assert unseal(form, {"V0": SECRET}) == text


def test_each_line_of_a_secret_is_one() -> None:
    mask = redactor(PEM).mask
    assert mask(PEM) == "***"
    assert mask("log: kqhkiG9w0BAQEF\n") == "log: ***\n"
    assert mask(PEM.replace("\n", "\r\n")) == "***"
    assert mask(json.dumps(PEM)) == '"***"'


def test_a_secret_read_from_a_file_is_masked_without_its_last_line_end() -> None:
    assert redactor("token-123\n").mask("Bearer token-123.") == "Bearer ***."


def test_a_key_in_one_line_is_masked_when_a_program_has_broken_it_up() -> None:
    mask = redactor(PEM.strip().replace("\n", "\\n")).mask
    assert mask(PEM) == "***\n"
    assert mask("key: kqhkiG9w0BAQEF.") == "key: ***."


def test_a_json_document_is_masked_however_it_is_laid_out_and_each_text_in_it() -> None:
    document = {"type": "short", "private_key": PEM, "list": [{"password": "12ab34cd"}], "n": 1}
    mask = redactor(json.dumps(document, indent=2)).mask
    assert mask(json.dumps(document)) == mask(json.dumps(document, separators=(",", ":"))) == "***"
    assert mask("the password is 12ab34cd") == "the password is ***"
    assert mask("log: kqhkiG9w0BAQEF\n") == "log: ***\n"
    assert redactor("[not json").mask("a [not json b") == "a *** b"


def test_utf_16_that_was_taken_for_utf_8_is_masked() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        text = "x hunter2! y".encode(encoding).decode()
        assert "h\0u\0n" not in redactor("hunter2!").mask(text)


@pytest.mark.parametrize("length", range(1, 30))
def test_what_a_cut_has_left_of_a_secret_is_masked(length: int) -> None:
    redactor = Redactor({"KEY": "abcabcabd-hunter2-XYZ"})
    for cut in (beginning, ending):
        text = cut("<abcabcabd-hunter2-XYZ>", length)
        shown = redactor.mask_cut(f"it said {text!r}: no")
        left = text.strip("…<>")
        whole = "abcabcabd-hunter2-XYZ" in text
        assert ("***" in shown) == (whole or len(left) >= 4), shown
        assert whole or len(left) < 4 or left not in shown, shown
    assert redactor.mask_cut("abcabca… and abca, …nter, 2-XYZ…") == "***… and abca, …nter, 2-XYZ…"


QUOTED = {
    "encodeURIComponent": "k!y%20(a*b)~%2Fc%3D%3D%2Bd%26'e'%22%C3%A9",
    "encodeURI": "k!y%20(a*b)~/c==+d&'e'%22%C3%A9",
    "URLSearchParams": "k%21y+%28a*b%29%7E%2Fc%3D%3D%2Bd%26%27e%27%22%C3%A9",
    "java.net.URLEncoder": "k%21y+%28a*b%29%7E%2Fc%3D%3D%2Bd%26%27e%27%22%C3%A9",
    "a browser's address": "k!y%20(a*b)~/c==+d&'e'%22%C3%A9",
    "lower case": "k!y%20(a*b)~%2fc%3d%3d%2bd%26'e'%22%c3%a9",
}
"""What other programs make of `k!y (a*b)~/c==+d&'e'"é` in an address."""


@pytest.mark.parametrize("text", QUOTED.values(), ids=QUOTED.keys())
def test_what_other_programs_quote_for_an_address_is_masked_whole(text: str) -> None:
    secret = "k!y (a*b)~/c==+d&'e'\"é"
    assert Redactor({"KEY": secret}).mask(f"/find?key={text}&more") == "/find?key=***&more"
    redactor = Redactor({"KEY": secret})
    assert redactor.unseal(redactor.seal(f"<{text}>")) == f"<{text}>"


@pytest.mark.parametrize("width", [76, 64])
def test_lines_of_base64_are_masked(width: int) -> None:
    key = "".join(random.Random(1).choices(string.ascii_letters, k=400))
    body = base64.b64encode(f"{key}\n".encode()).decode()
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    masked = redactor(key).mask("\n".join(lines)).split("\n")
    assert masked[:-1] == ["***"] * (len(lines) - 1)
    assert len(masked[-1]) <= 6


@pytest.mark.slow
@pytest.mark.parametrize("secret", [SECRET, "it's a 'secret'", "tab\tand\nline's end", "$HOME `x` \\ !"])
def test_what_bash_quotes_is_masked(secret: str) -> None:
    shown = subprocess.run(
        ["bash", "-c", 'printf %q "$1"; echo; printf "%s\n" "${1@Q}"; set -x; : "$1"', "bash", secret],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    masked = redactor(secret).mask(shown.stdout + shown.stderr)
    assert masked.count("***") >= 3, masked
    assert secret.split()[-1] not in masked.replace("***", "")


def test_wide_text_is_sealed_in_bytes() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        body = "x hunter2! y".encode(encoding)
        form = redactor("hunter2!").seal(body)
        assert "hunter2!".encode(encoding) not in encode_value(form)
        assert unseal(form, {"V0": "hunter2!"}) == body


def test_overlapping_secrets_are_masked_whole() -> None:
    both = redactor("abcdefgh", "efghijkl", "abcdefghij")
    assert both.mask("_abcdefghijkl_") == "_***_"
    form = both.seal("_abcdefghijkl_")
    assert hidden(form) == "_******_"
    assert unseal(form, {"V0": "abcdefgh", "V1": "efghijkl", "V2": "abcdefghij"}) == "_abcdefghijkl_"
    assert b"kl" not in encode_value(form)


def test_short_values_and_names_of_variables_are_no_secrets() -> None:
    found = Redactor({"A": "12345", "TOKEN_NAME": "TOKEN_NAME", "B": "  \n  abc  ", "REAL": "123456"})
    assert found.ignored == ("A", "B", "TOKEN_NAME")
    assert found.mask("12345 TOKEN_NAME 123456") == "12345 TOKEN_NAME ***"
    assert not Redactor({"A": ""})
    assert found


def test_the_mask_never_makes_a_secret() -> None:
    assert redactor("******").mask("****** ******x") == "*** ***x"
    assert "***abc" not in redactor("***abc", "secret").mask("secretabc")


def test_values_are_sealed_and_opened_exactly() -> None:
    secret = "s3cr3t-token"
    value: Value = {
        "header": f"Bearer {secret}",
        "raw": secret.encode() + b"\xff",
        f"key {secret}": [secret, secret + secret, {"deep": [f"{secret}!"]}],
        "plain": [1, 2.5, None, True, "text", b"bytes"],
    }
    form = redactor(secret).seal(value)
    assert redactor(secret).holds_secret(value)
    wire = encode_value(form)
    assert secret.encode() not in wire
    assert unseal(decode_sealed(wire), {"V0": secret}) == value
    assert variables(decode_sealed(wire)) == {"V0"}
    shown = hidden(form)
    assert isinstance(shown, dict)
    assert shown["header"] == "Bearer ***"
    assert shown["raw"] == b"***\xff"
    assert shown["key ***"] == ["***", "******", {"deep": ["***!"]}]


def test_a_value_without_secrets_stays_itself() -> None:
    value: Value = {"a": [1, 2.5, "x"], "b": {"c": b"d"}}
    for found in (redactor("s3cr3t-token"), redactor(), redactor("123456")):
        assert found.seal(value) is value
        assert not found.holds_secret(value)
    ref = ArtifactRef(digest=Digest("a" * 64), size=1)
    assert redactor("s3cr3t-token").seal(ref) is ref


def test_numbers_that_hold_a_secret_are_sealed() -> None:
    value: Value = [123456, -7123456, 123456.5, 5]
    form = redactor("123456").seal(value)
    assert hidden(form) == ["***", "-7***", "***.5", 5]
    assert unseal(decode_sealed(encode_value(form)), {"V0": "123456"}) == value


def test_opening_without_the_variable_names_it() -> None:
    form = redactor("first-secret", "second-secret").seal(["first-secret", {"x": "second-secret"}])
    with pytest.raises(SecretMissing, match="V0, V1") as caught:
        unseal(form, {"V2": "first-secret"})
    assert caught.value.details == {"variables": ["V0", "V1"]}
    assert "set V0, V1" in (caught.value.hint or "")
    with pytest.raises(SecretMissing, match="of V1 again"):
        unseal(form, {"V0": "first-secret", "V1": ""})


@pytest.mark.parametrize("other", ["new-longer-token", "old-tokeN", "x"])
def test_opening_with_another_value_is_refused(other: str) -> None:
    form = redactor("old-token").seal("Bearer old-token")
    with pytest.raises(SecretMissing, match="V0 again, which is not what it was"):
        unseal(form, {"V0": other})


def test_a_sealed_form_is_no_plain_value() -> None:
    form = redactor("s3cr3t-token").seal(["s3cr3t-token"])
    with pytest.raises(SerializationFailed, match="sealed") as caught:
        decode_value(encode_value(form))
    assert caught.value.code == "sealed"
    assert isinstance(form, list)
    assert isinstance(form[0], Sealed)


def test_user_data_is_never_taken_for_a_sealed_form() -> None:
    form = redactor("s3cr3t-token").seal("s3cr3t-token")
    lookalikes: Value = [encode_value(form), {"kind": "text", "segments": [["V0", "raw", 0, -1]]}, "***"]
    assert decode_value(encode_value(lookalikes)) == lookalikes
    assert unseal(decode_sealed(encode_value(lookalikes)), {}) == lookalikes
    assert value_digest(lookalikes) == value_digest(decode_value(encode_value(lookalikes)))


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: Value = "s3cr3t-token"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(SerializationFailed, match="deep"):
        redactor("s3cr3t-token").seal(deep)


def test_a_stream_is_masked_across_the_borders_of_its_pieces() -> None:
    stream = redactor("hunter2!", "unter2!xyz").stream()
    pieces = ["a hun", "ter2", "!", " b\n", "hunter", "3 ", "hunter2!xy"]
    shown = [stream.feed(piece) for piece in pieces]
    assert shown[0] == "a "
    assert "".join(shown) + stream.finish() == "a *** b\nhunter3 ***xy"


repeating = st.text("ab", min_size=6, max_size=9)


@given(st.lists(repeating, min_size=1, max_size=3), st.text("abc", max_size=40), st.data())
def test_every_occurrence_is_covered_however_a_secret_repeats_itself(
    values: list[str], text: str, data: st.DataObject
) -> None:
    found, spelled = redactor(*values), [t for value in values for t in spellings(value).values()]
    hidden_places = [False] * len(text)
    for one in spelled:
        for at in range(len(text)):
            if text.startswith(one, at):
                hidden_places[at : at + len(one)] = [True] * len(one)
    expected = re.sub("X+", "***", "".join("X" if h else c for h, c in zip(hidden_places, text, strict=True)))
    assert found.mask(text) == expected
    form = found.seal(text)
    assert found.unseal(form) == text
    assert [c for c in str(hidden(form)) if c != "*"] == [c for c in expected if c != "*"]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    stream = found.stream()
    assert "".join(map(stream.feed, pieces)) + stream.finish() == expected


EVIL = {
    "one letter": ("a" * 60, "a"),
    "one letter, long": ("a" * 5_000, "a"),
    "a letter and another end": ("a" * 59 + "b", "a"),
    "another beginning": ("b" + "a" * 59, "a"),
    "another middle": ("a" * 30 + "b" + "a" * 30, "a"),
    "two letters": ("ab" * 40, "ab"),
    "a word of Fibonacci": ("abaababaabaababaababaabaababaabaab", "abaab"),
    "asterisks": ("***abc", "abc"),
}


def spent_s(found: Redactor, text: str) -> float:
    began = time.process_time()
    found.mask(text)
    found.seal(text)
    stream = found.stream()
    for at in range(0, len(text), 4_096):
        stream.feed(text[at : at + 4_096])
    stream.finish()
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize(("secret", "unit"), EVIL.values(), ids=EVIL)
def test_masking_takes_time_by_the_length_of_the_text_alone(secret: str, unit: str) -> None:
    found = redactor(secret)
    short, long = (unit * (size // len(unit)) for size in (100_000, 800_000))
    plain = min(spent_s(found, "the quick brown fox " * 5_000) for _ in range(3))
    times = [min(spent_s(found, text) for _ in range(3)) for text in (short, long)]
    assert times[1] < 24 * times[0], f"eight times the text took {times[1] / times[0]:.1f} times as long"
    assert times[0] < 200 * plain + 0.05


@pytest.mark.slow
def test_many_secrets_cost_their_number_and_no_more() -> None:
    text = "some output of a command, a line of a log\n" * 2_000
    few, many = (Redactor({f"V{i}": f"{i:05}-secret-value" for i in range(n)}) for n in (20, 200))
    assert min(spent_s(many, text) for _ in range(3)) < 40 * min(spent_s(few, text) for _ in range(3))


def test_a_masked_secret_is_shown_at_once_however_it_goes_on() -> None:
    stream = redactor("aaaaaa").stream()
    assert stream.feed("x" + "a" * 1_000) == "x***"
    assert stream.feed("a" * 1_000) == ""
    assert stream.feed("aab") == "b"
    assert stream.feed("aaaaaab") == "***b"
    assert stream.finish() == ""


words = st.sampled_from(
    ["secret", "abcabcabc", "12345678", "é\u2028ü中文字x", "a\nb\nlonger line\n", "***abc", "x" * 9]
)
secrets = st.lists(st.one_of(words, st.text(min_size=6, max_size=12)), min_size=1, max_size=3)
alphabet = st.characters(exclude_categories=["Cs"])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


def holding(found: list[str]) -> st.SearchStrategy[str]:
    spelled = sorted({text for value in found for text in spellings(value).values()})
    pieces = st.one_of(
        st.sampled_from(found), st.sampled_from(spelled or ["x"]), st.text(alphabet, max_size=4)
    )
    return st.lists(pieces, max_size=5).map("".join)


@pytest.mark.slow
@given(st.data(), secrets)
def test_nothing_masked_shows_a_secret(data: st.DataObject, values: list[str]) -> None:
    found = redactor(*values)
    text = data.draw(holding(values))
    masked = found.mask(text)
    cut = data.draw(st.integers(0, len(text)))
    stream = found.stream()
    streamed = stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish()
    for name, value in enumerate(values):
        if f"V{name}" not in found.ignored:
            for spelled in spellings(value).values():
                assert spelled not in masked
                assert "*" in spelled or spelled not in streamed


@given(st.data(), secrets)
def test_opening_what_was_sealed_gives_the_same(data: st.DataObject, values: list[str]) -> None:
    found = redactor(*values)
    texts = holding(values)
    value = data.draw(
        st.recursive(
            st.one_of(leaves, texts, texts.map(str.encode)),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
            max_leaves=6,
        )
    )
    form = found.seal(value)
    wire = encode_value(form)
    environment = {f"V{i}": text for i, text in enumerate(values)}
    assert unseal(decode_sealed(wire), environment) == value
    assert found.holds_secret(value) == (form != value)
    assert found.unseal(form) == value
    for name, text in environment.items():
        if name not in found.ignored:
            assert text.encode() not in wire
            assert text not in repr(hidden(form)) or "*" in text
