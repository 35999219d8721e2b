# shellcheck shell=bash
# What the kernel's TCP agrees on with ours, and what it may do to it.
# Sourced by scripts/interop.sh, whose helpers it uses.

check_kernel_recovers_by_sack() {
    serve_up "${lossy[@]}"
    peer options_peer sack "$host"
    serve_down
}
check_kernel_agrees_on_options() {
    serve_up --small-services
    peer options_peer agreed "$host"
    serve_down
}
check_kernel_keepalive() {
    serve_up --small-services
    peer options_peer keepalive "$host"
    serve_down
}
check_kernel_urgent() {
    serve_up --small-services
    peer options_peer urgent "$host"
    serve_down
}
check_kernel_linger() { serve_up; peer options_peer linger "$host"; serve_down; }
check_black_hole() {
    serve_up --impair mtu=900,seed=1
    curl -sS --max-time 60 "$url/bytes/200000" | wc -c | grep -qx 200000 || die "octets are missing"
    serve_down
}
