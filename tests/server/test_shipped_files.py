"""What is shipped beside the program: it names what there is, and passes its linters."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import click
import pytest

from peerstack_server.cli import PREFIX, main
from tests.raw_socket import QUERY
from tests.server.several import certificate, numbers
from tests.server_process import ROOT, server_process
from tests.services import PATH, running_nginx

FILES = ROOT / "server"
SHIPPED = sorted(path for path in FILES.iterdir() if path.is_file())


def text(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def test_the_image_is_built_as_the_linter_for_it_wants() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, FILES / "Dockerfile"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_in_particular() -> None:
    user = re.findall(r"^USER (.*)$", text("Dockerfile"), re.MULTILINE)

    assert user == ["10001:10001"]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_setting_that_is_named_anywhere_is_there(file: Path) -> None:
    known = {str(each.name).upper() for each in main.params if isinstance(each, click.Option)}
    named = re.findall(rf"{PREFIX}_([A-Z_]+)", file.read_text(encoding="utf-8"))

    assert set(named) <= known


def test_the_proxy_of_the_compose_file_is_the_one_that_is_believed() -> None:
    compose = text("compose.yaml")
    subnet = ipaddress.ip_network(*re.findall(r"subnet: ([0-9./]+)", compose))
    (believed,) = re.findall(rf"{PREFIX}_PROXY: (.*)", compose)

    placed = r"^  ([a-z0-9-]+):\n(?:    .*\n)*?        ipv4_address: (.*)$"
    services = dict(re.findall(placed, compose, re.MULTILINE))
    assert all(ipaddress.ip_address(each) in subnet for each in services.values())
    assert services["proxy"] == believed
    upstream = re.findall(r"server (signaling-\d):3333", text("nginx.conf"))
    assert upstream == [name for name in services if name.startswith("signaling")]


@pytest.mark.services("systemd-analyze")
@pytest.mark.parametrize("unit", ["peerstack-server.service", "peerstack-server.socket"])
def test_a_unit_makes_sense_to_systemd(unit: str, tmp_path: Path) -> None:
    for name in ("peerstack-server.service", "peerstack-server.socket"):
        # Where it is installed on this machine, is not the question.
        words = text(name).replace("/opt/peerstack/bin/peerstack-server", sys.executable)
        (tmp_path / name).write_text(words, encoding="utf-8")
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.services("systemd-analyze")
def test_the_service_is_given_little_of_the_machine() -> None:
    unit = str(FILES / "peerstack-server.service")
    # From 0.0, which can do nothing, to 10.0; of a unit without such settings it is 9.6.
    done = analyze("security", "--offline=true", "--threshold=15", unit)

    assert done.returncode == 0, done.stdout
    # Without /proc/stat there would be no numbers of the process in /metrics.
    assert not re.search("^ProcSubset", text("peerstack-server.service"), re.MULTILINE)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, env={"PATH": PATH}
    )


async def test_the_dashboard_shows_numbers_that_there_are() -> None:
    dashboard: dict[str, Any] = json.loads(text("grafana.json"))
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:peerstack|process)_[a-z_]+", target["expr"])
    }
    # A Redis that is not there is enough to have its numbers.
    with server_process("--redis", "redis://127.0.0.1:1") as server:
        there = {name.partition(":")[0] for name in await numbers(server.url)}

    named = {name.removeprefix("peerstack_") for name in shown}
    assert named <= there
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.services("nginx")
async def test_the_proxy_speaks_tls_and_passes_on_only_what_devices_need(tmp_path: Path) -> None:
    folder = certificate(tmp_path)
    with server_process("--proxy", "127.0.0.1", "--connections-per-network", "1") as server:
        settings = text("nginx.conf").replace("listen 443", "listen 127.0.0.1:PORT")
        settings = settings.replace("/certs", str(folder))
        settings = re.sub(r"signaling-\d:3333", f"127.0.0.1:{server.port}", settings)
        with running_nginx(tmp_path, settings) as nginx:
            trust = ssl.create_default_context(cafile=folder / "chain.pem")
            url = f"https://localhost:{nginx.port}"
            async with aiohttp.ClientSession() as http:
                for path in ("/metrics", "/readyz", "/healthz", "/"):
                    async with http.get(url + path, ssl=trust) as answer:
                        assert answer.status == 404
                async with http.ws_connect(url + QUERY, ssl=trust) as socket:
                    assert (await socket.receive_str()).startswith("0{")
                    # What devices claim of their address counts for nothing.
                    forged = {"X-Forwarded-For": "203.0.113.9"}
                    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                        await http.ws_connect(url + QUERY, ssl=trust, headers=forged)
                    assert refused.value.status == 429
