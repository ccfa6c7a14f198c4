"""What the server counts, for Prometheus."""
from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class ServerMetrics:
    """Counters, times and gauges of one server, for Prometheus.

    Attributes:
        requests: by path and status.
        seconds: of requests, by path.
        batches: questions in a batch.
        restarts: processes that died and were started again.
        waiting: questions that no process has taken yet.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter('mmrefseg_requests', 'requests that were answered', ['path', 'status'],
                                registry=self._registry)
        self.seconds = Histogram('mmrefseg_request_seconds', 'time from the head of a request to its answer', ['path'],
                                 registry=self._registry)
        self.batches = Histogram('mmrefseg_batch_questions', 'questions that were answered together',
                                 buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry)
        self.restarts = Counter('mmrefseg_worker_restarts', 'processes that died and were started again',
                                registry=self._registry)
        self.waiting = Gauge('mmrefseg_waiting_questions', 'questions that no process has taken yet',
                             registry=self._registry)

    def text(self) -> bytes:
        """All of them in Prometheus's format."""
        return generate_latest(self._registry)
