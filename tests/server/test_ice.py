"""`ice`: STUN and TURN servers with credentials that coturn accepts."""

from __future__ import annotations

import base64
import hashlib
import hmac

from peerstack_server.ice import IceSettings, ice_servers, turn_credential


def test_the_credential_is_what_coturn_computes() -> None:
    # openssl: printf '1700003600:u' | openssl dgst -binary -sha1 -hmac north | base64
    assert turn_credential("north", "1700003600:u") == "OoeX6QfXzj1he1Ib8Wqw2llv48c="


def test_credentials_end_after_their_lifetime_and_verify() -> None:
    settings = IceSettings(turn_urls=("turn:t.example:3478",), turn_secret="north", lifetime_s=60)

    (turn,) = ice_servers(settings, "address", unix_s=1_000).servers

    assert turn.username.startswith("1060:")
    mac = hmac.new(b"north", turn.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(turn.credential) == mac


def test_a_connection_is_one_user_to_turn_and_its_address_is_not_told() -> None:
    settings = IceSettings(turn_urls=("turn:t.example:3478",), turn_secret="north")

    def user(address: str, unix_s: int) -> str:
        return ice_servers(settings, address, unix_s).servers[0].username.split(":")[1]

    assert user("ana", 1_000) == user("ana", 9_000) != user("ben", 1_000)
    assert "ana" not in user("ana", 1_000)


def test_stun_needs_no_credentials() -> None:
    (stun,) = ice_servers(IceSettings(stun_urls=("stun:s.example:3478",)), "u", 0).servers

    assert (stun.username, stun.credential) == ("", "")


def test_the_secret_is_not_shown() -> None:
    assert "north" not in repr(IceSettings(turn_urls=("turn:t",), turn_secret="north"))
