#!/usr/bin/env bash
# Runs one fuzz target with cargo-fuzz, for a while.
#
# usage: scripts/fuzz.sh TARGET SECONDS      scripts/fuzz.sh --list
#
# It begins with the corpus that is kept, fuzz/seeds/TARGET, and with what earlier runs on this
# machine have found, fuzz/corpus/TARGET. A crash, an input that takes 10 s, one allocation of
# 256 MiB or 1 GiB in all end the run; the input is then in fuzz/artifacts/TARGET. The last lines
# say how many inputs were run and how many edges of the code they reached.
#
# Stable Rust: RUSTC_BOOTSTRAP=1 is for cargo-fuzz alone, whose sanitizer flags are not stable.
# cargo-fuzz is installed with cargo when it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == --list ]]; then
    sed -nE 's/^name = "([a-z_]+)"$/\1/p' fuzz/Cargo.toml
    exit
fi
if (($# != 2)) || ! "$0" --list | grep -qx -- "$1"; then
    echo "usage: scripts/fuzz.sh TARGET SECONDS; targets: $("$0" --list | paste -sd ' ')" >&2
    exit 2
fi
target=$1 seconds=$2

cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz || {
    echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2
    exit 1
}

mkdir -p "fuzz/corpus/$target"
export RUSTC_BOOTSTRAP=1
cargo fuzz build --release --debug-assertions "$target"
status=0
# What is new goes to the first folder. Long programs from the start: short ones end early.
nice cargo fuzz run --release --debug-assertions "$target" \
    "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 \
    -max_len=1024 -len_control=0 -print_final_stats=1 >"fuzz/corpus/$target.log" 2>&1 || status=$?
if ((status)); then
    tail -n 40 "fuzz/corpus/$target.log"
else
    grep -E ' DONE |^stat::' "fuzz/corpus/$target.log"
fi
exit "$status"
