# shellcheck shell=bash
# Floods from forged addresses. Run by `scripts/interop.sh --soak NAME` and scripts/soak.
# Sourced by scripts/interop.sh, whose helpers it uses.

# Kilobytes of memory that the server holds.
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# A client each 50 ms for $1 seconds; a line each in $2: 0, or why curl did not get it in 3 s.
clients_for() {
    local end=$((SECONDS + $1)) pids=()
    while ((SECONDS < end)); do
        (
            status=0
            curl -sS --max-time 3 -o /dev/null "$url/bytes/1000" 2>/dev/null || status=$?
            echo "$status" >>"$2"
        ) &
        pids+=($!)
        sleep 0.05
    done
    wait "${pids[@]}"
}

# The value of a counter, by its name without the prefix.
counter() {
    curl -sS --max-time 10 "$url/metrics" | awk -v name="wharf_$1" '$1 == name { print $2 }'
}

# At least 10,000 SYNs a second from random addresses for ten seconds: at least 99 of 100 clients
# are served within 3 s during it, all after it, and the server's memory does not grow with it.
check_syn_flood() {
    need hping3
    serve_up
    ip link set tun0 txqueuelen 10000
    clients_for 2 "$work/before"
    local memory flooder
    memory=$(resident)
    # It sleeps between two packets for longer than it is told.
    hping3 -q -S -p 80 --rand-source -i u40 -c 250000 "$host" >"$work/hping3" 2>&1 &
    flooder=$!
    clients_for 10 "$work/during"
    kill -INT "$flooder" 2>/dev/null
    wait "$flooder"
    clients_for 3 "$work/after"
    local clients served unserved grown sent cookies taken
    clients=$(wc -l <"$work/during") served=$(grep -cx 0 "$work/during")
    unserved=$(grep -cvx 0 "$work/after")
    grown=$(($(resident) - memory))
    sent=$(awk '/packets transmitted/ { print $1 }' "$work/hping3")
    cookies=$(counter tcp_syn_cookies_sent_total) taken=$(counter tcp_syn_cookies_taken_total)
    echo "$sent SYNs sent, $cookies cookies, $taken taken;" \
        "$served of $clients clients within 3 s; memory grew by $grown kB"
    ((sent >= 100000)) || die "the flood was only $sent SYNs: the machine is too busy"
    ((clients >= 100)) || die "only $clients clients"
    ((served * 100 >= clients * 99)) || die "$served of $clients clients were served within 3 s"
    ((unserved == 0)) || die "after the flood $unserved clients were not served"
    ((grown < 16384)) || die "the server's memory grew by $grown kB"
    ((cookies > 0)) || die "the flood never filled the backlog"
    serve_down
}
