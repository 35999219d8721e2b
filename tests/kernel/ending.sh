# shellcheck shell=bash
# Signals, and what a server leaves behind.
# Sourced by scripts/interop.sh, whose helpers it uses.

# SIGNAL during a transfer: exit 0 within 6 s, no device left, the capture complete.
ends_well_on() {
    need capinfos
    serve_up --pcap "$work/cut.pcapng"
    curl -sS --max-time 30 --limit-rate 4M -o /dev/null "$url/bytes/10000000000" 2>"$work/curl" &
    local client=$! began status=0
    sleep 1
    began=$(date +%s%N)
    kill "-$1" "$server"
    wait "$server" || status=$?
    local took=$((($(date +%s%N) - began) / 1000000))
    [[ $status == 0 ]] || { server_log; die "it ended with $status"; }
    ((took <= 6000)) || die "it took $took ms"
    no_device tun0
    wait "$client" && die "curl got ten gigabytes"
    capinfos "$work/cut.pcapng" >"$work/capinfos" 2>&1 || { cat "$work/capinfos"; die "capinfos"; }
    ! grep -qi 'cut short' "$work/capinfos" || die "the capture is cut short"
    # Without putting the body together again, which takes tshark a minute.
    tshark -r "$work/cut.pcapng" -o tcp.desegment_tcp_streams:FALSE \
        -Y 'ip.src == 10.7.0.2 && (tcp.flags & 5)' \
        >"$work/ends" 2>"$work/tshark" || die "$(<"$work/tshark")"
    # A FIN or a reset.
    [[ -s $work/ends ]] \
        || die "nothing told the peer that the connection ended"
    echo "SIG$1: ended after $took ms"
}
check_interrupt_during_transfer() { ends_well_on INT; }
check_terminate_during_transfer() { ends_well_on TERM; }
# Whoever started the suite may ignore it, and a program keeps to that.
check_hangup_during_transfer() {
    ! ignores_hangup || skip "SIGHUP is ignored here"
    ends_well_on HUP
}
ignores_hangup() { (($(awk '/^SigIgn/ {print "0x" $2}' /proc/self/status) & 1)); }
check_hangup_under_nohup() {
    local status=0
    nohup "$WHARF" serve >"$work/ready" 2>"$work/log" &
    server=$!
    await_line "$work/ready" ready
    kill -HUP "$server"
    sleep 0.5
    ask_hello
    kill -INT "$server"
    wait "$server" || status=$?
    [[ $status == 0 ]] || { server_log; die "it ended with $status"; }
    no_device tun0
}
check_second_signal() {
    serve_up
    curl -sS --max-time 30 --limit-rate 4M -o /dev/null "$url/bytes/10000000000" 2>/dev/null &
    local began status=0
    sleep 0.5
    kill -INT "$server"
    sleep 0.5
    kill -0 "$server" 2>/dev/null || skip "the first signal had ended it already"
    began=$(date +%s%N)
    kill -INT "$server"
    wait "$server" || status=$?
    local took=$((($(date +%s%N) - began) / 1000000))
    ((took <= 1000)) || die "it took $took ms"
    soon_no_device tun0
    echo "ended with $status after $took ms"
}
# The peer reads nothing, so that the closing after the first signal would take its 5 s.
check_second_signal_to_a_client() {
    "$PYTHON" -c 'import socket, time
listener = socket.create_server(("0.0.0.0", 9000))
peer, _ = listener.accept()
time.sleep(30)' &
    local kernel=$! status=0 began
    await_listener 9000
    "$WHARF" nc 10.7.1.1 9000 </dev/zero >/dev/null 2>"$work/log" &
    local ours=$!
    for ((tick = 0; tick < 100; tick++)); do
        ss -Htn state established 'sport = :9000' | grep -q . && break
        sleep 0.05
    done
    sleep 0.5
    kill -INT "$ours"
    sleep 0.5
    kill -0 "$ours" 2>/dev/null || die "the first signal had ended it already"
    began=$(date +%s%N)
    kill -INT "$ours"
    wait "$ours" || status=$?
    local took=$((($(date +%s%N) - began) / 1000000))
    kill "$kernel"
    ((took <= 1000)) || die "it took $took ms"
    [[ $status == 1 ]] || die "it ended with $status: $(<"$work/log")"
    soon_no_device tun1
    echo "ended after $took ms"
}
check_idle_ends_at_once() {
    serve_up
    ask_hello
    local began
    began=$(date +%s%N)
    serve_down
    local took=$((($(date +%s%N) - began) / 1000000))
    ((took <= 1500)) || die "with nothing open it took $took ms"
    echo "ended after $took ms"
}
