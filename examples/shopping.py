"""A shopping list that a family shares, on the command line."""

from contextlib import AbstractContextManager
from pathlib import Path

import click

import peerstack


def opened(*, network: bool = False) -> AbstractContextManager[peerstack.SyncNode]:
    """The profile in this folder, made the first time; its user is called like the folder."""
    return peerstack.open_sync(
        "shopping.db",
        name=Path.cwd().name.capitalize(),
        network=network,
        indexes={"item": ["bought", "text"]},
    )


def the_list(node: peerstack.SyncNode) -> peerstack.SyncGroup:
    """What is shared with the family; before there is one, what is kept for oneself."""
    return next(iter(node.groups()), node.personal)


def show(node: peerstack.SyncNode) -> None:
    """Print what is still to be bought."""
    for item in the_list(node).find("item", where={"bought": False}, order_by="text"):
        click.echo(f"- {item.value['text']}")


@click.group(invoke_without_command=True)
@click.pass_context
def app(context: click.Context) -> None:
    """A shopping list that a family shares. Without a command, it is shown."""
    if context.invoked_subcommand is None:
        with opened() as node:
            show(node)


@app.command()
@click.argument("texts", nargs=-1)
def add(texts: tuple[str, ...]) -> None:
    """Put something on the list."""
    with opened() as node:
        the_list(node).put_many("item", [{"text": text, "bought": False} for text in texts])
        show(node)


def found(node: peerstack.SyncNode, text: str) -> peerstack.Record:
    """The item of that name."""
    for item in the_list(node).find("item", where={"text": text}, limit=1):
        return item
    raise click.ClickException(f"{text} is not on the list")


@app.command()
@click.argument("text")
def buy(text: str) -> None:
    """Tick something off."""
    with opened() as node:
        the_list(node).update(found(node, text).id, {"bought": True})
        show(node)


@app.command()
@click.argument("old")
@click.argument("new")
def change(old: str, new: str) -> None:
    """Call something by another name."""
    with opened() as node:
        the_list(node).update(found(node, old).id, {"text": new})
        show(node)


@app.command()
@click.argument("name")
@click.argument("server")
def share(name: str, server: str) -> None:
    """Make a family that meets by a server, and take the list along."""
    with opened() as node:
        node.add_server(server)
        own = node.personal.find("item")
        family = node.create_group(name)
        family.put_many("item", [item.value for item in own])
        for item in own:
            node.personal.delete(item.id)


@app.command()
def invite() -> None:
    """Make a link that lets one person in."""
    with opened() as node:
        click.echo(the_list(node).invite(role="writer", uses=1))


def told(node: peerstack.SyncNode, change: peerstack.Change) -> None:
    """Print a change, if it is somebody else's."""
    item = change.record
    if item.signer == node.user.id:
        return
    names = {member.user: member.name for member in the_list(node).members()}
    sign = "✓" if item.value["bought"] else "-"
    click.echo(f"{sign} {item.value['text']}  ({names[item.signer]})")
    if change.conflict and change.previous is not None:
        before = change.previous.value["text"]
        click.echo(f"  instead of {before}, which {names[item.signer]} had not seen")


@app.command()
def watch() -> None:
    """Stay connected with the others, and show what they do, until Ctrl-C."""
    with opened(network=True) as node:
        changes = the_list(node).changes()
        show(node)
        try:
            for change in changes:
                told(node, change)
        except KeyboardInterrupt:
            pass


@app.command()
@click.argument("link")
def join(link: str) -> None:
    """Join the family that a link leads to."""
    with opened(network=True) as node:
        offer = node.preview(link)
        click.echo(f"{offer.inviter_name} invites you to {offer.group_name}.")
        family = node.join(link)
        family.wait_synced()
        show(node)


@app.command()
@click.argument("text")
def settle(text: str) -> None:
    """Choose by its text which of two versions is to stay, the live one or the one that lost."""
    with opened() as node:
        items = the_list(node)
        for lost in items.conflicts():
            live = items.get(lost.id)
            for version in filter(None, (live, lost)):
                if version.value["text"] == text:
                    seen = [each for each in (live, lost) if each is not None]
                    items.put("item", version.value, over=seen)
        show(node)


if __name__ == "__main__":
    app()
