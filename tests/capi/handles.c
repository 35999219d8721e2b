/* Handles and pointers that are not what they should be. */
#include <limits.h>

#include "harness.h"

static void every_call_refuses_a_stale_handle(void)
{
	struct pair p;
	struct wharf_addr addr = address(2, 80);
	char octets[8];
	size_t len = 4;
	int server, bad[5] = { 0, 0, -1, INT_MAX, INT_MIN };

	pair_open(&p);
	connect_pair(&p, &bad[0], &server, NULL);
	bad[1] = wharf_socket(p.a, 4, WHARF_UDP);
	EQUAL(wharf_close(p.a, p.now, bad[0]), 0);
	EQUAL(wharf_close(p.a, p.now, bad[1]), 0);
	CHECK(wharf_socket(p.a, 4, WHARF_TCP) != bad[0]);
	CHECK(wharf_socket(p.a, 4, WHARF_UDP) != bad[1]);
	for (int i = 0; i < 5; i++) {
		EQUAL(wharf_bind(p.a, bad[i], &addr), -EBADF);
		EQUAL(wharf_listen(p.a, bad[i], 1), -EBADF);
		EQUAL(wharf_accept(p.a, p.now, bad[i], &addr), -EBADF);
		EQUAL(wharf_connect(p.a, p.now, bad[i], &addr), -EBADF);
		EQUAL(wharf_send(p.a, p.now, bad[i], "x", 1, 0, NULL), -EBADF);
		EQUAL(wharf_recv(p.a, p.now, bad[i], octets, 8, 0, NULL), -EBADF);
		EQUAL(wharf_shutdown(p.a, p.now, bad[i], SHUT_RD), -EBADF);
		EQUAL(wharf_close(p.a, p.now, bad[i]), -EBADF);
		EQUAL(wharf_ready(p.a, bad[i]), -EBADF);
		EQUAL(wharf_name(p.a, bad[i], 0, &addr), -EBADF);
		EQUAL(wharf_queued(p.a, bad[i], 0), -EBADF);
		EQUAL(wharf_getopt(p.a, bad[i], WHARF_SO_ERROR, octets, &len), -EBADF);
		EQUAL(wharf_setopt(p.a, p.now, bad[i], WHARF_SO_RCVBUF, octets, 4), -EBADF);
	}
	pair_close(&p);
}

static void every_call_refuses_a_stack_that_is_not_there(void)
{
	struct wharf_addr addr = address(2, 80);
	char octets[8] = "";
	size_t len = 4;
	wharf *gone = stack(1, NULL), *bad[2] = { NULL, gone };

	CHECK(gone != NULL);
	wharf_free(gone);
	wharf_free(gone);
	wharf_free(NULL);
	CHECK(wharf_new(NULL) == NULL);
	for (int i = 0; i < 2; i++) {
		wharf_poll(bad[i], 1);
		wharf_input(bad[i], 1, octets, 8);
		EQUAL(wharf_deadline(bad[i], 1), -1);
		EQUAL(wharf_output(bad[i], octets, 8), -EINVAL);
		EQUAL(wharf_socket(bad[i], 4, WHARF_TCP), -EINVAL);
		EQUAL(wharf_bind(bad[i], 0, &addr), -EINVAL);
		EQUAL(wharf_listen(bad[i], 0, 1), -EINVAL);
		EQUAL(wharf_accept(bad[i], 1, 0, &addr), -EINVAL);
		EQUAL(wharf_connect(bad[i], 1, 0, &addr), -EINVAL);
		EQUAL(wharf_send(bad[i], 1, 0, "x", 1, 0, NULL), -EINVAL);
		EQUAL(wharf_recv(bad[i], 1, 0, octets, 8, 0, NULL), -EINVAL);
		EQUAL(wharf_shutdown(bad[i], 1, 0, SHUT_RD), -EINVAL);
		EQUAL(wharf_close(bad[i], 1, 0), -EINVAL);
		EQUAL(wharf_ready(bad[i], 0), -EINVAL);
		EQUAL(wharf_name(bad[i], 0, 0, &addr), -EINVAL);
		EQUAL(wharf_queued(bad[i], 0, 0), -EINVAL);
		EQUAL(wharf_getopt(bad[i], 0, WHARF_SO_ERROR, octets, &len), -EINVAL);
		EQUAL(wharf_setopt(bad[i], 1, 0, WHARF_SO_RCVBUF, octets, 4), -EINVAL);
	}
}

static void null_arguments_are_einval_and_change_nothing(void)
{
	struct peer p;
	size_t len = 4;
	int value = 1;

	peer_connected(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "ab");
	EQUAL(wharf_send(p.w, p.now, p.handle, NULL, 1, 0, NULL), -EINVAL);
	EQUAL(wharf_send(p.w, p.now, p.handle, "x", SIZE_MAX, 0, NULL), -EINVAL);
	EQUAL(wharf_recv(p.w, p.now, p.handle, NULL, 1, 0, NULL), -EINVAL);
	EQUAL(wharf_queued(p.w, p.handle, 0), 2);
	EQUAL(wharf_queued(p.w, p.handle, 1), 0);
	EQUAL(wharf_name(p.w, p.handle, 0, NULL), -EINVAL);
	EQUAL(wharf_getopt(p.w, p.handle, WHARF_TCP_NODELAY, NULL, &len), -EINVAL);
	EQUAL(wharf_getopt(p.w, p.handle, WHARF_TCP_NODELAY, &value, NULL), -EINVAL);
	EQUAL(wharf_setopt(p.w, p.now, p.handle, WHARF_TCP_NODELAY, NULL, 4), -EINVAL);
	EQUAL(wharf_send(p.w, p.now, p.handle, "c", 1, 0, NULL), 1);
	EQUAL(wharf_output(p.w, NULL, 2000), -EINVAL);
	EQUAL(wharf_output(p.w, NULL, 0), -EMSGSIZE);
	wharf_input(p.w, p.now, NULL, 40);
	wharf_input(p.w, p.now, NULL, 0);
	wharf_input(p.w, p.now, "", 0);
	EQUAL(drain(&p), 1);
	peer_close(&p);
}

static void what_cannot_be_is_refused(void)
{
	wharf *w = stack(1, NULL);

	EQUAL(wharf_socket(w, 6, WHARF_TCP), -EAFNOSUPPORT);
	EQUAL(wharf_socket(w, 0, WHARF_TCP), -EAFNOSUPPORT);
	EQUAL(wharf_socket(w, 4, 0), -EINVAL);
	EQUAL(wharf_socket(w, 4, 3), -EINVAL);
	wharf_free(w);
	CHECK(stack(1, "colour=red") == NULL);
	CHECK(stack(1, "congestion=quick") == NULL);
	CHECK(stack(1, "iw=0") == NULL);
	CHECK(stack(1, "min_rto_ms=0") == NULL);
	CHECK(stack(1, "delack_ms=500") == NULL);
	CHECK(stack(0, "iw=10,") == NULL);
	CHECK(stack_with(1, NULL, 1, 0) == NULL);
}

static void a_thousand_sockets_are_opened_connected_and_closed(void)
{
	enum { MOST = 1000 };
	static int clients[MOST], servers[MOST];
	int count = rounds(MOST);
	struct pair p;
	struct wharf_addr to = address(2, 80);
	char octets[8];
	int l;

	pair_open(&p);
	l = listener(p.b, 2, 80, count);
	for (int i = 0; i < count; i++) {
		clients[i] = wharf_socket(p.a, 4, WHARF_TCP);
		EQUAL(clients[i], i);
		EQUAL(wharf_connect(p.a, p.now, i, &to), -EINPROGRESS);
	}
	settle(&p);
	for (int i = 0; i < count; i++) {
		servers[i] = wharf_accept(p.b, p.now, l, NULL);
		CHECK(servers[i] > l);
		EQUAL(wharf_send(p.a, p.now, clients[i], &clients[i], sizeof(int), 0, NULL), 4);
	}
	EQUAL(wharf_accept(p.b, p.now, l, NULL), -EAGAIN);
	settle(&p);
	for (int i = 0; i < count; i++) {
		EQUAL(wharf_recv(p.b, p.now, servers[i], octets, 8, 0, NULL), 4);
		EQUAL(wharf_close(p.a, p.now, clients[i]), 0);
		EQUAL(wharf_ready(p.a, clients[i]), -EBADF);
	}
	settle(&p);
	for (int i = 0; i < count; i++) {
		EQUAL(wharf_recv(p.b, p.now, servers[i], octets, 8, 0, NULL), 0);
		EQUAL(wharf_close(p.b, p.now, servers[i]), 0);
	}
	pass(&p, 61 * SECOND);
	EQUAL(wharf_deadline(p.a, p.now), -1);
	EQUAL(wharf_deadline(p.b, p.now), -1);
	pair_close(&p);
}

static void a_stack_is_freed_with_all_that_is_going_on_in_it(void)
{
	struct pair p;
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_send(p.a, p.now, a, "left", 4, 0, NULL), 4);
	CHECK(wharf_deadline(p.a, p.now) > 0); /* The segment waits to be fetched. */
	pair_close(&p);
}

const struct test handle_tests[] = {
	TEST(every_call_refuses_a_stale_handle),
	TEST(every_call_refuses_a_stack_that_is_not_there),
	TEST(null_arguments_are_einval_and_change_nothing),
	TEST(what_cannot_be_is_refused),
	TEST(a_thousand_sockets_are_opened_connected_and_closed),
	TEST(a_stack_is_freed_with_all_that_is_going_on_in_it),
	{ NULL, NULL },
};
