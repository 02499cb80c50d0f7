"""`role`, `remove`, `leave`, `invites`, `quarantine`: who may do what, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import click

import peerstack
from peerstack.cli.call import (
    Call,
    Command,
    chosen_group,
    chosen_member,
    group_label,
    group_option,
    run,
)
from peerstack.cli.output import plural, printable, record_line

_SHOWN: Final = 1_000
_ID_CHARS: Final = 26


@click.command(cls=Command)
@click.argument("user")
@click.argument("role", type=click.Choice(["reader", "writer", "admin"]))
@group_option
def role(call: Call, user: str, role: Any, group: str | None) -> None:
    """Give USER (an id or a name) another ROLE in a group, also after they were removed."""

    async def give() -> tuple[str, str, str]:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            chosen = await _user_of(shared, user)
            await shared.set_role(chosen, role)
            return chosen, _named(chosen, await shared.members()), group_label(shared)

    chosen, who, name = run(give())
    document = {"user": chosen, "role": role, "group": name}
    call.output.result(printable(f"{who}  {role} in {name!r}"), document)
    call.output.next_step("`peerstack sync` tells the others; `peerstack members` shows everyone")


@click.command(cls=Command)
@click.argument("user")
@group_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(call: Call, user: str, group: str | None, yes: bool) -> None:
    """Remove USER (an id or a name) from a group: nothing more of it reaches them."""

    async def out() -> tuple[peerstack.Member, str]:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            member = await chosen_member([shared], user)
            if not yes:
                _confirm(f"Remove {member.name!r} ({member.user}) from {group_label(shared)!r}?")
            await shared.remove(member.user)
            return member, group_label(shared)

    removed, name = run(out())
    text = f"removed {_named(removed.user, [removed])} from {name!r}"
    call.output.result(printable(text), {"user": removed.user, "group": name})
    call.output.note("what they have on their devices stays there")
    call.output.next_step("`peerstack sync` tells the others, and the group meets elsewhere now")


@click.command(cls=Command)
@click.argument("group", required=False)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def leave(call: Call, group: str | None, yes: bool) -> None:
    """Leave GROUP (by default the only shared one). What is here of it stays on this device."""

    async def out() -> tuple[str, str]:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            if not yes:
                _confirm(f"Leave {group_label(shared)!r}?")
            await shared.leave()
            return shared.id, group_label(shared)

    left, name = run(out())
    call.output.result(printable(f"left {name!r}"), {"group": left, "name": name})
    call.output.next_step("`peerstack sync` tells the others")


@click.command(cls=Command)
@group_option
@click.option("--end", metavar="INVITE", help="End an invite, by its id or the beginning of it.")
def invites(call: Call, group: str | None, end: str | None) -> None:
    """List a group's invites, or end one."""

    async def ask() -> tuple[list[peerstack.InviteInfo], list[peerstack.Member]]:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            if end is not None:
                await shared.end_invite(_chosen_invite(await shared.invites(), end))
            return await shared.invites(), await shared.members()

    found, members = run(ask())
    for each in found:
        text = _invite_text(each, _named(each.made_by, members))
        call.output.result(printable(text), _invite_document(each))
    call.output.next_step("`peerstack invites --end ID` ends one; `peerstack invite` makes one")


@click.command(cls=Command)
@group_option
@click.option("--readmit", metavar="ID", multiple=True, help="Let a record back in (admins).")
@click.option("--readmit-all", is_flag=True, help="Let all of them back in (admins).")
def quarantine(call: Call, group: str | None, readmit: tuple[str, ...], readmit_all: bool) -> None:
    """List versions that are kept apart, since their authors had no right to them."""

    async def ask() -> _Quarantine:
        async with call.open() as node:
            shared = await chosen_group(node, group)
            found = await shared.quarantine(limit=_SHOWN)
            back = [each for each in found if readmit_all or each.record.id in readmit]
            _check_all_found(readmit, back)
            if back:
                await shared.readmit(back)
            left = [each for each in found if each not in back]
            return _Quarantine(left, len(back), await shared.members())

    left, back, members = run(ask())
    for each in left:
        text = _quarantined_text(each, _named(each.record.signer, members))
        call.output.result(printable(text), _quarantined_document(each))
    if back:
        call.output.note(f"{plural(back, 'version')} let back in")
    if left:
        said = "`peerstack quarantine --readmit ID`, by an admin, lets a record back in, everywhere"
        call.output.next_step(said)
    else:
        call.output.note("nothing is kept apart on this device")


class _Quarantine(NamedTuple):
    left: list[peerstack.QuarantinedRecord]
    back: int
    """How many versions were let back in."""
    members: list[peerstack.Member]


def _named(user: str, members: list[peerstack.Member]) -> str:
    """Somebody by name and id; by id alone where they are no member, since that is all there is."""
    return " ".join([*(each.name for each in members if each.user == user), user])


def _confirm(question: str) -> None:
    click.confirm(printable(question), abort=True, err=True)


async def _user_of(shared: peerstack.Group, user: str) -> str:
    """The id of somebody in a group, or of who was in it: those have an id but no name here."""
    members = {member.user for member in await shared.members()}
    looks_like_id = len(user) == _ID_CHARS and user not in members
    return user if looks_like_id else (await chosen_member([shared], user)).user


def _chosen_invite(found: list[peerstack.InviteInfo], text: str) -> str:
    matching = [each.id for each in found if each.id.startswith(text.lower())]
    if len(matching) == 1:
        return matching[0]
    raise peerstack.NotFound(
        f"{plural(len(matching), 'invite')} with an id that begins with {text!r}; "
        "`peerstack invites` lists them"
    )


def _check_all_found(wanted: tuple[str, ...], found: list[peerstack.QuarantinedRecord]) -> None:
    missing = set(wanted) - {each.record.id for each in found}
    if missing:
        raise peerstack.NotFound(f"not in quarantine: {', '.join(sorted(missing))}")


def _invite_text(each: peerstack.InviteInfo, by: str) -> str:
    uses = f"{each.used} of {each.uses}" if each.uses else str(each.used)
    until = f"until {_time(each.expires_ms)}" if each.expires_ms is not None else "for ever"
    state = each.ended or f"open {until}"
    return f"{each.id[:12]}  {each.role}  {state}; used {uses}; by {by}"


def _invite_document(each: peerstack.InviteInfo) -> dict[str, Any]:
    return {
        "id": each.id,
        "role": each.role,
        "made_by": each.made_by,
        "made_ms": each.made_ms,
        "expires_ms": each.expires_ms,
        "uses": each.uses,
        "used": each.used,
        "ended": each.ended,
    }


def _quarantined_text(each: peerstack.QuarantinedRecord, by: str) -> str:
    return f"{record_line(each.record)}; by {by}"


def _quarantined_document(each: peerstack.QuarantinedRecord) -> dict[str, Any]:
    record = each.record
    return {
        "id": record.id,
        "type": record.type,
        "value": record.value,
        "signer": record.signer,
        "device": record.device,
        "modified": record.modified,
        "why": each.why,
        "since": each.since,
    }


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


COMMANDS = (role, remove, leave, invites, quarantine)
