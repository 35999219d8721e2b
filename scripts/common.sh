# shellcheck shell=bash
# What the scripts share: cargo where it is not in PATH, no proxies, and commands with a limit that
# signals reach. In a script: source scripts/common.sh.

# cargo of rustup's, in PATH: sudo has a PATH of its own, and a shell may know nothing of ~/.cargo.
# The toolchains stay those of the user who called sudo; what root downloads and builds is root's.
find_cargo() {
    local home
    ! command -v cargo >/dev/null || return 0
    for home in "${HOME:-}" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)"; do
        [[ -n $home && -x $home/.cargo/bin/cargo ]] || continue
        PATH=$PATH:$home/.cargo/bin
        export PATH RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"
        return
    done
    return 1
}

# What is asked in a namespace is asked directly: a proxy knows nothing of it.
without_proxies() {
    unset http_proxy https_proxy ws_proxy all_proxy HTTP_PROXY HTTPS_PROXY WS_PROXY ALL_PROXY
}

# Seconds that a command has to clean up when its time is over. One that has limits of its own for
# what it runs gives less, or it is killed while it still waits, before it has cleaned up itself.
limited_grace=30

# Whether something runs under `limited` now, and what ran in the background last before it.
is_limiting="" limited_before=""

# limited SECONDS COMMAND...: runs the command, and ends it after its time. `timeout` gives it a
# process group of its own, which a Ctrl-C does not reach.
limited() {
    local status=0
    limited_before=${!-} is_limiting=yes
    timeout --kill-after="$limited_grace" "$@" &
    wait "$!" || status=$?
    is_limiting=""
    return "$status"
}

# A signal ends this script with 128 and its number, after what runs under `limited` has ended. A
# command that runs without it hears of a Ctrl-C by itself, and is waited for.
end_by_signals() {
    trap 'end_by 1' HUP
    trap 'end_by 2' INT
    trap 'end_by 15' TERM
}
end_by() {
    trap '' HUP INT TERM
    # A signal may come before it runs, and as soon as it does.
    if [[ -n $is_limiting && ${!-} != "$limited_before" ]]; then
        # Not INT, which a shell lets no command in the background hear.
        kill -TERM "$!" 2>/dev/null
        wait "$!"
    fi
    exit $((128 + $1))
}
