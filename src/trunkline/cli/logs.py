"""Where the server's log goes when a person runs it in a terminal."""

from __future__ import annotations

import logging
import warnings

import structlog


def log_to_stderr(level: int = logging.WARNING) -> None:
    """One line a record on stderr, with time and level."""
    # A library of LangChain's tells everybody that it could also use SOCKS proxies.
    warnings.filterwarnings("ignore", message="SOCKS support in urllib3")
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.stdlib.ExtraAdder(),
            ],
            # Plain tracebacks: the pretty ones print local variables, people's messages and keys among them.
            processor=structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("trunkline").setLevel(min(level, logging.INFO))
