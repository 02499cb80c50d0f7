"""The command `peerstack-server`: every flag is also the variable `PEERSTACK_SERVER_<FLAG>`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from peerstack_server import log
from peerstack_server.bucket import Rate
from peerstack_server.carrier import CarrierSettings
from peerstack_server.ice import IceSettings
from peerstack_server.rooms import RoomLimits
from peerstack_server.serve import run
from peerstack_server.settings import InvalidSetting, Settings

_BOUNDS, _CARRIER, _ICE = RoomLimits(), CarrierSettings(), IceSettings()
_F = TypeVar("_F", bound=Callable[..., Any])
_COUNT = click.IntRange(min=1)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _count(flag: str, default: int, text: str) -> Callable[[_F], _F]:
    return click.option(flag, type=_COUNT, default=default, show_default=True, help=text)


@click.command(context_settings={"auto_envvar_prefix": "PEERSTACK_SERVER"})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=3333,
    show_default=True,
    help="Port; 0 takes a free one and prints it.",
)
@click.option("--tls-certificate", type=_FILE, help="PEM file with the certificate chain.")
@click.option("--tls-key", type=_FILE, help="PEM file with the certificate's key.")
@click.option("--token", default="", help="Access token that devices must present. Default: none.")
@click.option("--origin", multiple=True, help="Web origin whose pages may connect.")
@click.option(
    "--proxies",
    type=click.IntRange(min=0),
    default=_CARRIER.proxies,
    show_default=True,
    help="Trusted proxies in front that add to X-Forwarded-For.",
)
@click.option("--stun-url", multiple=True, help="Such as stun:stun.example.org:3478.")
@click.option("--turn-url", multiple=True, help="Such as turn:turn.example.org:3478.")
@click.option("--turn-secret", default="", help="coturn's static-auth-secret.")
@_count("--turn-lifetime-s", _ICE.lifetime_s, "Seconds until TURN credentials end.")
@_count("--connections", _BOUNDS.connections, "Connections in all.")
@_count(
    "--connections-per-network",
    _BOUNDS.connections_per_network,
    "Connections from one IPv4 address or IPv6 /64.",
)
@_count("--topics", _BOUNDS.topics_per_connection, "Topics per connection.")
@_count("--members", _BOUNDS.members_per_topic, "Connections per topic.")
@_count("--messages-per-s", int(_BOUNDS.messages.per_second), "Messages a second, per connection.")
@_count("--messages-burst", int(_BOUNDS.messages.burst), "The same at once, after a rest.")
@_count(
    "--network-messages-per-s",
    int(_BOUNDS.network_messages.per_second),
    "Messages a second, per network address.",
)
@_count("--network-messages-burst", int(_BOUNDS.network_messages.burst), "The same at once.")
@_count(
    "--network-relay-kb-per-s",
    int(_BOUNDS.network_relayed_bytes.per_second) // 1024,
    "KiB a second that one network address may make the server send.",
)
@_count(
    "--network-relay-kb-burst",
    int(_BOUNDS.network_relayed_bytes.burst) // 1024,
    "The same at once, after a rest.",
)
@_count("--send-queue-kb", _CARRIER.send_queue_bytes // 1024, "KiB that may wait for one reader.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def main(**options: Any) -> None:
    """Run a signaling server: a place where peerstack's devices meet.

    Every option is also an environment variable: --turn-secret is PEERSTACK_SERVER_TURN_SECRET.
    Secrets belong there, since other users of a machine can read a command line. Options that may
    be given several times are separated by spaces there.
    """
    log.set_up(options["log_level"])
    try:
        run(_settings(options))
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> Settings:
    return Settings(
        host=options["host"],
        port=options["port"],
        tls_certificate=options["tls_certificate"],
        tls_key=options["tls_key"],
        rooms=_room_limits(options),
        carrier=CarrierSettings(
            origins=options["origin"],
            token=options["token"],
            proxies=options["proxies"],
            send_queue_bytes=options["send_queue_kb"] * 1024,
        ),
        ice=IceSettings(
            stun_urls=options["stun_url"],
            turn_urls=options["turn_url"],
            turn_secret=options["turn_secret"],
            lifetime_s=options["turn_lifetime_s"],
        ),
    )


def _room_limits(options: dict[str, Any]) -> RoomLimits:
    return RoomLimits(
        connections=options["connections"],
        connections_per_network=options["connections_per_network"],
        topics_per_connection=options["topics"],
        members_per_topic=options["members"],
        messages=Rate(options["messages_per_s"], options["messages_burst"]),
        network_messages=Rate(options["network_messages_per_s"], options["network_messages_burst"]),
        network_relayed_bytes=Rate(
            options["network_relay_kb_per_s"] * 1024, options["network_relay_kb_burst"] * 1024
        ),
    )
