#!/usr/bin/env bash
# Compares TCP stacks behind a TUN device, and the kernel's over veth, with one client on the
# kernel's sockets. `../scripts/bench.sh` is the command that makes the README's table with it.
#
# usage: bench/run.sh [CONTENDER...]     without names: all that can be built here
#        bench/run.sh --list             their names
#        bench/run.sh --install          apt-get installs what the optional ones need
#
# environment: below, each with its default. Needs root, iproute2 and cargo.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

REPS=${REPS:-3}             # interleaved repetitions
SECS=${SECS:-3}             # measuring window of each phase
WARM=${WARM:-0.7}           # warm-up before each window
PHASES=${PHASES:-check,up1,up8,down1,down8,echo,spin,beside,http64,cps,wakes}
IDLE=${IDLE-10000+50000+100000} # idle connections, in steps; empty: no such phase
IDLE_REPS=${IDLE_REPS:-1}   # in how many of the repetitions
CC=${CC:-cubic}             # congestion control of the client, and of the kernel as server
TXQ=${TXQ:-1000}            # the TUN's queue, packets
NICE=${NICE:--19}           # priority of client and server
QUIET=${QUIET:-10}          # seconds to wait for a quiet machine before a phase
TRIES=${TRIES:-3}           # tries of a phase that other work disturbed
PIN=${PIN:-1}               # 1: client on core 0, server on core 1; 0: no pinning
CLIENT_CPU=${CLIENT_CPU:-0}
SERVER_CPU=${SERVER_CPU:-1}
TARGET=${CARGO_TARGET_DIR:-$here/target}
OUT=${OUT:-$TARGET/results} # results.jsonl, report.md, server.log
BUILD=${BUILD:-$TARGET/build} # for what cargo does not build
OURS_CMD=${OURS_CMD:-}      # the server of contender `ours`; see README.md
OURS_MTU=${OURS_MTU:-1500}

ALL="limit-raw limit-1500 limit-64k limit-gso kernel-veth kernel-axum kernel-plain nginx-veth
 smoltcp-1500 smoltcp-64k smoltcp-lean-1500 smoltcp-lean-64k
 gvisor-1500 gvisor-64k gvisor-gso ipstack-1500 netstack-smoltcp-1500
 lwip-1500 lwip-32k ours ours-no-offload ours-queues-2 ours-plain ours-hyper
 ours-copy ours-stack"

BIN=$TARGET/release
ADDR=198.18.0.2 PEER=198.18.0.1 PREFIX=24
SRC=198.18.0.101,198.18.0.102,198.18.0.103,198.18.0.104
TUN=tb0
CNS=tb-c-$$ SNS=tb-s-$$
server_pid=

say() { echo "bench: $*" >&2; }

teardown() {
    if [[ -n "$server_pid" ]]; then
        kill "$server_pid" 2>/dev/null || true
        for _ in $(seq 50); do kill -0 "$server_pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
        server_pid=
    fi
    ip netns del "$CNS" 2>/dev/null || true
    ip netns del "$SNS" 2>/dev/null || true
}

# With autogroups a priority counts only within a session; raise the session's
# own for the run.
group_nice=
raise_group() {
    [[ -w /proc/self/autogroup ]] || return 0
    group_nice=$(sed 's/.*nice //' /proc/self/autogroup)
    echo "$NICE" 2>/dev/null >/proc/self/autogroup || group_nice=
}
restore_group() {
    [[ -z "$group_nice" ]] || echo "$group_nice" 2>/dev/null >/proc/self/autogroup || true
    group_nice=
}

# A namespace may only choose a congestion control that the machine allows to all.
allowed_cc=
allowed_file=/proc/sys/net/ipv4/tcp_allowed_congestion_control
allow_cc() {
    allowed_cc=$(<"$allowed_file")
    case " $allowed_cc " in
        *" $CC "*) allowed_cc= ;;
        *)
            echo "$allowed_cc $CC" 2>/dev/null >"$allowed_file" && return
            allowed_cc=
            say "congestion control $CC is not allowed here: figures are of the machine's default"
            ;;
    esac
}
restore_cc() {
    [[ -z $allowed_cc ]] || echo "$allowed_cc" 2>/dev/null >"$allowed_file" || true
}
trap 'teardown; restore_group; restore_cc' EXIT
trap 'exit 130' INT TERM

tune() { # namespace
    ip netns exec "$1" sysctl -qw \
        net.ipv4.tcp_congestion_control="$CC" \
        net.ipv4.tcp_rmem="4096 131072 6291456" \
        net.ipv4.tcp_wmem="4096 16384 4194304" \
        net.ipv4.ip_local_port_range="1024 65535" \
        net.ipv4.tcp_max_syn_backlog=16384 \
        net.core.somaxconn=16384 \
        net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || say "some sysctls could not be set in $1"
    # Let no connection of one phase colour the next.
    ip netns exec "$1" sysctl -qw net.ipv4.tcp_no_metrics_save=1 || true
}

addresses() { # namespace device
    ip -n "$1" addr add "$PEER/$PREFIX" dev "$2"
    local a
    for a in ${SRC//,/ }; do ip -n "$1" addr add "$a/$PREFIX" dev "$2"; done
}

setup_tun() { # mtu [extra ip-tuntap flags]
    ip netns add "$CNS"
    tune "$CNS"
    ip -n "$CNS" link set lo up
    ip netns exec "$CNS" ip tuntap add dev "$TUN" mode tun ${2:-}
    ip -n "$CNS" link set "$TUN" mtu "$1" txqueuelen "$TXQ"
    addresses "$CNS" "$TUN"
    ip -n "$CNS" link set "$TUN" up
}

setup_veth() {
    ip netns add "$CNS"
    ip netns add "$SNS"
    tune "$CNS"
    tune "$SNS"
    ip -n "$CNS" link set lo up
    ip -n "$SNS" link set lo up
    ip -n "$CNS" link add vb0 type veth peer name vb1 netns "$SNS"
    addresses "$CNS" vb0
    ip -n "$SNS" addr add "$ADDR/$PREFIX" dev vb1
    ip -n "$CNS" link set vb0 up
    ip -n "$SNS" link set vb1 up
}

start() { # namespace command...
    local ns=$1
    shift
    ulimit -n 400000 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    local pre=(nice -n "$NICE")
    [[ "$PIN" = 1 ]] && pre+=(taskset -c "$SERVER_CPU")
    ip netns exec "$ns" "${pre[@]}" "$@" >>"$OUT/server.log" 2>&1 </dev/null &
    server_pid=$!
}

client() { # arguments of load
    local pre=(nice -n "$NICE")
    [[ "$PIN" = 1 ]] && pre+=(taskset -c "$CLIENT_CPU")
    timeout -k 5 900 ip netns exec "$CNS" "${pre[@]}" "$BIN/load" \
        --addr "$ADDR" --src "$SRC" --secs "$SECS" --warm "$WARM" --quiet "$QUIET" \
        --tries "$TRIES" "$@"
}

nginx_conf() {
    local kind temp=""
    for kind in client_body proxy fastcgi uwsgi scgi; do
        temp+="${kind}_temp_path $BUILD/nginx-tmp; "
    done
    cat <<CONF
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 300000;
pid $BUILD/nginx.pid;
error_log stderr crit;
events { worker_connections 200000; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    $temp
    server {
        listen $ADDR:80 backlog=16384;
        location / { default_type text/plain; return 200 "Hello, World!"; }
    }
}
CONF
}

# `ours-NAME` is `ours` with the option `--NAME`, unless it is a contender of its own;
# `ours-queues-N` with `--queues N`.
start_ours() { # contender
    local flags=${OURS_TUN_FLAGS:-}
    [[ $1 != ours-queues-* ]] || flags=multi_queue
    setup_tun "$OURS_MTU" "$flags"
    # The command may use these instead of arguments.
    export BENCH_TUN=$TUN BENCH_ADDR=$ADDR BENCH_PREFIX=$PREFIX BENCH_PEER=$PEER BENCH_MTU=$OURS_MTU
    local args=(--tun "$TUN" --addr "$ADDR/$PREFIX" --host-addr "$PEER" --mtu "$OURS_MTU")
    # shellcheck disable=SC2206 # Several arguments.
    [[ -z ${OURS_ARGS+x} ]] || args=($OURS_ARGS)
    case $1 in
        ours) ;;
        ours-queues-*) args+=(--queues "${1#ours-queues-}") ;;
        *) args+=("--${1#ours-}") ;;
    esac
    # shellcheck disable=SC2086 # Several arguments.
    start "$CNS" $OURS_CMD "${args[@]}"
}

# Brings contender $1 up; sets server_pid. Extra arguments every TUN contender
# understands: --tun NAME --addr IP --prefix N --peer IP --mtu N.
bring_up() {
    local c=$1 mtu=1500
    case $c in *-64k) mtu=65535 ;; *-32k) mtu=32768 ;; esac
    local std=(--tun "$TUN" --addr "$ADDR" --prefix "$PREFIX" --peer "$PEER" --mtu "$mtu")
    case $c in
        limit-gso) setup_tun 1500; start "$CNS" "$BIN/limit" stub "${std[@]}" --gso 1 ;;
        limit-*) setup_tun $mtu; start "$CNS" "$BIN/limit" stub "${std[@]}" ;;
        kernel-veth)
            setup_veth
            start "$SNS" "$BIN/tokio-kernel" --addr "$ADDR" --shards "${SHARDS:-1}"
            ;;
        kernel-axum | kernel-plain)
            setup_veth
            start "$SNS" "$BIN/bench-kernel" --addr "$ADDR" --http "${c#kernel-}"
            ;;
        nginx-veth)
            setup_veth
            nginx_conf >"$BUILD/nginx.conf"
            start "$SNS" nginx -c "$BUILD/nginx.conf" -e stderr
            ;;
        smoltcp-lean-*) setup_tun $mtu; start "$CNS" "$BIN/bench-smoltcp" "${std[@]}" --lean 1 ;;
        smoltcp-*) setup_tun $mtu; start "$CNS" "$BIN/bench-smoltcp" "${std[@]}" ;;
        gvisor-gso) setup_tun 1500; start "$CNS" "$BUILD/bench-gvisor" "${std[@]}" --gso 1 ;;
        gvisor-*) setup_tun $mtu; start "$CNS" "$BUILD/bench-gvisor" "${std[@]}" ;;
        ipstack-* | netstack-smoltcp-*)
            setup_tun $mtu
            start "$CNS" "$BIN/tokio-userspace" "${std[@]}" --stack "${c%-*}"
            ;;
        lwip-*) setup_tun $mtu; start "$CNS" "$BUILD/bench-lwip-$mtu" "${std[@]}" ;;
        ours-plain | ours-hyper | ours-copy)
            local words=(--http "${c#ours-}")
            [[ $c != ours-copy ]] || words=(--bulk copy)
            setup_tun "$OURS_MTU" "${OURS_TUN_FLAGS:-}"
            start "$CNS" "$BIN/bench-wharf" "${std[@]}" --mtu "$OURS_MTU" "${words[@]}"
            ;;
        ours-stack)
            setup_tun "$OURS_MTU"
            start "$CNS" "$BIN/bench-stack" "${std[@]}" --mtu "$OURS_MTU"
            ;;
        ours | ours-*) start_ours "$c" ;;
        *) say "no contender $c"; return 1 ;;
    esac
    client --contender "$c" --phases wait
}

# Of a server that speaks HTTP only.
web_phases() { tr , '\n' | grep -x -e http64 -e cps | paste -sd , || true; }

phases_for() {
    case $1 in
        nginx-veth | kernel-axum | kernel-plain) echo "$PHASES" | web_phases ;;
        limit-*) echo "$PHASES" | sed 's/^check,//' ;;
        *) echo "$PHASES" ;;
    esac
}

run_one() { # contender rep
    local c=$1 rep=$2
    if [[ "$c" = limit-raw ]]; then
        setup_tun 1500
        timeout 300 ip netns exec "$CNS" "$BIN/limit" raw --tun "$TUN" --addr "$ADDR" \
            --peer "$PEER" --secs 1.5 --rep "$rep" \
            >>"$OUT/results.jsonl" 2>>"$OUT/server.log" || say "limit-raw failed"
        teardown
        return
    fi
    if bring_up "$c"; then
        client --contender "$c" --rep "$rep" --server-pid "$server_pid" \
            --phases "$(phases_for "$c")" >>"$OUT/results.jsonl" || say "$c: load failed"
    else
        say "$c did not come up; see $OUT/server.log"
        teardown
        return
    fi
    teardown
    case $c in nginx-veth | kernel-axum | kernel-plain) return ;; esac # HTTP only.
    if [[ -n "$IDLE" ]] && [[ "$rep" -le "$IDLE_REPS" ]]; then
        if SHARDS=8 bring_up "$c"; then
            client --contender "$c" --rep "$rep" --server-pid "$server_pid" --phases "idle$IDLE" \
                >>"$OUT/results.jsonl" || say "$c: idle phase failed"
        fi
        teardown
    fi
}

available() {
    case $1 in
        nginx-veth) command -v nginx >/dev/null ;;
        gvisor-*) [[ -x "$BUILD/bench-gvisor" ]] ;;
        lwip-32k) [[ -x "$BUILD/bench-lwip-32768" ]] ;;
        lwip-*) [[ -x "$BUILD/bench-lwip-1500" ]] ;;
        ours-plain | ours-hyper | ours-copy | ours-stack) return 0 ;;
        ours | ours-*) [[ -n "$OURS_CMD" ]] ;;
        *) return 0 ;;
    esac
}

why_not() { # contender
    case $1 in
        nginx-*) echo "nginx is not installed" ;;
        gvisor-*) echo "Debian's golang-go and golang-gvisor-gvisor-dev are not installed" ;;
        lwip-*) echo "its source was not fetched (run.sh --install)" ;;
        ours*) echo "OURS_CMD names no server" ;;
        *) echo "it cannot be built" ;;
    esac
}

# The cargo package of contender $1; none for what is built otherwise.
package_of() {
    case $1 in
        limit-*) echo limit ;;
        kernel-veth) echo tokio-kernel ;;
        smoltcp-*) echo bench-smoltcp ;;
        ipstack-* | netstack-smoltcp-*) echo tokio-userspace ;;
        ours-plain | ours-hyper | ours-copy | ours-stack | kernel-axum | kernel-plain)
            echo bench-wharf
            ;;
    esac
}

build() { # contender...
    mkdir -p "$OUT" "$BUILD" "$BUILD/nginx-tmp"
    local c b packages=(-p load)
    for c in "$@"; do
        b=$(package_of "$c")
        [[ -z $b ]] || packages+=(-p "$b")
    done
    cargo build --release --quiet --locked --manifest-path "$here/Cargo.toml" \
        --target-dir "$TARGET" "${packages[@]}"
    [[ " $*" != *" gvisor-"* ]] || "$here/contenders/gvisor/build.sh" "$BUILD" || true
    # Its source comes from Debian's archive, and only when that was asked for.
    [[ " $*" != *" lwip-"* || -z ${fetch_lwip:-} && ! -d $BUILD/lwip ]] \
        || "$here/contenders/lwip/build.sh" "$BUILD" || true
}

case ${1:-} in
    --list) echo $ALL; exit 0 ;;
    --install)
        apt-get update -qq
        apt-get install -y --no-install-recommends iproute2 procps nginx-light \
            golang-go golang-gvisor-gvisor-dev gcc make dpkg-dev
        fetch_lwip=1 build lwip-1500
        exit 0
        ;;
esac

want="$*"
[[ -n "$want" ]] || want=${ALL//$'\n'/ }
# shellcheck disable=SC2086 # Several names.
build $want
: >"$OUT/results.jsonl"
: >"$OUT/server.log"
: >"$OUT/missing"
list=
for c in $want; do
    if available "$c"; then
        list="$list $c"
    else
        say "skipping $c: $(why_not "$c")"
        echo "$c: $(why_not "$c")" >>"$OUT/missing"
    fi
done
raise_group
allow_cc
for rep in $(seq "$REPS"); do
    for c in $list; do
        say "repetition $rep of $REPS: $c"
        run_one "$c" "$rep"
    done
done
describe() {
    echo "# TUN TCP stacks, $(date -u +%Y-%m-%dT%H:%MZ)"
    echo
    echo "$(uname -sr), $(nproc) cores of" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), cc=$CC, pin=$PIN," \
        "txqueuelen=$TXQ, ${SECS} s windows after ${WARM} s, $REPS repetitions"
    sed 's/^/not measured: /' "$OUT/missing"
    echo
}
{
    describe
    "$BIN/load" report "$OUT/results.jsonl"
} >"$OUT/report.md"
[[ -n ${QUIETLY:-} ]] || cat "$OUT/report.md"
