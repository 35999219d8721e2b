# shellcheck shell=bash
# The same requests over links that lose, delay, reorder and duplicate.
# Sourced by scripts/interop.sh, whose helpers it uses.

transfers_over() { serve_up "$@"; ask_hello; ask_bytes 5000000; ask_sink 5000000; serve_down; }
exchanges_over() {
    serve_up "$@"
    peer http_peer duplex "$host" 80 5000000
    ask_keep_alive 500
    peer http_peer crowd "$host" 80 100
    serve_down
}
websocket_over() {
    need_websockets
    serve_up "$@"
    ask_handshakes
    peer websocket_peer messages "$host" 80 1048576
    peer websocket_peer close "$host" 80
    peer websocket_peer chat "$host" 80 50
    serve_down
}
check_loss_transfers() { transfers_over "${lossy[@]}"; }
check_loss_exchanges() { exchanges_over "${lossy[@]}"; }
check_loss_websocket() { websocket_over "${lossy[@]}"; }
check_delay_transfers() { transfers_over "${wide[@]}"; }
check_delay_exchanges() { exchanges_over "${wide[@]}"; }
check_delay_websocket() { websocket_over "${wide[@]}"; }
