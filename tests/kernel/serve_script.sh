# shellcheck shell=bash
# The README's first command, as tests, CI and ordinary users run it.
# Sourced by scripts/interop.sh, whose helpers it uses.

check_serve_script_in_a_namespace() {
    WHARF=$WHARF CI=true "$here/scripts/serve" >"$work/ready" 2>"$work/log" </dev/null &
    server=$!
    await_line "$work/ready" '^ready http://10.7.0.2/$'
    ask_hello
    kill -INT "$server"
    wait "$server" || die "it ended with $?"
    no_device tun0
}
check_serve_script_options() {
    WHARF=$WHARF CI=true "$here/scripts/serve" --addr 10.9.0.2/16 --host-addr 10.9.0.1 --http 8080 \
        >"$work/ready" 2>"$work/log" </dev/null &
    server=$!
    await_line "$work/ready" '^ready http://10.9.0.2:8080/$'
    [[ $(curl -sS --max-time 10 http://10.9.0.2:8080/hello) == "Hello, World!" ]] || die "no answer"
    grep -q 'curl http://10.9.0.2:8080/hello' "$work/log" || die "it did not say what to curl"
    kill -INT "$server"
    wait "$server" || die "it ended with $?"
}
# Outside of every namespace, as root, with CI set: it must make one of its own.
outside_serve_script_under_ci() {
    local before status=0 built=(env -u WHARF)
    # The build is part of it, unless the caller brought a binary.
    [[ -z ${WHARF_GIVEN:-} ]] || built=(env)
    before=$(ip -o link | sort)
    # In the foreground, here and below: what ends this check must reach what it runs.
    CI=true timeout --foreground 280 "${built[@]}" "$here/scripts/serve" \
        >"$work/out" 2>"$work/log" </dev/null || status=$?
    cat "$work/out" "$work/log"
    [[ $status == 0 ]] || die "it ended with $status"
    grep -q 'Hello, World!' "$work/out" || die "no answer"
    [[ $(ip -o link | sort) == "$before" ]] || die "the machine's own network changed"
}
# As an ordinary user. Where the machine's /dev/net/tun is root's alone, one that anybody may open
# is put over it, in a mount namespace that nobody else sees.
outside_serve_script_as_user() {
    local status=0 as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${as_user[@]}" true 2>/dev/null || skip "a user namespace has one user"
    "${as_user[@]}" unshare -Urn true 2>/dev/null \
        || skip "this system lets users make no namespaces"
    mkdir "$work/tree" "$work/tree/scripts"
    install -m 755 "$here/scripts/serve" "$here/scripts/common.sh" "$work/tree/scripts"
    install -m 755 "$WHARF" "$work/tree/wharf"
    chmod 755 "$work" "$work/tree" "$work/tree/scripts"
    cat >"$work/as-user" <<'END'
if ! setpriv --reuid=65534 --regid=65534 --clear-groups test -w /dev/net/tun; then
    mkdir "$1/devices" && mount -t tmpfs none "$1/devices" || exit 77
    mknod -m 666 "$1/devices/tun" c 10 200 && mount --bind "$1/devices/tun" /dev/net/tun || exit 77
fi
cd /
exec setpriv --reuid=65534 --regid=65534 --clear-groups \
    env -u CI TMPDIR=/tmp WHARF="$1/tree/wharf" "$1/tree/scripts/serve"
END
    timeout --foreground 50 unshare -m bash "$work/as-user" "$work" \
        >"$work/out" 2>"$work/log" </dev/null || status=$?
    cat "$work/out" "$work/log"
    [[ $status != 77 ]] || skip "no /dev/net/tun that a user may open can be made here"
    [[ $status == 0 ]] || die "it ended with $status"
    grep -q 'Hello, World!' "$work/out" || die "no answer"
}
