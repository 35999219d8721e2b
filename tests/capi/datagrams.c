/* UDP sockets. */
#include "harness.h"

static void open_both(struct pair *p, int *a, int *b)
{
	struct wharf_addr there = address(2, 53);

	pair_open(p);
	*a = wharf_socket(p->a, 4, WHARF_UDP);
	*b = wharf_socket(p->b, 4, WHARF_UDP);
	if (wharf_bind(p->b, *b, &there))
		abort();
}

static void datagrams_keep_their_bounds_and_their_senders(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 53), from;
	char octets[16];
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(wharf_ready(p.b, b), WHARF_OUT);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, &from), -EAGAIN);
	EQUAL(wharf_send(p.a, p.now, a, "first", 5, 0, &to), 5);
	EQUAL(wharf_send(p.a, p.now, a, "", 0, 0, &to), 0);
	EQUAL(wharf_send(p.a, p.now, a, "third", 5, 0, &to), 5);
	settle(&p);
	EQUAL(wharf_ready(p.b, b), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_queued(p.b, b, 0), 5);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, WHARF_MSG_PEEK, &from), 5);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 2, 0, &from), 2);
	CHECK(!memcmp(octets, "fi", 2) && from.family == 4 && from.ip[3] == 1);
	EQUAL(from.port, port_of(p.a, a));
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), 0);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), 5);
	EQUAL(wharf_recv(p.b, p.now, b, octets, 16, 0, NULL), -EAGAIN);
	EQUAL(wharf_send(p.b, p.now, b, "back", 4, 0, &from), 4);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, &from), 4);
	EQUAL(from.port, 53);
	pair_close(&p);
}

static void a_connected_socket_needs_no_address_and_hears_of_refusals(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 54), none = { 0 }, name;
	char octets[16];
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EDESTADDRREQ);
	EQUAL(wharf_name(p.a, a, 1, &name), -ENOTCONN);
	EQUAL(wharf_connect(p.a, p.now, a, &to), 0);
	EQUAL(wharf_name(p.a, a, 1, &name), 0);
	EQUAL(name.port, 54);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), 1);
	settle(&p);
	EQUAL(wharf_ready(p.a, a), WHARF_OUT | WHARF_ERR);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 16, 0, NULL), -ECONNREFUSED);
	EQUAL(wharf_ready(p.a, a), WHARF_OUT);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), 1);
	settle(&p);
	EQUAL(get_int(p.a, a, WHARF_SO_ERROR), ECONNREFUSED);
	EQUAL(get_int(p.a, a, WHARF_SO_ERROR), 0);
	EQUAL(wharf_connect(p.a, p.now, a, &none), 0);
	EQUAL(wharf_name(p.a, a, 1, &name), -ENOTCONN);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EDESTADDRREQ);
	pair_close(&p);
}

static void a_peer_with_port_0_is_an_address(void)
{
	struct pair p;
	struct wharf_addr any_port = address(2, 0), from, name;
	char octets[4];
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(wharf_connect(p.a, p.now, a, &any_port), 0);
	EQUAL(wharf_name(p.a, a, 1, &name), -ENOTCONN);
	EQUAL(wharf_name(p.a, a, 0, &name), 0);
	EQUAL(wharf_send(p.b, p.now, b, "x", 1, 0, &name), 1);
	settle(&p);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 4, 0, &from), 1);
	EQUAL(from.port, 53);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), 1);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, &any_port), -EINVAL);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), 0);
	pair_close(&p);
}

static void what_does_not_fit_or_cannot_be_sent_is_refused(void)
{
	struct pair p;
	static char octets[2000];
	struct wharf_addr to = address(2, 53), port_0 = address(2, 0), ipv6 = to;
	int a, b;

	open_both(&p, &a, &b);
	ipv6.family = 6;
	EQUAL(wharf_send(p.a, p.now, a, octets, 1472, 0, &to), 1472);
	EQUAL(wharf_send(p.a, p.now, a, octets, 1473, 0, &to), -EMSGSIZE);
	EQUAL(wharf_send(p.a, p.now, a, octets, 1, 0, &port_0), -EINVAL);
	EQUAL(wharf_send(p.a, p.now, a, octets, 1, 0, &ipv6), -EAFNOSUPPORT);
	EQUAL(wharf_send(p.a, p.now, a, octets, 1, WHARF_MSG_OOB, &to), -EOPNOTSUPP);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 1, WHARF_MSG_OOB, NULL), -EOPNOTSUPP);
	EQUAL(wharf_bind(p.b, b, &to), -EINVAL);
	a = wharf_socket(p.b, 4, WHARF_UDP);
	EQUAL(wharf_bind(p.b, a, &to), -EADDRINUSE);
	to.ip[3] = 3;
	EQUAL(wharf_bind(p.b, a, &to), -EADDRNOTAVAIL);
	pair_close(&p);
}

static void shutdown_wants_a_peer_and_is_remembered_without_one(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 53), none = { 0 };
	char octets[4];
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(wharf_shutdown(p.b, p.now, b, SHUT_RDWR), -ENOTCONN);
	EQUAL(wharf_ready(p.b, b), WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP);
	EQUAL(wharf_connect(p.a, p.now, a, &to), 0);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), 0);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EPIPE);
	EQUAL(wharf_ready(p.a, a), WHARF_OUT);
	EQUAL(wharf_recv(p.a, p.now, a, octets, 4, 0, NULL), -EAGAIN);
	EQUAL(wharf_shutdown(p.a, p.now, a, 7), -EINVAL);
	EQUAL(wharf_connect(p.a, p.now, a, &none), 0);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, &to), -EPIPE);
	pair_close(&p);
}

static void that_it_is_shut_is_the_last_thing_that_a_send_says(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 54), port_0 = address(2, 0);
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(wharf_shutdown(p.a, p.now, a, SHUT_WR), -ENOTCONN);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, NULL), -EDESTADDRREQ);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, &port_0), -EINVAL);
	EQUAL(wharf_send(p.a, p.now, a, "x", 1, 0, &to), -EPIPE);
	to = address(1, 54);
	EQUAL(wharf_connect(p.b, p.now, b, &to), 0);
	EQUAL(wharf_send(p.b, p.now, b, "x", 1, 0, NULL), 1);
	settle(&p);
	EQUAL(wharf_shutdown(p.b, p.now, b, SHUT_WR), 0);
	EQUAL(wharf_send(p.b, p.now, b, "x", 1, 0, NULL), -ECONNREFUSED);
	EQUAL(wharf_send(p.b, p.now, b, "x", 1, 0, NULL), -EPIPE);
	pair_close(&p);
}

static void only_options_of_datagrams_are_known(void)
{
	struct pair p;
	int a, b;

	open_both(&p, &a, &b);
	EQUAL(get_int(p.a, a, WHARF_TCP_NODELAY), -ENOPROTOOPT);
	EQUAL(set_int(p.a, a, WHARF_TCP_NODELAY, 1), -ENOPROTOOPT);
	EQUAL(get_int(p.a, a, WHARF_TCP_STATE), -ENOPROTOOPT);
	EQUAL(get_int(p.a, a, WHARF_TCP_INFO), -ENOPROTOOPT);
	EQUAL(get_int(p.a, a, raw(SOL_SOCKET, SO_TYPE)), SOCK_DGRAM);
	EQUAL(get_int(p.a, a, raw(SOL_SOCKET, SO_PROTOCOL)), 17);
	EQUAL(get_int(p.a, a, raw(SOL_SOCKET, SO_BROADCAST)), 0);
	EQUAL(set_int(p.a, a, raw(SOL_SOCKET, SO_BROADCAST), 5), 0);
	EQUAL(get_int(p.a, a, raw(SOL_SOCKET, SO_BROADCAST)), 1);
	EQUAL(set_int(p.a, a, WHARF_IP_TOS, 0xb9), 0);
	EQUAL(get_int(p.a, a, WHARF_IP_TOS), 0xb9);
	pair_close(&p);
}

const struct test datagram_tests[] = {
	TEST(datagrams_keep_their_bounds_and_their_senders),
	TEST(a_connected_socket_needs_no_address_and_hears_of_refusals),
	TEST(a_peer_with_port_0_is_an_address),
	TEST(what_does_not_fit_or_cannot_be_sent_is_refused),
	TEST(shutdown_wants_a_peer_and_is_remembered_without_one),
	TEST(that_it_is_shut_is_the_last_thing_that_a_send_says),
	TEST(only_options_of_datagrams_are_known),
	{ NULL, NULL },
};
