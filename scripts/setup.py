"""Entry of the set-up. Every Python since 2.7 reads this file, so that an old one gets a sentence, no syntax error."""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Trunkline needs Python 3.11 or newer; this is %s at %s. Install a newer one (Debian, Ubuntu: apt-get install "
        "python3 python3-venv; macOS: brew install python), or name one that you have: make PYTHON=python3.12"
        % (sys.version.split()[0], sys.executable)
    )

from environment import main

main(sys.argv[1:])
