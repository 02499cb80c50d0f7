"""`members` and `verify`: who is in one's groups, and whether they are who they say."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

import peerstack
from peerstack.cli.call import Call, Command, chosen_group, chosen_member, run
from peerstack.cli.output import printable
from peerstack.cli.presence import device_document, meet, names_text, online_option


@click.command(cls=Command)
@click.argument("group", required=False)
@online_option
def members(call: Call, group: str | None, online: bool) -> None:
    """List the members of GROUP (by default the only shared one), with roles and devices."""

    async def ask() -> list[peerstack.Member]:
        async with call.open(network=online) as node:
            if online:
                await meet(node)
            return await (await chosen_group(node, group)).members()

    found = run(ask())
    heads = ("NAME", "ROLE", "VERIFIED", "DEVICES", "ONLINE", "USER")
    call.output.table(heads, [(_member_row(each), _member_document(each)) for each in found])
    call.output.next_step("`peerstack verify USER` compares keys with somebody, once you meet")


def _member_row(member: peerstack.Member) -> tuple[str, ...]:
    active = [device for device in member.devices if device.active]
    unknown = any(device.online is None for device in active)
    online = "?" if unknown else names_text(device for device in active if device.online)
    return (member.name, member.role, member.verified, names_text(active), online, member.user)


def _member_document(member: peerstack.Member) -> dict[str, Any]:
    return {
        "user": member.user,
        "name": member.name,
        "role": member.role,
        "verified": member.verified,
        "devices": [device_document(device) for device in member.devices],
    }


class _Pair(NamedTuple):
    """The two who compare."""

    name: str
    mine: peerstack.Fingerprint
    other: peerstack.Member


@click.command(cls=Command)
@click.argument("user")
@click.option("-y", "--yes", is_flag=True, help="Do not ask: you have compared them.")
@click.option("--undo", is_flag=True, help="Take the mark back.")
def verify(call: Call, user: str, yes: bool, undo: bool) -> None:
    """Compare keys with USER (an id or a name), in person or by a call, and mark them compared."""
    pair = run(_pair(call, user))
    if not (undo or yes):
        _ask(pair)
    verified = run(_mark(call, pair, undo=undo))
    other = pair.other
    document = {
        "user": other.user,
        "name": other.name,
        "verified": verified,
        "words": other.fingerprint.words,
        "digits": other.fingerprint.digits,
        "own_words": pair.mine.words,
        "own_digits": pair.mine.digits,
    }
    text = "taken back" if undo else "verified"
    call.output.result(printable(f"{other.name}  {other.user}  {text}"), document)
    call.output.next_step("`peerstack members` shows who is verified, and whose keys changed")


async def _pair(call: Call, user: str) -> _Pair:
    async with call.open() as node:
        other = await chosen_member(await node.groups(), user)
        if other.user == node.user.id:
            raise peerstack.InvalidValue("that is yourself; name the person that you compare with")
        return _Pair(node.user.name, await node.fingerprint(), other)


def _ask(pair: _Pair) -> None:
    for name, fingerprint in (
        (f"{pair.name} (you)", pair.mine),
        (pair.other.name, pair.other.fingerprint),
    ):
        click.echo(printable(name), err=True)
        click.echo(f"  {fingerprint.words}\n  {fingerprint.digits}", err=True)
    click.echo(
        "Compare with what their own device shows for both of you: the words, or the digits.",
        err=True,
    )
    if not click.confirm("Is all of it the same?", err=True):
        raise peerstack.LocalError(
            "not marked. If it differs, somebody may be standing between you, or using their name: "
            "share nothing more with them before you know"
        )


async def _mark(call: Call, pair: _Pair, *, undo: bool) -> str:
    async with call.open() as node:
        if undo:
            await node.unverify(pair.other.user)
            return "no"
        await node.verify(pair.other.user, pair.other.fingerprint)
        return "yes"


COMMANDS = (members, verify)
