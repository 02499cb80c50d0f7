"""`put`, `get`, `ls`, `rm`, `watch`, `reached`: records, on this device alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import click

import peerstack
from peerstack.cli.call import (
    Call,
    Command,
    chosen_group,
    group_label,
    group_option,
    makes_profile,
    run,
)
from peerstack.cli.output import (
    plural,
    printable,
    record_document,
    record_line,
    record_page,
    value_text,
)
from peerstack.cli.presence import device_document
from peerstack.cli.values import parse_fields, parse_value

_PAGE: Final = 500
_RESERVED: Final = "$"
_HAS: Final = "yes"


@click.command(cls=Command, options_metavar="[OPTIONS]")
@click.argument("type")
@click.argument("fields", nargs=-1, required=True, metavar="JSON | FIELD=TEXT FIELD:=JSON ...")
@click.option("--id", "record_id", metavar="ID", help="Edit this record: replace these fields.")
@click.option(
    "--over",
    metavar="HASH",
    help="With --id: replace the whole of the version that you looked at (see `get`); where that "
    "is not live any more, a conflict shows.",
)
@group_option
def put(
    call: Call,
    type: str,
    fields: tuple[str, ...],
    record_id: str | None,
    over: str | None,
    group: str | None,
) -> None:
    """Store a record of TYPE, such as `put note title=Milk done:=false`, or edit one."""
    value = parse_value(fields)
    if over and not record_id:
        raise click.UsageError("--over needs --id: the record that it is a version of")

    async def write() -> tuple[peerstack.Record, str]:
        async with call.open(create=makes_profile(group)) as node:
            into = await chosen_group(node, group)
            return await _write(into, type, value, record_id, over), group_label(into)

    record, where = run(write())
    call.output.result(record_line(record), record_document(record))
    call.output.next_step(f"it is in {where!r}; `peerstack ls`, or `peerstack sync` to share it")


async def _write(
    group: peerstack.Group,
    type_name: str,
    value: dict[str, Any],
    record_id: str | None,
    over: str | None,
) -> peerstack.Record:
    if record_id is None:
        return await group.put(type_name, value)
    versions = [each for each in await group.history(record_id) if each.type == type_name]
    if not versions:
        raise peerstack.NotFound(
            f"no {type_name} {record_id} in group {group_label(group)}; `peerstack ls` shows all"
        )
    if over is None:
        return await group.update(record_id, value)
    looked_at = [each for each in versions if each.hash.hex().startswith(over.lower())]
    if len(looked_at) != 1:
        raise peerstack.NotFound(
            f"{len(looked_at)} kept versions of {record_id} have a hash that begins with {over!r}; "
            "`peerstack get --history` shows them"
        )
    return await group.put(type_name, value, over=looked_at[0])


@click.command(cls=Command)
@click.argument("id")
@click.option(
    "--history", is_flag=True, help="Show all versions that are kept, the live one first."
)
@group_option
def get(call: Call, id: str, history: bool, group: str | None) -> None:
    """Show the record with this ID."""

    async def ask() -> list[peerstack.Record]:
        async with call.open() as node:
            inside = await chosen_group(node, group)
            if history:
                versions = await inside.history(id)
            else:
                live = await inside.get(id)
                versions = [live] if live else []
            if not versions:
                raise peerstack.NotFound(
                    f"no record {id} in group {group_label(inside)}; `peerstack ls` lists those "
                    "that are"
                )
            return versions

    for version in run(ask()):
        call.output.result(record_page(version), record_document(version))
    call.output.next_step(f"`peerstack put TYPE FIELD=TEXT --id {id}` edits it")


@click.command(cls=Command)
@click.argument("type", required=False)
@click.option(
    "--where",
    multiple=True,
    metavar="FIELD=TEXT",
    help="Only records with this field; FIELD:=JSON for what is no text. May be repeated.",
)
@click.option(
    "--order-by",
    default="modified",
    show_default=True,
    metavar="FIELD",
    help="modified, id or a field; with - before it, descending.",
)
@click.option("--limit", type=click.IntRange(min=1), help="How many at most.  [default: all]")
@group_option
def ls(
    call: Call,
    type: str | None,
    where: tuple[str, ...],
    order_by: str,
    limit: int | None,
    group: str | None,
) -> None:
    """List records, of one TYPE or of all, type by type."""
    wanted = parse_fields(where)

    async def show() -> tuple[int, str]:
        shown = 0
        async with call.open() as node:
            inside = await chosen_group(node, group)
            for each in [type] if type else await inside.types():
                async for record in find_all(inside, each, wanted, order_by):
                    if shown == limit:
                        return shown, group_label(inside)
                    call.output.result(record_line(record), record_document(record))
                    shown += 1
            return shown, group_label(inside)

    count, where_from = run(show())
    call.output.note(f"{plural(count, 'record')} of group {where_from!r}")
    call.output.next_step("`peerstack get ID` shows one" if count else "`peerstack put` makes one")


async def find_all(
    group: peerstack.Group, type_name: str, where: dict[str, Any], order_by: str
) -> AsyncIterator[peerstack.Record]:
    """All records of a type that match, read page by page."""
    last: peerstack.Record | None = None
    while True:
        page = await group.find(type_name, where, order_by=order_by, limit=_PAGE, after=last)
        for record in page:
            yield record
        if len(page) < _PAGE:
            return
        last = page[-1]


@click.command(cls=Command)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@group_option
def rm(call: Call, ids: tuple[str, ...], group: str | None) -> None:
    """Delete records, on all devices of the group."""

    async def delete() -> None:
        async with call.open() as node:
            inside = await chosen_group(node, group)
            for id in ids:
                await inside.delete(id)
                call.output.result(f"deleted {id}", {"id": id, "group": inside.id, "deleted": True})

    run(delete())
    call.output.next_step("`peerstack sync` deletes it on the other devices too")


@click.command(cls=Command)
@click.argument("type", required=False)
@click.option(
    "--since",
    type=click.IntRange(min=0),
    metavar="SEQ",
    help="Begin behind this change (`seq` of --json; 0 for all).  [default: from now on]",
)
@group_option
def watch(call: Call, type: str | None, since: int | None, group: str | None) -> None:
    """Print changes of a group as they happen, conflicts marked, until interrupted.

    What others write comes in while `peerstack sync --stay` runs beside it.
    """

    async def follow() -> None:
        async with call.open() as node:
            inside = await chosen_group(node, group)
            changes = inside.changes(since)
            call.output.note(f"watching {group_label(inside)!r}; Ctrl-C ends it")
            async for change in changes:
                if _is_shown(change, type):
                    _show_change(call, change)

    run(follow())


def _is_shown(change: peerstack.Change, type_name: str | None) -> bool:
    changed = change.record.type
    return changed == type_name if type_name else not changed.startswith(_RESERVED)


def _show_change(call: Call, change: peerstack.Change) -> None:
    previous = change.previous
    by = "here" if change.origin == "local" else f"from device {change.origin}"
    text = f"{record_line(change.record)}  [{printable(by)}]"
    if change.conflict:
        lost = value_text(previous) if previous else "a version that is not kept"
        text = f"{text}\n  CONFLICT: written unseen by each other; lost to it, kept: {lost}"
    if change.withdrawn:
        text = f"{text}\n  WITHDRAWN: its author had no right to it"
    document = {
        "seq": change.seq,
        "origin": change.origin,
        "conflict": change.conflict,
        "withdrawn": change.withdrawn,
        "record": record_document(change.record),
        "previous": record_document(previous) if previous else None,
    }
    call.output.result(text, document)


@click.command(cls=Command)
@click.argument("id")
@group_option
def reached(call: Call, id: str, group: str | None) -> None:
    """Show which devices of the group's members have the record with this ID."""

    async def ask() -> peerstack.Reached:
        async with call.open() as node:
            return await (await chosen_group(node, group)).reached(id)

    found = run(ask())
    rows = [_reached_row(each, _HAS) for each in found.has]
    rows += [_reached_row(each, "not known") for each in found.lacks]
    call.output.table(("NAME", "DEVICE", "HAS IT", "USER"), rows)
    call.output.next_step("`peerstack sync --stay` brings it to them, and hears that it came")


def _reached_row(each: peerstack.MemberDevice, has: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    document = {
        "user": each.user,
        "name": each.name,
        "has": has == _HAS,
        "device": device_document(each.device),
    }
    return (each.name, each.device.name, has, each.user), document


COMMANDS = (put, get, ls, rm, watch, reached)
