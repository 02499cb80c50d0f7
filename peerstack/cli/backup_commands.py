"""`backup`, `restore`: the whole profile in one file, and a new device from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

import peerstack
from peerstack.cli.call import Call, Command, given_passphrase, new_passphrase, run
from peerstack.cli.output import printable


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(call: Call, file: Path) -> None:
    """Write your whole profile to FILE, encrypted under a password: records, keys and all.

    Whoever has the file and its password has all that you have, and can be you. It is asked for, or
    read from PEERSTACK_BACKUP_PASSWORD. A backup of before is replaced once the new one is whole.
    """

    async def write() -> int:
        async with call.open() as node:
            password = _given_password() or _asked_password(twice=True)
            with _progress(call, "encrypting") as tell:
                await node.backup(file, password, on_progress=tell)
        return file.stat().st_size

    size = run(write())
    text = f"wrote {file}, {size:,} bytes"
    call.output.result(printable(text), {"backup": str(file), "bytes": size})
    call.output.next_step("keep it elsewhere; `peerstack restore` makes a new device from it")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--device-name", metavar="NAME", help="What this machine is called.")
@click.option(
    "--seal", is_flag=True, help="Seal your keys under a passphrase: asked for, or from the env."
)
def restore(call: Call, file: Path, device_name: str | None, seal: bool) -> None:
    """Make a profile from a backup: you, at a new device of yours, with all that was in it.

    The device that was backed up may go on. Cut short, nothing is left, and the same command begins
    again.
    """
    password = _given_password() or _asked_password(twice=False)
    passphrase = new_passphrase() if seal else given_passphrase()
    with _progress(call, "restoring") as tell:
        peerstack.restore(
            file,
            password,
            call.path,
            device_name=device_name,
            passphrase=passphrase,
            on_progress=tell,
        )

    async def show() -> None:
        async with call.open(passphrase=passphrase) as node:
            document = {
                "name": node.user.name,
                "user": node.user.id,
                "device": node.user.device,
                "profile": str(call.path),
            }
            text = f"you are {node.user.name!r}, on a new device: {call.path}"
            call.output.result(printable(text), document)

    run(show())
    call.output.next_step(
        "`peerstack sync`, and where the device that was backed up is lost, `peerstack revoke` it "
        "after that"
    )


@contextmanager
def _progress(call: Call, name: str) -> Iterator[Callable[[int, int], None] | None]:
    if not call.output.talks:
        yield None
        return
    from peerstack.cli.progress import byte_bar

    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def tell(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(byte_bar(name, total)))
            bars[0](done)

        yield tell


def _given_password() -> str | None:
    return os.environ.get("PEERSTACK_BACKUP_PASSWORD") or None


def _asked_password(*, twice: bool) -> str:
    asked: str = click.prompt(
        "Password of the backup", hide_input=True, confirmation_prompt=twice, err=True
    )
    return asked


COMMANDS = (backup, restore)
