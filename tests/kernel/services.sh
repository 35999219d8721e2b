# shellcheck shell=bash
# The small services, UDP, closed ports, and the kernel's ping.
# Sourced by scripts/interop.sh, whose helpers it uses.

check_services_tcp() { serve_up --small-services; peer services_peer tcp "$host"; serve_down; }
check_services_udp() { serve_up --small-services; peer services_peer udp "$host"; serve_down; }
check_services_by_nc() {
    need nc
    serve_up --small-services
    [[ $(printf 'by nc\n' | nc -N -w 5 "$host" 7) == "by nc" ]] || die "TCP echo"
    [[ $(printf 'by nc\n' | nc -u -w 1 "$host" 7) == "by nc" ]] || die "UDP echo"
    nc -w 1 "$host" 19 </dev/null | head -c 74 | grep -q '!"#' || die "TCP chargen"
    serve_down
}
check_closed_port() { serve_up; peer services_peer closed "$host"; serve_down; }
check_ping_of_us() {
    need ping
    serve_up
    local size
    for size in 0 56 1472; do
        ping -c 5 -i 0.2 -W 2 -s "$size" "$host" | tee "$work/ping" | tail -n 2
        grep -q ' 0% packet loss' "$work/ping" || die "size $size"
    done
    serve_down
}
