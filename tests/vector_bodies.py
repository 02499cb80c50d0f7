"""Bodies to accept and to refuse: at least one for each line of the list of what is well formed.

Only text; nothing here asks the code whether it agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from peerstack import limits

ULID: Final = "01HF7YAT00W6WP18ZQ04S9JE0W"
GROUP: Final = "01HF7YAT00W6WP18ZQ04S9JE0X"
DEVICE: Final = "01HF7YAT00W6WP18ZQ04S9JE0Z"
FIELDS: Final = {
    "id": f'"{ULID}"',
    "group": f'"{GROUP}"',
    "type": '"note"',
    "modified": "1700000060000",
    "signer": '"01HF7YAT00W6WP18ZQ04S9JE0Y"',
    "device": f'"{DEVICE}"',
    "value": "{}",
}
"""The fields of a plain record, each as the JSON text of its value."""

Part = tuple[str, int]
"""A text, and how often it is repeated."""


class Case(NamedTuple):
    """One body. `rule` is the line of the list in `docs/protocol.md`, "Bodies"."""

    rule: str
    comment: str
    body: str | bytes | list[Part]
    reason: str = "malformed"

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if isinstance(self.body, bytes):
            return self.body
        parts = [(self.body, 1)] if isinstance(self.body, str) else self.body
        return "".join(text * count for text, count in parts).encode()


def record(**changes: str | None) -> str:
    """A plain record with other fields; None takes one away."""
    fields = FIELDS | changes
    return "{" + ",".join(f'"{k}":{v}' for k, v in fields.items() if v is not None) + "}"


def valued(value: str) -> str:
    """A plain record with the JSON text of one value in it."""
    return record(value=f'{{"v":{value}}}')


def statement(**changes: str | None) -> str:
    """A reserved type that no version knows, with other fields."""
    return record(**({"type": '"$statement"'} | changes))


def mark(**changes: str | None) -> str:
    """What the device of a plain record says of how far it is level."""
    return record(**({"id": f'"{GROUP}:reached:{DEVICE}"', "type": '"$reached"'} | changes))


def mark_of(total: int) -> list[Part]:
    """A mark of so many bytes."""
    before, after = mark(value='{"v":"').removesuffix("}"), '"}}'
    return [(before, 1), ("x", total - len(before) - len(after)), (after, 1)]


def sized(total: int) -> list[Part]:
    """A record of so many bytes."""
    before, after = valued('"').removesuffix("}}"), '"}}'
    return [(before, 1), ("x", total - len(before) - len(after)), (after, 1)]


def nested(depth: int) -> list[Part]:
    """A record of so many objects and lists inside each other, the body itself being the first."""
    before, after = record(value='{"v":').removesuffix("}"), "}}"
    return [(before, 1), ("[", depth - 2), ("]", depth - 2), (after, 1)]


def seen(entries: int, at: str = "1") -> str:
    """A `seen` of so many devices."""
    devices = (f'"01HF7YAT00{number:016d}":{at}' for number in range(entries))
    return "{" + ",".join(devices) + "}"


def accepted() -> Iterator[Case]:
    """What is well formed, mostly at the very edge."""
    yield Case("B3", "a plain record", record())
    yield Case("B1", "exactly 61440 bytes", sized(limits.BODY_BYTES))
    yield Case("B2", "characters of 2, 3 and 4 bytes, as themselves", valued('"é☕😀"'))
    yield Case("B2", "U+FFFE, U+FFFF and DEL are characters", valued('"\ufffe\uffff\x7f"'))
    yield Case("B2", "a byte order mark inside a string is a character", valued('"\ufeff"'))
    yield Case("B3", "odd spacing", "\r\n\t " + record().replace(",", " ,\n\t").replace(":", " : "))
    backwards = ",".join(reversed(record()[1:-1].split(",")))
    yield Case("B3", "another order of keys", f"{{{backwards}}}")
    yield Case("B3", "every escape", valued(r'"\"\\\/\b\f\n\r\t\u00e9\u00E9"'))
    yield Case("B3", "a key of the body spelled with an escape", record().replace("id", r"\u0069d"))
    yield Case("B3", "keys that some languages hold special", valued('{"__proto__":{},"":1}'))
    yield Case("B4", "a pair of surrogates, escaped", valued(r'"\ud83d\ude00\uD83D\uDE00"'))
    yield Case("B5", "the text \\u0000, whose backslash is escaped", valued(r'"\\u0000"'))
    yield Case("B6", "keys alike when normalised, but not the same", valued('{"é":1,"e\u0301":2}'))
    yield Case("B6", "one key in two objects", valued('[{"a":1},{"a":1}]'))
    yield Case("B7", "exactly 64 deep", nested(limits.BODY_DEPTH))
    yield Case("B7", "brackets in a string are no depth", valued('"' + "[{" * 100 + '\\"["'))
    yield Case("B7", "many lists beside each other are no depth", valued(f"[{'[],' * 99}[]]"))
    yield Case("B8", "the greatest integer", valued("9007199254740991"))
    yield Case("B8", "the least integer", valued("-9007199254740991"))
    yield Case("B8", "minus zero", valued("-0"))
    yield Case("B9", "beyond 2^53, but with an exponent or a fraction, so no integer",
               valued("[9007199254740992.0,1e16,12345678901234567890E-1]"))  # fmt: skip
    yield Case("B9", "the greatest double", valued("1.7976931348623157e308"))
    yield Case("B9", "rounds down to the greatest double", valued("1.7976931348623158e308"))
    yield Case("B9", "rounds to zero", valued("[1e-400,-1e-400,0e999]"))
    yield Case("B9", "odd spelling of numbers", valued("[1.50,1E2,1e+2,-0.0,0.10000000000000001]"))
    yield Case("B9", "more digits than a double holds", valued("3." + "141592653589793238" * 20))
    yield Case("B10", "text that looks like something else", valued(
        '["NaN","Infinity","2024-05-06T07:08:09.000Z","null","1"]'))  # fmt: skip
    yield Case("B11", "an id of exactly 128 characters", record(id=f'"{ULID}:{"x" * 101}"'))
    yield Case("B11", "every character that a suffix may have", record(id=f'"{ULID}:aZ09._:-"'))
    yield Case("B11", "the highest id", record(id='"7ZZZZZZZZZZZZZZZZZZZZZZZZZ"'))
    yield Case("B13", "a type of one character", record(type='"a"'))
    yield Case("B13", "a type of 64 characters", record(type=f'"{"a0._-zzz" * 8}"'))
    yield Case("B13", "a reserved type of 64 characters", statement(type=f'"${"a" * 63}"'))
    yield Case("B14", "the least time", record(modified="0"))
    yield Case("B14", "minus zero is zero", record(modified="-0"))
    yield Case("B14", "the greatest time", record(modified="281474976710655"))
    yield Case("B16", "a deletion", record(value=None, deleted="true"))
    yield Case("B17", "a statement that names no device", statement(device=None))
    yield Case("B18", "one version seen", record(seen=seen(1, "0")))
    yield Case("B18", "32 devices seen, later than the record itself",
               record(seen=seen(32, "281474976710655")))  # fmt: skip
    yield Case("B18", "a deletion of what was seen",
               record(value=None, deleted="true", seen=seen(2)))  # fmt: skip
    yield Case("B19", "a reserved type that nobody knows", statement())
    yield Case("B19", "these reserved types are records, and may be deleted",
               record(id=f'"{GROUP}:profile"', type='"$profile"', value=None, deleted="true",
                      seen=seen(1)))  # fmt: skip
    yield Case("B19", "and so is all that begins with $data.",
               record(type='"$data.x"', value=None, deleted="true", seen=seen(1)))  # fmt: skip
    yield Case("B20", "the one $secret of a group",
               record(id=f'"{GROUP}:secret"', type='"$secret"'))  # fmt: skip
    yield Case("B20", "the mark of a device", mark())
    yield Case("B20", "its deletion", mark(value=None, deleted="true", seen=seen(1)))
    yield Case("B20", "the id of another group's mark", record(id=f'"{ULID}:reached:{ULID}"'))
    yield Case("B20", "an id that begins like that of a mark", record(id=f'"{GROUP}:reached"'))
    yield Case("B21", "a mark of exactly 8,192 bytes", mark_of(8_192))
    yield Case("B20", "an id that begins like a reserved one", record(id=f'"{GROUP}:secrets"'))
    yield Case("B20", "the id of another group's profile", record(id=f'"{ULID}:profile"'))
    yield Case("B20", "an id that only the personal group gives a meaning",
               record(id=f'"{GROUP}:group"'))  # fmt: skip


def refused() -> Iterator[Case]:
    """What is not well formed."""
    yield Case("B1", "61441 bytes", sized(limits.BODY_BYTES + 1), "oversize")
    yield from _refused_encoding()
    yield from _refused_json()
    yield from _refused_numbers()
    yield from _refused_ids()
    yield from _refused_fields()


def _refused_encoding() -> Iterator[Case]:
    text = valued('"?"').encode()
    for comment, raw in (
        ("a byte that begins nothing", b"\xff"),
        ("a continuation without a beginning", b"\x80"),
        ("a character cut short", b"\xc3"),
        ("an overlong /", b"\xc0\xaf"),
        ("an overlong U+0000", b"\xc0\x80"),
        ("a surrogate in UTF-8", b"\xed\xa0\x80"),
        ("a pair of surrogates in UTF-8 (CESU-8)", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("Latin-1", b"\xe9"),
    ):
        yield Case("B2", comment, text.replace(b"?", raw))
    yield Case("B2", "a byte order mark", b"\xef\xbb\xbf" + record().encode())
    yield Case("B2", "UTF-16", record().encode("utf-16-le"))


def _refused_json() -> Iterator[Case]:
    yield Case("B3", "empty", "")
    yield Case("B3", "spaces", "  ")
    yield Case("B3", "garbage behind it", record() + "x")
    yield Case("B3", "a second object behind it", record() + record())
    yield Case("B3", "a zero byte behind it", record().encode() + b"\0")
    yield Case("B3", "cut short", record()[:-1])
    yield Case("B3", "a comma too many in an object", valued('{"a":1,}'))
    yield Case("B3", "a comma too many in a list", valued("[1,]"))
    yield Case("B3", "a comment", valued("1/* one */"))
    yield Case("B3", "single quotes", valued("'a'"))
    yield Case("B3", "a key without quotes", valued("{a:1}"))
    yield Case("B3", "a space that JSON does not have (U+00A0)", "\u00a0" + record())
    yield Case("B3", "a vertical tab", "\v" + record())
    yield Case("B3", "a raw newline in a string", valued('"\n"'))
    yield Case("B3", "a raw zero byte in a string", valued('"\0"'))
    yield Case("B3", "an escape that JSON does not have", valued(r'"\x41"'))
    yield Case("B3", "an escape cut short", valued(r'"\u12"'))
    yield Case("B3", "True", valued("True"))
    yield Case("B4", "a high surrogate alone", valued(r'"\ud800"'))
    yield Case("B4", "a low surrogate alone", valued(r'"\udc00"'))
    yield Case("B4", "a pair the wrong way round", valued(r'"\ude00\ud83d"'))
    yield Case("B4", "a high surrogate and a letter", valued(r'"\ud83dx"'))
    yield Case("B4", "a lone surrogate in a key", valued(r'{"\ud800":1}'))
    yield Case("B5", "U+0000 in a string", valued(r'"a\u0000b"'))
    yield Case("B5", "U+0000 in a key", valued(r'{"\u0000":1}'))
    yield Case("B5", "U+0000 behind an escaped backslash", valued(r'"\\\u0000"'))
    yield Case("B6", "a key twice", valued('{"a":1,"a":2}'))
    yield Case("B6", "a key twice, with the same value", valued('{"a":1,"a":1}'))
    yield Case("B6", "a key twice, once with an escape", valued(r'{"a":1,"\u0061":1}'))
    yield Case("B6", "a field of the body twice", record()[:-1] + f',"id":"{ULID}"}}')
    yield Case("B6", "a key twice, deep inside", valued('[[{"b":{"a":[],"a":[]}}]]'))
    yield Case("B7", "65 deep", nested(limits.BODY_DEPTH + 1))
    yield Case("B7", "20000 deep", nested(20_000))
    yield Case("B7", "65 objects deep", [(record(value='{"a":')[:-1], 1), ('{"a":', 63), ("1", 1),
               ("}", 65)])  # fmt: skip
    for comment, text in (("a list", "[]"), ("text", '"a"'), ("a number", "1"), ("null", "null")):
        yield Case("B10", f"{comment} instead of an object", text)


def _refused_numbers() -> Iterator[Case]:
    yield Case("B3", "NaN", valued("NaN"))
    yield Case("B3", "Infinity", valued("-Infinity"))
    yield Case("B3", "a leading zero", valued("01"))
    yield Case("B3", "a plus sign", valued("+1"))
    yield Case("B3", "no digit before the point", valued(".5"))
    yield Case("B3", "no digit behind the point", valued("1."))
    yield Case("B3", "hexadecimal", valued("0x10"))
    yield Case("B8", "2^53", valued("9007199254740992"))
    yield Case("B8", "-2^53", valued("-9007199254740992"))
    yield Case("B8", "2^63", valued("9223372036854775808"))
    yield Case("B8", "2^64", valued("18446744073709551616"))
    yield Case("B8", "an integer of 400 digits", valued("9" * 400))
    yield Case("B9", "beyond every double", valued("1e400"))
    yield Case("B9", "rounds up to infinity", valued("1.7976931348623159e308"))
    yield Case("B9", "400 digits and a fraction", valued("9" * 400 + ".0"))


def _refused_ids() -> Iterator[Case]:
    spelled = {
        "lower case": ULID.lower(),
        "the letter O for the digit 0": ULID.replace("0", "O"),
        "the letter I for the digit 1": ULID.replace("1", "I"),
        "the letter L for the digit 1": ULID.replace("1", "L"),
        "the letter U": ULID.replace("W", "U"),
        "more than 128 bits": "8" + ULID[1:],
        "25 characters": ULID[:-1],
        "27 characters": ULID + "0",
        "a newline behind it": ULID + "\\n",
        "a space before it": " " + ULID,
        "empty": "",
    }
    for comment, spelling in spelled.items():
        yield Case("B11", comment, record(id=f'"{spelling}"'))
        for field in ("group", "signer", "device"):
            yield Case("B12", f"{field}: {comment}", record(**{field: f'"{spelling}"'}))
    for comment, suffix in (
        ("no suffix behind the colon", ":"),
        ("129 characters", ":" + "x" * 102),
        ("a slash in the suffix", ":a/b"),
        ("a letter beyond ASCII in the suffix", ":é"),
        ("a newline behind the suffix", ":a\\n"),
    ):
        yield Case("B11", comment, record(id=f'"{ULID}{suffix}"'))
    for field in ("group", "signer", "device"):
        yield Case("B12", f"{field}: with a suffix", record(**{field: f'"{ULID}:a"'}))


def _refused_fields() -> Iterator[Case]:
    yield Case("B10", "an unknown field", record(extra="1"))
    yield Case("B10", "a known field in capitals", record(Id=f'"{ULID}"'))
    for field in ("id", "group", "type", "modified", "signer"):
        yield Case("B10", f"no {field}", record(**{field: None}))
    for field in FIELDS:
        yield Case("B10", f"{field} is null", record(**{field: "null"}))
        yield Case("B10", f"{field} is of another type", record(**{field: "[]"}))
    for comment, name in (
        ("empty", ""),
        ("65 characters", "a" * 65),
        ("a capital", "Note"),
        ("a space", "my note"),
        ("a letter beyond ASCII", "nóte"),
        ("a newline", "note\\n"),
        ("$ alone", "$"),
        ("$ inside", "a$b"),
        ("$ and 64 characters", "$" + "a" * 64),
    ):
        yield Case("B13", comment, record(type=f'"{name}"'))
    for comment, time in (
        ("negative", "-1"),
        ("beyond 48 bits", "281474976710656"),
        ("with a fraction", "1700000060000.0"),
        ("with an exponent", "17e11"),
        ("as text", '"1700000060000"'),
        ("true", "true"),
    ):
        yield Case("B14", f"modified: {comment}", record(modified=time))
        yield Case("B18", f"a time in seen: {comment}", record(seen=seen(1, time)))
    yield Case("B15", "value is text", record(value='"a"'))
    yield Case("B16", "neither a value nor a deletion", record(value=None))
    yield Case("B16", "a value and a deletion", record(deleted="true"))
    yield Case("B16", "a deletion that is none", record(value=None, deleted="false"))
    yield Case("B16", "a value, and deleted is false", record(deleted="false"))
    yield Case("B16", "deleted is 1", record(value=None, deleted="1"))
    yield Case("B16", "deleted is null", record(value=None, deleted="null"))
    yield Case("B17", "a record that names no device", record(device=None))
    yield Case("B17", "a $profile that names no device", record(
        id=f'"{GROUP}:profile"', type='"$profile"', device=None))  # fmt: skip
    yield Case("B18", "nothing seen", record(seen="{}"))
    yield Case("B18", "33 devices seen", record(seen=seen(33)))
    yield Case("B18", "seen is a list", record(seen="[]"))
    yield Case("B18", "seen is null", record(seen="null"))
    yield Case("B18", "a key of seen that is no ULID", record(seen='{"laptop":1}'))
    yield Case("B18", "a key of seen in lower case", record(seen=f'{{"{ULID.lower()}":1}}'))
    yield Case("B19", "a statement that is a deletion", statement(value=None, deleted="true"))
    yield Case("B19", "a statement that has seen something", statement(seen=seen(1)))
    yield Case("B19", "$data without a point is no record", statement(type='"$data"', seen=seen(1)))
    for name in ("profile", "secret"):
        own, kind = f'"{GROUP}:{name}"', f'"${name}"'
        yield Case("B20", f"an app's record in the place of the {name}", record(id=own))
        yield Case("B20", f"other reserved data in the place of the {name}",
                   record(id=own, type='"$data.x"'))  # fmt: skip
        yield Case("B20", f"a statement with the id of the {name}", statement(id=own))
        yield Case("B20", f"a ${name} in the place of an app's record", record(type=kind))
        yield Case("B20", f"a ${name} with another group's id",
                   record(id=f'"{ULID}:{name}"', type=kind))  # fmt: skip
    yield Case("B20", "a $profile in the place of the secret",
               record(id=f'"{GROUP}:secret"', type='"$profile"'))  # fmt: skip
    yield Case("B20", "a mark of another device", mark(id=f'"{GROUP}:reached:{ULID}"'))
    yield Case("B20", "a mark of another group", mark(id=f'"{ULID}:reached:{DEVICE}"'))
    yield Case("B20", "a mark of no device", mark(id=f'"{GROUP}:reached"'))
    yield Case("B20", "a mark in the place of an app's record", record(type='"$reached"'))
    yield Case("B20", "a mark in the place of the secret", mark(id=f'"{GROUP}:secret"'))
    yield Case("B20", "an app's record in the place of a mark", mark(type='"note"'))
    yield Case("B20", "an app's record in the place of another device's mark",
               record(id=f'"{GROUP}:reached:{ULID}"'))  # fmt: skip
    yield Case("B20", "an app's record in the place of a mark of nobody",
               record(id=f'"{GROUP}:reached:x"'))  # fmt: skip
    yield Case(
        "B20", "a statement with the id of a mark", statement(id=f'"{GROUP}:reached:{DEVICE}"')
    )
    yield Case("B21", "a mark of 8,193 bytes", mark_of(8_193), "oversize")
