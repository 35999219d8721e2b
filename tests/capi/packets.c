/* Time, packets, and that equal inputs give equal packets. */
#include "harness.h"

static void a_packet_that_does_not_fit_stays(void)
{
	struct peer p;
	char packet[2000];
	ssize_t len;

	peer_connected(&p);
	EQUAL(wharf_send(p.w, p.now, p.handle, "octets", 6, 0, NULL), 6);
	EQUAL(wharf_output(p.w, packet, 45), -EMSGSIZE);
	EQUAL(wharf_output(p.w, packet, 0), -EMSGSIZE);
	len = wharf_output(p.w, packet, 46);
	EQUAL(len, 46);
	CHECK(!memcmp(packet + 40, "octets", 6));
	EQUAL(wharf_output(p.w, packet, sizeof packet), 0);
	peer_close(&p);
}

static void no_packet_is_larger_than_the_mtu(void)
{
	struct wharf_cfg cfg;
	struct pair p;
	static char octets[100000], packet[2000];
	int a, b;
	ssize_t len;

	pair_open(&p);
	wharf_free(p.a);
	memset(&cfg, 0, sizeof cfg);
	cfg.mtu = 600;
	cfg.local4 = address(1, 0);
	p.a = wharf_new(&cfg);
	CHECK(p.a != NULL);
	connect_pair(&p, &a, &b, NULL);
	CHECK(wharf_send(p.a, p.now, a, octets, sizeof octets, 0, NULL) > 0);
	while ((len = wharf_output(p.a, packet, sizeof packet)) != 0)
		CHECK(len > 0 && len <= 600);
	pair_close(&p);
	cfg.mtu = 67;
	CHECK(wharf_new(&cfg) == NULL);
	cfg.mtu = 65536;
	CHECK(wharf_new(&cfg) == NULL);
}

static void a_deadline_is_kept_to_the_microsecond(void)
{
	struct wharf_addr to = address(2, 80);
	char packet[2000];
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	EQUAL(wharf_deadline(w, 77), -1);
	EQUAL(wharf_connect(w, 77, h, &to), -EINPROGRESS);
	/* The SYN leaves at 77 even if it is fetched later. */
	EQUAL(wharf_deadline(w, 77), 77 + SECOND);
	CHECK(wharf_output(w, packet, sizeof packet) > 0);
	EQUAL(wharf_output(w, packet, sizeof packet), 0);
	wharf_poll(w, 76 + SECOND);
	EQUAL(wharf_output(w, packet, sizeof packet), 0);
	EQUAL(wharf_deadline(w, 76 + SECOND), 77 + SECOND);
	wharf_poll(w, 77 + SECOND);
	CHECK(wharf_output(w, packet, sizeof packet) > 0);
	EQUAL(wharf_output(w, packet, sizeof packet), 0);
	EQUAL(wharf_deadline(w, 77 + SECOND), 77 + 3 * SECOND);
	/* One that has passed is now and not before. */
	EQUAL(wharf_deadline(w, 60 * SECOND), 60 * SECOND);
	wharf_free(w);
}

static void a_clock_that_goes_back_is_held(void)
{
	struct wharf_addr to = address(2, 80);
	char packet[2000];
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	wharf_poll(w, 10 * SECOND);
	EQUAL(wharf_connect(w, 3 * SECOND, h, &to), -EINPROGRESS);
	CHECK(wharf_output(w, packet, sizeof packet) > 0);
	EQUAL(wharf_deadline(w, 0), 11 * SECOND);
	wharf_free(w);
}

static void time_ends_without_a_wrap(void)
{
	struct wharf_addr to = address(2, 80);
	char packet[2000];
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	EQUAL(wharf_connect(w, UINT64_MAX, h, &to), -EINPROGRESS);
	CHECK(wharf_output(w, packet, sizeof packet) > 0);
	wharf_poll(w, UINT64_MAX);
	wharf_poll(w, 1);
	CHECK(wharf_deadline(w, UINT64_MAX) > 0);
	EQUAL(wharf_close(w, UINT64_MAX, h), 0);
	wharf_free(w);
}

static void flags_reach_the_wire(void)
{
	static const struct { const char *flags; int scale, sack, timestamps; } cases[] = {
		{ NULL, 1, 1, 1 },
		{ "", 1, 1, 1 },
		{ "wscale=0", 0, 1, 1 },
		{ "sack=0,timestamps=1", 1, 0, 1 },
		{ "timestamps=0,ecn=0,pacing=0", 1, 1, 0 },
		{ "wscale=0,sack=0,timestamps=0", 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct peer p = { .w = stack(1, cases[i].flags) };
		struct wharf_addr to = address(2, 80);
		struct segment s;

		p.handle = wharf_socket(p.w, 4, WHARF_TCP);
		EQUAL(wharf_connect(p.w, 0, p.handle, &to), -EINPROGRESS);
		CHECK(next_segment(&p, &s));
		CHECK(has_option(&s, 2));
		EQUAL(has_option(&s, 3), cases[i].scale);
		EQUAL(has_option(&s, 4), cases[i].sack);
		EQUAL(has_option(&s, 8), cases[i].timestamps);
		peer_close(&p);
	}
}

static void times_and_the_initial_window_are_what_the_flags_say(void)
{
	static char octets[20000];
	struct peer p;

	peer_connected_with(&p, "min_rto_ms=50,iw=3,delack_ms=7");
	peer_converses(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 65535, "ab");
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), p.now + 7 * MS);
	CHECK(wharf_send(p.w, p.now, p.handle, octets, sizeof octets, 0, NULL) > 0);
	EQUAL(drain(&p), 3);
	EQUAL(wharf_deadline(p.w, p.now), p.now + 50 * MS);
	p.now += 50 * MS;
	wharf_poll(p.w, p.now);
	EQUAL(drain(&p), 1);
	peer_close(&p);
}

static void nonsense_from_the_wire_is_dropped(void)
{
	struct peer p;
	unsigned char packet[200];
	unsigned long x = 1;

	peer_connected(&p);
	for (int i = 0; i < rounds(20000); i++) {
		size_t len = (size_t)i % sizeof packet;

		for (size_t at = 0; at < len; at++) {
			x = x * 6364136223846793005ul + 1442695040888963407ul;
			packet[at] = (unsigned char)(x >> 56);
		}
		if (i % 2 && len >= 20) /* An IPv4 header for us, and nonsense in it. */
			memcpy(packet + 16, "\x0a\0\0\x01", 4), packet[0] = 0x45, packet[9] = 6;
		wharf_input(p.w, p.now, packet, len);
	}
	drain(&p);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 1);
	peer_close(&p);
}

/* A run with loss and data both ways; `hash` is of every packet and when it left. */
static uint64_t run(uint64_t seed)
{
	static char octets[20000];
	char packet[2000];
	struct wharf_cfg cfg;
	struct wharf_addr to = address(2, 80);
	struct pair p;
	uint64_t hash = 14695981039346656037ull, end = SECOND + (uint64_t)rounds(60) * SECOND;
	int l, a, b = -1, count = 0;

	pair_open(&p);
	wharf_free(p.a);
	memset(&cfg, 0, sizeof cfg);
	cfg.seed = seed;
	cfg.local4 = address(1, 0);
	p.a = wharf_new(&cfg);
	l = listener(p.b, 2, 80, 1);
	a = wharf_socket(p.a, 4, WHARF_TCP);
	wharf_connect(p.a, p.now, a, &to);
	for (; p.now < end; p.now += 7 * MS) {
		wharf *both[2] = { p.a, p.b };

		if (b < 0)
			b = wharf_accept(p.b, p.now, l, NULL);
		wharf_send(p.a, p.now, a, octets, 3000, 0, NULL);
		wharf_recv(p.b, p.now, b, octets, sizeof octets, 0, NULL);
		for (int i = 0; i < 2; i++) {
			ssize_t len;

			wharf_poll(both[i], p.now);
			while ((len = wharf_output(both[i], packet, sizeof packet)) > 0) {
				hash = (hash ^ p.now) * 1099511628211ull;
				for (ssize_t at = 0; at < len; at++)
					hash = (hash ^ (unsigned char)packet[at]) * 1099511628211ull;
				if (++count % 13)
					wharf_input(both[1 - i], p.now, packet, (size_t)len);
			}
		}
		if (p.now > 2 * SECOND)
			p.now += 100 * MS;
	}
	pair_close(&p);
	return count > 100 ? hash : 0;
}

static void equal_inputs_give_equal_packets_and_another_seed_gives_others(void)
{
	uint64_t first = run(7);

	CHECK(first != 0);
	CHECK(first == run(7));
	CHECK(first != run(8));
	CHECK(first != run(7 | 1ull << 63));
}

const struct test packet_tests[] = {
	TEST(a_packet_that_does_not_fit_stays),
	TEST(no_packet_is_larger_than_the_mtu),
	TEST(a_deadline_is_kept_to_the_microsecond),
	TEST(a_clock_that_goes_back_is_held),
	TEST(time_ends_without_a_wrap),
	TEST(flags_reach_the_wire),
	TEST(times_and_the_initial_window_are_what_the_flags_say),
	TEST(nonsense_from_the_wire_is_dropped),
	TEST(equal_inputs_give_equal_packets_and_another_seed_gives_others),
	{ NULL, NULL },
};
