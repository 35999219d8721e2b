#!/usr/bin/env bash
# nmap and scapy's fuzz() against a running server, in a namespace made for it: the server answers
# afterwards, holds no more memory and no more connections than before, and nobody can foretell its
# numbers. Run by `scripts/soak scanners [SECONDS]`.
#
# environment: WHARF, a built binary; PYTHON, a python3 with scapy. Without either it is made.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
seconds=${1:-300}
host=10.7.0.2
# How much more memory the server may hold afterwards than before, KiB.
growth_max=65536

skip() { echo "skip scanners ($*)"; exit; }
fail() { echo "FAIL scanners ($*)"; exit 1; }

# shellcheck source=scripts/netns.sh
source "$here/scripts/netns.sh"
# shellcheck source=scripts/common.sh
source "$here/scripts/common.sh"

if [[ ${1:-} != --inside ]]; then
    [[ $(id -u) == 0 ]] && netns_possible || skip "it needs root, namespaces and /dev/net/tun"
    command -v nmap >/dev/null \
        || { apt-get update -qq && apt-get install -y -qq nmap; } >/dev/null 2>&1
    command -v nmap >/dev/null || skip "nmap is missing"
    if [[ -z ${PYTHON:-} ]]; then
        PYTHON=${CARGO_TARGET_DIR:-$here/target}/python-scapy/bin/python3
        "$PYTHON" -c 'import scapy' 2>/dev/null \
            || { python3 -m venv "${PYTHON%/bin/python3}" \
                && "${PYTHON%python3}pip" install --quiet scapy; } >&2 \
            || skip "scapy cannot be installed"
    fi
    if [[ -z ${WHARF:-} ]]; then
        (cd "$here" && cargo build --quiet --locked --profile sim --bin wharf) \
            || fail "the server does not build"
        WHARF=${CARGO_TARGET_DIR:-$here/target}/sim/wharf
    fi
    export PYTHON WHARF
    namespace=w-$$-scan
    trap 'netns_down "$namespace"; netns_restore' EXIT
    end_by_signals
    netns_up "$namespace" || fail "there is no namespace"
    ip netns exec "$namespace" "${BASH_SOURCE[0]}" --inside "$seconds"
    exit
fi

# ---- In the namespace ----------------------------------------------------------------------------

seconds=$2
without_proxies
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

"$WHARF" serve --small-services >"$work/ready" 2>"$work/log" &
server=$!
for ((tick = 0; tick < 200; tick++)); do
    [[ -s $work/ready ]] && break
    sleep 0.05
done

memory() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }
# Connections in any state but our own question's and TIME-WAIT, which ends by itself.
connections() {
    curl -s --max-time 5 "http://$host/api/stats" | "$PYTHON" -c 'import json, sys
states = json.load(sys.stdin)["connections"]
print(sum(states.values()) - states.get("TIME-WAIT", 0) - 1)'
}
answers() { curl -sf --max-time 5 -o "$work/page" "http://$host/" && [[ -s $work/page ]]; }

answers || fail "the server did not answer before: $(tail -n 3 "$work/log")"
memory_before=$(memory) connections_before=$(connections)
end=$((SECONDS + seconds))

"$PYTHON" "$here/tests/kernel/scanners/scapy_fuzz.py" "$host" "$seconds" >"$work/scapy" 2>&1 &
fuzzer=$!
rounds=0
while ((SECONDS < end)); do
    left=$((end - SECONDS))
    timeout "$left" nmap -n -Pn -O -v -p 7,9,19,80,21-30 "$host" >"$work/os" 2>&1
    ! grep -q 'TCP Sequence Prediction' "$work/os" || cp "$work/os" "$work/last_os"
    for scan in -sS -sA -sX -sN -sF; do
        ((SECONDS < end)) || break
        timeout $((end - SECONDS)) nmap -n -Pn "$scan" -T4 -p 1-1000 "$host" >"$work/scan" 2>&1
    done
    rounds=$((rounds + 1))
done
wait "$fuzzer" || fail "scapy: $(tail -n 3 "$work/scapy")"
cat "$work/scapy"

kill -0 "$server" 2>/dev/null || fail "the server is gone: $(tail -n 5 "$work/log")"
! grep -q panicked "$work/log" || fail "something panicked: $(grep -A 3 panicked "$work/log")"
answers || fail "the server does not answer afterwards"
# A half-open connection is given up a minute after its SYN.
for ((tick = 0; tick < 90; tick++)); do
    connections_after=$(connections)
    ((connections_after > connections_before)) || break
    sleep 1
done
memory_after=$(memory)
((connections_after <= connections_before)) \
    || fail "$connections_after connections are left, of $connections_before before"
((memory_after - memory_before <= growth_max)) \
    || fail "from $memory_before to $memory_after KiB of memory"

grep -E 'Sequence Prediction|IP ID Sequence' "$work/last_os" || fail "nmap has not judged"
grep -q 'TCP Sequence Prediction: Difficulty=2[0-9][0-9] (Good luck!)' "$work/last_os" \
    || fail "nmap finds our initial sequence numbers easy"
grep -q 'IP ID Sequence Generation: All zeros' "$work/last_os" || fail "IP IDs that tell something"
kill -INT "$server"
wait "$server" || fail "the server ended with $?: $(tail -n 5 "$work/log")"
echo "memory $memory_before to $memory_after KiB, connections $connections_before to" \
    "$connections_after, $rounds rounds of nmap"
echo "ok scanners ($seconds s)"
