/* shutdown(2), close(2), resets, and what is told of them to whom. */
#include "harness.h"

static int state(wharf *w, int h)
{
	return get_int(w, h, WHARF_TCP_STATE);
}

static void who_closes_first_waits_and_the_other_does_not(void)
{
	struct peer p;
	struct segment s;
	char info[8];
	size_t len = sizeof info;

	peer_connected(&p);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(state(p.w, p.handle), 4);
	EQUAL(wharf_queued(p.w, p.handle, 1), 1); /* The FIN counts. */
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags & FIN, FIN);
	give(&p, ACK, p.theirs, p.ours + 1, 20000, NULL);
	EQUAL(state(p.w, p.handle), 5);
	EQUAL(wharf_queued(p.w, p.handle, 1), 0);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	give(&p, FIN | ACK, p.theirs, p.ours + 1, 20000, NULL);
	EQUAL(state(p.w, p.handle), 6);
	EQUAL(wharf_getopt(p.w, p.handle, WHARF_TCP_INFO, info, &len), 0);
	EQUAL(info[0], 7); /* Linux's socket knows nothing of TIME-WAIT. */
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	EQUAL(drain(&p), 1);
	p.now += 61 * SECOND;
	wharf_poll(p.w, p.now);
	EQUAL(state(p.w, p.handle), 7);
	peer_close(&p);
}

static void who_is_closed_upon_goes_through_close_wait_and_last_ack(void)
{
	struct peer p;
	struct segment s;
	char octets[8];

	peer_connected(&p);
	give(&p, FIN | ACK | PSH, p.theirs, p.ours, 20000, "bye");
	EQUAL(state(p.w, p.handle), 8);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	EQUAL(wharf_queued(p.w, p.handle, 0), 3);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 3);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 0);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "yes", 3, 0, NULL), 3);
	drain(&p);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(state(p.w, p.handle), 9);
	EQUAL(wharf_queued(p.w, p.handle, 1), 4);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags & FIN, FIN);
	give(&p, ACK, p.theirs + 4, p.ours + 4, 20000, NULL);
	EQUAL(state(p.w, p.handle), 7);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), -ENOTCONN);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 8, 0, NULL), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EPIPE);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), 0);
	peer_close(&p);
}

static void fins_that_cross_close_both_sides(void)
{
	struct peer p;

	peer_connected(&p);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(drain(&p), 1);
	give(&p, FIN | ACK, p.theirs, p.ours, 20000, NULL);
	EQUAL(state(p.w, p.handle), 11);
	EQUAL(wharf_queued(p.w, p.handle, 1), 1);
	give(&p, ACK, p.theirs + 1, p.ours + 1, 20000, NULL);
	EQUAL(state(p.w, p.handle), 6);
	peer_close(&p);
}

static void a_side_that_has_shut_goes_on_receiving(void)
{
	struct pair p;
	char octets[16];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), 0);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), 0);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EPIPE);
	pass(&p, 3600 * SECOND);
	EQUAL(wharf_send(p.b, p.now, b, "late", 4, 0, NULL), 4);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 4);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), -EAGAIN);
	EQUAL(wharf_close(p.b, p.now, b), 0);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 0);
	pair_close(&p);
}

static void a_side_shut_for_reading_reads_what_is_there_and_then_the_end(void)
{
	struct pair p;
	char octets[16];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_send(p.b, p.now, b, "before", 6, 0, NULL), 6);
	settle(&p);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_RD), 0);
	EQUAL(state(p.a, a), 1);
	EQUAL(wharf_ready(p.a, a), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 6);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 0);
	pass(&p, 100 * MS);
	EQUAL(wharf_send(p.b, p.now, b, "after", 5, 0, NULL), 5);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 5);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), 0);
	EQUAL(wharf_send(p.a, p.now, a, "still", 5, 0, NULL), 5);
	settle(&p);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), 5);
	pair_close(&p);
}

static void shutting_both_ways_at_once_hangs_up(void)
{
	struct pair p;
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_RDWR), 0);
	EQUAL(wharf_ready(p.a, a), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	EQUAL(state(p.a, a), 4);
	settle(&p);
	EQUAL(state(p.a, a), 5);
	EQUAL(wharf_ready(p.b, b), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	pair_close(&p);
}

static void shutdown_without_a_connection_is_enotconn_and_remembered(void)
{
	char octets[4];
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	EQUAL(wharf_shutdown(w, 0, h, 3), -EINVAL);
	EQUAL(wharf_shutdown(w, 0, h, -1), -EINVAL);
	EQUAL(wharf_recv(w, 0, h, octets, 4, 0, NULL), -ENOTCONN);
	EQUAL(wharf_shutdown(w, 0, h, SHUT_RD), -ENOTCONN);
	EQUAL(wharf_ready(w, h), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	EQUAL(wharf_recv(w, 0, h, octets, 4, 0, NULL), 0);
	EQUAL(wharf_send(w, 0, h, "x", 1, 0, NULL), -EPIPE);
	wharf_free(w);
}

static void what_was_shut_before_there_was_a_connection_stays_shut(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 80);
	int a, l;

	pair_open(&p);
	l = listener(p.b, 2, 80, 1);
	a = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), -ENOTCONN);
	EQUAL(wharf_connect(p.a, p.now, a, &to), -EINPROGRESS);
	settle(&p);
	CHECK(wharf_accept(p.b, p.now, l, NULL) > l);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EPIPE);
	pair_close(&p);
}

static void octets_before_a_reset_are_read_then_the_error_once_then_the_end(void)
{
	struct peer p;
	char octets[16];

	peer_connected(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "abc");
	give(&p, RST, p.theirs + 3, 0, 0, NULL);
	EQUAL(state(p.w, p.handle), 7);
	EQUAL(wharf_ready(p.w, p.handle),
	      WHARF_IN | WHARF_OUT | WHARF_ERR | WHARF_HUP | WHARF_RDHUP);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 2, 0, NULL), 2);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 16, 0, NULL), 1);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 16, 0, NULL), -ECONNRESET);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 16, 0, NULL), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EPIPE);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	peer_close(&p);
}

static void a_reset_is_told_to_the_writer_once_and_then_the_pipe_is_broken(void)
{
	struct peer p;

	peer_connected(&p);
	give(&p, RST, p.theirs, 0, 0, NULL);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -ECONNRESET);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EPIPE);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), 0);
	peer_close(&p);
}

static void a_reset_after_the_end_of_the_file_is_a_broken_pipe(void)
{
	struct peer p;
	char octets[4];

	peer_connected(&p);
	give(&p, FIN | ACK, p.theirs, p.ours, 20000, NULL);
	give(&p, RST, p.theirs + 1, 0, 0, NULL);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 4, 0, NULL), 0);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), EPIPE);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), 0);
	peer_close(&p);
}

static void closing_with_octets_unread_resets(void)
{
	struct peer p;
	struct segment s;

	peer_connected(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "abc");
	drain(&p);
	EQUAL(wharf_close(p.w, p.now, p.handle), 0);
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags & (RST | FIN), RST);
	EQUAL(drain(&p), 0);
	peer_close(&p);
}

static void closing_with_a_linger_time_of_zero_resets(void)
{
	struct peer p;
	struct segment s;
	int linger[2] = { 1, 0 };

	peer_connected(&p);
	EQUAL(wharf_setopt(p.w, p.now, p.handle, WHARF_SO_LINGER, linger, sizeof linger), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "lost", 4, 0, NULL), 4);
	EQUAL(wharf_close(p.w, p.now, p.handle), 0);
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags & (RST | FIN), RST);
	peer_close(&p);
}

static void what_was_written_before_close_is_delivered_and_then_a_fin(void)
{
	struct pair p;
	static char octets[300000], got[300000];
	size_t have = 0;
	int a, b;
	ssize_t n, sent;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	memset(octets, 'w', sizeof octets);
	sent = wharf_send(p.a, p.now, a, octets, sizeof octets, 0, NULL);
	CHECK(sent > 0);
	EQUAL(wharf_close(p.a, p.now, a), 0);
	EQUAL(wharf_close(p.a, p.now, a), -EBADF);
	do {
		pass(&p, 10 * MS);
		n = wharf_recv(p.b, p.now, b, got + have, sizeof got - have, 0, NULL);
		have += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	EQUAL(n, 0);
	EQUAL(have, sent);
	EQUAL(state(p.b, b), 8);
	pair_close(&p);
}

static void data_for_a_closed_socket_is_reset(void)
{
	struct peer p;
	struct segment s;

	peer_connected(&p);
	EQUAL(wharf_close(p.w, p.now, p.handle), 0);
	EQUAL(drain(&p), 1);
	give(&p, ACK | PSH, p.theirs, p.ours + 1, 20000, "who is there");
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags & RST, RST);
	peer_close(&p);
}

static void a_closed_socket_leaves_nothing_behind_after_its_time_wait(void)
{
	struct pair p;
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_close(p.a, p.now, a), 0);
	settle(&p);
	EQUAL(wharf_close(p.b, p.now, b), 0);
	settle(&p);
	CHECK(wharf_deadline(p.a, p.now) > 0);
	EQUAL(wharf_deadline(p.b, p.now), -1);
	pass(&p, 61 * SECOND);
	EQUAL(wharf_deadline(p.a, p.now), -1);
	pair_close(&p);
}

static void after_the_end_a_socket_has_no_peer_but_keeps_its_name(void)
{
	struct peer p;
	struct wharf_addr name;

	peer_connected(&p);
	give(&p, RST, p.theirs, 0, 0, NULL);
	EQUAL(wharf_name(p.w, p.handle, 1, &name), -ENOTCONN);
	EQUAL(wharf_name(p.w, p.handle, 0, &name), 0);
	EQUAL(name.port, p.port);
	EQUAL(wharf_name(p.w, p.handle, 2, &name), -EINVAL);
	EQUAL(wharf_name(p.w, p.handle, 0, NULL), -EINVAL);
	peer_close(&p);
}

const struct test closing_tests[] = {
	TEST(who_closes_first_waits_and_the_other_does_not),
	TEST(who_is_closed_upon_goes_through_close_wait_and_last_ack),
	TEST(fins_that_cross_close_both_sides),
	TEST(a_side_that_has_shut_goes_on_receiving),
	TEST(a_side_shut_for_reading_reads_what_is_there_and_then_the_end),
	TEST(shutting_both_ways_at_once_hangs_up),
	TEST(shutdown_without_a_connection_is_enotconn_and_remembered),
	TEST(what_was_shut_before_there_was_a_connection_stays_shut),
	TEST(octets_before_a_reset_are_read_then_the_error_once_then_the_end),
	TEST(a_reset_is_told_to_the_writer_once_and_then_the_pipe_is_broken),
	TEST(a_reset_after_the_end_of_the_file_is_a_broken_pipe),
	TEST(closing_with_octets_unread_resets),
	TEST(closing_with_a_linger_time_of_zero_resets),
	TEST(what_was_written_before_close_is_delivered_and_then_a_fin),
	TEST(data_for_a_closed_socket_is_reset),
	TEST(a_closed_socket_leaves_nothing_behind_after_its_time_wait),
	TEST(after_the_end_a_socket_has_no_peer_but_keeps_its_name),
	{ NULL, NULL },
};
