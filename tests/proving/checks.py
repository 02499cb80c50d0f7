"""What must hold of lives: whoever knows the same judges the same, and in the end all who belong
together have the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from peerstack import limits
from peerstack.engine import marks
from peerstack.engine.kept_secrets import secret_of
from peerstack.groups.membership import Membership
from peerstack.groups.rules import ADMITTED, judge_record
from peerstack.groups.statements import Role
from peerstack.ids import GroupId, UserId
from peerstack.keys import Secret
from peerstack.record import Signed
from peerstack.testing.device import Device
from peerstack.testing.invariants import Broken, records_in, statements_in
from peerstack.testing.world import World
from tests.proving.lives import Before, Lives, statements_at, versions_at, withdrawn_at
from tests.simulation.people import live

TIMES_OVER = 2
"""What several peers have comes from one; of one that is slow, or ends, it may come again."""

TOLD_OVER = limits.PEERS_PER_GROUP
"""Each peer shows who comes what says that it is, or is not, a member."""

SLACK_BYTES = 10_000
"""What may be sent to who has it already: what is news there is not known to all at once."""

TALK_BYTES = 8_000
"""Of one side of a link: handshake, who one is, comparisons."""

LEVEL_BYTES = 60
"""Of what one device shows another once a mark has come: that they are level again."""

_ALL = 1_000_000


def check_agreement(lives: Lives) -> None:
    """Honest devices with the same statements agree on all roles and every record's verdict."""
    for group, pool in versions_by_group(lives).items():
        told = [(statements(each, group), each) for each in lives.devices if each.honest]
        for (one_has, one), (other_has, other) in combinations(told, 2):
            if one_has != other_has:
                continue
            if one.members(group) != other.members(group):
                raise Broken(f"{one} and {other} know the same, and differ in members of {group}")
            if verdicts(one, group, pool) != verdicts(other, group, pool):
                raise Broken(f"{one} and {other} know the same, and judge otherwise in {group}")


def check_level(lives: Lives) -> None:
    """The devices of members have the same statements and records, and say so."""
    for group in lives.groups:
        inside = [device for device in lives.devices if is_inside(device, group)]
        for device in removed_in(lives, group):
            if who := who_takes_for_member(device, inside, group):
                raise Broken(f"{device} was removed from {group}, and {who} does not know")
        for one, other in combinations(inside, 2):
            if statements(one, group) != statements(other, group):
                raise Broken(f"{one} and {other} have other statements of {group}")
            if live(one, group) != live(other, group):
                raise Broken(f"{one} and {other} have other records of {group}")
        for device in inside if len(inside) > 1 else ():
            if not device.is_level(group):
                why = device.engine.levels.why_not(group)
                raise Broken(f"{device} does not know that {group} is level: {why}")


def check_secrets(lives: Lives) -> None:
    """Whoever was removed does not know by which secret the members meet.

    Where nobody is left who may change it, they do, until whoever removed them is back.
    """
    for group in lives.groups:
        inside = [device for device in lives.devices if is_inside(device, group)]
        if not any(device.role(group) is Role.ADMIN for device in inside):
            continue
        present = {secret for device in inside if (secret := present_secret(device, group))}
        for device in inside:
            for other in lives.devices:
                removed = standing(device, group, other.user.id) is Membership.REMOVED
                if removed and present_secret(other, group) in present:
                    raise Broken(f"{other} was removed, and knows where {group} meets")


def standing(device: Device, group: GroupId, user: UserId) -> Membership:
    """How a user stands to a group, as a device has it."""
    return device.perform(lambda turn: turn.state(group)).membership(user)


def present_secret(device: Device, group: GroupId) -> Secret | None:
    """The secret that is live on a device."""
    return device.perform(lambda turn: secret_of(turn, group))


def is_inside(device: Device, group: GroupId) -> bool:
    """Whether a device is honest, and its user's, and its user a member, as far as it knows."""
    if not device.honest or device.perform(lambda turn: turn.is_revoked):
        return False
    return device.role(group) is not None


def removed_in(lives: Lives, group: GroupId) -> list[Device]:
    """The devices that know that they were removed, where all are honest.

    Who left may have told it to somebody alone who was removed, or who lies, and think it known.
    """
    if not all(device.honest for device in lives.devices):
        return []
    out = [each for each in lives.devices if each.membership(group) is Membership.REMOVED]
    return [each for each in out if not each.perform(lambda turn: turn.is_revoked)]


def who_takes_for_member(device: Device, inside: Iterable[Device], group: GroupId) -> Device | None:
    """One of those inside who takes a device for a member's."""
    user = device.user
    for each in inside:
        state = each.perform(lambda turn: turn.state(group))
        if state.role(user.id) is not None and state.is_active(user.id, user.device):
            return each
    return None


def statements(device: Device, group: GroupId) -> Sequence[bytes]:
    """The hashes of all admitted statements."""
    return device.read(lambda kept: kept.statement_hashes(group))


def check_claims(lives: Lives) -> None:
    """No device claims to have what it lacks: in a group of honest devices, none is deceived."""
    if not all(device.honest for device in lives.devices):
        return
    for group, pool in versions_by_group(lives).items():
        for device in lives.devices:
            known = known_at(device, group)
            for author in lives.devices:
                claimed = known.get(author.user.device, marks.NOTHING)
                if claimed.epoch == own_position(author, group).epoch:
                    theirs = [each for each in pool if each.device == author.user.device]
                    check_has(device, group, [it for it in theirs if it.modified <= claimed.stamp])


def known_at(device: Device, group: GroupId) -> marks.Reached:
    """Up to where a device has what others wrote, as it knows itself."""
    return device.perform(lambda turn: marks.known(turn, group))


def own_position(device: Device, group: GroupId) -> marks.Position:
    """How far a device has written into a group, as it counts itself."""
    return device.perform(lambda turn: marks.own_position(turn, group))


def check_has(device: Device, group: GroupId, versions: Sequence[Signed]) -> None:
    """A device has these versions of one group, later ones in their place, or no use for them."""
    state, records = device.perform(lambda turn: turn.state(group)), device.records(group)
    for signed in versions:
        live = records.get(signed.id)
        if signed.is_reserved or (live and (live.modified, live.hash) >= signed.order):
            continue
        if judge_record(state, signed, device.now().wall_ms) == ADMITTED:
            raise Broken(f"{device} claims to have {signed}, and has {live}")


def check_reached(lives: Lives) -> None:
    """At rest, all know of each other that they have what is there."""
    for group in lives.groups:
        inside = [device for device in lives.devices if is_inside(device, group)]
        everybody = {device.user.device for device in inside}
        authors = {device.user.device: own_position(device, group) for device in inside}
        for device in inside if len(inside) > 1 else ():
            for note in device.find(group, "note"):
                author = authors.get(note.device)
                if author is None or (author.epoch and note.modified > author.stamp):
                    continue  # Who is gone tells nobody how far they had come.
                lacking = everybody - device.reached(group, note.id)
                if lacking:
                    raise Broken(f"{device} does not know that {lacking} have {note}")


def versions_by_group(lives: Lives) -> dict[GroupId, list[Signed]]:
    """Every version that anybody has or said, of whatever worth, by the group that it names."""
    found: dict[GroupId, dict[bytes, Signed]] = {group: {} for group in lives.groups}
    for signed in (*_said(lives.world), *_kept(lives)):
        if signed.group in found:
            found[signed.group][signed.hash] = signed
    return {group: [by[key] for key in sorted(by)] for group, by in found.items()}


def _said(world: World) -> Iterator[Signed]:
    for sent in world.sent:
        yield from records_in(sent.data)


def _kept(lives: Lives) -> Iterator[Signed]:
    for device in lives.devices:
        for group in lives.groups:
            with device.store.snapshot() as snapshot:
                yield from snapshot.read_slice(group, b"", None, _ALL)


def verdicts(device: Device, group: GroupId, pool: Sequence[Signed]) -> list[object]:
    """Everybody's role at every time that matters, and what becomes of each version, and why."""
    state = device.perform(lambda turn: turn.state(group))
    times = sorted({signed.modified for signed in pool})
    latest_ms = max(times, default=0)
    roles: list[object] = [
        state.role_at(user, time_ms) for user in sorted(state.identities) for time_ms in times
    ]
    return roles + [judge_record(state, signed, latest_ms) for signed in pool]


def check_cost(lives: Lives, before: Before) -> None:
    """Bringing all level took what had to be brought, a few times at most, and some talk.

    Records that a device had already may come along, where a leaf is sent unseen: they are not
    counted. Statements that it had, or has no use for, are talk: they say who the sender is.
    """
    honest = {device.name for device in lives.devices if device.honest}
    sent = [each for each in lives.world.sent[before.sent :] if each.sender in honest]
    records = [(each.receiver, signed) for each in sent for signed in records_in(each.data)]
    news = [it for to, it in records if it.hash not in before.versions.get(to, {})]
    lacked = sum(sum(_brought(each, before).values()) for each in lives.devices)
    if _total(news) > TIMES_OVER * lacked + SLACK_BYTES:
        raise Broken(f"{_total(news)} bytes of records were sent to bring {lacked}")
    gained = {
        each.name: _gained(statements_at(each), before.statements[each.name])
        for each in lives.devices
    }
    told = [
        signed
        for each in sent
        for signed in statements_in(each.data)
        if signed.hash in gained[each.receiver]
    ]
    missed = sum(sum(each.values()) for each in gained.values())
    if _total(told) > TOLD_OVER * missed + SLACK_BYTES:
        raise Broken(f"{_total(told)} bytes of statements were sent to bring {missed}")
    talk = sum(len(each.data) for each in sent)
    links = sum(each.kind == "Hello" for each in sent)
    carried = _total(told) + _total(it for _, it in records)
    marks_told = {it.hash for _, it in records if it.is_mark}
    shown = len(marks_told) * len(honest) ** 2 * LEVEL_BYTES
    if talk > carried + (links + 1) * TALK_BYTES + shown:
        raise Broken(f"{talk} bytes on {links // 2} links, to bring {carried}")


def _brought(device: Device, before: Before) -> dict[bytes, int]:
    """What a device has and had not, or had for a while, until a seal came that left it out."""
    withdrawn = withdrawn_at(device, before.logged[device.name])
    return _gained({**withdrawn, **versions_at(device)}, before.versions[device.name])


def _gained(after: dict[bytes, int], before: dict[bytes, int]) -> dict[bytes, int]:
    return {key: size for key, size in after.items() if key not in before}


def _total(items: Iterable[Signed]) -> int:
    return sum(len(each.body) + len(each.signature) for each in items)
