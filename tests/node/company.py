"""People whom a node has met, without a network: their statements are added as if they had come."""

from __future__ import annotations

from peerstack import Node
from peerstack.engine import Turn
from peerstack.groups.statements import GROUP_TYPE
from peerstack.identity import ROTATE_TYPE, Rotation, next_key_hash
from peerstack.ids import GroupId
from peerstack.keys import Signer
from tests.people import Person, signer


async def let_in(node: Node, group: GroupId, host: Person, newcomer: Person) -> None:
    """Make somebody a writer of a group that `host`, whose node this is, has founded."""

    def add(turn: Turn) -> None:
        (founding,) = (each for each in turn.statements(group) if each.type == GROUP_TYPE)
        invite = host.invites(founding, founding.modified + 1)
        join = newcomer.joins(invite, founding.modified + 2)
        admit = host.admits(founding, join, founding.modified + 3)
        turn.tx.add_statements([*newcomer.user.statements, invite, join, admit])
        turn.statements_changed(group)

    await node.perform(add)


async def rotate(node: Node, group: GroupId, user: Person) -> None:
    """Let a member take up their next root key, and keep all their devices."""
    assert user.user.recovery is not None
    key = Signer(user.user.recovery)
    inception, certificate = user.user.statements
    form = Rotation(
        inception.hash.hex(),
        key.public.hex(),
        next_key_hash(signer("the key after").public).hex(),
        [certificate.hash.hex()],
    )
    rotation = user.states_as_root(ROTATE_TYPE, certificate.modified + 1, form, root=key)

    def add(turn: Turn) -> None:
        turn.tx.add_statements([rotation])
        turn.statements_changed(group)

    await node.perform(add)
