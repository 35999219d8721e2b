/* The bits of poll(2), state by state. */
#include "harness.h"

static void a_socket_without_a_connection_is_writable_and_hung_up(void)
{
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);
	struct wharf_addr here = address(1, 80);

	EQUAL(wharf_ready(w, h), WHARF_OUT | WHARF_HUP);
	EQUAL(wharf_bind(w, h, &here), 0);
	EQUAL(wharf_ready(w, h), WHARF_OUT | WHARF_HUP);
	EQUAL(wharf_listen(w, h, 1), 0);
	EQUAL(wharf_ready(w, h), 0);
	wharf_free(w);
}

static void each_step_of_a_connection_has_its_bits(void)
{
	struct peer p;
	char octets[8];

	peer_connecting(&p);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	give(&p, SYN | ACK, p.theirs, p.ours, 20000, NULL);
	p.theirs++;
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "ab");
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 1, 0, NULL), 1);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT);
	EQUAL(wharf_recv(p.w, p.now, p.handle, octets, 1, 0, NULL), 1);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	give(&p, FIN | ACK, p.theirs + 2, p.ours, 20000, NULL);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	EQUAL(wharf_shutdown(p.w, p.now, p.handle, SHUT_WR), 0);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_RDHUP | WHARF_HUP);
	peer_close(&p);
}

static void a_fin_behind_a_gap_is_not_seen(void)
{
	struct peer p;

	peer_connected(&p);
	give(&p, FIN | ACK, p.theirs + 2, p.ours, 20000, "cd");
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	give(&p, ACK, p.theirs, p.ours, 20000, "ab");
	EQUAL(wharf_ready(p.w, p.handle), WHARF_IN | WHARF_OUT | WHARF_RDHUP);
	peer_close(&p);
}

static void the_bit_of_an_error_goes_with_the_error(void)
{
	struct peer p;
	int closed = WHARF_IN | WHARF_OUT | WHARF_HUP | WHARF_RDHUP;

	peer_connected(&p);
	give(&p, RST | ACK, p.theirs, p.ours, 0, NULL);
	EQUAL(wharf_ready(p.w, p.handle), closed | WHARF_ERR);
	EQUAL(wharf_ready(p.w, p.handle), closed | WHARF_ERR);
	EQUAL(get_int(p.w, p.handle, WHARF_SO_ERROR), ECONNRESET);
	EQUAL(wharf_ready(p.w, p.handle), closed);
	peer_close(&p);
}

const struct test polling_tests[] = {
	TEST(a_socket_without_a_connection_is_writable_and_hung_up),
	TEST(each_step_of_a_connection_has_its_bits),
	TEST(a_fin_behind_a_gap_is_not_seen),
	TEST(the_bit_of_an_error_goes_with_the_error),
	{ NULL, NULL },
};
