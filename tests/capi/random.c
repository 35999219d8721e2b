/* Any calls in any order, with arguments good and bad, over a link that loses: nothing but error
 * numbers comes of it, and the same numbers each time. */
#include "harness.h"

static uint64_t state;

static unsigned draw(unsigned bound)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % bound;
}

/* A handle that may be open, one that is stale, or one that never was. */
static int any_handle(void)
{
	return (int)draw(24) - 2;
}

static int any_option(void)
{
	static const int levels[] = { 0, 1, 6, 17 };

	return draw(4) ? (int)draw(26) : raw(levels[draw(4)], (int)draw(64));
}

/* One call on `w`; what it answers. */
static long any_call(wharf *w, uint64_t now, int other)
{
	static char octets[8000];
	struct wharf_addr addr = address(draw(8) ? other : (int)draw(256), 80 + (int)draw(3));
	int h = any_handle(), value = (int)draw(5) - 1, pair[2] = { (int)draw(2), (int)draw(3) };
	size_t len = draw(300);

	if (!draw(20))
		addr.family = (uint8_t)draw(7);
	switch (draw(16)) {
	case 0:
		return wharf_socket(w, draw(10) ? 4 : (int)draw(7), draw(4) ? WHARF_TCP : WHARF_UDP);
	case 1:
		addr.ip[3] = (uint8_t)(draw(4) ? 3 - other : 0);
		return wharf_bind(w, h, &addr);
	case 2:
		return wharf_listen(w, h, (int)draw(5) - 1);
	case 3:
		return wharf_accept(w, now, h, draw(2) ? &addr : NULL);
	case 4:
	case 5:
		return wharf_connect(w, now, h, &addr);
	case 6:
	case 7:
		return (long)wharf_send(w, now, h, octets, draw(sizeof octets),
					draw(4) ? 0 : (int)draw(16), draw(2) ? &addr : NULL);
	case 8:
	case 9:
		return (long)wharf_recv(w, now, h, octets, draw(sizeof octets),
					draw(4) ? 0 : (int)draw(16), &addr);
	case 10:
		return wharf_shutdown(w, now, h, (int)draw(4));
	case 11:
		return draw(3) ? wharf_ready(w, h) : wharf_close(w, now, h);
	case 12:
		return wharf_name(w, h, (int)draw(3), &addr);
	case 13:
		return wharf_queued(w, h, (int)draw(3));
	case 14:
		return wharf_getopt(w, h, any_option(), octets, &len);
	default:
		return draw(2) ? wharf_setopt(w, now, h, any_option(), &value, draw(9) ? 4 : 2)
			       : wharf_setopt(w, now, h, WHARF_SO_LINGER, pair, sizeof pair);
	}
}

/* A run; a hash of all answers, or 0 if one was what no call answers. */
static uint64_t run(uint64_t seed, int calls)
{
	struct pair p;
	uint64_t hash = 14695981039346656037ull;

	state = seed;
	pair_open(&p);
	for (int i = 0; i < calls; i++) {
		int which = (int)draw(2);
		long answer = any_call(which ? p.b : p.a, p.now, which ? 1 : 2);

		hash = (hash ^ (uint64_t)answer) * 1099511628211ull;
		if (answer < -4095 || answer == -ENOTRECOVERABLE) {
			hash = 0;
			break;
		}
		if (!draw(3))
			p.lose_from_a = (int)draw(3);
		if (!draw(3))
			p.lose_from_b = (int)draw(3);
		if (!draw(2))
			settle(&p);
		if (!draw(4))
			pass(&p, draw(2000) * MS);
		if (!draw(500))
			pass(&p, 100 * SECOND);
	}
	pair_close(&p);
	return hash;
}

static void any_calls_in_any_order_answer_an_error_number_at_worst(void)
{
	for (uint64_t seed = 1; seed <= (uint64_t)rounds(40); seed++) {
		uint64_t hash = run(seed, 1500);

		CHECK(hash != 0);
		if (seed == 1)
			CHECK(hash == run(seed, 1500));
	}
}

const struct test random_tests[] = {
	TEST(any_calls_in_any_order_answer_an_error_number_at_worst),
	{ NULL, NULL },
};
