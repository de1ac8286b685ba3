"""The bus: one address to publish to and one to subscribe to.

In: frames of all producers (XSUB). Out: the same frames for whoever subscribed (XPUB). It keeps nothing; `app` is all.
"""
