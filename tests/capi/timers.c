/* Keep-alive, user timeout, FIN-WAIT-2: ends that time brings. */
#include "harness.h"

static void an_idle_peer_is_probed_and_given_up(void)
{
	struct peer p;
	int probes = 0;

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_KEEPIDLE, 10), 0);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_KEEPINTVL, 2), 0);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_KEEPCNT, 3), 0);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), -1);
	EQUAL(set_int(p.w, p.handle, WHARF_SO_KEEPALIVE, 1), 0);
	EQUAL(drain(&p), 0);
	for (int i = 0; i < 20; i++) {
		struct segment s;
		int64_t due = wharf_deadline(p.w, p.now);

		if (due < 0)
			break;
		CHECK(due <= (int64_t)(SECOND + (10 + 2 * i) * SECOND));
		p.now = (uint64_t)due;
		wharf_poll(p.w, p.now);
		while (next_segment(&p, &s)) {
			CHECK(s.len == 0 || s.flags & RST);
			probes += !(s.flags & RST);
		}
	}
	EQUAL(probes, 3);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ETIMEDOUT);
	EQUAL(p.now, SECOND + 16 * SECOND);
	peer_close(&p);
}

static void an_idle_peer_that_answers_is_kept(void)
{
	struct pair p;
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(set_int(p.a, a, WHARF_TCP_KEEPIDLE, 5), 0);
	EQUAL(set_int(p.a, a, WHARF_SO_KEEPALIVE, 1), 0);
	p.sent_by_b = 0;
	pass(&p, (uint64_t)rounds(3600) * SECOND);
	EQUAL(get_int(p.a, a, WHARF_TCP_STATE), 1);
	CHECK(p.sent_by_b >= (unsigned long)rounds(600));
	pair_close(&p);
}

static void what_is_not_acknowledged_in_time_ends_the_connection(void)
{
	struct peer p;
	int64_t due;

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_USER_TIMEOUT, 5000), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), 1);
	EQUAL(drain(&p), 1);
	while ((due = wharf_deadline(p.w, p.now)) >= 0) {
		CHECK(due <= (int64_t)(6 * SECOND));
		p.now = (uint64_t)due;
		wharf_poll(p.w, p.now);
		drain(&p);
	}
	EQUAL(p.now, 6 * SECOND);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ETIMEDOUT);
	peer_close(&p);
}

static void a_shut_window_outlasts_a_day_but_not_a_user_timeout(void)
{
	struct pair p;
	static char octets[300000];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	CHECK(wharf_send(p.a, p.now, a, octets, 262144, 0, NULL) > 0);
	pass(&p, SECOND);
	CHECK(wharf_send(p.a, p.now, a, octets, 100000, 0, NULL) > 0);
	pass(&p, (uint64_t)rounds(24) * 3600 * SECOND);
	EQUAL(get_int(p.a, a, WHARF_TCP_STATE), 1);
	EQUAL(set_int(p.a, a, WHARF_TCP_USER_TIMEOUT, 30000), 0);
	pass(&p, 200 * SECOND);
	EQUAL(get_int(p.a, a, WHARF_SO_ERROR), ETIMEDOUT);
	pair_close(&p);
}

static void an_orphan_in_fin_wait_2_ends_after_its_time(void)
{
	struct peer p;

	peer_connected(&p);
	EQUAL(wharf_deadline(p.w, p.now), -1);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_LINGER2, 7), 0);
	EQUAL(wharf_close(p.w, p.now, p.handle), 0);
	EQUAL(drain(&p), 1);
	give(&p, ACK, p.theirs, p.ours + 1, 20000, NULL);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), SECOND + 7 * SECOND);
	p.now += 7 * SECOND;
	wharf_poll(p.w, p.now);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), -1);
	peer_close(&p);
}

static void a_syn_is_sent_again_as_often_as_one_likes(void)
{
	struct peer p;
	struct wharf_addr to = address(2, 80);
	int64_t due;
	int syns = 0;

	memset(&p, 0, sizeof p);
	p.w = stack(1, NULL);
	p.handle = wharf_socket(p.w, 4, WHARF_TCP);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_SYNCNT, 2), 0);
	EQUAL(wharf_connect(p.w, 0, p.handle, &to), -EINPROGRESS);
	do {
		syns += drain(&p);
		due = wharf_deadline(p.w, p.now);
		p.now = due < 0 ? p.now : (uint64_t)due;
		wharf_poll(p.w, p.now);
	} while (due >= 0);
	EQUAL(syns, 3);
	EQUAL(p.now, 7 * SECOND);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ETIMEDOUT);
	peer_close(&p);
}

const struct test timer_tests[] = {
	TEST(an_idle_peer_is_probed_and_given_up),
	TEST(an_idle_peer_that_answers_is_kept),
	TEST(what_is_not_acknowledged_in_time_ends_the_connection),
	TEST(a_shut_window_outlasts_a_day_but_not_a_user_timeout),
	TEST(an_orphan_in_fin_wait_2_ends_after_its_time),
	TEST(a_syn_is_sent_again_as_often_as_one_likes),
	{ NULL, NULL },
};
