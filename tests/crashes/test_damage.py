"""Files that are not as they were left: all is there, or it is said what is wrong and the cure."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

import peerstack
from tests.cli.person import Person, befriend, hashes
from tests.crashes.inspection import Database
from tests.crashes.reading import Values, check, make_profile, read_all

FLIPS = range(60)
CUTS = range(30)


class Profile:
    """A copy of one profile, to be damaged."""

    def __init__(self, path: Path, values: Values) -> None:
        self.path = path
        self.values = values
        """What it has to tell, by record."""

    @property
    def keys(self) -> Path:
        return self.path.with_name(self.path.name + ".keys")

    def flip(self, random: Random) -> None:
        content = bytearray(self.path.read_bytes())
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        self.path.write_bytes(content)

    def alter(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    path = tmp_path_factory.mktemp("sound") / "ana.db"
    return Profile(path, asyncio.run(make_profile(path)))


@pytest.fixture
def profile(sound: Profile, tmp_path: Path) -> Profile:
    for file in sound.path.parent.iterdir():
        shutil.copy2(file, tmp_path)
    return Profile(tmp_path / sound.path.name, sound.values)


def check_says_how_to_restore(profile: Profile, text: str) -> None:
    assert str(profile.path) in text
    assert "backup" in text
    assert "device" in text


@pytest.mark.parametrize("seed", FLIPS)
async def test_after_a_flipped_bit_nothing_is_altered_and_all_that_is_missing_is_named(
    profile: Profile, seed: int
) -> None:
    profile.flip(Random(seed))

    # Damage that is met while reading is dealt with; the second time, the rest can be read.
    for _ in range(2):
        try:
            found = await read_all(profile.path)
        except peerstack.StoreDamaged as error:
            check_says_how_to_restore(profile, str(error))
            continue
        check_unaltered(profile, found.values)
    # What nobody has met is found by `check`; beyond that, there is an error, each time.
    try:
        await check(profile.path)
        found = await read_all(profile.path)
    except peerstack.StoreDamaged as error:
        check_says_how_to_restore(profile, str(error))
        return
    check_unaltered(profile, found.values)
    Database(profile.path).check()
    for missing in missing_of(profile, found.values):
        assert missing in found.problems


def check_unaltered(profile: Profile, found: Values) -> None:
    for record_id, values in found.items():
        assert all(value in profile.values[record_id] for value in values)


def missing_of(profile: Profile, found: Values) -> Iterator[str]:
    """The records of which some version is not there any more."""
    for record_id, values in profile.values.items():
        if len(found.get(record_id, ())) < len(values):
            yield record_id


@pytest.mark.parametrize("seed", CUTS)
async def test_a_database_that_is_cut_short_is_refused_and_left_as_it_is(
    profile: Profile, seed: int
) -> None:
    content = profile.path.read_bytes()
    cut = content[: Random(seed).randrange(1, len(content))]
    profile.path.write_bytes(cut)

    with pytest.raises(peerstack.StoreDamaged) as refused:
        await read_all(profile.path)

    check_says_how_to_restore(profile, str(refused.value))
    assert profile.path.read_bytes() == cut


def flip_text(path: Path, text: bytes) -> None:
    content = path.read_bytes()
    at = content.rindex(text)
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


@pytest.mark.parametrize("left", ["empty", "gone"])
async def test_a_database_that_is_empty_or_gone_is_missed(profile: Profile, left: str) -> None:
    profile.path.unlink()
    if left == "empty":
        profile.path.touch()

    with pytest.raises(peerstack.StoreDamaged) as missed:
        await read_all(profile.path)

    check_says_how_to_restore(profile, str(missed.value))
    assert profile.path.exists() == (left == "empty")


async def test_a_flipped_bit_in_a_body_is_noticed_when_it_is_read(profile: Profile) -> None:
    flip_text(profile.path, b"to be kept")

    with pytest.raises(
        peerstack.StoreDamaged, match=r"the note \w+ is not what was stored"
    ) as told:
        await read_all(profile.path)
    again = await read_all(profile.path)

    check_says_how_to_restore(profile, str(told.value))
    (missing,) = missing_of(profile, again.values)
    assert missing in str(told.value)
    assert f"note {missing}" in again.problems


async def test_check_finds_nothing_in_what_is_sound(profile: Profile) -> None:
    assert await check(profile.path) == []
    assert (await read_all(profile.path)).values == profile.values


async def test_check_puts_an_index_right_that_hides_records(profile: Profile) -> None:
    with closing(sqlite3.connect(profile.path)) as connection:
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'ix_records_type'"
        ).fetchone()
        # An index that was made for fewer rows than it is taken to be for.
        connection.execute("DROP INDEX ix_records_type")
        connection.execute(f"{sql} WHERE modified < 0")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = ? WHERE name = 'ix_records_type'", (sql,)
        )
        connection.commit()
    assert (await read_all(profile.path)).values == {}

    assert await check(profile.path) == []

    assert (await read_all(profile.path)).values == profile.values


async def test_check_works_out_sums_again(profile: Profile) -> None:
    profile.alter("UPDATE blocks SET sum = zeroblob(32), count = count + 1")
    profile.alter("UPDATE groups SET sum = zeroblob(32), count = 3, statements_root = x'00'")

    assert await check(profile.path) == []

    Database(profile.path).check()


async def test_who_this_user_is_comes_back_from_the_key_file(profile: Profile) -> None:
    profile.alter("UPDATE statements SET body = 'torn' WHERE device = ''")

    assert (await read_all(profile.path)).values == profile.values

    Database(profile.path).check()


@pytest.mark.parametrize("words", [("ls", "note"), ("export",), ("check",), ("put", "note", "a=b")])
def test_a_damaged_database_is_one_line_in_the_command(
    profile: Profile, words: tuple[str, ...]
) -> None:
    content = profile.path.read_bytes()
    profile.path.write_bytes(content[: len(content) // 2])

    done = Person(profile.path).run(*words)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    check_says_how_to_restore(profile, line)


def test_what_the_disk_broke_is_taken_out_by_a_command_and_brought_back_by_sync(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    (put,) = ana.json("put", "note", "text=to be kept")
    ana.json("put", "note", "text=Milk")
    meet(ana, ben)
    before = hashes(ben)
    flip_text(ben.profile, b"to be kept")

    read = ben.run("ls")
    (status,) = ben.json("status")
    assert (read.returncode, len(read.stderr.splitlines())) == (1, 1)
    assert put["id"] in read.stderr
    assert put["id"] in " ".join(status["problems"])
    assert len(hashes(ben)) == 1
    meet(ana, ben)
    (status,) = ben.json("status")

    assert hashes(ben) == before
    assert put["id"] not in " ".join(status["problems"])


def test_what_the_disk_broke_is_noticed_when_it_is_sent_and_the_rest_arrives(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    (put,) = ana.json("put", "note", "text=to be kept")
    ana.json("put", "note", "text=Milk")
    flip_text(ana.profile, b"to be kept")

    meet(ana, ben)
    (status,) = ana.json("status")

    assert put["id"] in " ".join(status["problems"])
    assert hashes(ana) == hashes(ben)
    assert len(hashes(ben)) == 1


def meet(ana: Person, ben: Person) -> None:
    with ana.running("sync") as one, ben.running("sync") as other:
        for sync in (one, other):
            sync.until_event("level")
            assert sync.process.wait() == 0
