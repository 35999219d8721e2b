//! How connections end, as the application at either end sees it.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use wharf::net::{TcpListener, TcpStream};
use wharf::{Net, TcpState};

use crate::support::{FAR, errno, eventually, limited, pattern, read_exactly};

/// Waits until no connection of `net` is in `state`.
fn none_in(net: &Net, state: TcpState) {
    eventually("a state is left", || net.connections().iter().all(|it| it.state != state));
}

#[test]
fn data_before_a_fin_is_read_and_then_end_of_file_again_and_again() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        far.write_all(b"the end").unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        none_in(&pair.near, TcpState::Established);
        assert_eq!(read_exactly(&near, 7), b"the end");
        for _ in 0..3 {
            assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
            assert_eq!(near.peek(&mut [0; 8]).unwrap(), 0);
        }
        // The other direction is open.
        near.write_all(b"still here").unwrap();
        assert_eq!(read_exactly(&far, 10), b"still here");
    });
}

#[test]
fn data_before_a_reset_is_read_then_the_error_once_then_end_of_file() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        far.write_all(b"last words").unwrap();
        eventually("all has arrived", || near.peek(&mut [0; 16]).unwrap() == 10);
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        none_in(&pair.near, TcpState::Established);
        assert_eq!(read_exactly(&near, 10), b"last words");
        assert_eq!(errno(near.read(&mut [0; 8])), Some(libc::ECONNRESET));
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(errno(near.write(b"x")), Some(libc::EPIPE));
    });
}

#[test]
fn a_write_after_a_reset_tells_the_error_and_then_a_broken_pipe() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        none_in(&pair.near, TcpState::Established);
        assert_eq!(errno(near.write(b"x")), Some(libc::ECONNRESET));
        for _ in 0..2 {
            assert_eq!(errno(near.write(b"x")), Some(libc::EPIPE));
        }
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_reset_waits_in_take_error_once() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        none_in(&pair.near, TcpState::Established);
        let error = near.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(near.take_error().unwrap().is_none());
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_blocked_read_is_woken_by_a_reset_and_by_a_fin() {
    for is_reset in [false, true] {
        limited(move || {
            let pair = super::pair();
            let (near, far) = pair.connect();
            let reading = thread::spawn(move || (&near).read(&mut [0; 8]));
            thread::sleep(Duration::from_millis(20));
            if is_reset {
                far.set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(far);
            let result = reading.join().unwrap();
            if is_reset {
                assert_eq!(errno(result), Some(libc::ECONNRESET));
            } else {
                assert_eq!(result.unwrap(), 0);
            }
        });
    }
}

#[test]
fn what_was_written_before_a_drop_arrives_whole() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        let sent = pattern(200_000);
        near.write_all(&sent).unwrap();
        drop(near);
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert!(got == sent, "{} octets of {}", got.len(), sent.len());
    });
}

#[test]
fn a_drop_with_unread_data_resets() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        near.write_all(b"nobody reads this").unwrap();
        eventually("it has arrived", || far.peek(&mut [0; 32]).unwrap() == 17);
        drop(far);
        assert_eq!(errno(near.read(&mut [0; 8])), Some(libc::ECONNRESET));
    });
}

#[test]
fn a_drop_after_everything_is_read_does_not_reset() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        near.write_all(b"all").unwrap();
        assert_eq!(read_exactly(&far, 3), b"all");
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn data_that_arrives_after_a_drop_is_answered_by_a_reset() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
        near.write_all(b"are you there?").unwrap();
        none_in(&pair.near, TcpState::CloseWait);
        // In CLOSE-WAIT a reset means that the pipe is broken, as Linux has it.
        let error = near.write(b"x").unwrap_err();
        assert!(
            [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()),
            "{error}"
        );
        assert_eq!(errno(near.write(b"x")), Some(libc::EPIPE));
    });
}

#[test]
fn a_shutdown_of_writing_returns_at_once_and_reading_goes_on() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        near.write_all(b"question").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        assert_eq!(errno(near.write(b"more")), Some(libc::EPIPE));
        let mut question = Vec::new();
        far.read_to_end(&mut question).unwrap();
        assert_eq!(question, b"question");
        let answer = pattern(300_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                far.write_all(&answer).unwrap();
                far.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            near.read_to_end(&mut got).unwrap();
            assert!(got == answer, "{} octets", got.len());
        });
    });
}

#[test]
fn a_shutdown_with_a_full_buffer_and_a_peer_that_does_not_read_returns_at_once() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        near.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        while near.write(&[1; 10_000]).is_ok() {}
        near.shutdown(Shutdown::Write).unwrap();
        near.shutdown(Shutdown::Both).unwrap();
        drop(far);
    });
}

#[test]
fn a_shutdown_of_reading_ends_a_blocked_read() {
    for how in [Shutdown::Read, Shutdown::Both] {
        limited(move || {
            let pair = super::pair();
            let (near, _far) = pair.connect();
            let reader = near.try_clone().unwrap();
            let reading = thread::spawn(move || (&reader).read(&mut [0; 8]).unwrap());
            thread::sleep(Duration::from_millis(20));
            near.shutdown(how).unwrap();
            assert_eq!(reading.join().unwrap(), 0);
            assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0);
        });
    }
}

#[test]
fn a_shutdown_of_what_is_over_fails_and_does_not_hang() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        far.set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        none_in(&pair.near, TcpState::Established);
        for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
            assert_eq!(errno(near.shutdown(how)), Some(libc::ENOTCONN), "{how:?}");
        }
    });
}

#[test]
fn both_ends_are_forgotten_but_for_the_one_that_closed_first() {
    limited(|| {
        let pair = super::pair();
        let (near, mut far) = pair.connect();
        drop(near);
        assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
        drop(far);
        eventually("the far end is forgotten", || pair.far.connections().is_empty());
        eventually("the near end is in TIME-WAIT", || {
            let connections = pair.near.connections();
            connections.iter().all(|it| it.state == TcpState::TimeWait)
        });
    });
}

#[test]
fn a_closed_listener_resets_those_who_wait_and_refuses_those_who_come() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut waiting = TcpStream::connect(&pair.near, addr).unwrap();
        drop(listener);
        assert_eq!(errno(waiting.read(&mut [0; 8])), Some(libc::ECONNRESET));
        let error = TcpStream::connect(&pair.near, addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connection_that_its_peer_closed_before_the_accept_is_accepted_with_its_data() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let mut near = TcpStream::connect(&pair.near, listener.local_addr().unwrap()).unwrap();
        near.write_all(b"quick").unwrap();
        drop(near);
        none_in(&pair.far, TcpState::Established);
        let (mut far, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"quick");
    });
}
