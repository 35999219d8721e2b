# shellcheck shell=bash
# Packets that no kernel would send, while a transfer goes on.
# Sourced by scripts/interop.sh, whose helpers it uses.

check_fuzz_100000() {
    serve_up --small-services
    ask_hello
    # One transfer after the other, so that one is always on its way.
    (until [[ -e $work/over ]]; do
        curl -sS --fail --max-time 60 --limit-rate 30M "$url/bytes/60000000" \
            | cmp - <(pattern 60000000) || exit 1
        echo "60 MB arrived beside the packets"
    done) &
    local transfer=$!
    peer fuzz_peer tun0 "$host" 100000 "${SEED:-1}" "$server"
    # A packet that the device's queue had no room for would have tested nothing.
    local dropped
    dropped=$(curl -sS --max-time 30 "$url/metrics" \
        | awk '/^wharf_dropped_total/ { sum += $2 } END { print sum }')
    ((dropped >= 50000)) || die "only $dropped of the packets came as far as to be refused"
    echo "$dropped packets were refused by the stack"
    : >"$work/over"
    wait "$transfer" || die "the transfer was harmed"
    kill -0 "$server" 2>/dev/null || { server_log; die "the server is gone"; }
    ask_hello
    # Forged SYNs are still half open, so the end takes what the grace period allows.
    serve_down
}
