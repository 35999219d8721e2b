/* What waits to be read and to be acknowledged, and windows that shut. */
#include "harness.h"

static void data_goes_both_ways_and_is_counted(void)
{
	struct pair p;
	char octets[16];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), -EAGAIN);
	EQUAL(wharf_send(p.a, p.now, a, "to the ", 7, 0, NULL), 7);
	EQUAL(wharf_send(p.a, p.now, a, "wharf", 5, 0, NULL), 5);
	EQUAL(wharf_queued(p.a, a, 1), 12);
	pass(&p, 100 * MS);
	EQUAL(wharf_queued(p.a, a, 1), 0);
	EQUAL(wharf_queued(p.b, b, 0), 12);
	EQUAL(wharf_ready(p.b, b), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 4, 0, NULL), 4);
	CHECK(!memcmp(octets, "to t", 4));
	EQUAL(wharf_queued(p.b, b, 0), 8);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), 8);
	CHECK(!memcmp(octets, "he wharf", 8));
	EQUAL(wharf_ready(p.b, b), WHARF_OUT);
	EQUAL(wharf_send(p.b, p.now, b, "and back", 8, 0, NULL), 8);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 8);
	CHECK(!memcmp(octets, "and back", 8));
	EQUAL(wharf_queued(p.a, a, 2), -EINVAL);
	EQUAL(wharf_queued(p.a, a, -1), -EINVAL);
	pair_close(&p);
}

static void a_peek_leaves_the_octets(void)
{
	struct peer p;
	char octets[8] = "";

	peer_connected(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "abcd");
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 2, WHARF_MSG_PEEK, NULL), 2);
	CHECK(!memcmp(octets, "ab", 2));
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_PEEK, NULL), 4);
	EQUAL(wharf_queued(p.w, p.handle, 0), 4);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 4);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_PEEK, NULL), -EAGAIN);
	give(&p, RST, p.theirs + 4, 0, 0, NULL);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_PEEK, NULL), -ECONNRESET);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_PEEK, NULL), 0);
	peer_close(&p);
}

static void no_octets_are_sent_and_received_without_ado(void)
{
	struct peer p;
	char octet;

	peer_connected(&p);
	EQUAL(wharf_send(p.w, p.now, p.handle, "", 0, 0, NULL), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, NULL, 0, 0, NULL), 0);
	EQUAL(wharf_recv(p.w, p.now, p.handle, NULL, 0, 0, NULL), 0);
	EQUAL(drain(&p), 0);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "a");
	EQUAL(wharf_recv(p.w, p.now, p.handle, &octet, 0, 0, NULL), 0);
	EQUAL(wharf_queued(p.w, p.handle, 0), 1);
	peer_close(&p);
}

static void octets_that_came_early_are_read_when_the_gap_is_filled(void)
{
	struct peer p;
	char octets[8];

	peer_connected(&p);
	give(&p, ACK, p.theirs + 2, p.ours, 20000, "cd");
	EQUAL(wharf_queued(p.w, p.handle, 0), 0);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	give(&p, ACK, p.theirs, p.ours, 20000, "ab");
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 4);
	CHECK(!memcmp(octets, "abcd", 4));
	peer_close(&p);
}

static void a_full_buffer_is_eagain_and_has_room_again_at_a_third(void)
{
	struct peer p;
	static char octets[100000];
	int taken = 0;
	ssize_t n;

	peer_connected(&p);
	while ((n = wharf_send(p.w, p.now, p.handle, octets, sizeof octets, 0, NULL)) > 0)
		taken += (int)n;
	EQUAL(n, -EAGAIN);
	EQUAL(wharf_queued(p.w, p.handle, 1), taken);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	drain(&p);
	give(&p, ACK, p.theirs, p.ours + 1460, 20000, NULL);
	EQUAL(wharf_queued(p.w, p.handle, 1), taken - 1460);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	while (wharf_queued(p.w, p.handle, 1) > taken / 3 * 2) {
		struct segment s;
		uint32_t highest = p.ours;

		while (next_segment(&p, &s))
			highest = s.seq + (uint32_t)s.len;
		CHECK(highest != p.ours || wharf_queued(p.w, p.handle, 1) == taken - 1460);
		give(&p, ACK, p.theirs, highest == p.ours ? p.ours + 10 * 1460 : highest, 20000,
		     NULL);
	}
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	peer_close(&p);
}

static void a_shut_window_is_probed_and_opens_again(void)
{
	struct peer p;
	struct segment s;
	int64_t due;
	int probes = 0;

	peer_connected(&p);
	give(&p, ACK, p.theirs, p.ours, 0, NULL);
	EQUAL(wharf_send(p.w, p.now, p.handle, "waits", 5, 0, NULL), 5);
	EQUAL(drain(&p), 0);
	while (probes < 3) {
		due = wharf_deadline(p.w, p.now);
		CHECK(due > (int64_t)p.now);
		p.now = (uint64_t)due;
		wharf_poll(p.w, p.now);
		while (next_segment(&p, &s)) {
			CHECK(s.len <= 1);
			probes++;
			give(&p, ACK, p.theirs, p.ours, 0, NULL);
		}
	}
	EQUAL(wharf_queued(p.w, p.handle, 1), 5);
	give(&p, ACK, p.theirs, p.ours, 20000, NULL);
	CHECK(next_segment(&p, &s));
	EQUAL(s.len, 5);
	CHECK(!memcmp(s.octets, "waits", 5));
	peer_close(&p);
}

static void a_reader_that_sleeps_shuts_the_window_and_opens_it_by_reading(void)
{
	struct pair p;
	static char octets[400000];
	struct wharf_addr to = address(2, 80);
	int a, b, l, queued;
	size_t total = 0, got = 0;
	ssize_t n;

	pair_open(&p);
	wharf_free(p.b);
	p.b = stack_with(2, NULL, 4096, 0);
	l = listener(p.b, 2, 80, 1);
	a = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, a, &to), -EINPROGRESS);
	settle(&p);
	b = wharf_accept(p.b, p.now, l, NULL);
	CHECK(b >= 0);
	n = wharf_send(p.a, p.now, a, octets, 100000, 0, NULL);
	CHECK(n > 0);
	total = (size_t)n;
	pass(&p, 120 * SECOND);
	queued = wharf_queued(p.b, b, 0);
	CHECK(queued > 1000 && queued <= 4096);
	EQUAL(wharf_queued(p.a, a, 1), (int)total - queued);
	EQUAL(wharf_ready(p.a, a) & WHARF_ERR, 0);
	while (got < total) {
		n = wharf_recv(p.b, p.now, b, octets, sizeof octets, 0, NULL);
		if (n == -EAGAIN) {
			pass(&p, SECOND);
			continue;
		}
		CHECK(n > 0);
		got += (size_t)n;
	}
	pass(&p, SECOND);
	EQUAL(wharf_queued(p.a, a, 1), 0);
	pair_close(&p);
}

static void a_lost_segment_is_sent_again_and_counted(void)
{
	struct pair p;
	char octets[16];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	p.lose_from_a = 2;
	EQUAL(wharf_send(p.a, p.now, a, "again", 5, 0, NULL), 5);
	pass(&p, 5 * SECOND);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), 5);
	EQUAL(wharf_queued(p.a, a, 1), 0);
	pair_close(&p);
}

static void give_urgent(struct peer *p, uint32_t seq, const char *text, int pointer)
{
	struct segment s = {
		.flags = ACK | PSH | URG,
		.seq = seq,
		.ack = p->ours,
		.window = 20000,
		.urgent = pointer,
		.text = text,
	};

	give_segment(p, &s);
}

static void an_urgent_octet_is_read_out_of_line_and_skipped_in_it(void)
{
	struct peer p;
	char octets[8];

	peer_connected(&p);
	EQUAL(get_int(p.w, p.handle, raw(SOL_SOCKET, SO_OOBINLINE)), 0);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_OOB, NULL), -EINVAL);
	give_urgent(&p, p.theirs, "ab!cd", 3);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_PRI);
	EQUAL(wharf_queued(p.w, p.handle, 0), 2);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_OOB | WHARF_MSG_PEEK, NULL),
	      1);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_OOB, NULL), 1);
	EQUAL(octets[0], '!');
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_OOB, NULL), -EINVAL);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 2);
	CHECK(!memcmp(octets, "ab", 2));
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 2);
	CHECK(!memcmp(octets, "cd", 2));
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), -EAGAIN);
	peer_close(&p);
}

static void an_urgent_octet_is_read_in_line_if_one_likes(void)
{
	struct peer p;
	char octets[8];

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, raw(SOL_SOCKET, SO_OOBINLINE), 1), 0);
	give_urgent(&p, p.theirs, "ab!cd", 3);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_PRI);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, WHARF_MSG_OOB, NULL), -EINVAL);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 2);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_PRI);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 3);
	CHECK(!memcmp(octets, "!cd", 3));
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	peer_close(&p);
}

static void urgent_octets_that_are_only_announced_are_eagain(void)
{
	struct peer p;
	char octet;

	peer_connected(&p);
	give_urgent(&p, p.theirs, "ab", 5);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_recv(p.w, p.now, p.handle, &octet, 1, WHARF_MSG_OOB, NULL), -EAGAIN);
	give(&p, FIN | ACK, p.theirs + 2, p.ours, 20000, NULL);
	EQUAL(wharf_recv(p.w, p.now, p.handle, &octet, 1, WHARF_MSG_OOB, NULL), 0);
	peer_close(&p);
}

static void what_is_sent_out_of_band_is_marked_on_the_wire(void)
{
	struct peer p;
	struct segment s;

	peer_connected(&p);
	EQUAL(wharf_send(p.w, p.now, p.handle, "abc", 3, WHARF_MSG_OOB, NULL), 3);
	CHECK(next_segment(&p, &s));
	CHECK(s.flags & URG);
	EQUAL(s.len, 3);
	EQUAL(s.urgent, 3);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "d", 1, WHARF_MSG_OOB, NULL), -EPIPE);
	peer_close(&p);
}

static void flags_that_are_not_known_are_refused(void)
{
	struct peer p;
	char octets[4];

	peer_connected(&p);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, WHARF_MSG_FASTOPEN, NULL), -EOPNOTSUPP);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, WHARF_MSG_PEEK, NULL), -EOPNOTSUPP);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 1 << 20, NULL), -EOPNOTSUPP);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 4, WHARF_MSG_MORE, NULL), -EOPNOTSUPP);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 4, -1, NULL), -EOPNOTSUPP);
	EQUAL(drain(&p), 0);
	peer_close(&p);
}

const struct test queue_tests[] = {
	TEST(data_goes_both_ways_and_is_counted),
	TEST(a_peek_leaves_the_octets),
	TEST(no_octets_are_sent_and_received_without_ado),
	TEST(octets_that_came_early_are_read_when_the_gap_is_filled),
	TEST(a_full_buffer_is_eagain_and_has_room_again_at_a_third),
	TEST(a_shut_window_is_probed_and_opens_again),
	TEST(a_reader_that_sleeps_shuts_the_window_and_opens_it_by_reading),
	TEST(a_lost_segment_is_sent_again_and_counted),
	TEST(an_urgent_octet_is_read_out_of_line_and_skipped_in_it),
	TEST(an_urgent_octet_is_read_in_line_if_one_likes),
	TEST(urgent_octets_that_are_only_announced_are_eagain),
	TEST(what_is_sent_out_of_band_is_marked_on_the_wire),
	TEST(flags_that_are_not_known_are_refused),
	{ NULL, NULL },
};
