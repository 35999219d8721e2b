//! Connections of the stack with itself. Nothing of them leaves by the device: a script in which
//! no packet is named asserts just that.

use wharf::sim::Script;

fn play(text: &str) {
    Script::default().plays(text);
}

#[test]
fn a_connection_to_an_own_address_works_and_nothing_of_it_leaves() {
    play(
        "
        +0    socket listen 80
        +0    c: bind 5000
        +0    c: connect to 10.7.0.2:80
        +0    c: expect state ESTABLISHED
        +0    s: accept from 10.7.0.2:5000
        +0    c: write 100
        +0    s: read 100
        +0    s: write 100000
        +0    c: read 100000
        +1    c: close
        +0    s: read eof
        +0    s: expect state CLOSE-WAIT
        +0    c: expect state FIN-WAIT-2
        +0    s: close
        +0    s: expect state CLOSED
        +0    c: expect state TIME-WAIT
        +59   expect connections 1
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// RFC 9293 §3.10.7.1: an RST answers, from ourselves too.
#[test]
fn a_connection_to_an_own_port_where_nobody_listens_is_refused() {
    play(
        "
        +0    connect to 10.7.0.2:80
        +0    expect connections 0
        +0    expect pending ECONNREFUSED
        ",
    );
}

/// RFC 9293 §3.5, Figure 7, with both ends in one socket: as on Linux.
#[test]
fn must_10_a_socket_that_connects_to_its_own_place_reads_what_it_writes() {
    play(
        "
        +0    bind 5000
        +0    connect to 10.7.0.2:5000
        +0    expect state ESTABLISHED
        +0    expect connections 1
        +0    expect pending none
        +0    expect not readable
        +0    write 10
        +0    expect readable
        +0    read 10
        +0    write 100000
        +0    read 100000
        +10   expect state ESTABLISHED
        +0    shutdown write
        +0    read eof
        +0    expect connections 1
        +59   nothing
        +0    expect connections 1
        +1    nothing
        +0    expect connections 0
        ",
    );
}

#[test]
fn a_socket_connected_to_itself_that_is_closed_waits_in_time_wait_as_on_linux() {
    play(
        "
        +0    bind 5000
        +0    connect to 10.7.0.2:5000
        +0    write 10
        +0    read 10
        +0    close
        +0    expect state TIME-WAIT
        +60   nothing
        +0    expect connections 0
        ",
    );
}

/// What it has written and not read is lost, and it tells itself so (SHLD-3).
#[test]
fn a_socket_connected_to_itself_resets_itself_when_it_closes_with_unread_data() {
    play(
        "
        +0    bind 5000
        +0    connect to 10.7.0.2:5000
        +0    write 10
        +0    close
        +0    expect connections 0
        ",
    );
}

/// LAND, and its like: only the loopback brings packets from our own address.
#[test]
fn must_63_a_foreign_packet_from_our_own_address_is_dropped_whatever_is_connected_here() {
    play(
        "
        +0    socket listen 80
        +0    c: bind 5000
        +0    c: connect to 10.7.0.2:80
        +0    s: accept from 10.7.0.2:5000
        +0    self: bind 6000
        +0    self: connect to 10.7.0.2:6000
        +0    < S 0:0(0) win 9 from 10.7.0.2:80 to 10.7.0.2:80
        +0    < S 0:0(0) win 9 from 10.7.0.2:5001 to 10.7.0.2:80
        +0    < R 0:0(0) win 9 from 10.7.0.2:5000 to 10.7.0.2:80
        +0    < R 0:0(0) win 9 from 10.7.0.2:6000 to 10.7.0.2:6000
        +0    expect dropped own_source 4
        +0    < S 0:0(0) win 9 from 127.0.0.1:80 to 10.7.0.2:80
        +0    expect dropped martian_source 1
        +0    expect connections 3
        +10   c: expect state ESTABLISHED
        +0    self: expect state ESTABLISHED
        ",
    );
}
