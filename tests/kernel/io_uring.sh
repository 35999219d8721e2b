# shellcheck shell=bash
# Many short packets by one system call, where the kernel has io_uring, or one by one: the same
# answers. Sourced by scripts/interop.sh, whose helpers it uses.

# How many rings the server holds.
rings() { find "/proc/$server/fd" -lname 'anon_inode:*io_uring*' | wc -l; }

# Short messages from many at once, and bulk beside.
many_at_once() {
    peer http_peer crowd "$host" 80 500
    peer http_peer keep-alive "$host" 80 200
    ask_sink 5000000
    ask_bytes 5000000
}

check_io_uring() {
    serve_up
    local held
    held=$(rings)
    ((held > 0)) || skip "this machine lets nobody have an io_uring"
    local major minor
    IFS=.- read -r major minor _ <<<"$(uname -r)"
    ((major * 100 + minor >= 604)) || skip "a TUN can be used by a ring from Linux 6.4 on"
    [[ $held == "${QUEUES:-1}" ]] || die "$held rings for ${QUEUES:-1} queues"
    many_at_once
    [[ $(rings) == "$held" ]] || die "a ring was given up: $(<"$work/log")"
    serve_down
    # Without super-segments bulk is many packets too.
    serve_up --no-offload
    many_at_once
    serve_down
}

check_no_io_uring() {
    serve_up --no-io-uring
    [[ $(rings) == 0 ]] || die "it was asked for none"
    many_at_once
    serve_down
}

# A device that was made goes with a process that is killed, though the kernel ends rings in its
# own time: whoever starts it again at once finds a device that is his own to set up.
check_killed_and_started_again() {
    for ((round = 0; round < 5; round++)); do
        serve_up
        peer http_peer crowd "$host" 80 300
        kill -KILL "$server"
        wait "$server"
    done
    serve_up
    many_at_once
    serve_down
}
