"""Several server processes that act as one, for tests: with a real Redis, behind a real nginx."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

from peerstack.signaling import wire
from tests.server_process import ROOT, ServerProcess, server_process
from tests.services import Redis, running_nginx, running_redis
from tests.signaling_device import Device, online

WITHIN_S = 30.0
POLL_S = 0.05


@dataclass(frozen=True)
class Several:
    """Processes that are one server."""

    url: str
    """Where all of them are reached, in turns."""
    processes: tuple[ServerProcess, ...]
    redis: Redis

    def __getitem__(self, number: int) -> str:
        """Where one of them is reached."""
        return self.processes[number].url


@contextmanager
def several(folder: Path, *flags: str, count: int = 3) -> Iterator[Several]:
    """That many processes, with these flags."""
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder))
        every = ("--redis", redis.url, "--proxy", "127.0.0.1", *flags)
        with ThreadPoolExecutor() as pool:
            starting = [
                pool.submit(stack.enter_context, server_process(*every)) for _ in range(count)
            ]
            processes = tuple(each.result() for each in starting)
        nginx = stack.enter_context(running_nginx(folder, proxy_settings(processes)))
        yield Several(f"http://127.0.0.1:{nginx.port}", processes, redis)


def proxy_settings(processes: tuple[ServerProcess, ...]) -> str:
    """The settings that are shipped, for these processes, without TLS; one worker takes turns."""
    lines = []
    for line in (ROOT / "server/nginx.conf").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["server"] and words[1].startswith("signaling-1:"):
            options = " ".join(words[2:])
            lines += [f"server 127.0.0.1:{each.port} {options}" for each in processes]
        elif words[:1] == ["listen"]:
            lines.append("listen 127.0.0.1:PORT;")
        elif words[:1] == ["worker_processes"]:
            lines.append("worker_processes 1;")
        elif not any(word.startswith(("ssl_certificate", "signaling-")) for word in words[:2]):
            lines.append(line)
    return "\n".join(lines)


async def numbers(url: str) -> dict[str, float]:
    """What a process says of itself: /metrics, with each refusal under its name."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        text = await answer.text()
    return {
        ":".join((sample.name.removeprefix("peerstack_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(url: str, wanted: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The first numbers of a process that are as wanted."""
    async with asyncio.timeout(WITHIN_S):
        while not wanted(found := await numbers(url)):
            await asyncio.sleep(POLL_S)
    return found


async def ready(url: str) -> tuple[int, Any]:
    """What a process answers to /readyz."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
        return answer.status, await answer.json()


async def reached(sender: Device, receiver: Device, content: bytes = b"marker") -> bool:
    """Whether a signal from one arrives at the other."""
    if not await sender.client.signal(receiver.address, content):
        return False
    async with asyncio.timeout(WITHIN_S):
        while content not in [each.box for each in receiver.all(wire.Signaled)]:
            await receiver.next(wire.Signaled, len(receiver.all(wire.Signaled)) + 1)
    return True


@asynccontextmanager
async def everywhere(server: Several) -> AsyncIterator[list[Device]]:
    """A device on each process."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(online(each.url)) for each in server.processes]


def certificate(folder: Path) -> Path:
    """A folder with chain.pem and key.pem for localhost, which nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "chain.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder
