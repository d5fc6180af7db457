#!/bin/sh
# Three Sockeye servers on one Redis, behind haproxy, on this machine. Ends them all with Ctrl-C.
#
#   examples/cluster/run.sh [classic|sharded|streams]
#
# Needs redis-server (7 for sharded), haproxy, and `sockeye` (or SOCKEYE=path/to/it). Ports: FRONT (3000 by default), and
# A, B, C, REDIS (the four after it).
set -eu

kind=${1:-streams}
here=$(cd "$(dirname "$0")" && pwd)
sockeye=${SOCKEYE:-sockeye}
FRONT=${FRONT:-3000}
A=${A:-$((FRONT + 1))} B=${B:-$((FRONT + 2))} C=${C:-$((FRONT + 3))} REDIS=${REDIS:-$((FRONT + 4))}
export FRONT A B C

pids=
stop() {
    trap - INT TERM EXIT
    # shellcheck disable=SC2086
    kill $pids 2>/dev/null || true
    wait
}
trap stop INT TERM EXIT

redis-server --port "$REDIS" --bind 127.0.0.1 --save '' --appendonly no --loglevel warning &
pids=$!
for port in "$A" "$B" "$C"; do
    "$sockeye" serve --port "$port" --demo --redis "redis://127.0.0.1:$REDIS" --adapter "$kind" >/dev/null &
    pids="$pids $!"
done
haproxy -f "$here/haproxy.cfg" &
pids="$pids $!"

echo "one address:    http://127.0.0.1:$FRONT/"
echo "three servers:  http://127.0.0.1:$A/  http://127.0.0.1:$B/  http://127.0.0.1:$C/"
echo "their cluster:  http://127.0.0.1:$A/readyz   (stop Redis, pid ${pids%% *}, and look again)"
wait
