"""The address that the server listens on; apart, so that a taken port is said before anything slow is loaded."""

from __future__ import annotations

import errno
import socket

from trunkline.errors import SetupError


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 takes any free one.

    Raises:
        SetupError: the port is taken or not allowed, or the host isn't this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise SetupError(f"{host!r} is not an address of this machine. Set TRUNKLINE_HOST to one.") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise SetupError(_explain(error, host, port)) from None
    return listener


def address_of(listener: socket.socket) -> tuple[str, int]:
    """Host and port of a bound socket, the host as a URL has it."""
    host, port = listener.getsockname()[:2]
    return (f"[{host}]" if ":" in host else host), port


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken. Stop what uses it, or choose another: TRUNKLINE_PORT=0 is any free one."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Choose one above 1023: TRUNKLINE_PORT=8711."
    return f"{host}:{port} can't be listened on: {error.strerror}. Set TRUNKLINE_HOST and TRUNKLINE_PORT."
