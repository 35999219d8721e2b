# shellcheck shell=bash
# The examples of the library, as the programs that they are.
# Sourced by scripts/interop.sh, whose helpers it uses.

# The path of example $1.
example() {
    local path=${WHARF%/*}/examples/$1
    [[ -x $path ]] || skip "the example $1 is not built beside the binary"
    printf '%s\n' "$path"
}

# An echo server on 10.7.0.2:7, asked by the kernel's sockets; ended by signal $2.
echo_example() {
    local path
    path=$(example "$1") || skip "$path"
    "$path" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" listening
    noise 1000000 >"$work/noise"
    nc -N -w 20 "$host" 7 <"$work/noise" >"$work/heard" || die "nc ended with $?"
    cmp "$work/noise" "$work/heard" || { server_log; die "the echo differs"; }
    kill "-$2" "$server"
    wait "$server"
    soon_no_device tun0
}

check_example_blocking() { need nc; echo_example echo_blocking TERM; }
check_example_tokio() { need nc; echo_example echo_tokio INT; }
check_example_given_descriptor() {
    need nc
    local path
    path=$(example given_descriptor) || skip "$path"
    "$PYTHON" "$peers/given_descriptor.py" tun0 10.7.0.1/24 "$path" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" listening
    noise 1000000 >"$work/noise"
    nc -N -w 20 "$host" 7 <"$work/noise" >"$work/heard" || die "nc ended with $?"
    cmp "$work/noise" "$work/heard" || { server_log; die "the echo differs"; }
    # Somebody takes the device away: the accept ends, and with it the program.
    ip link del tun0
    wait "$server" && die "it did not notice that its device is gone"
    grep -q 'etwork is down' "$work/log" || die "another error: $(<"$work/log")"
}
check_example_http() {
    local path
    path=$(example http_server) || skip "$path"
    "$path" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" ready
    curl -sS --max-time 10 "$url/" | grep -q 'Hello from user space!' || die "another answer"
    kill -TERM "$server"
    wait "$server"
    soon_no_device tun0
}
check_example_raw_stack() {
    local path
    path=$(example raw_stack) || skip "$path"
    "$path" >"$work/out" || die "it ended with $?"
    tail -n 1 "$work/out" | grep -qx '"hello, wharf" came back' || die "$(tail -n 3 "$work/out")"
}
check_example_simulate() {
    local path
    path=$(example simulate) || skip "$path"
    "$path" loss=3%,delay=20ms 7 >"$work/first" || die "it ended with $?"
    "$path" loss=3%,delay=20ms 7 >"$work/second" || die "it ended with $?"
    cmp "$work/first" "$work/second" || die "the same seed gave another run"
    cat "$work/first"
}
