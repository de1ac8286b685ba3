"""The thread that answers libzmq's question whether a client may connect (ZAP, RFC 27). Brings asyncio with it."""

from zmq.auth.thread import ThreadAuthenticator


class Authenticator(ThreadAuthenticator):
    """pyzmq's, except that a client that is refused may try again.

    libzmq's client gives up for ever after "400" (4.3.5, measured): one that was started before its key was put into
    `authorized/` would need a restart. After "300" it hears nothing, and reconnects when HANDSHAKE_IVL is over.
    """

    def _send_zap_reply(
        self, request_id: bytes, status_code: bytes, status_text: bytes, user_id: str = "anonymous"
    ) -> None:
        super()._send_zap_reply(request_id, b"300" if status_code == b"400" else status_code, status_text, user_id)
