# shellcheck shell=bash
# What tshark says about a capture of a clean run.
# Sourced by scripts/interop.sh, whose helpers it uses.

# tshark on capture $1, with every checksum checked.
verify() {
    local file=$1
    shift
    tshark -r "$file" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
        -o udp.check_checksum:TRUE "$@" 2>"$work/tshark"
}

# The packets of capture $1 that display filter $2 finds; there must be none: $3 says of what.
no_packet() {
    local found
    found=$(verify "$1" -Y "$2") || die "tshark: $(<"$work/tshark")"
    [[ -z $found ]] || die "$3: $(head -n 20 <<<"$found")"
}

# tshark must read capture $1 whole and have nothing against it; $2... are the warnings that the
# run explains, as extended regular expressions.
capture_is_clean() {
    local file=$1 packets unexplained explained
    shift
    explained=$(IFS='|'; printf '%s' "$*")
    packets=$(verify "$file" | wc -l)
    [[ $packets -gt 0 ]] || die "tshark finds no packet: $(<"$work/tshark")"
    ! grep -v 'Running as user' "$work/tshark" | grep . || die "tshark complains"
    no_packet "$file" '_ws.malformed' malformed
    # "Good" is 1. What an ICMP error quotes is cut off, so only the outer headers count there.
    no_packet "$file" 'ip && !icmp && ip.checksum.status != 1' 'a bad IP checksum'
    no_packet "$file" 'tcp && !icmp && tcp.checksum.status != 1' 'a bad TCP checksum'
    no_packet "$file" 'udp && !icmp && udp.checksum.status != 1' 'a bad UDP checksum'
    no_packet "$file" 'icmp && icmp.checksum.status != 1' 'a bad ICMP checksum'
    no_packet "$file" '_ws.expert.severity >= "Error"' 'an expert error'
    unexplained=$(verify "$file" -q -z expert,warn | sed -n '/^Warns/,/^$/p' \
        | grep -E '^ +[0-9]' | grep -Ev "$explained")
    [[ -z $unexplained ]] || die "expert warnings: $unexplained
$(verify "$file" -Y '_ws.expert.severity >= "Warning"' | head -n 20)"
    echo "$packets packets, every checksum verified, nothing malformed"
}

check_capture_clean() {
    need tshark
    serve_up --small-services --pcap "$work/clean.pcapng"
    ask_hello
    ask_bytes 100000
    ask_sink 100000
    ask_keep_alive 20
    peer http_peer crowd "$host" 80 10
    peer services_peer udp "$host"
    peer services_peer closed "$host"
    if "$PYTHON" -c 'import websockets' 2>/dev/null; then
        peer websocket_peer messages "$host" 80 100000
    fi
    ping -c 2 -i 0.2 "$host" >/dev/null || die "no answer to ping"
    serve_down
    # The one reset is the closed port's answer; full windows are a bulk sender's bread.
    capture_is_clean "$work/clean.pcapng" 'Connection reset \(RST\)' \
        'window specified by the receiver is now completely full' 'Zero Window segment'
    no_packet "$work/clean.pcapng" 'tcp.flags.reset == 1 && tcp.srcport != 40000' \
        'a reset that nothing explains'
    # Nothing was lost, so nothing of ours may have been sent twice.
    no_packet "$work/clean.pcapng" 'tcp.analysis.retransmission && ip.src == 10.7.0.2' \
        'a retransmission without a loss'
    [[ -n $(verify "$work/clean.pcapng" -Y 'tcp.flags.reset == 1 && tcp.srcport == 40000') ]] \
        || die "the closed port's reset is missing"
}
