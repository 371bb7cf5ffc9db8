#!/bin/sh
# Prepares .venv where needed, then becomes the given command (so that a signal to make reaches that command alone).
#   sh scripts/setup.sh run|dev [COMMAND [ARGUMENT...]]
# An environment that is up to date is found out by its own Python in a few milliseconds; only otherwise is a Python
# looked for: $PYTHON if set, else the first of those below that is new enough.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$root" || exit 1

prepare() {
    interpreter=$1
    shift
    exec "$interpreter" -E -s scripts/setup.py "$@"
}

is_new_enough() {
    "$1" -E -s -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    if ! "$PYTHON" -c '' >/dev/null 2>&1; then
        echo "PYTHON is $PYTHON, which does not run here. Name a Python of version 3.11 or newer." >&2
        exit 1
    fi
    prepare "$PYTHON" "$@"
fi

if [ -x .venv/bin/python ] && .venv/bin/python -E -s -S scripts/setup.py --is-ready "$1" 2>/dev/null; then
    shift
    [ $# -eq 0 ] && exit 0
    exec "$@"
fi

for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    is_new_enough "$candidate" && prepare "$candidate" "$@"
done
for candidate in python3 python python2; do
    # None is new enough: the first that runs at all says so.
    "$candidate" -c '' >/dev/null 2>&1 && prepare "$candidate" "$@"
done
echo "Trunkline needs Python 3.11 or newer, and there is no python3 on the PATH. Install one (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python), or name one: make PYTHON=/path/to/python3" >&2
exit 1
