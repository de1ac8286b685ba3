"""An exchange that speaks TLS under a name, by an authority of its own."""

from pathlib import Path

import trustme


def certified(place: Path, name: str) -> tuple[tuple[str | Path, ...], Path]:
    """Arguments for the simulator, and the file of the authority that has signed its certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(place / "ca.pem")
    pem = place / "server.pem"
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(pem)
    return ("--tls-cert", pem, "--tls-key", pem), place / "ca.pem"
