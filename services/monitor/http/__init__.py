"""The HTTP server: `/metrics`, `/healthz`, `/events`, and the page. Open `web` first."""
