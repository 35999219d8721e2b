/* bind(2), listen(2), accept(2), and what waits in between. */
#include "harness.h"

static int open_to(struct pair *p, int port)
{
	struct wharf_addr to = address(2, port);
	int h = wharf_socket(p->a, 4, WHARF_TCP);

	if (wharf_connect(p->a, p->now, h, &to) != -EINPROGRESS)
		abort();
	settle(p);
	return h;
}

static void a_listener_hands_out_who_came_first_and_says_who_it_is(void)
{
	struct pair p;
	struct wharf_addr peer;
	int l, first, second, h;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	EQUAL(wharf_accept(p.b, p.now, l, NULL), -EAGAIN);
	EQUAL(wharf_ready(p.b, l), 0);
	first = open_to(&p, 80);
	second = open_to(&p, 80);
	EQUAL(wharf_ready(p.b, l), WHARF_IN);
	h = wharf_accept(p.b, p.now, l, &peer);
	CHECK(h >= 0);
	EQUAL(peer.port, port_of(p.a, first));
	CHECK(peer.family == 4 && peer.ip[3] == 1);
	h = wharf_accept(p.b, p.now, l, &peer);
	CHECK(h >= 0);
	EQUAL(peer.port, port_of(p.a, second));
	EQUAL(wharf_ready(p.b, l), 0);
	EQUAL(wharf_accept(p.b, p.now, l, &peer), -EAGAIN);
	EQUAL(wharf_connect(p.b, p.now, h, &peer), -EISCONN);
	pair_close(&p);
}

static void only_a_listener_accepts(void)
{
	struct pair p;
	int client, server, fresh, udp;

	pair_open(&p);
	connect_pair(&p, &client, &server, NULL);
	fresh = wharf_socket(p.a, 4, WHARF_TCP);
	udp = wharf_socket(p.a, 4, WHARF_UDP);
	EQUAL(wharf_accept(p.a, p.now, fresh, NULL), -EINVAL);
	EQUAL(wharf_accept(p.a, p.now, client, NULL), -EINVAL);
	EQUAL(wharf_accept(p.a, p.now, udp, NULL), -EOPNOTSUPP);
	EQUAL(wharf_listen(p.a, udp, 1), -EOPNOTSUPP);
	pair_close(&p);
}

static void a_place_is_taken_once(void)
{
	struct wharf_addr here = address(1, 80), any = { 4, { 0 }, 80 }, elsewhere = address(3, 80);
	wharf *w = stack(1, NULL);
	int first = wharf_socket(w, 4, WHARF_TCP), second = wharf_socket(w, 4, WHARF_TCP);
	struct wharf_addr ipv6 = { 6, { 0 }, 80 };

	EQUAL(wharf_bind(w, first, &elsewhere), -EADDRNOTAVAIL);
	EQUAL(wharf_bind(w, first, &ipv6), -EAFNOSUPPORT);
	EQUAL(wharf_bind(w, first, NULL), -EINVAL);
	EQUAL(wharf_bind(w, first, &here), 0);
	EQUAL(wharf_bind(w, first, &here), -EINVAL);
	EQUAL(wharf_bind(w, second, &here), -EADDRINUSE);
	EQUAL(wharf_bind(w, second, &any), -EADDRINUSE);
	EQUAL(wharf_close(w, 0, first), 0);
	EQUAL(wharf_bind(w, second, &any), 0);
	EQUAL(port_of(w, second), 80);
	wharf_free(w);
}

static void port_0_and_no_bind_at_all_take_an_ephemeral_port(void)
{
	struct wharf_addr any = { 4, { 0 }, 0 };
	wharf *w = stack(1, NULL);
	int bound = wharf_socket(w, 4, WHARF_TCP), unbound = wharf_socket(w, 4, WHARF_TCP);

	EQUAL(port_of(w, unbound), 0);
	EQUAL(wharf_bind(w, bound, &any), 0);
	CHECK(port_of(w, bound) >= 32768);
	EQUAL(wharf_listen(w, unbound, 1), 0);
	CHECK(port_of(w, unbound) >= 32768);
	EQUAL(get_int(w, unbound, WHARF_TCP_STATE), 10);
	wharf_free(w);
}

static void two_may_bind_a_place_together_but_one_listens(void)
{
	struct wharf_addr here = address(1, 80);
	wharf *w = stack(1, NULL);
	int first = wharf_socket(w, 4, WHARF_TCP), second = wharf_socket(w, 4, WHARF_TCP);

	EQUAL(set_int(w, first, WHARF_SO_REUSEADDR, 1), 0);
	EQUAL(set_int(w, second, WHARF_SO_REUSEADDR, 1), 0);
	EQUAL(wharf_bind(w, first, &here), 0);
	EQUAL(wharf_bind(w, second, &here), 0);
	EQUAL(wharf_listen(w, first, 1), 0);
	EQUAL(wharf_listen(w, second, 1), -EADDRINUSE);
	wharf_free(w);
}

static void listeners_that_share_a_port_both_get_connections(void)
{
	struct pair p;
	struct wharf_addr here = address(2, 80);
	int l[2], got[2] = { 0, 0 };

	pair_open(&p);
	for (int i = 0; i < 2; i++) {
		l[i] = wharf_socket(p.b, 4, WHARF_TCP);
		EQUAL(set_int(p.b, l[i], raw(SOL_SOCKET, SO_REUSEPORT), 1), 0);
		EQUAL(get_int(p.b, l[i], raw(SOL_SOCKET, SO_REUSEPORT)), 1);
		EQUAL(wharf_bind(p.b, l[i], &here), 0);
		EQUAL(wharf_listen(p.b, l[i], 64), 0);
	}
	for (int i = 0; i < 40; i++)
		open_to(&p, 80);
	for (int i = 0; i < 2; i++)
		while (wharf_accept(p.b, p.now, l[i], NULL) >= 0)
			got[i]++;
	EQUAL(got[0] + got[1], 40);
	CHECK(got[0] > 0 && got[1] > 0);
	pair_close(&p);
}

static void a_listener_listens_again_with_another_backlog(void)
{
	wharf *w = stack(1, NULL);
	int l = listener(w, 1, 80, 0);

	EQUAL(wharf_listen(w, l, -1), 0);
	EQUAL(wharf_listen(w, l, 5), 0);
	EQUAL(get_int(w, l, raw(SOL_SOCKET, SO_ACCEPTCONN)), 1);
	wharf_free(w);
}

static void a_listener_that_is_shut_for_reading_can_listen_again(void)
{
	wharf *w = stack(1, NULL);
	int l = listener(w, 1, 80, 8);

	EQUAL(wharf_shutdown(w, 0, l, SHUT_WR), 0);
	EQUAL(get_int(w, l, WHARF_TCP_STATE), 10);
	EQUAL(wharf_shutdown(w, 0, l, SHUT_RD), 0);
	EQUAL(get_int(w, l, WHARF_TCP_STATE), 7);
	EQUAL(wharf_ready(w, l), WHARF_OUT | WHARF_HUP);
	EQUAL(wharf_accept(w, 0, l, NULL), -EINVAL);
	EQUAL(get_int(w, l, raw(SOL_SOCKET, SO_ACCEPTCONN)), 0);
	EQUAL(wharf_listen(w, l, 8), 0);
	EQUAL(port_of(w, l), 80);
	EQUAL(wharf_accept(w, 0, l, NULL), -EAGAIN);
	wharf_free(w);
}

static void a_closed_listener_resets_those_who_wait(void)
{
	struct pair p;
	int l, waiting;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	waiting = open_to(&p, 80);
	EQUAL(get_int(p.a, waiting, WHARF_TCP_STATE), 1);
	EQUAL(wharf_close(p.b, p.now, l), 0);
	settle(&p);
	EQUAL(get_int(p.a, waiting, WHARF_SO_ERROR), ECONNRESET);
	pair_close(&p);
}

static void on_a_listener_nothing_is_sent_or_received_or_queued(void)
{
	struct wharf_addr name;
	char octets[4];
	wharf *w = stack(1, NULL);
	int l = listener(w, 1, 80, 8);

	EQUAL(wharf_send(w, 0, l, "x", 1, 0, NULL), -EPIPE);
	EQUAL(wharf_recv(w, 0, l, octets, 4, 0, NULL), -ENOTCONN);
	EQUAL(wharf_name(w, l, 1, &name), -ENOTCONN);
	EQUAL(wharf_queued(w, l, 0), -EINVAL);
	EQUAL(wharf_queued(w, l, 1), -EINVAL);
	wharf_free(w);
}

static void what_is_accepted_has_the_listener_s_options(void)
{
	struct pair p;
	struct { int on, seconds; } linger = { 1, 7 };
	size_t len = sizeof linger;
	int l, h;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	EQUAL(set_int(p.b, l, WHARF_TCP_NODELAY, 1), 0);
	EQUAL(set_int(p.b, l, WHARF_IP_TTL, 33), 0);
	EQUAL(set_int(p.b, l, WHARF_SO_RCVBUF, 40000), 0);
	EQUAL(wharf_setopt(p.b, 0, l, WHARF_SO_LINGER, &linger, sizeof linger), 0);
	open_to(&p, 80);
	h = wharf_accept(p.b, p.now, l, NULL);
	CHECK(h >= 0);
	EQUAL(get_int(p.b, h, WHARF_TCP_NODELAY), 1);
	EQUAL(get_int(p.b, h, WHARF_IP_TTL), 33);
	EQUAL(get_int(p.b, h, WHARF_SO_RCVBUF), 80000);
	linger.on = linger.seconds = 0;
	EQUAL(wharf_getopt(p.b, h, WHARF_SO_LINGER, &linger, &len), 0);
	CHECK(linger.on == 1 && linger.seconds == 7);
	EQUAL(get_int(p.b, h, raw(SOL_SOCKET, SO_ACCEPTCONN)), 0);
	pair_close(&p);
}

static void a_listener_that_waits_for_data_hands_out_who_has_sent_some(void)
{
	struct pair p;
	int l, h;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	EQUAL(set_int(p.b, l, WHARF_TCP_DEFER_ACCEPT, 3), 0);
	h = open_to(&p, 80);
	EQUAL(get_int(p.a, h, WHARF_TCP_STATE), 1);
	EQUAL(wharf_accept(p.b, p.now, l, NULL), -EAGAIN);
	EQUAL(wharf_send(p.a, p.now, h, "GET", 3, 0, NULL), 3);
	settle(&p);
	EQUAL(wharf_ready(p.b, l), WHARF_IN);
	CHECK(wharf_accept(p.b, p.now, l, NULL) >= 0);
	open_to(&p, 80);
	pass(&p, 2 * SECOND);
	EQUAL(wharf_accept(p.b, p.now, l, NULL), -EAGAIN);
	pass(&p, 2 * SECOND);
	CHECK(wharf_accept(p.b, p.now, l, NULL) >= 0);
	pair_close(&p);
}

static void data_and_fin_that_came_before_accept_are_there(void)
{
	struct pair p;
	char octets[8];
	int l, client, h;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	client = open_to(&p, 80);
	EQUAL(wharf_send(p.a, p.now, client, "early", 5, 0, NULL), 5);
	EQUAL(wharf_close(p.a, p.now, client), 0);
	settle(&p);
	h = wharf_accept(p.b, p.now, l, NULL);
	CHECK(h >= 0);
	EQUAL(get_int(p.b, h, WHARF_TCP_STATE), 8);
	EQUAL(wharf_ready(p.b, h), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	EQUAL(wharf_recv(p.b, p.now, h, octets, 8, 0, NULL), 5);
	EQUAL(wharf_recv(p.b, p.now, h, octets, 8, 0, NULL), 0);
	pair_close(&p);
}

static void a_connection_that_was_reset_before_accept_is_handed_out_with_its_error(void)
{
	struct pair p;
	struct { int on, seconds; } linger = { 1, 0 };
	char octets[8];
	int l, client, h;

	pair_open(&p);
	l = listener(p.b, 2, 80, 8);
	client = open_to(&p, 80);
	EQUAL(wharf_setopt(p.a, 0, client, WHARF_SO_LINGER, &linger, sizeof linger), 0);
	EQUAL(wharf_close(p.a, p.now, client), 0);
	settle(&p);
	EQUAL(wharf_ready(p.b, l), WHARF_IN);
	h = wharf_accept(p.b, p.now, l, NULL);
	CHECK(h >= 0);
	EQUAL(wharf_recv(p.b, p.now, h, octets, 8, 0, NULL), -ECONNRESET);
	EQUAL(wharf_recv(p.b, p.now, h, octets, 8, 0, NULL), 0);
	pair_close(&p);
}

const struct test accepting_tests[] = {
	TEST(a_listener_hands_out_who_came_first_and_says_who_it_is),
	TEST(only_a_listener_accepts),
	TEST(a_place_is_taken_once),
	TEST(port_0_and_no_bind_at_all_take_an_ephemeral_port),
	TEST(two_may_bind_a_place_together_but_one_listens),
	TEST(listeners_that_share_a_port_both_get_connections),
	TEST(a_listener_listens_again_with_another_backlog),
	TEST(a_listener_that_is_shut_for_reading_can_listen_again),
	TEST(a_closed_listener_resets_those_who_wait),
	TEST(on_a_listener_nothing_is_sent_or_received_or_queued),
	TEST(what_is_accepted_has_the_listener_s_options),
	TEST(a_listener_that_waits_for_data_hands_out_who_has_sent_some),
	TEST(data_and_fin_that_came_before_accept_are_there),
	TEST(a_connection_that_was_reset_before_accept_is_handed_out_with_its_error),
	{ NULL, NULL },
};
