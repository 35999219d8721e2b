#!/usr/bin/env bash
# Network namespaces for tests and measurements, so that nothing touches the machine's own.
#
# usage: scripts/netns.sh up NAME | down NAME | exec NAME COMMAND... | possible
# or, in a script: source scripts/netns.sh, then netns_up NAME and so on.
#
# A namespace has its loopback up and nothing else: wharf makes its own TUN device inside. The
# kernel's TCP in it uses CUBIC, which a machine may have to allow for namespaces first; what was
# allowed before is put back by netns_restore. Names begin with `w-` and hold the caller's process
# id, so that runs beside each other do not meet.

allowed_file=/proc/sys/net/ipv4/tcp_allowed_congestion_control
allowed_before=""

# Whether namespaces with TUN devices can be had: by root, unless a container keeps that from it, or
# by a user who may be root in a namespace. One is made, under a /run that nobody else sees: nothing
# is left of it, whatever ends this.
netns_possible() {
    local as_root=()
    if [[ $(id -u) == 0 ]]; then
        [[ -w /run ]] || return 1
    else
        as_root=(-Ur)
    fi
    [[ -c /dev/net/tun ]] && unshare "${as_root[@]}" -nm bash -c 'mount -t tmpfs none /run \
        && ip netns add try && ip netns exec try ip tuntap add dev try mode tun' 2>/dev/null
}

# Makes namespace $1.
netns_up() {
    ip netns add "$1" || return 1
    ip -n "$1" link set lo up
    netns_use_cubic "$1"
    # So that `ping` without privilege works inside as it does on a desktop.
    ip netns exec "$1" sysctl -qw net.ipv4.ping_group_range="0 2147483647" 2>/dev/null || true
}

# The kernel's sockets in namespace $1 use CUBIC, the usual peer of a server.
netns_use_cubic() {
    local set_it=(ip netns exec "$1" sysctl -qw net.ipv4.tcp_congestion_control=cubic)
    "${set_it[@]}" 2>/dev/null && return
    if ! grep -qw cubic "$allowed_file"; then
        local before
        before=$(<"$allowed_file")
        # An ordinary user may not.
        if { printf '%s cubic\n' "$before" >"$allowed_file"; } 2>/dev/null; then
            allowed_before=${allowed_before:-$before}
        fi
    fi
    "${set_it[@]}" 2>/dev/null \
        || printf 'netns: the kernel has no CUBIC for %s; it stays with its default.\n' "$1" >&2
}

# Ends what still runs in namespace $1 and removes it.
netns_down() {
    local pids
    pids=$(ip netns pids "$1" 2>/dev/null) || return 0
    if [[ -n $pids ]]; then
        # shellcheck disable=SC2086 # Several process ids, one word each.
        kill -KILL $pids 2>/dev/null || true
    fi
    ip netns del "$1" 2>/dev/null || true
}

# Puts back what netns_use_cubic changed on the machine.
netns_restore() {
    if [[ -n $allowed_before ]]; then
        printf '%s\n' "$allowed_before" >"$allowed_file"
        allowed_before=""
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    case ${1:-} in
        up) netns_up "${2:?a name}" ;;
        down) netns_down "${2:?a name}" ;;
        exec) shift; exec ip netns exec "$@" ;;
        possible) netns_possible ;;
        *) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
    esac
fi
