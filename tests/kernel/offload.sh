# shellcheck shell=bash
# Super-segments across the TUN, packets of the MTU where they are not wanted, and the same octets.
# Sourced by scripts/interop.sh, whose helpers it uses.

# Counts what crosses tun0, until watch_down.
watch_up() {
    "$PYTHON" "$peers/offload_peer.py" watch tun0 1500 >"$work/watched" 2>"$work/watch.log" &
    watcher=$!
    await_line "$work/watched" watching
}

watch_down() {
    kill -TERM "$watcher" || die "the watcher was gone: $(<"$work/watch.log")"
    wait "$watcher" || die "the watcher: $(<"$work/watch.log")"
    cat "$work/watched"
}

# What was counted under name $1.
watched() { awk -v name="$1" '$1 == name { print $2 }' "$work/watched"; }

# The server on a device that is there before it, so that its first packet is seen too; bulk both
# ways, octet for octet.
bulk_watched() {
    ip tuntap add dev tun0 mode tun || skip "the kernel makes no persistent TUN here"
    ip addr add 10.7.0.1/24 dev tun0
    ip link set tun0 up
    watch_up
    "$WHARF" serve --small-services "$@" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" ready
    ask_bytes 5000000
    ask_sink 5000000
    peer services_peer udp "$host"
    peer offload_peer udp "$host" 7
    kill -INT "$server"
    wait "$server" || { server_log; die "it ended with $?"; }
    watch_down
}

# The kernel takes super-segments, or else the server has said that it does not.
need_super_segments() {
    ! grep -q 'takes no super-segments' "$work/log" || skip "this kernel takes no super-segments"
}

# Linux splits datagrams for a TUN, and hands it unsplit ones, from 6.2 on.
splits_datagrams() { [[ $(printf '6.2\n%s\n' "$(uname -r)" | sort -V | head -n 1) == 6.2 ]]; }

check_offload() {
    bulk_watched
    need_super_segments
    if splits_datagrams; then
        [[ $(watched out_large_udp) -gt 0 ]] || die "the kernel's datagrams were split"
    fi
    [[ $(watched in_large) -gt 0 ]] || die "no super-segment of ours"
    [[ $(watched out_large) -gt 0 ]] || die "no super-segment of the kernel's"
    [[ $(watched probes) == [1-4] ]] || die "$(watched probes) probes"
    [[ $(watched answers) == 0 ]] || die "the probe was answered"
}

# After a server with offload on the same device, whose agreement with the kernel stays with it.
check_no_offload() {
    bulk_watched
    ip link set tun0 down # So that nothing of the first server's is left in its queue.
    ip link del tun0
    bulk_watched --no-offload
    [[ $(watched in) -gt 1000 && $(watched out) -gt 1000 ]] || die "nothing was watched"
    [[ $(watched in_large) == 0 ]] || die "a packet of ours is longer than the MTU"
    [[ $(watched out_large) == 0 ]] || die "a packet of the kernel's is longer than the MTU"
    [[ $(watched probes) == 0 ]] || die "a probe, though nobody wants to know"
}

# Datagrams that the example sends by one call; $1 is an option of its.
datagrams_watched() {
    local path
    path=$(example datagrams) || skip "$path"
    ip tuntap add dev tun0 mode tun || skip "the kernel makes no persistent TUN here"
    ip addr add 10.7.0.1/24 dev tun0
    ip link set tun0 up
    watch_up
    "$path" "$@" >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" listening
    peer offload_peer ask "$host" 9000
    kill "$server"
    watch_down
}

check_datagrams_together() {
    datagrams_watched
    splits_datagrams || skip "this kernel splits no datagrams"
    [[ $(watched in_large_udp) == 6 ]] || die "not one packet a train"
}

check_datagrams_one_by_one() {
    datagrams_watched --no-offload
    [[ $(watched in_large) == 0 ]] || die "a packet of ours is longer than the MTU"
}

# A descriptor with IFF_VNET_HDR, that somebody else opened.
check_given_descriptor_offloads() {
    need nc
    local path
    path=$(example given_descriptor) || skip "$path"
    "$PYTHON" "$peers/given_descriptor.py" --header tun0 10.7.0.1/24 "$path" \
        >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" listening
    watch_up
    noise 5000000 >"$work/noise"
    nc -N -w 20 "$host" 7 <"$work/noise" >"$work/heard" || die "nc ended with $?"
    cmp "$work/noise" "$work/heard" || { server_log; die "the echo differs"; }
    watch_down
    need_super_segments
    [[ $(watched in_large) -gt 0 && $(watched out_large) -gt 0 ]] || die "no super-segments"
    kill "$server"
}
