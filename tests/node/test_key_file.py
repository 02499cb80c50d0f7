"""The key file: whole or not at all, for its owner alone, and able to forget."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

import peerstack
from peerstack.identity import KnownGroup, Whereabouts
from peerstack.node.keyfile import KeyFile, Keys
from peerstack.testing.ports import SeededEntropy
from tests.people import person
from tests.searching import found_in
from tests.server_process import ROOT

ANA = person("ana")
PLACES = Whereabouts(("https://meet.example",), (KnownGroup(ANA.id, "", bytes(range(32))),))

REWRITE = """
import sys
from pathlib import Path
from peerstack.node.keyfile import KeyFile
from peerstack.node.ports import SystemEntropy
keys = KeyFile(Path(sys.argv[1]), None, SystemEntropy())
print("begun", flush=True)
while True:
    keys.forget_recovery()
"""


def key_file(folder: Path, passphrase: str | None = None) -> KeyFile:
    return KeyFile(folder / "ana.db.keys", passphrase, SeededEntropy("key file"))


def new_key_file(folder: Path, passphrase: str | None = None) -> KeyFile:
    made = key_file(folder, passphrase)
    assert made.write_new(Keys(ANA.user, PLACES))
    return made


def secrets_of(keys: Keys) -> tuple[bytes | None, ...]:
    user = keys.user
    root = user.root.seed if user.root is not None else None
    return root, user.device_key.seed, user.recovery, user.kit_key


def test_a_key_file_keeps_what_is_put_in(tmp_path: Path) -> None:
    read = new_key_file(tmp_path).read()

    assert secrets_of(read) == secrets_of(Keys(ANA.user))
    assert (read.user.id, read.user.statements) == (ANA.id, ANA.user.statements)
    assert read.restores == PLACES


def test_a_device_without_root_key_and_seed_has_a_key_file_too(tmp_path: Path) -> None:
    linked = replace(ANA.user, root=None, recovery=None, kit_key=None)
    made = key_file(tmp_path)
    made.write_new(Keys(linked))

    assert secrets_of(made.read()) == (None, ANA.user.device_key.seed, None, None)


def test_a_key_file_is_never_written_over_by_a_new_one(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)

    assert not made.write_new(Keys(person("bo").user))
    assert made.read().user.id == ANA.id


@pytest.mark.parametrize("passphrase", [None, "horse"])
def test_what_is_forgotten_is_nowhere_in_the_folder(tmp_path: Path, passphrase: str | None) -> None:
    made = new_key_file(tmp_path, passphrase)
    # A crash while the file was first written can have left this beside it.
    left = tmp_path / "ana.db.keys.a1b2c3d4.tmp"
    left.write_bytes(msgspec.json.encode({"recovery": ANA.recovery}))
    assert left.name in found_in(tmp_path, ANA.recovery)

    user = made.forget_recovery()

    assert found_in(tmp_path, ANA.recovery) == []
    assert secrets_of(made.read()) == secrets_of(Keys(user))
    assert user == replace(ANA.user, recovery=None, root=user.root, device_key=user.device_key)
    assert user.kit_key == ANA.user.kit_key
    assert made.read().restores is None
    assert [path.name for path in tmp_path.iterdir()] == ["ana.db.keys"]


def test_the_search_finds_a_seed_in_an_unsealed_key_file(tmp_path: Path) -> None:
    new_key_file(tmp_path)

    assert found_in(tmp_path, ANA.recovery) == ["ana.db.keys"]
    assert found_in(tmp_path, person("bo").recovery) == []


def test_behind_a_link_the_file_itself_forgets(tmp_path: Path) -> None:
    folder, disk = tmp_path / "here", tmp_path / "disk"
    folder.mkdir()
    disk.mkdir()
    new_key_file(disk)
    linked = key_file(folder)
    linked.path.symlink_to(disk / "ana.db.keys")

    linked.forget_recovery()

    assert found_in(tmp_path, ANA.recovery) == []
    assert linked.path.is_symlink()
    assert linked.read().user.recovery is None


def test_what_others_left_beside_it_stays(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)
    others = [tmp_path / name for name in ("ana.db.keys.bak", "ana.db.keys.20261121", "ana.db")]
    for other in others:
        other.write_bytes(b"mine")

    made.forget_recovery()

    assert all(other.read_bytes() == b"mine" for other in others)


def test_a_sealed_file_stays_sealed_and_an_open_one_open(tmp_path: Path) -> None:
    sealed = new_key_file(tmp_path, "horse")
    sealed.forget_recovery()
    with pytest.raises(peerstack.ProfileLocked):
        key_file(tmp_path).read()
    sealed.path.unlink()

    new_key_file(tmp_path)
    key_file(tmp_path, "not needed").forget_recovery()
    assert key_file(tmp_path).read().user.recovery is None


def test_the_file_is_its_owners_alone_before_and_after(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)
    for _ in range(2):
        assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
        made.forget_recovery()


def test_the_file_shows_when_it_has_changed(tmp_path: Path) -> None:
    made = key_file(tmp_path)
    marks = [made.mark()]
    made.write_new(Keys(ANA.user))
    marks.append(made.mark())
    made.forget_recovery()
    marks.append(made.mark())

    assert marks[0] is None
    assert len(set(marks)) == 3
    assert made.mark() == marks[-1]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may be larger than a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_where_it_cannot_be_written_the_old_one_stays(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)

    with full_disk(), pytest.raises(peerstack.StoreFull, match="key file"):
        made.forget_recovery()

    assert made.read().user.recovery == ANA.recovery
    assert [path.name for path in tmp_path.iterdir()] == ["ana.db.keys"]


def test_a_process_that_is_killed_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", REWRITE, str(made.path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(20):
                assert made.read().user.id == ANA.id
            process.send_signal(signal.SIGKILL)

        assert made.read().user.kit_key == ANA.user.kit_key
    made.forget_recovery()
    assert [path.name for path in tmp_path.iterdir()] == ["ana.db.keys"]


def test_a_file_of_the_first_version_is_read(tmp_path: Path) -> None:
    user = ANA.user
    secrets = {
        "user": user.id,
        "device": user.device,
        "name": user.name,
        "root": ANA.root.seed,
        "device_key": user.device_key.seed,
        "recovery": ANA.recovery,
        "statements": [(each.body, each.signature) for each in user.statements],
    }
    content = msgspec.json.encode(secrets)
    made = key_file(tmp_path)
    made.path.write_bytes(msgspec.json.encode({"version": 1, "sealed": False, "content": content}))

    assert secrets_of(made.read()) == secrets_of(Keys(user))
    assert made.forget_recovery().kit_key == user.kit_key


def test_a_file_of_a_later_version_says_so(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)
    later = msgspec.json.decode(made.path.read_bytes()) | {"version": 3}
    made.path.write_bytes(msgspec.json.encode(later))

    with pytest.raises(peerstack.StoreTooNew, match="newer"):
        made.read()


def test_a_damaged_file_says_so_and_shows_nothing(tmp_path: Path) -> None:
    made = new_key_file(tmp_path)
    whole = made.path.read_bytes()
    for place in range(0, len(whole), 97):
        made.path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with pytest.raises(peerstack.StoreDamaged, match="damaged") as told:
            made.read()
        assert ANA.recovery.hex() not in repr(told.value)


def test_nothing_that_shows_a_key_file_shows_a_secret(tmp_path: Path) -> None:
    made = new_key_file(tmp_path, "horse battery")

    for shown in (repr(made), str(made), repr(made.read()), f"{made.read()!r:>9}"):
        assert "horse" not in shown
        for secret in secrets_of(made.read()):
            assert secret is not None
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown
