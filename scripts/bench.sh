#!/usr/bin/env bash
# The README's figures: wharf and others over the same TUN, with one client, interleaved.
#
# usage: scripts/bench.sh [OPTION...] [CONTENDER...]
#
#   --quick            one repetition of a second, few phases: to see that all works
#   --reps N           interleaved repetitions; 3
#   --secs S           measuring window of each phase; 3
#   --phases A,B       check up1 up8 down1 down8 echo spin beside beside-down http64 cps wakes
#   --idle N+N         idle connections too, in steps such as 10000+50000; not by default
#   --noisy            measure although others use the machine; the table then says so
#   --install          install what the optional contenders need (apt-get), and fetch lwIP
#   --list             the contenders' names
#
# Contenders, unless some are named: limit-gso limit-1500 kernel-veth kernel-axum smoltcp-1500
# gvisor-gso lwip-1500 ours ours-no-offload ours-plain ours-hyper. What cannot be built here is
# named in the output. bench/README.md says what each figure is. Needs root, /dev/net/tun, iproute2.
# Everything happens in two network namespaces that it makes and removes.
#
# environment: what bench/run.sh reads, such as CC, TXQ, PIN, OUT; WHARF_SERVE, the server's words
# after `wharf serve`, instead of --small-services
# Exit code 3: the machine is not quiet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

contenders="limit-gso limit-1500 kernel-veth kernel-axum smoltcp-1500 gvisor-gso lwip-1500
ours ours-no-offload ours-plain ours-hyper"
named=() is_noisy="" described=${0##*/}
export REPS=${REPS:-3} SECS=${SECS:-3} WARM=${WARM:-0.7} IDLE=${IDLE:-}

[[ $# == 0 ]] || described+=" $*"
while (($#)); do
    case $1 in
        --quick)
            REPS=1 SECS=1 WARM=0.3
            export PHASES=check,up1,down1,echo,http64 QUIET=1 TRIES=1
            ;;
        --reps) REPS=${2:?a number}; shift ;;
        --secs) SECS=${2:?seconds}; shift ;;
        --phases) export PHASES=${2:?names}; shift ;;
        --idle) IDLE=${2:?numbers}; shift ;;
        --noisy) is_noisy=1 ;;
        --install) exec bench/run.sh --install ;;
        --list) exec bench/run.sh --list ;;
        --help | -h) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit ;;
        -*) echo "bench.sh: there is no option $1; --help lists them" >&2; exit 2 ;;
        *) named+=("$1") ;;
    esac
    shift
done
((${#named[@]})) || read -ra named <<<"${contenders//$'\n'/ }"

[[ $(id -u) == 0 && -c /dev/net/tun ]] || {
    echo "bench.sh: it needs root and /dev/net/tun, for network namespaces with TUN devices" >&2
    exit 2
}
(($(nproc) >= 2)) || { echo "bench.sh: it needs two cores, a client's and a server's" >&2; exit 2; }

# shellcheck source=scripts/common.sh
source scripts/common.sh
find_cargo || { echo "bench.sh: cargo is missing: install a Rust toolchain" >&2; exit 2; }

target=$PWD/target/bench
export CARGO_TARGET_DIR=$target OUT=${OUT:-$target/results}
echo "building" >&2
CARGO_TARGET_DIR='' cargo build --release --quiet --locked --bin wharf --target-dir target
cargo build --release --quiet --locked --manifest-path bench/Cargo.toml -p load
load=$target/release/load

# Figures of a busy machine are of no use to anybody: they are refused, or marked.
busy=""
if ! used=$("$load" machine); then
    busy="other programs used $used cores before the run"
    echo "bench.sh: $busy; the busiest:" >&2
    ps -eo pcpu,pid,comm --sort=-pcpu --no-headers | head -n 3 >&2
    [[ -n $is_noisy ]] || { echo "bench.sh: wait for quiet, or say --noisy" >&2; exit 3; }
fi

read -ra serve <<<"${WHARF_SERVE:---small-services}"
export OURS_CMD="$PWD/target/release/wharf serve ${serve[*]}" QUIETLY=1
bench/run.sh "${named[@]}"

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
machine=$(systemd-detect-virt 2>/dev/null || true)
{
    echo "\`$described\`, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null)."
    echo "$(nproc) cores of $cpu, $memory, $(uname -sr)${machine:+, virtual machine ($machine)};"
    echo "$(rustc --version | cut -d' ' -f1-2). Server and client have a core each; congestion"
    echo "control of the client ${CC:-cubic}; queue of the TUN ${TXQ:-1000} packets;"
    echo "$REPS repetitions of $SECS s, interleaved."
    [[ -z $busy ]] || echo "**Not a quiet machine: $busy.**"
    echo
    "$load" readme "$OUT/results.jsonl"
    sed 's/^/- not measured: /' "$OUT/missing"
} >"$OUT/readme.md"
cat "$OUT/readme.md"
