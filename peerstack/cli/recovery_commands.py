"""`recovery`, `recover`: the phrase and the kit, and taking oneself back with them."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

import click

import peerstack
from peerstack.cli.call import Call, Command, new_passphrase, run
from peerstack.cli.output import plural, printable

if TYPE_CHECKING:
    from peerstack.identity import Device
    from peerstack.ids import DeviceId

_TRIES: Final = 3
_COLUMNS: Final = 4


# --- While all is well. ---------------------------------------------------------------------------


@click.command(cls=Command)
@click.option(
    "--kit",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the recovery kit.  [default: beside the profile]",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="DEVICE",
    help="Only this: let a device of yours count again that a recovery did not keep, by its id.",
)
def recovery(call: Call, kit: Path | None, keep: tuple[str, ...]) -> None:
    """Write down your recovery phrase, and write the kit that goes with it.

    With both, an empty machine can take you back. The phrase is shown until you have given some of
    its words back, and from then on kept nowhere. The kit is written anew each time.
    """
    if keep:
        _keep(call, keep)
        return
    path = kit or call.path.with_name(f"{call.path.name}.kit")
    phrase = run(_phrase(call))
    if phrase is None:
        run(_finish(call, path, {}))
        call.output.note("your phrase was confirmed before: it is nowhere but where you wrote it")
    else:
        _confirm(call, path, phrase)
    text = f"wrote the recovery kit: {path}"
    call.output.result(printable(text), {"confirmed": True, "kit": str(path)})
    call.output.next_step(
        f"copy {path} to where you have it when this device is gone; only your phrase opens it"
    )


async def _phrase(call: Call) -> list[str] | None:
    """The phrase; None once it is confirmed."""
    async with call.open() as node:
        return await _phrase_of(node)


async def _phrase_of(node: peerstack.Node) -> list[str] | None:
    try:
        return await node.recovery_phrase()
    except peerstack.NotAllowed:
        return None


async def _finish(call: Call, path: Path, words: dict[int, str]) -> None:
    """Write the kit, and only then have the phrase forgotten, if these words are its."""
    async with call.open() as node:
        await node.write_kit(path)
        if words:
            await node.confirm_recovery(words)


def _confirm(call: Call, path: Path, phrase: list[str]) -> None:
    from peerstack.identity.phrase import ASKED_WORDS

    # Which are asked is no secret: it only must not be known while writing them down.
    places = sorted(random.sample(range(1, len(phrase) + 1), ASKED_WORDS))
    call.output.result(_phrase_text(phrase), {"phrase": phrase, "asked": places})
    call.output.note("write these words down, on paper and in this order: they are you")
    if call.output.talks:
        click.pause("Press any key when it is done; the words are gone then. ", err=True)
        click.clear()
    for last in range(1, _TRIES + 1):
        words = {place: str(click.prompt(f"Word {place}", err=True)) for place in places}
        try:
            run(_finish(call, path, words))
            return
        except peerstack.InvalidPhrase as error:
            if last == _TRIES:
                raise
            call.output.note(f"{error}")


def _phrase_text(phrase: Sequence[str]) -> str:
    numbered = [f"{place:>2} {word:<9}" for place, word in enumerate(phrase, start=1)]
    rows = [numbered[at : at + _COLUMNS] for at in range(0, len(numbered), _COLUMNS)]
    return "\n".join("  ".join(row).rstrip() for row in rows)


def _keep(call: Call, devices: Sequence[str]) -> None:
    async def keep() -> None:
        async with call.open() as node:
            for device in _devices(devices):
                await node.keep_device(device)

    run(keep())
    call.output.result(f"kept {', '.join(devices)}", {"kept": list(devices)})
    call.output.next_step("`peerstack recovery --kit FILE`, so that your kit knows them too")


# --- On an empty machine. -------------------------------------------------------------------------


@click.command(cls=Command)
@click.option(
    "--kit",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your recovery kit.",
)
@click.option(
    "--phrase-file",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="Read the phrase from FILE (- is standard input) instead of asking for it.",
)
@click.option(
    "--revoke",
    multiple=True,
    metavar="DEVICE",
    help="A device to end, by its id; what it wrote so far stays.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="DEVICE",
    help="Let these devices count on and no others, by their ids.  [default: all in the kit]",
)
@click.option("--device-name", metavar="NAME", help="What this machine is called.")
@click.option(
    "--seal", is_flag=True, help="Seal your keys under a passphrase: asked for, or from the env."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask which devices to revoke.")
def recover(
    call: Call,
    kit: Path,
    phrase_file: TextIO | None,
    revoke: tuple[str, ...],
    keep: tuple[str, ...],
    device_name: str | None,
    seal: bool,
    yes: bool,
) -> None:
    """Take yourself back on an empty machine, with your recovery phrase and kit.

    You are the same user, with new keys and a new phrase. Use a phrase once: used on two machines,
    it locks you out of both for good. Cut short, the same command on this machine goes on.
    """
    phrase = phrase_file.read().split() if phrase_file else _asked_phrase()
    known = peerstack.read_kit(kit, phrase)
    chosen = _devices(revoke) if revoke or keep or yes else _asked_devices(known)
    passphrase = new_passphrase() if seal else os.environ.get("PEERSTACK_PASSPHRASE")

    async def take_back() -> _Recovered:
        async with peerstack.recover(
            call.path,
            phrase,
            kit,
            revoke=chosen,
            keep=_devices(keep) or None,
            device_name=device_name,
            passphrase=passphrase or None,
            network=False,
        ) as node:
            path = call.path.with_name(f"{call.path.name}.kit")
            await node.write_kit(path)
            return _Recovered(node.user.id, node.user.device, path, await _phrase_of(node))

    _show_recovered(call, known, chosen, run(take_back()))


class _Recovered(NamedTuple):
    user: str
    device: str
    kit: Path
    phrase: list[str] | None


def _show_recovered(
    call: Call, known: peerstack.Kit, revoked: list[DeviceId], made: _Recovered
) -> None:
    groups = [each.name for each in known.whereabouts.groups if each.id != known.user]
    document = {
        "name": known.name,
        "user": made.user,
        "device": made.device,
        "profile": str(call.path),
        "kit": str(made.kit),
        "revoked": revoked,
        "groups": groups,
        "phrase": made.phrase,
    }
    told = f"you are {known.name!r} again, with {plural(len(groups), 'group')} to find"
    call.output.result(_told(told, made.phrase), document)
    call.output.note(f"your old phrase and kit are used up: destroy them. New kit: {made.kit}")
    call.output.next_step(
        "write the new phrase down; then `peerstack recovery` asks for some of its words, and "
        "`peerstack sync` fetches your groups"
    )


def _told(text: str, phrase: list[str] | None) -> str:
    lines = [printable(text)]
    if phrase is not None:
        lines += ["your new phrase:", _phrase_text(phrase)]
    return "\n".join(lines)


def _asked_phrase() -> list[str]:
    """The words of a phrase, typed or pasted on one line or several. It shows what is typed."""
    from peerstack.identity.phrase import WORDS, is_word

    words: list[str] = []
    while len(words) < WORDS:
        prompt = f"Word {len(words) + 1} and on" if words else "Recovery phrase"
        typed = str(click.prompt(prompt, err=True)).split()
        wrong = [word for word in typed if not is_word(word)]
        if wrong:
            click.echo(
                printable(f"in no phrase: {', '.join(wrong)}; type this line again"), err=True
            )
        else:
            words += typed
    return words


def _asked_devices(kit: peerstack.Kit) -> list[DeviceId]:
    """Which of the devices that a kit knows are to be revoked."""
    devices = [each for each in kit.devices if each.end_ms is None]
    click.echo(printable(f"This kit is {kit.name!r}'s. It knows these devices:"), err=True)
    for number, device in enumerate(devices, start=1):
        click.echo(printable(f"{number:>3}  {_device_text(device)}"), err=True)
    click.echo("Revoke those that you have lost or that were stolen.", err=True)
    while True:
        typed = str(click.prompt("Numbers to revoke", default="none", err=True))
        numbers = [] if typed == "none" else typed.replace(",", " ").split()
        if all(each.isdecimal() and 1 <= int(each) <= len(devices) for each in numbers):
            return [devices[int(each) - 1].id for each in numbers]
        click.echo(f"give numbers from 1 to {len(devices)}, or `none`", err=True)


def _device_text(device: Device) -> str:
    since = datetime.fromtimestamp(device.since_ms / 1000).astimezone().strftime("%Y-%m-%d")
    return f"{device.name}, since {since}  ({device.id})"


def _devices(texts: Sequence[str]) -> list[DeviceId]:
    from peerstack.ids import DeviceId, is_ulid

    wrong = [text for text in texts if not is_ulid(text)]
    if wrong:
        raise click.UsageError(f"{wrong[0]!r} is no device's id")
    return [DeviceId(text) for text in texts]


COMMANDS = (recovery, recover)
