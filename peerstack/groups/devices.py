"""Where the revoked devices of a group's members end, and what each of them signed that stays.

Devices depend on devices of the same user alone, never on who holds which right in the group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from peerstack.groups.log import StatementLog
from peerstack.groups.seals import End, Part, end_at, read_seals
from peerstack.identity import Device
from peerstack.ids import DeviceId, UserId
from peerstack.keys import Hash
from peerstack.record import Signed


class Devices:
    """The devices that count, and the ends of those that were revoked."""

    def __init__(self, log: StatementLog, parts: Mapping[Hash, Sequence[Part]]) -> None:
        """`parts`: those of every seal, by the end that it is for."""
        self._identities: Final = log.identities
        self._parts: Final = parts
        self.ends: Final[dict[tuple[UserId, DeviceId], End]] = {}
        ended = [
            (device.end_ms, device)
            for identity in log.identities.values()
            for device in identity.devices.values()
            if device.end_ms is not None
        ]
        # The latest first: a device is sealed by those that end later, if at all.
        for end_ms, device in sorted(ended, key=lambda each: each[0], reverse=True):
            self.ends[device.user, device.id] = self._end_of(device, end_ms)

    def spares(self, signed: Signed) -> bool:
        """Whether the device that signed something counts, and what it signed stays."""
        if self._device(signed) is None:
            return False
        end = self.ends.get((signed.signer, signed.device))
        return end is None or end.spares(signed)

    def _device(self, signed: Signed) -> Device | None:
        identity = self._identities.get(signed.signer)
        return identity.devices.get(signed.device) if identity else None

    def _end_of(self, device: Device, end_ms: int) -> End:
        seals = read_seals(
            (signed, seal)
            for revoke in device.ends
            for signed, seal in self._parts.get(revoke, ())
            if self._may_seal(signed, device, end_ms)
        )
        revocations = self._identities[device.user].revocations
        times = {each: revocations[each].at_ms for each in device.ends}
        return end_at(times, seals.named, [each for each in device.ends if seals.cover(each)])

    def _may_seal(self, signed: Signed, ended: Device, end_ms: int) -> bool:
        sealing = self._device(signed)
        if sealing is None or sealing.user != ended.user:
            return False
        # A seal is later than the end. So what seals before its own end, ends later, and is known.
        in_time = sealing.end_ms is None or end_ms < signed.modified < sealing.end_ms
        return in_time and self.spares(signed)
