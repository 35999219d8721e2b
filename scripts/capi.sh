#!/usr/bin/env bash
# The C surface from C: the programs in tests/capi and examples/c against libwharf.a and
# libwharf.so, once with gcc's sanitizers and once under valgrind, and the header as C++.
#
# usage: scripts/capi.sh
#
# environment: CC, CXX    the compilers; cc and c++
# One line a test, `ok NAME` or `FAIL NAME`; `skip NAME` where a tool is missing.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

cc=${CC:-cc} cxx=${CXX:-c++}
target=${CARGO_TARGET_DIR:-target}
out=$target/capi
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
failed=0

# step NAME COMMAND...: shows the output of a failure, and of a success its `ok` lines.
step() {
    local name=$1
    shift
    if "$@" >"$out/$name.log" 2>&1; then
        echo "ok $name"
        grep '^ok ' "$out/$name.log"
    else
        failed=1
        echo "FAIL $name: $*"
        tail -n 80 "$out/$name.log"
    fi
    return 0
}

# The assertions of the core are on in the dev profile. The libraries are taken aside: another
# build of the crate, without the surface, writes to the same place.
step build cargo build --quiet --locked --no-default-features --features capi
cp "$target/debug/libwharf.a" "$target/debug/libwharf.so" "$out/" || exit 1

flags=(-std=gnu11 -g -O1 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -Iinclude)
sanitizers=(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
libraries=(-lpthread -ldl -lm -lgcc_s)

step header_c "$cc" "${flags[@]}" -std=c99 -pedantic -fsyntax-only -x c include/wharf.h
step header_cxx "$cxx" -Wall -Wextra -Werror -Iinclude -fsyntax-only tests/capi/header.cpp

# The object files are shared by the two ways to link.
compile() {
    local source
    for source in tests/capi/*.c; do
        "$cc" "${flags[@]}" -c "$source" -o "$out/$(basename "$source" .c).o" || return
    done
}
step compile compile
objects=()
for source in tests/capi/*.c; do objects+=("$out/$(basename "$source" .c).o"); done

step link_static "$cc" "${objects[@]}" "$out/libwharf.a" "${libraries[@]}" -o "$out/static"
step link_shared "$cc" "${objects[@]}" -L"$out" -lwharf -Wl,-rpath,"$out" -o "$out/shared"
step static "$out/static" static
step shared "$out/shared" shared

step link_sanitized "$cc" "${flags[@]}" "${sanitizers[@]}" tests/capi/*.c "$out/libwharf.a" \
    "${libraries[@]}" -o "$out/sanitized"
step sanitized env ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 "$out/sanitized" sanitized

if command -v valgrind >/dev/null; then
    step valgrind env WHARF_SLOW=1 valgrind --quiet --error-exitcode=9 --leak-check=full \
        --errors-for-leak-kinds=definite,indirect,possible "$out/static" valgrind
else
    echo "skip valgrind (it is not installed)"
fi

for source in examples/c/*.c; do
    name=$(basename "$source" .c)
    step "link_$name" "$cc" "${flags[@]}" "${sanitizers[@]}" "$source" "$out/libwharf.a" \
        "${libraries[@]}" -o "$out/example_$name"
    step "example_$name" "$out/example_$name"
done

exit "$failed"
