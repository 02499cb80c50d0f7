"""What a seal of somebody's end keeps of their statements: those that had effect before it."""

from __future__ import annotations

from peerstack.groups.membership import GroupState
from peerstack.groups.statements import Admit, Close, GrantForm, GroupForm, Invite, Seal, named
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed


def with_effect(state: GroupState, user: UserId, device: DeviceId | None = None) -> set[Hash]:
    """The statements of a user (or one device of theirs) that have effect in the group.

    To be asked of the state before the end was known: what comes with the end, or later, may be
    dated back.
    """
    return {
        signed.hash
        for signed, form in state.forms.values()
        if signed.signer == user and device in (None, signed.device)
        if _has_effect(state, signed, form)
    }


def _has_effect(state: GroupState, signed: Signed, form: GroupForm | None) -> bool:
    spared = state.spares(signed)
    if not isinstance(form, Invite | Admit | GrantForm | Close | Seal):
        return spared
    under = named(form.under)
    mine = state.standing_of(state.log.grants[under].user)
    return any(each.gives(signed, spared=spared) for each in mine if each.grant.hash == under)
