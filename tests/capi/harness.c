/* Runs every test in turn: `ok NAME` or `FAIL NAME` a line, as scripts/test counts them. */
#include "harness.h"

static int failed;

void check_failed(const char *file, int line, const char *text)
{
	failed = 1;
	printf("%s:%d: not so: %s\n", file, line, text);
}

void not_equal(const char *file, int line, const char *left, long long l, const char *right,
	       long long r)
{
	failed = 1;
	printf("%s:%d: %s is %lld, but %s is %lld\n", file, line, left, l, right, r);
}

int main(int argc, char **argv)
{
	const struct test *const lists[] = {
		connecting_tests, accepting_tests, closing_tests, queue_tests,	polling_tests,
		option_tests,	  timer_tests,	   datagram_tests, packet_tests, handle_tests,
		random_tests,
	};
	const char *prefix = argc > 1 ? argv[1] : "capi";
	int failures = 0;

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		for (const struct test *test = lists[i]; test->name; test++) {
			if (argc > 2 && strcmp(test->name, argv[2]))
				continue;
			failed = 0;
			test->run();
			failures += failed;
			printf("%s %s_%s\n", failed ? "FAIL" : "ok", prefix, test->name);
		}
	}
	return failures != 0;
}

int rounds(int count)
{
	return getenv("WHARF_SLOW") ? count / 20 : count;
}

struct wharf_addr address(int last_octet, int port)
{
	struct wharf_addr addr = { 4, { 10, 0, 0, (uint8_t)last_octet }, (uint16_t)port };
	return addr;
}

wharf *stack_with(int last_octet, const char *flags, uint32_t rcvbuf, uint32_t sndbuf)
{
	struct wharf_cfg cfg;

	memset(&cfg, 0, sizeof cfg);
	cfg.seed = (uint64_t)last_octet;
	cfg.rcvbuf = rcvbuf;
	cfg.sndbuf = sndbuf;
	cfg.local4 = address(last_octet, 0);
	cfg.flags = flags;
	return wharf_new(&cfg);
}

wharf *stack(int last_octet, const char *flags)
{
	return stack_with(last_octet, flags, 0, 0);
}

void pair_open(struct pair *p)
{
	memset(p, 0, sizeof *p);
	p->a = stack(1, NULL);
	p->b = stack(2, NULL);
	p->now = SECOND;
}

void pair_close(struct pair *p)
{
	wharf_free(p->a);
	wharf_free(p->b);
}

/* Carries what `from` has to `to`; returns how many packets that were. */
static unsigned long carry(wharf *from, wharf *to, uint64_t now, int *lose)
{
	char packet[2000];
	unsigned long count = 0;
	ssize_t len;

	while ((len = wharf_output(from, packet, sizeof packet)) > 0) {
		count++;
		if (*lose > 0)
			--*lose;
		else
			wharf_input(to, now, packet, (size_t)len);
	}
	return count;
}

void settle(struct pair *p)
{
	unsigned long from_a, from_b;

	do {
		from_a = carry(p->a, p->b, p->now, &p->lose_from_a);
		from_b = carry(p->b, p->a, p->now, &p->lose_from_b);
		p->sent_by_a += from_a;
		p->sent_by_b += from_b;
	} while (from_a || from_b);
}

void pass(struct pair *p, uint64_t micros)
{
	uint64_t end = p->now + micros;

	for (;;) {
		int64_t due_a, due_b, due;

		settle(p);
		due_a = wharf_deadline(p->a, p->now);
		due_b = wharf_deadline(p->b, p->now);
		due = due_a < 0 || (due_b >= 0 && due_b < due_a) ? due_b : due_a;
		if (due < 0 || (uint64_t)due > end)
			break;
		p->now = (uint64_t)due;
		wharf_poll(p->a, p->now);
		wharf_poll(p->b, p->now);
	}
	p->now = end;
}

int listener(wharf *w, int last_octet, int port, int backlog)
{
	struct wharf_addr addr = address(last_octet, port);
	int handle = wharf_socket(w, 4, WHARF_TCP);

	if (handle < 0 || wharf_bind(w, handle, &addr) || wharf_listen(w, handle, backlog))
		abort();
	return handle;
}

void connect_pair(struct pair *p, int *client, int *server, int *listening)
{
	struct wharf_addr to = address(2, 80);
	int handle = listener(p->b, 2, 80, 8);

	*client = wharf_socket(p->a, 4, WHARF_TCP);
	if (wharf_connect(p->a, p->now, *client, &to) != -EINPROGRESS)
		abort();
	settle(p);
	if (wharf_connect(p->a, p->now, *client, &to))
		abort();
	*server = wharf_accept(p->b, p->now, handle, NULL);
	if (*server < 0)
		abort();
	if (listening)
		*listening = handle;
	else
		wharf_close(p->b, p->now, handle);
	pass(p, 100 * MS); /* What is acknowledged late is acknowledged. */
}

int get_int(wharf *w, int handle, int opt)
{
	int value = -12345;
	size_t len = sizeof value;
	int status = wharf_getopt(w, handle, opt, &value, &len);

	if (status)
		return status;
	return len == sizeof value ? value : -12346;
}

int set_int(wharf *w, int handle, int opt, int value)
{
	return wharf_setopt(w, 0, handle, opt, &value, sizeof value);
}

int raw(int level, int name)
{
	return WHARF_RAW + (level << 8 | name);
}

int port_of(wharf *w, int handle)
{
	struct wharf_addr own;

	return wharf_name(w, handle, 0, &own) ? -1 : own.port;
}
