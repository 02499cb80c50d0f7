"""Two homes and an internet between them, from Linux's network namespaces.

The process that makes it is to be in a network namespace of its own (`tests.own_network`), which
becomes the internet: servers are started there. A device runs in a namespace of its own behind a
router in another one. They all end with this process, however it ends: each is held by a `cat`
that waits for the end of its input.
"""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from peerstack.transport.webrtc import has_only_loopback
from tests.services import PATH

SERVERS: Final = "203.0.113.1"
"""Where servers on the internet listen."""

DEAD: Final = "203.0.113.99"
"""An address on the internet that swallows all that it is sent."""


class Router(enum.StrEnum):
    """How a home is connected."""

    OPEN = "open"
    """Its devices have addresses of the internet, and no firewall."""
    CONE = "cone"
    """A NAT that keeps a device's port, whoever it sends to: the port is the same for all. Only
    who was sent to gets back in (a port-restricted cone): Linux does not do it more openly."""
    SYMMETRIC = "symmetric"
    """A NAT that draws another port for each address that a device sends to."""
    NO_UDP = "no UDP"
    """Open, but for UDP, which is let through to nobody."""


_MASQUERADE: Final = {Router.CONE: "masquerade", Router.SYMMETRIC: "masquerade fully-random"}
_NAT: Final = """
flush ruleset
table ip nat {{
    chain out {{ type nat hook postrouting priority srcnat; oifname "wan" {masquerade}; }}
    chain through {{
        type filter hook forward priority filter;
        iifname "wan" ct state != {{ established, related }} drop;
    }}
    chain in {{ type filter hook input priority filter; iifname "wan" drop; }}
}}
"""
_NO_UDP: Final = """
flush ruleset
table ip filter {
    chain through { type filter hook forward priority filter; ip protocol udp drop; }
}
"""
_INTERNET: Final = """
flush ruleset
table ip internet {{
    chain through {{ type filter hook forward priority filter; {between} }}
    chain swallow {{ type filter hook input priority filter; ip daddr {dead} drop; }}
}}
"""


@dataclass(frozen=True)
class Home:
    """A router, and a device behind it."""

    number: int
    router: _Namespace
    device: _Namespace

    @property
    def network(self) -> str:
        """The addresses of its devices."""
        return f"10.{self.number}.0.0/24"


@dataclass(frozen=True)
class Lab:
    """All of it."""

    homes: tuple[Home, Home]

    def connect(self, *routers: Router, between: bool = True) -> None:
        """Set how the homes are connected, and whether anything passes `between` them at all."""
        for home, router in zip(self.homes, routers, strict=True):
            _set_router(home, router)
        rule = "" if between else 'iifname "home*" oifname "home*" drop;'
        _nft((), _INTERNET.format(between=rule, dead=DEAD))


@contextmanager
def lab() -> Iterator[Lab]:
    """The two homes, connected openly. Raises `RuntimeError` in a network that others use."""
    if not has_only_loopback():
        raise RuntimeError("this changes routes and rules: run it in a network of its own")
    with ExitStack() as stack:
        homes = _home(stack, 1), _home(stack, 2)
        for address in (SERVERS, DEAD):
            _run("ip", "address", "add", f"{address}/32", "dev", "lo")
        _lead_elsewhere()
        _pass_on(())
        made = Lab(homes)
        made.connect(Router.OPEN, Router.OPEN)
        yield made


class _Namespace:
    """A network namespace that lives for as long as a process that does nothing."""

    def __init__(self, stack: ExitStack) -> None:
        words = ("unshare", "--net", "sh", "-c", "echo made; exec cat")
        process = stack.enter_context(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        self.id = process.pid
        self.enter = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
        _run(*self.enter, "ip", "link", "set", "lo", "up")


def _home(stack: ExitStack, number: int) -> Home:
    home = Home(number, _Namespace(stack), _Namespace(stack))
    router, device = home.router, home.device
    _run(
        "ip", "link", "add", f"home{number}", "type", "veth", "peer", "wan", "netns", str(router.id)
    )
    _address((), f"home{number}", f"198.51.{number}.1/24")
    _address(router.enter, "wan", f"198.51.{number}.2/24")
    link = ("ip", "link", "add", "lan", "type", "veth", "peer", "eth", "netns", str(device.id))
    _run(*router.enter, *link)
    _address(router.enter, "lan", f"10.{number}.0.1/24")
    _address(device.enter, "eth", f"10.{number}.0.2/24")
    _run(*device.enter, "ip", "route", "add", "default", "via", f"10.{number}.0.1")
    _run(*router.enter, "ip", "route", "add", "default", "via", f"198.51.{number}.1")
    _pass_on(router.enter)
    return home


def _lead_elsewhere() -> None:
    """As on any real internet, what has no known place goes somewhere and is not heard of again.

    coturn 4.6 gives an allocation up that wants to send where its machine has no route to.
    """
    _run("ip", "link", "add", "elsewhere", "type", "veth", "peer", "nobody")
    _run("ip", "link", "set", "nobody", "up")
    _address((), "elsewhere", "192.0.2.1/24")
    nobody = ("192.0.2.2", "lladdr", "02:00:00:00:00:01", "dev", "elsewhere")
    _run("ip", "neighbour", "add", *nobody)
    _run("ip", "route", "add", "default", "via", "192.0.2.2")


def _set_router(home: Home, router: Router) -> None:
    masquerade = _MASQUERADE.get(router)
    change = "flush" if masquerade else "replace"
    _run("ip", "route", change, home.network, "via", f"198.51.{home.number}.2")
    rules = _NAT.format(masquerade=masquerade) if masquerade else "flush ruleset"
    if router is Router.NO_UDP:
        rules = _NO_UDP
    _nft(home.router.enter, rules)


def _address(enter: Sequence[str], link: str, address: str) -> None:
    _run(*enter, "ip", "address", "add", address, "dev", link)
    _run(*enter, "ip", "link", "set", link, "up")


def _pass_on(enter: Sequence[str]) -> None:
    code = "import sys; open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')"
    _run(*enter, sys.executable, "-S", "-c", code)


def _nft(enter: Sequence[str], rules: str) -> None:
    _run(*enter, "nft", "-f", "-", input=rules)


def _run(*words: str, input: str = "") -> None:
    done = subprocess.run(words, input=input, env={"PATH": PATH}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
