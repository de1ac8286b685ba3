"""The view as Prometheus metrics. Pure. Open `metrics` first."""
