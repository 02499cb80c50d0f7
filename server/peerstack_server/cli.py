"""The command `peerstack-server`. Its options are the one list of settings, from wherever."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from peerstack_server import log
from peerstack_server.bucket import Rate
from peerstack_server.carrier import CarrierSettings
from peerstack_server.ice import IceSettings
from peerstack_server.rooms import RoomLimits
from peerstack_server.serve import run
from peerstack_server.settings import InvalidSetting, Settings, parse_proxies

PREFIX = "PEERSTACK_SERVER"
_BOUNDS, _CARRIER, _ICE = RoomLimits(), CarrierSettings(), IceSettings()
_PLAIN = Settings()
_F = TypeVar("_F", bound=Callable[..., Any])
_COUNT = click.IntRange(min=1)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _count(flag: str, default: int, text: str) -> Callable[[_F], _F]:
    return click.option(flag, type=_COUNT, default=default, show_default=True, help=text)


def _read_file(context: click.Context, _parameter: click.Parameter, file: Path | None) -> None:
    if file is None:
        return
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file}: {error}") from None
    known = {flag.removeprefix("--"): option for flag, option in _options(context.command).items()}
    _refuse_unknown(f"{file}: there is no setting ", settings, known)
    context.default_map = {
        str(known[key].name): _from_file(file, key, value, several=known[key].multiple)
        for key, value in settings.items()
    }


def _from_file(file: Path, key: str, value: object, *, several: bool) -> object:
    values = value if several and isinstance(value, list) else [value]
    if not all(isinstance(each, str) or type(each) is int for each in values):
        form = "a list of texts" if several else "a number or a text"
        raise click.UsageError(f"{file}: {key} takes {form}")
    return values if several else value


def _check_environment(command: click.Command) -> None:
    prefix = f"{PREFIX}_"
    given = [name.removeprefix(prefix) for name in os.environ if name.startswith(prefix)]
    known = {"CONFIG", *(str(option.name).upper() for option in _options(command).values())}
    _refuse_unknown(f"there is no setting {prefix}", given, known)


def _refuse_unknown(complaint: str, given: Iterable[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"was {near[0]} meant?" if near else "--help lists all"
            raise click.UsageError(f"{complaint}{name}; {meant}")


def _options(command: click.Command) -> dict[str, click.Option]:
    """All settings, by their flags."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {each.opts[0]: each for each in options if each.expose_value}


@click.command(context_settings={"auto_envvar_prefix": PREFIX})
@click.option(
    "--config",
    type=_FILE,
    callback=_read_file,
    expose_value=False,
    is_eager=True,
    help="TOML file with settings, such as: port = 3333",
)
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
@click.option("--redis", default="", help="Act as one with all processes at this redis:// URL.")
@click.option("--token", default="", help="Access token that devices must present. Default: none.")
@click.option("--metrics-token", default="", help="Token for /metrics. Default: none is needed.")
@click.option("--origin", multiple=True, help="Web origin whose pages may connect.")
@click.option(
    "--proxy",
    multiple=True,
    help="Address or network of a proxy whose X-Forwarded-For is believed.",
)
@click.option("--stun-url", multiple=True, help="Such as stun:stun.example.org:3478.")
@click.option("--turn-url", multiple=True, help="Such as turn:turn.example.org:3478.")
@click.option("--turn-secret", default="", help="coturn's static-auth-secret.")
@click.option(
    "--turn-lifetime-s",
    type=click.IntRange(60, 86_400),
    default=_ICE.lifetime_s,
    show_default=True,
    help="Seconds until TURN credentials end; devices ask again at half of them.",
)
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
@_count("--ping-s", _PLAIN.ping_s, "Seconds between two signs of life from each device.")
@_count("--request-s", _PLAIN.request_s, "Seconds until a connection must have said what it wants.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much is logged.",
)
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Run a signaling server: a place where peerstack's devices meet.

    Every option is also an environment variable, and a line of the file that --config names:
    --turn-secret is PEERSTACK_SERVER_TURN_SECRET and turn-secret = "...". The command line counts
    before the environment, and that before the file. Secrets belong in one of these, since other
    users of a machine can read a command line. What may be given several times is separated by
    spaces in the environment, and a list in the file.
    """
    log.set_up(options["log_level"])
    try:
        _check_environment(context.command)
        run(_settings(options))
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> Settings:
    return Settings(
        host=options["host"],
        port=options["port"],
        tls_certificate=options["tls_certificate"],
        tls_key=options["tls_key"],
        redis=options["redis"],
        metrics_token=options["metrics_token"],
        ping_s=options["ping_s"],
        request_s=options["request_s"],
        rooms=_room_limits(options),
        carrier=CarrierSettings(
            origins=options["origin"],
            token=options["token"],
            proxies=parse_proxies(options["proxy"]),
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
