/* connect(2) in every state. */
#include "harness.h"

static void a_connect_is_told_to_be_through_once(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 80), name;
	int h;

	pair_open(&p);
	listener(p.b, 2, 80, 1);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(get_int(p.a, h, WHARF_TCP_STATE), 7);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	EQUAL(get_int(p.a, h, WHARF_TCP_STATE), 2);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EALREADY);
	settle(&p);
	EQUAL(get_int(p.a, h, WHARF_TCP_STATE), 1);
	EQUAL(get_int(p.a, h, WHARF_SO_ERROR), 0);
	EQUAL(wharf_connect(p.a, p.now, h, &to), 0);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EISCONN);
	EQUAL(wharf_name(p.a, h, 1, &name), 0);
	CHECK(name.family == 4 && name.port == 80 && !memcmp(name.ip, to.ip, 4));
	EQUAL(wharf_name(p.a, h, 0, &name), 0);
	CHECK(name.family == 4 && name.ip[3] == 1 && name.port >= 32768);
	pair_close(&p);
}

static void a_refusal_is_told_by_so_error_and_then_the_socket_is_free_again(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 81), name;
	int h;

	pair_open(&p);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	settle(&p);
	EQUAL(wharf_ready(p.a, h), WHARF_IN | WHARF_OUT | WHARF_ERR | WHARF_HUP | WHARF_RDHUP);
	EQUAL(get_int(p.a, h, WHARF_TCP_STATE), 7);
	EQUAL(get_int(p.a, h, WHARF_SO_ERROR), ECONNREFUSED);
	EQUAL(get_int(p.a, h, WHARF_SO_ERROR), 0);
	EQUAL(wharf_ready(p.a, h), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	EQUAL(wharf_name(p.a, h, 1, &name), -ENOTCONN);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -ECONNABORTED);
	EQUAL(wharf_ready(p.a, h), WHARF_OUT | WHARF_HUP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	listener(p.b, 2, 81, 1);
	settle(&p);
	EQUAL(wharf_connect(p.a, p.now, h, &to), 0);
	pair_close(&p);
}

static void a_refusal_is_told_by_the_next_connect(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 81);
	int h;

	pair_open(&p);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	settle(&p);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -ECONNREFUSED);
	EQUAL(get_int(p.a, h, WHARF_SO_ERROR), 0);
	EQUAL(wharf_ready(p.a, h), WHARF_OUT | WHARF_HUP);
	pair_close(&p);
}

static void a_refusal_is_told_by_recv_and_then_comes_the_end_of_file(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 81);
	char octets[4];
	int h;

	pair_open(&p);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, h, octets, 4, 0, NULL), -ECONNREFUSED);
	EQUAL(wharf_recv(p.a, p.now, h, octets, 4, 0, NULL), 0);
	EQUAL(wharf_send(p.a, p.now, h, "x", 1, 0, NULL), -EPIPE);
	pair_close(&p);
}

static void a_refusal_is_told_by_send(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 81);
	int h;

	pair_open(&p);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	settle(&p);
	EQUAL(wharf_send(p.a, p.now, h, "x", 1, 0, NULL), -ECONNREFUSED);
	EQUAL(wharf_send(p.a, p.now, h, "x", 1, 0, NULL), -EPIPE);
	pair_close(&p);
}

static void silence_is_a_time_out_and_leaves_no_timer(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 80);
	int h;

	pair_open(&p);
	h = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EINPROGRESS);
	p.lose_from_a = 1000;
	pass(&p, 60 * SECOND);
	EQUAL(wharf_connect(p.a, p.now, h, &to), -EALREADY);
	CHECK(p.sent_by_a >= 5);
	pass(&p, 600 * SECOND);
	EQUAL(wharf_deadline(p.a, p.now), -1);
	EQUAL(get_int(p.a, h, WHARF_SO_ERROR), ETIMEDOUT);
	pair_close(&p);
}

static void a_listener_does_not_connect_nor_a_connection_listen(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 80), own = address(1, 99);
	int client, server, listening;

	pair_open(&p);
	connect_pair(&p, &client, &server, &listening);
	EQUAL(wharf_connect(p.b, p.now, listening, &to), -EISCONN);
	EQUAL(wharf_connect(p.b, p.now, server, &to), -EISCONN);
	EQUAL(wharf_listen(p.a, client, 1), -EINVAL);
	EQUAL(wharf_listen(p.b, server, 1), -EINVAL);
	EQUAL(wharf_bind(p.a, client, &own), -EINVAL);
	EQUAL(wharf_bind(p.a, client, &to), -EADDRNOTAVAIL);
	pair_close(&p);
}

static void while_it_connects_a_socket_neither_sends_nor_receives(void)
{
	struct peer p;
	struct wharf_addr name;
	char octets[4];

	peer_connecting(&p);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EAGAIN);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 4, 0, NULL), -EAGAIN);
	EQUAL(wharf_name(p.w, p.handle, 1, &name), -ENOTCONN);
	EQUAL(wharf_name(p.w, p.handle, 0, &name), 0);
	EQUAL(name.ip[3], 1);
	EQUAL(wharf_queued(p.w, p.handle, 0), 0);
	EQUAL(wharf_queued(p.w, p.handle, 1), 0);
	EQUAL(wharf_listen(p.w, p.handle, 1), -EINVAL);
	EQUAL(drain(&p), 0);
	peer_close(&p);
}

static void shutdown_while_it_connects_frees_the_socket_and_tells_nobody(void)
{
	struct peer p;
	struct wharf_addr to = address(2, 80);

	peer_connecting(&p);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 7);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT | WHARF_HUP | WHARF_ERR);
	EQUAL(drain(&p), 0);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ECONNRESET);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -EINPROGRESS);
	EQUAL(drain(&p), 1);
	peer_close(&p);
}

static void shutdown_after_a_failed_connect_makes_the_socket_useless(void)
{
	struct peer p;
	struct wharf_addr to = address(2, 80);

	peer_connecting(&p);
	give(&p, RST | ACK, 0, p.ours, 0, NULL);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_RDWR), -ENOTCONN);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -EINVAL);
	peer_close(&p);
}

static void close_while_it_connects_sends_nothing(void)
{
	struct peer p;

	peer_connecting(&p);
	EQUAL(wharf_close(p.w, p.now, p.handle), 0);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), -1);
	peer_close(&p);
}

static void two_syns_that_cross_open_one_connection(void)
{
	struct peer p;
	struct segment s;

	peer_connecting(&p);
	give(&p, SYN, p.theirs, 0, 20000, NULL);
	CHECK(next_segment(&p, &s));
	EQUAL(s.flags, SYN | ACK);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 3);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EAGAIN);
	give(&p, ACK, p.theirs + 1, p.ours, 20000, NULL);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 1);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	peer_close(&p);
}

static void shutdown_between_syns_that_cross_waits_for_the_connection(void)
{
	struct peer p;
	struct segment s;

	peer_connecting(&p);
	give(&p, SYN, p.theirs, 0, 20000, NULL);
	EQUAL(drain(&p), 1);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(drain(&p), 0);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 3);
	give(&p, ACK, p.theirs + 1, p.ours, 20000, NULL);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 4);
	CHECK(next_segment(&p, &s));
	CHECK(s.flags & FIN);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", 1, 0, NULL), -EPIPE);
	peer_close(&p);
}

static void what_routers_say_of_a_connect_is_told_if_it_fails_or_is_asked_for(void)
{
	struct peer p;
	struct wharf_addr to = address(2, 80);

	peer_connecting(&p);
	give_icmp(&p, 3, 3, 0, p.ours - 1);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -ECONNREFUSED);
	peer_close(&p);

	peer_connecting(&p);
	give_icmp(&p, 3, 1, 0, p.ours - 1);
	give_icmp(&p, 3, 3, 0, p.ours + 77); /* Of nothing that was sent. */
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -EALREADY);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), EHOSTUNREACH);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), 0);
	give(&p, SYN | ACK, p.theirs, p.ours, 20000, NULL);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), 0);
	peer_close(&p);
}

static void connecting_to_no_family_gives_the_connection_up(void)
{
	struct peer p;
	struct segment s;
	struct wharf_addr none = { 0 }, to = address(2, 80);

	peer_connected(&p);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &none), 0);
	CHECK(next_segment(&p, &s));
	CHECK(s.flags & RST);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 7);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ECONNRESET);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -EINPROGRESS);
	peer_close(&p);
}

static void a_connection_that_was_reset_before_the_next_connect_tells_so(void)
{
	struct peer p;
	struct wharf_addr to = address(2, 80);

	peer_connected(&p);
	give(&p, RST, p.theirs, 0, 0, NULL);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -ECONNRESET);
	EQUAL(wharf_connect(p.w, p.now, p.handle, &to), -EINPROGRESS);
	peer_close(&p);
}

static void an_address_that_no_host_has_is_refused(void)
{
	struct wharf_addr group = address(2, 80), ipv6 = address(2, 80), odd = address(2, 80);
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	group.ip[0] = 224;
	ipv6.family = 6;
	odd.family = 99;
	EQUAL(wharf_connect(w, 0, h, &group), -ENETUNREACH);
	EQUAL(wharf_connect(w, 0, h, &ipv6), -EAFNOSUPPORT);
	EQUAL(wharf_connect(w, 0, h, &odd), -EAFNOSUPPORT);
	EQUAL(wharf_connect(w, 0, h, NULL), -EINVAL);
	EQUAL(get_int(w, h, WHARF_TCP_STATE), 7);
	wharf_free(w);
}

static void a_bound_socket_connects_from_there(void)
{
	struct peer p = { .w = stack(1, NULL), .port = 5555 };
	struct wharf_addr from = address(1, 5555), to = address(2, 80);
	int other = wharf_socket(p.w, 4, WHARF_TCP), one = 1;

	p.handle = wharf_socket(p.w, 4, WHARF_TCP);
	EQUAL(wharf_setopt(p.w, 0, p.handle, WHARF_SO_REUSEADDR, &one, sizeof one), 0);
	EQUAL(wharf_setopt(p.w, 0, other, WHARF_SO_REUSEADDR, &one, sizeof one), 0);
	EQUAL(wharf_bind(p.w, p.handle, &from), 0);
	EQUAL(wharf_bind(p.w, other, &from), 0);
	EQUAL(wharf_connect(p.w, 0, p.handle, &to), -EINPROGRESS);
	EQUAL(port_of(p.w, p.handle), 5555);
	EQUAL(wharf_connect(p.w, 0, other, &to), -EADDRNOTAVAIL);
	to.port = 81;
	EQUAL(wharf_connect(p.w, 0, other, &to), -EINPROGRESS);
	peer_close(&p);
}

const struct test connecting_tests[] = {
	TEST(a_connect_is_told_to_be_through_once),
	TEST(a_refusal_is_told_by_so_error_and_then_the_socket_is_free_again),
	TEST(a_refusal_is_told_by_the_next_connect),
	TEST(a_refusal_is_told_by_recv_and_then_comes_the_end_of_file),
	TEST(a_refusal_is_told_by_send),
	TEST(silence_is_a_time_out_and_leaves_no_timer),
	TEST(a_listener_does_not_connect_nor_a_connection_listen),
	TEST(while_it_connects_a_socket_neither_sends_nor_receives),
	TEST(shutdown_while_it_connects_frees_the_socket_and_tells_nobody),
	TEST(shutdown_after_a_failed_connect_makes_the_socket_useless),
	TEST(close_while_it_connects_sends_nothing),
	TEST(two_syns_that_cross_open_one_connection),
	TEST(shutdown_between_syns_that_cross_waits_for_the_connection),
	TEST(what_routers_say_of_a_connect_is_told_if_it_fails_or_is_asked_for),
	TEST(connecting_to_no_family_gives_the_connection_up),
	TEST(a_connection_that_was_reset_before_the_next_connect_tells_so),
	TEST(an_address_that_no_host_has_is_refused),
	TEST(a_bound_socket_connects_from_there),
	{ NULL, NULL },
};
