#!/usr/bin/env bash
# The kernel as peer: curl, Python, nc, ping and tshark against a real `wharf` on a real TUN device.
#
# usage: scripts/interop.sh [--list] [NAME...]
#        scripts/interop.sh --soak [--list] [NAME...]      those that are too rough for CI
#
# Every check has a namespace of its own (scripts/netns.sh), made before it and removed after it,
# so nothing here touches the machine's own network. Without names all checks run. Each prints one
# line, `ok NAME`, `FAIL NAME` or `skip NAME (reason)`, with its time; a failure shows its output.
# The last line counts them.
#
# environment:
#   WHARF          a built binary, instead of building one
#   WHARF_PROFILE  the cargo profile to build; default: sim, whose broken invariants panic
#   QUEUES         so many for `wharf serve`, with a thread each; default: 1
#   SEED           of the bad links and of the fuzzed packets; default: 1
#   PYTHON         a python3 that has `websockets`; default: found by scripts/python
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
self=$here/scripts/interop.sh
peers=$here/tests/kernel
# shellcheck source=scripts/common.sh
source "$here/scripts/common.sh"
# This script may run under a limit itself, and has namespaces to remove when that is over.
limited_grace=5
host=10.7.0.2
url=http://$host

# What the checks over bad links add to `wharf serve`, each way.
# shellcheck disable=SC2054 # The commas are wharf's.
lossy=(--impair loss=3%,seed="${SEED:-1}")
# shellcheck disable=SC2054
wide=(--impair delay=20ms,jitter=5ms,reorder=2%,duplicate=1%,seed="${SEED:-1}")

# What a check says before it leaves with 77: it could not run, and why.
skip() { printf '%s\n' "$*"; exit 77; }
# A statement that must hold; the rest of the line says what is wrong if it does not.
die() { printf 'failed: %s\n' "$*"; exit 1; }
need() { command -v "$1" >/dev/null || skip "$1 is missing"; }

# Starts `wharf serve OPTIONS` and waits until it is ready. $server is its process id, $work the
# check's own folder.
serve_up() {
    local wanted="ready $url/"
    : >"$work/ready"
    "$WHARF" serve --queues "${QUEUES:-1}" "$@" >"$work/ready" 2>"$work/log" &
    server=$!
    for ((tick = 0; tick < 200; tick++)); do
        [[ -s $work/ready ]] && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    [[ $(<"$work/ready") == "$wanted" ]] \
        || { server_log; die "it did not say \`$wanted\` but: $(<"$work/ready")"; }
}

server_log() { [[ ! -s $work/log ]] || { echo "-- its log:"; tail -n 20 "$work/log"; }; }

# Ends the server as a user would, and checks that it ends well and leaves nothing.
serve_down() {
    local status=0
    kill -INT "$server" || die "the server was gone"
    wait "$server" || status=$?
    [[ $status == 0 ]] || { server_log; die "the server ended with $status"; }
    ! grep -q 'panicked' "$work/log" || { server_log; die "something panicked"; }
    [[ $(wc -l <"$work/ready") == 1 ]] || die "more than the ready line on standard output"
    no_device tun0
}

no_device() { ! ip link show "$1" 2>/dev/null || die "the device $1 is left behind"; }

# The same of a program that ends without closing its device: the kernel then ends its io_uring, and
# with that the device, in its own time.
soon_no_device() {
    for ((tick = 0; tick < 100; tick++)); do
        ip link show "$1" >"$work/link" 2>/dev/null || return 0
        sleep 0.05
    done
    no_device "$1"
}

peer() { local file=$1; shift; "$PYTHON" "$peers/$file.py" "$@" || die "$file $*"; }

# A file of $1 octets that no check could get right by chance, the same in every run.
noise() {
    "$PYTHON" -c 'import random, sys
sys.stdout.buffer.write(random.Random(int(sys.argv[1])).randbytes(int(sys.argv[1])))' "$1"
}

# The checks themselves: a function `check_NAME` each (`outside_NAME` runs in no namespace).
for file in "$peers"/*.sh "$peers"/soak/*.sh; do
    # shellcheck source=/dev/null
    source "$file"
done

# Their order, and each one's time limit in seconds.
checks="
hello 20
bytes_100mb 120
sink_100mb 120
keep_alive_500 60
crowd_1000 60
echo_10mb 60
bad_requests 60
websocket_handshake 20
websocket_messages 60
websocket_close 30
websocket_server_ends 30
chat_50 60
loss_transfers 180
loss_exchanges 180
loss_websocket 180
delay_transfers 180
delay_exchanges 180
delay_websocket 180
kernel_recovers_by_sack 90
kernel_agrees_on_options 20
kernel_keepalive 30
kernel_urgent 30
kernel_linger 60
black_hole 90
services_tcp 60
services_udp 30
services_by_nc 30
closed_port 20
ping_of_us 30
get_from_python 120
get_under_loss 120
get_beside_serve 60
nc_as_client 90
nc_as_listener 90
ping_by_us 60
capture_clean 120
interrupt_during_transfer 60
terminate_during_transfer 60
hangup_during_transfer 60
hangup_under_nohup 30
second_signal 30
second_signal_to_a_client 30
idle_ends_at_once 20
wrong_use 60
not_built_yet 60
no_privilege 20
device_is_set_up 20
device_deleted 40
device_busy 30
device_of_others_stays 30
offload 90
no_offload 90
datagrams_together 60
datagrams_one_by_one 60
given_descriptor_offloads 60
io_uring 90
no_io_uring 60
killed_and_started_again 90
fuzz_100000 180
example_blocking 30
example_tokio 30
example_given_descriptor 30
example_http 30
example_raw_stack 30
example_simulate 60
serve_script_in_a_namespace 30
serve_script_options 30
serve_script_under_ci 300
serve_script_as_user 60
"

# Those of --soak.
soaks="
syn_flood 120
"

# How this script calls itself, once for each check.
if [[ ${1:-} == --inside ]]; then
    work=$3
    without_proxies
    "$2"
    exit
fi

arguments=("$@")
if [[ ${1:-} == --soak ]]; then
    checks=$soaks
    shift
fi
if [[ ${1:-} == --list ]]; then
    awk 'NF { print $1 }' <<<"$checks"
    exit
fi

# shellcheck source=scripts/netns.sh
source "$here/scripts/netns.sh"

for tool in ip curl python3 setpriv unshare timeout; do
    command -v "$tool" >/dev/null || { echo "interop: $tool is missing" >&2; exit 1; }
done
netns_possible || {
    echo "interop: no network namespace with a TUN device can be made; run this with sudo." >&2
    exit 1
}
if [[ $(id -u) != 0 ]]; then
    # Root in namespaces of one's own, where `ip netns` may keep its names in a /run of ours.
    exec unshare -Urnm bash -c 'mount -t tmpfs none /run && exec "$@"' - "$self" "${arguments[@]}"
fi

export WHARF_GIVEN=${WHARF:-} WHARF_PROFILE=${WHARF_PROFILE:-sim}
if [[ -z ${WHARF:-} ]]; then
    find_cargo
    # The program by itself, as scripts/serve builds it: examples have the tests' dependencies too.
    (cd "$here" \
        && cargo build --quiet --locked --profile "$WHARF_PROFILE" --bin wharf \
        && cargo build --quiet --locked --profile "$WHARF_PROFILE" --examples) || exit 1
    WHARF=${CARGO_TARGET_DIR:-$here/target}/$WHARF_PROFILE/wharf
fi
PYTHON=${PYTHON:-$("$here/scripts/python")}
export WHARF PYTHON
# A thousand connections need a descriptor each, at both ends.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

all_work=$(mktemp -d)
# Some checks run as another user, who must get at their folder.
chmod 711 "$all_work"
namespace=""
clean_up() {
    [[ -z $namespace ]] || netns_down "$namespace"
    netns_restore
    rm -rf "$all_work"
}
trap clean_up EXIT
end_by_signals

passed=0 failed=0 skipped=0

# One check: its namespace, its limit, its line.
run_check() {
    local name=$1 limit=$2 began=$SECONDS status=0 output work=$all_work/$1
    local inside=("$self" --inside)
    mkdir "$work"
    if declare -F "outside_$name" >/dev/null; then
        limited "$limit" "${inside[@]}" "outside_$name" "$work" \
            >"$all_work/$name.out" 2>&1 </dev/null || status=$?
    else
        namespace=w-$$-$((++serial))
        if ! netns_up "$namespace"; then
            failed=$((failed + 1))
            echo "FAIL $name (no namespace)"
            return
        fi
        limited "$limit" ip netns exec "$namespace" "${inside[@]}" "check_$name" "$work" \
            >"$all_work/$name.out" 2>&1 </dev/null || status=$?
        netns_down "$namespace"
        namespace=""
    fi
    output=$(<"$all_work/$name.out")
    rm -rf "$work"
    case $status in
        0) passed=$((passed + 1)); echo "ok $name ($((SECONDS - began)) s)" ;;
        77) skipped=$((skipped + 1)); echo "skip $name (${output##*$'\n'})" ;;
        *)
            failed=$((failed + 1))
            [[ $status != 124 && $status != 137 ]] || output+=$'\n'"its $limit s are over"
            echo "FAIL $name ($((SECONDS - began)) s)"
            tail -n 40 <<<"$output" | sed 's/^/    /'
            ;;
    esac
    [[ -z ${VERBOSE:-} || $status != 0 ]] || sed 's/^/    /' <<<"$output"
}

serial=0
while read -r name limit; do
    [[ -n $name ]] || continue
    if (($#)) && [[ " $* " != *" $name "* ]]; then continue; fi
    run_check "$name" "$limit"
done <<<"$checks"
for name in "$@"; do
    grep -q "^$name " <<<"$checks" && continue
    failed=$((failed + 1))
    echo "FAIL $name (there is no such check)"
done

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
