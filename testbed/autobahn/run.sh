#!/usr/bin/env bash
# Autobahn's WebSocket test suite against the ground's WebSocket stack: `make autobahn`.
# usage: run.sh WORK ECHO [EXCLUDED ...]    WORK keeps the suite between runs, ECHO is the program of ground/examples/echo.rs
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
echo_server=$2
shift 2
address=127.0.0.1:${AUTOBAHN_PORT:-9371}

if ! cmp -s "$here/port.py" "$work/ported-by"; then
	rm -rf "$work"
	mkdir -p "$work/suite"
	python3 -m venv "$work/venv"
	"$work/venv/bin/pip" install --quiet 'autobahn==26.10.2' 'twisted==26.10.0' 'setuptools<81' wheel six jinja2 klein \
		markupsafe ujson unittest2 werkzeug pyopenssl service-identity
	"$work/venv/bin/pip" download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$work" \
		autobahntestsuite==25.10.1
	tar --extract --gzip --strip-components=1 --directory "$work/suite" --file "$work"/autobahntestsuite-*.tar.gz
	(cd "$work/suite" && "$work/venv/bin/python" -W ignore -m lib2to3 --write --nobackups autobahntestsuite) \
		>"$work/lib2to3.log" 2>&1
	"$work/venv/bin/python" "$here/port.py" "$work/suite"
	cp "$here/port.py" "$work/ported-by"
fi

# The server ends with its standard input.
coproc SERVER { exec "$echo_server" "$address"; }
server=$SERVER_PID
until (: <"/dev/tcp/${address/://}") 2>/dev/null; do
	kill -0 "$server"
	sleep 0.1
done
status=0
"$work/venv/bin/python" -W ignore "$here/fuzz.py" "$work/suite" "$work/reports" "ws://$address" "$@" \
	>"$work/fuzz.log" 2>&1 || status=$?
tail -n 2 "$work/fuzz.log"
exec {SERVER[1]}>&-
wait "$server" 2>/dev/null || true
exit "$status"
