# shellcheck shell=bash
# Everything that must be refused, with one sentence and the right exit code.
# Sourced by scripts/interop.sh, whose helpers it uses.

# File $1 holds one sentence and nothing more.
one_sentence() {
    [[ $(grep -c . "$1") == 1 ]] || die "not one sentence: $(<"$1")"
    ! grep -q 'panicked' "$1" || die "$(<"$1")"
}

# wharf with these arguments is refused with exit code $1 and one sentence.
refused() {
    local wanted=$1 status=0
    shift
    timeout 10 "$WHARF" "$@" >"$work/out" 2>"$work/err" || status=$?
    [[ $status == "$wanted" ]] \
        || die "\`wharf $*\` ended with $status, not $wanted: $(<"$work/err")"
    one_sentence "$work/err"
    [[ ! -s $work/out ]] || die "\`wharf $*\` said on standard output: $(<"$work/out")"
    echo "wharf $*: $(<"$work/err")"
}
check_wrong_use() {
    refused 2 serve --no-such-option
    refused 2 serve --addr nonsense
    refused 2 serve --addr 224.0.0.1/24
    refused 2 serve --mtu 10
    refused 2 serve --http 99999
    refused 2 serve --queues 0
    refused 2 serve --queues 257
    refused 2 serve --impair loss=300%
    refused 2 serve --impair nonsense=1
    refused 2 serve --impair loss
    refused 2 serve --tun an-interface-name-that-is-too-long
    refused 2 nc 10.7.1.1
    refused 2 get
    refused 2 get nonsense
    refused 2 no-such-command
    no_device tun0
}
check_not_built_yet() {
    refused 2 serve --congestion bbr
    refused 2 serve --control "$work/control"
    refused 2 ss
    refused 2 dump "$work/none.pcapng"
    refused 2 ladder "$work/none.pcapng" -o "$work/none.svg"
    refused 2 simulate
}
check_no_privilege() {
    local status=0
    setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null \
        || skip "a user namespace has one user"
    install -m 755 "$WHARF" "$work/wharf"
    chmod 755 "$work"
    (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups "$work/wharf" serve) \
        >"$work/out" 2>"$work/err" || status=$?
    [[ $status == 1 ]] || die "it ended with $status: $(<"$work/err")"
    one_sentence "$work/err"
    cat "$work/err"
}
# What a device that we make is like, and what is left of root's powers.
check_device_is_set_up() {
    local link field set
    serve_up --mtu 1400
    link=$(ip -o link show tun0)
    [[ $link == *",UP,"* && $link == *" mtu 1400 "* && $link == *" qlen 5000"* ]] || die "$link"
    ip -o -4 addr show tun0 | grep -q ' 10\.7\.0\.1/24 ' || die "$(ip -o -4 addr show tun0)"
    for field in CapInh CapPrm CapEff CapBnd CapAmb; do
        set=$(awk -v field="$field:" '$1 == field { print $2 }' "/proc/$server"/task/*/status)
        [[ $(sort -u <<<"$set") == 0000000000000000 ]] || die "$field: $set"
    done
    set=$(awk '$1 == "NoNewPrivs:" { print $2 }' "/proc/$server"/task/*/status)
    [[ $(sort -u <<<"$set") == 1 ]] || die "NoNewPrivs: $set"
    serve_down
}
# Somebody deletes the device, at rest and under a transfer: a failure with one sentence.
check_device_deleted() {
    local client status rate
    for rate in 0 4M; do
        serve_up
        client=""
        if [[ $rate != 0 ]]; then
            curl -sS --max-time 20 --limit-rate "$rate" -o /dev/null "$url/bytes/1000000000" \
                2>/dev/null &
            client=$!
        fi
        sleep 0.5
        ip link del tun0
        status=0
        wait "$server" || status=$?
        [[ $status == 1 ]] || { server_log; die "it ended with $status"; }
        one_sentence "$work/log"
        cat "$work/log"
        [[ -z $client ]] || kill "$client" 2>/dev/null || true
    done
}
check_device_busy() {
    serve_up
    refused 1 serve --addr 10.7.3.2/24 --host-addr 10.7.3.1
    ask_hello
    serve_down
}
check_device_of_others_stays() {
    ip tuntap add dev tun0 mode tun || skip "the kernel makes no persistent TUN here"
    # Without an address nobody reaches us, and it is not ours to give it one.
    "$WHARF" serve >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" ready
    kill -INT "$server"
    wait "$server" || die "it ended with $?"
    grep -q 'nowhere: .*(ip addr add 10.7.0.1/24 dev tun0)' "$work/log" \
        || die "it did not say what is missing: $(<"$work/log")"
    ip addr add 10.7.0.1/24 dev tun0
    ip link set tun0 mtu 1400 up
    "$WHARF" serve >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" ready
    ask_hello
    kill -INT "$server"
    wait "$server" || die "it ended with $?"
    [[ ! -s $work/log ]] || die "it said: $(<"$work/log")"
    ip link show tun0 | grep -q 'mtu 1400' || die "somebody else's device was changed or removed"
}
