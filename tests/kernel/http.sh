# shellcheck shell=bash
# HTTP/1.1 with keep-alive, asked by curl and by sockets.
# Sourced by scripts/interop.sh, whose helpers it uses.

# GET /hello: the 13 octets, with their length and type.
ask_hello() {
    local head
    [[ $(curl -sS --max-time 30 "$url/hello") == "Hello, World!" ]] || die "another body"
    head=$(curl -sS --max-time 30 -D - -o /dev/null "$url/hello" | tr -d '\r')
    grep -qx 'HTTP/1.1 200 OK' <<<"$head" || die "no 200: $head"
    grep -qix 'content-length: 13' <<<"$head" || die "no length: $head"
    grep -qi '^content-type: text/plain' <<<"$head" || die "no type: $head"
    [[ $(curl -sS --max-time 30 -o /dev/null -w '%{http_code}' "$url/no/such") == 404 ]] \
        || die "an unknown path is not 404"
}

# What GET /bytes/$1 must answer.
pattern() { "$PYTHON" "$peers/http_peer.py" pattern "$1"; }

# GET /bytes/N, compared octet by octet.
ask_bytes() {
    curl -sS --fail --max-time 240 "$url/bytes/$1" | cmp - <(pattern "$1") \
        || die "/bytes/$1 differs"
    echo "$1 octets are the right ones"
}

# POST /sink of N octets: their count and sha256.
ask_sink() {
    local sum answer
    noise "$1" >"$work/noise"
    sum=$(sha256sum <"$work/noise")
    answer=$(curl -sS --fail --max-time 240 -X POST -T "$work/noise" "$url/sink") \
        || die "the request failed"
    [[ $answer == "{\"octets\":$1,\"sha256\":\"${sum%% *}\"}" ]] || die "the answer is $answer"
    answer=$(curl -sS --fail --max-time 240 -X POST -H 'Transfer-Encoding: chunked' -H 'Expect:' \
        -T - "$url/sink" <"$work/noise") || die "the chunked request failed"
    [[ $answer == *"${sum%% *}"* ]] || die "chunked: the answer is $answer"
    echo "$1 octets arrived, in one piece and in chunks"
}

# N requests by curl on one connection, by its own count of connections.
ask_keep_alive() {
    local answers
    answers=$(curl -sS --max-time 240 -w '\n%{num_connects}\n' "$url/hello?[1-$1]") || die "curl"
    [[ $(grep -cx 'Hello, World!' <<<"$answers") == "$1" ]] || die "not $1 answers"
    [[ $(grep -x '[0-9]*' <<<"$answers" | paste -sd+ | bc_sum) == 1 ]] || die "more connections"
    echo "curl: $1 requests on one connection"
}
bc_sum() { local sum; read -r sum; echo $((sum)); }

check_hello() { serve_up; ask_hello; serve_down; }
check_bytes_100mb() { serve_up; ask_bytes 100000000; ask_bytes 0; ask_bytes 1; serve_down; }
check_sink_100mb() { serve_up; ask_sink 100000000; serve_down; }
check_keep_alive_500() {
    serve_up
    ask_keep_alive 500
    peer http_peer keep-alive "$host" 80 500
    serve_down
}
check_crowd_1000() { serve_up; peer http_peer crowd "$host" 80 1000; ask_hello; serve_down; }
check_echo_10mb() { serve_up; peer http_peer duplex "$host" 80 10000000; serve_down; }
check_bad_requests() { serve_up; peer http_peer junk "$host" 80; ask_hello; serve_down; }
