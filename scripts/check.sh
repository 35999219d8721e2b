#!/usr/bin/env bash
# What must hold before any test runs: format, lints, documentation, and each feature by itself.
#
# usage: scripts/check.sh
#
# One line a check, `ok NAME` or `FAIL NAME`, with its time; a failure shows its output. Everything
# is only checked, not built into code, so the run costs one pass of the compiler's front end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0

# check NAME COMMAND...
check() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$output" 2>&1; then
        passed=$((passed + 1))
        echo "ok $name ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "FAIL $name ($((SECONDS - began)) s): $*"
        tail -n 60 "$output" | sed 's/^/    /'
    fi
}

check format cargo fmt --all --check
check lints cargo clippy --quiet --locked --all-targets -- -D warnings
check documentation env RUSTDOCFLAGS="-D warnings" \
    cargo doc --quiet --locked --no-deps --document-private-items
# The core, devices and blocking sockets stand alone; every feature only adds to them.
check no_features cargo clippy --quiet --locked --no-default-features -- -D warnings
for feature in tokio axum hyper sim capi cli; do
    check "feature_$feature" \
        cargo clippy --quiet --locked --no-default-features --features "$feature" -- -D warnings
done

echo "$passed passed, $failed failed"
((failed == 0))
