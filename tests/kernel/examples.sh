# shellcheck shell=bash
# The examples of the library, as the programs that they are.
# Sourced by scripts/interop.sh, whose helpers it uses.

# An echo server on 10.7.0.2:7, asked by the kernel's sockets; ended by signal $2.
echo_example() {
    local example=${WHARF%/*}/examples/$1
    [[ -x $example ]] || skip "the example $1 is not built beside the binary"
    "$example" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" listening
    noise 1000000 >"$work/noise"
    nc -N -w 20 "$host" 7 <"$work/noise" >"$work/heard" || die "nc ended with $?"
    cmp "$work/noise" "$work/heard" || { server_log; die "the echo differs"; }
    kill "-$2" "$server"
    wait "$server"
    no_device tun0
}

check_example_blocking() { need nc; echo_example echo_blocking TERM; }
check_example_tokio() { need nc; echo_example echo_tokio INT; }
