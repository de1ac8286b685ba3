"""The HTTP server: `/metrics`, `/healthz`, `/events`, and the page. Open `web` first.

In: the newest snapshot, from the `Board`. Out: answers to clients that nobody has checked: everything that
they may hold is bounded, and no client reaches the thread that hears the bus.
"""
