# shellcheck shell=bash
# WebSocket by a client that the project did not write.
# Sourced by scripts/interop.sh, whose helpers it uses.

need_websockets() {
    "$PYTHON" -c 'import websockets' 2>/dev/null || skip "Python's websockets is missing"
}

# The answer to the handshake with key $1 is $2 (RFC 6455 §1.3).
ask_handshake() {
    local head client
    : >"$work/head"
    curl -s -N -D "$work/head" --max-time 30 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Sec-WebSocket-Version: 13' -H "Sec-WebSocket-Key: $1" "$url/ws/echo" \
        >/dev/null 2>&1 &
    client=$!
    await_line "$work/head" $'^\r$'
    # It would wait for the rest of the stream, which does not come.
    kill "$client"
    wait "$client"
    head=$(tr -d '\r\0' <"$work/head")
    grep -q '^HTTP/1.1 101 ' <<<"$head" || die "no 101: $head"
    grep -qi "^sec-websocket-accept: " <<<"$head" || die "no accept: $head"
    [[ $(sed -n 's/^[Ss]ec-[Ww]eb[Ss]ocket-[Aa]ccept: //p' <<<"$head") == "$2" ]] || die "$head"
    echo "$1 is answered by $2"
}

ask_handshakes() {
    ask_handshake dGhlIHNhbXBsZSBub25jZQ== 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    ask_handshake xqBt3ImNzJbYqRINxEFlkg== 'K7DJLdLooIwIG/MOpvWFB3y3FE8='
}

check_websocket_handshake() { serve_up; ask_handshakes; serve_down; }
check_websocket_messages() {
    need_websockets
    serve_up; peer websocket_peer messages "$host" 80 1048576; serve_down
}
check_websocket_close() {
    need_websockets
    serve_up; peer websocket_peer close "$host" 80; serve_down
}
check_websocket_server_ends() {
    need_websockets
    serve_up
    "$PYTHON" "$peers/websocket_peer.py" linger "$host" 80 >"$work/linger" &
    local client=$!
    await_line "$work/linger" open
    serve_down
    wait "$client" || die "the client failed: $(<"$work/linger")"
    cat "$work/linger"
    grep -q '^closed 1001$' "$work/linger" || die "the server did not say that it goes away (1001)"
}
check_chat_50() { need_websockets; serve_up; peer websocket_peer chat "$host" 80 50; serve_down; }

await_line() {
    for ((tick = 0; tick < 200; tick++)); do
        grep -q "$2" "$1" && return
        sleep 0.05
    done
    die "no \`$2\` in: $(<"$1")"
}
