# shellcheck shell=bash
# Active open: `wharf get`, `wharf nc` and `wharf ping` against servers of the kernel.
# Sourced by scripts/interop.sh, whose helpers it uses.

# Waits until somebody listens on TCP port $1 of the kernel.
await_listener() {
    for ((tick = 0; tick < 200; tick++)); do
        [[ -n $(ss -Hltn "sport = :$1") ]] && return
        sleep 0.05
    done
    die "nobody listens on port $1"
}

get() { timeout 90 "$WHARF" get "$@"; }

check_get_from_python() {
    noise 20000000 >"$work/noise"
    "$PYTHON" -m http.server --directory "$work" --bind 0.0.0.0 8000 >/dev/null 2>&1 &
    await_listener 8000
    get http://10.7.1.1:8000/noise -o "$work/got" || die "wharf get ended with $?"
    cmp "$work/noise" "$work/got" || die "what came differs"
    get http://10.7.1.1:8000/noise >"$work/got" || die "wharf get ended with $?"
    cmp "$work/noise" "$work/got" || die "on standard output: what came differs"
    get http://10.7.1.1:8000/no-such-file -o "$work/none" 2>"$work/log"
    [[ $? == 1 ]] || die "a 404 must end with 1"
    get http://10.7.1.1:8001/ 2>"$work/log"
    [[ $? == 1 ]] || die "a refused connection must end with 1"
    one_sentence "$work/log"
    no_device tun1
}
check_get_under_loss() {
    noise 5000000 >"$work/noise"
    "$PYTHON" -m http.server --directory "$work" --bind 0.0.0.0 8000 >/dev/null 2>&1 &
    await_listener 8000
    get "${lossy[@]}" http://10.7.1.1:8000/noise -o "$work/got" || die "wharf get ended with $?"
    cmp "$work/noise" "$work/got" || die "what came differs"
}
check_get_beside_serve() {
    # Two stacks on two devices, the kernel routing between them.
    sysctl -qw net.ipv4.ip_forward=1
    serve_up
    get "$url/bytes/5000000" -o "$work/got" || die "wharf get ended with $?"
    cmp "$work/got" <(pattern 5000000) || die "what came differs"
    get "ws://$host/ws/echo" --ws-message "to and fro" >"$work/answer" \
        || die "WebSocket: wharf get ended with $?"
    grep -q 'to and fro' "$work/answer" || die "WebSocket: $(<"$work/answer")"
    serve_down
    no_device tun1
}
# Waits until file $1 has $2 octets.
await_octets() {
    for ((tick = 0; tick < 600; tick++)); do
        [[ $(stat -c %s "$1" 2>/dev/null) == "$2" ]] && return
        sleep 0.05
    done
}

check_nc_as_client() {
    need nc
    noise 3000000 >"$work/noise"
    nc -l -N 9000 <"$work/noise" >"$work/heard" &
    local kernel=$! status=0
    await_listener 9000
    # `nc -l` ends when its peer has, whatever it has left to say: we end last.
    timeout 60 "$WHARF" nc 10.7.1.1 9000 >"$work/got" \
        < <(cat "$work/noise"; await_octets "$work/got" 3000000) || status=$?
    [[ $status == 0 ]] || die "wharf nc ended with $status"
    wait "$kernel" || die "nc ended with $?"
    cmp "$work/noise" "$work/heard" || die "what nc heard differs"
    cmp "$work/noise" "$work/got" || die "what wharf nc heard differs"
    no_device tun1
}
check_nc_as_listener() {
    need nc
    noise 3000000 >"$work/noise"
    timeout 60 "$WHARF" nc -l 10.7.1.2 9000 <"$work/noise" >"$work/got" &
    local ours=$! heard=no
    for ((tick = 0; tick < 100; tick++)); do
        # A refusal or a missing route comes at once; then it is too early.
        nc -N -w 30 10.7.1.2 9000 <"$work/noise" >"$work/heard" 2>/dev/null && heard=yes && break
        sleep 0.1
    done
    [[ $heard == yes ]] || die "nc never reached wharf nc -l"
    wait "$ours" || die "wharf nc -l ended with $?"
    cmp "$work/noise" "$work/heard" || die "what nc heard differs"
    cmp "$work/noise" "$work/got" || die "what wharf nc heard differs"
    no_device tun1
}
check_ping_by_us() {
    timeout 30 "$WHARF" ping --help | grep -q -- '--count' || skip "wharf ping has no --count"
    timeout 30 "$WHARF" ping --count 3 10.7.1.1 | tee "$work/ping" || die "wharf ping failed"
    [[ $(grep -c 'time=\|ms' "$work/ping") -ge 3 ]] || die "not three answers"
    timeout 30 "$WHARF" ping --count 1 10.7.1.77 >"$work/ping" 2>&1
    [[ $? == 1 ]] || die "nobody is there, and it ended with another code than 1"
    no_device tun1
}
