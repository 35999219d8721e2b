//! What connections cost of the allocator's memory, idle and active, counted.

mod active;
mod crowd;
mod handles;

use crowd::{Past, cost_by_stack};

/// Octets that an idle connection may cost, its handle included.
const EACH_MAX: f64 = 768.0;

/// Octets that a stack may keep when all connections have gone, however many they were: the last
/// page of each slab, room in lists, and what the connections that were busy last have kept.
const LEFT_MAX: u64 = 384 << 10;

#[test]
fn an_idle_connection_costs_little_and_gives_all_of_it_back() {
    for past in [Past::Handshake, Past::Request] {
        let cost = cost_by_stack(10_000, past);
        assert!(cost.each() < EACH_MAX, "{past:?}: {} octets each", cost.each());
        // The connection itself, the counts of what it has carried, and three boxes with two lists
        // of the thousand that were busy last.
        assert!(cost.pieces_each() < 2.6, "{past:?}: {} allocations each", cost.pieces_each());
        assert!(cost.left < LEFT_MAX, "{past:?}: {} octets are left", cost.left);
    }
}

#[test]
fn a_connection_whose_stream_is_held_costs_little_in_all() {
    let each = handles::each_by_socket(10_000).expect("a stack runs over a device of ours");
    assert!(each < EACH_MAX, "{each} octets each");
}

#[test]
fn one_connection_more_does_not_double_what_the_others_cost() {
    let before = cost_by_stack(16_384, Past::Handshake);
    let after = cost_by_stack(16_385, Past::Handshake);
    let more = after.resting.saturating_sub(before.resting);
    assert!(more < 128 << 10, "{more} octets for one more");
    // Nor does it while it grows: what grows is small beside what stays where it is.
    assert!(after.most_each() < 1.1 * after.each(), "{} octets at a time", after.most_each());
}
