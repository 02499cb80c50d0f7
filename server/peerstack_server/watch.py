"""What operators and their machines ask: whether it lives, whether it is ready, and numbers.

The numbers are counts: no topic, box or address is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from peerstack.signaling.wire import Refusal
from peerstack_server.carrier import Carrier, bears
from peerstack_server.rooms import Rooms
from peerstack_server.stats import Stats

if TYPE_CHECKING:
    from peerstack_server.cluster import Cluster


class Watch:
    """`/healthz`, `/readyz` and `/metrics`."""

    def __init__(
        self,
        carrier: Carrier,
        rooms: Rooms,
        stats: Stats,
        cluster: Cluster | None,
        metrics_token: str,
    ) -> None:
        self._carrier = carrier
        self._cluster = cluster
        self._token = metrics_token
        self._registry = CollectorRegistry()
        self._registry.register(_Numbers(rooms, stats, cluster))
        ProcessCollector(registry=self._registry)

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        """Without Redis this is still ready: all processes at once would be taken away else."""
        closing = self._carrier.draining
        answer = {"status": "closing" if closing else "ready"}
        if self._cluster is not None:
            answer["redis"] = "connected" if self._cluster.connected else "away"
        return web.json_response(answer, status=503 if closing else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        if self._token and not bears(request, self._token):
            return web.json_response({"error": Refusal.UNAUTHORIZED.value}, status=401)
        numbers = generate_latest(self._registry)
        return web.Response(body=numbers, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class _Numbers(Collector):
    """Reads what is counted anyway, when it is asked for."""

    def __init__(self, rooms: Rooms, stats: Stats, cluster: Cluster | None) -> None:
        self._rooms = rooms
        self._stats = stats
        self._cluster = cluster

    def collect(self) -> Iterator[Metric]:
        """All numbers, as they are now."""
        counts, stats = self._rooms.counts(), self._stats
        yield _gauge("connections", "Devices that are connected.", counts.connections)
        most = self._rooms.limits.connections
        yield _gauge("connections_max", "How many may be: --connections.", most)
        yield _gauge("topics", "Topics that devices here are in.", counts.topics)
        yield _gauge("networks", "Network addresses whose use is remembered.", counts.networks)
        yield _counter("opened", "Connections let in.", stats.opened)
        yield _counter("relayed", "Messages sent to devices here.", stats.relayed)
        yield _counter("slow_readers", "Connections cut: they did not read.", stats.slow_readers)
        refused = CounterMetricFamily("peerstack_refused", "Refusals.", labels=["error"])
        for error in Refusal:
            refused.add_metric([error.value], stats.refused[error])
        yield refused
        if self._cluster is not None:
            yield from self._shared(self._cluster)

    def _shared(self, cluster: Cluster) -> Iterator[Metric]:
        stats = self._stats
        connected = int(cluster.connected)
        yield _gauge("redis_connected", "Whether other processes are in reach.", connected)
        yield _counter("passed", "Messages told to other processes.", stats.passed)
        yield _counter("unpassed", "Messages that could not be told to others.", stats.unpassed)
        yield _counter("heard", "Messages told by other processes.", stats.heard)
        yield _counter("foreign", "Messages in Redis that make no sense.", stats.foreign)


def _gauge(name: str, text: str, value: int) -> Metric:
    return GaugeMetricFamily(f"peerstack_{name}", text, value)


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(f"peerstack_{name}", text, value)
