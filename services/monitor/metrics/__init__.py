"""The snapshot of the monitor as Prometheus metrics, without a socket, clock or file. Open `metrics` first.

In: a `MonitorSnapshot`. Out: metric families; the library `prometheus_client` writes them as text for
`/metrics`.
"""
