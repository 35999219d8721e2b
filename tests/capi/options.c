/* getsockopt(2) and setsockopt(2): ranges, units, lengths, and who knows what. */
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "harness.h"

static void each_option_has_linux_s_default(void)
{
	static const struct { int opt, value; } defaults[] = {
		{ WHARF_SO_ERROR, 0 }, { WHARF_SO_KEEPALIVE, 0 }, { WHARF_SO_REUSEADDR, 0 },
		{ WHARF_TCP_NODELAY, 0 }, { WHARF_TCP_CORK, 0 }, { WHARF_TCP_NOTSENT_LOWAT, 0 },
		{ WHARF_TCP_MAXSEG, 536 }, { WHARF_TCP_KEEPIDLE, 7200 },
		{ WHARF_TCP_KEEPINTVL, 75 }, { WHARF_TCP_KEEPCNT, 9 },
		{ WHARF_TCP_USER_TIMEOUT, 0 }, { WHARF_TCP_LINGER2, 60 }, { WHARF_TCP_STATE, 7 },
		{ WHARF_IP_TTL, 64 }, { WHARF_IP_TOS, 0 },
	};
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
		EQUAL(get_int(w, h, defaults[i].opt), defaults[i].value);
	wharf_free(w);
}

/* What is set, what that answers, and what is then read. */
struct step {
	int opt, value, answer, then;
};

static const struct step steps[] = {
	{ WHARF_TCP_NODELAY, 7, 0, 1 },
	{ WHARF_TCP_NODELAY, 0, 0, 0 },
	{ WHARF_TCP_CORK, 2, 0, 1 },
	{ WHARF_TCP_QUICKACK, 2, 0, 1 },
	{ WHARF_TCP_QUICKACK, 0, 0, 0 },
	{ WHARF_TCP_NOTSENT_LOWAT, 5000, 0, 5000 },
	{ WHARF_TCP_NOTSENT_LOWAT, -1, 0, -1 },
	{ WHARF_TCP_NOTSENT_LOWAT, 0, 0, 0 },
	{ WHARF_TCP_DEFER_ACCEPT, 1, 0, 1 },
	{ WHARF_TCP_DEFER_ACCEPT, 2, 0, 3 },
	{ WHARF_TCP_DEFER_ACCEPT, 10, 0, 15 },
	{ WHARF_TCP_DEFER_ACCEPT, 128, 0, 247 },
	{ WHARF_TCP_DEFER_ACCEPT, -1, 0, 0 },
	{ WHARF_SO_KEEPALIVE, -1, 0, 1 },
	{ WHARF_SO_KEEPALIVE, 0, 0, 0 },
	{ WHARF_SO_REUSEADDR, 2, 0, 1 },
	{ WHARF_TCP_KEEPIDLE, 0, -EINVAL, 7200 },
	{ WHARF_TCP_KEEPIDLE, 1, 0, 1 },
	{ WHARF_TCP_KEEPIDLE, 32767, 0, 32767 },
	{ WHARF_TCP_KEEPIDLE, 32768, -EINVAL, 32767 },
	{ WHARF_TCP_KEEPINTVL, -1, -EINVAL, 75 },
	{ WHARF_TCP_KEEPINTVL, 1, 0, 1 },
	{ WHARF_TCP_KEEPCNT, 0, -EINVAL, 9 },
	{ WHARF_TCP_KEEPCNT, 127, 0, 127 },
	{ WHARF_TCP_KEEPCNT, 128, -EINVAL, 127 },
	{ WHARF_TCP_KEEPCNT, 257, -EINVAL, 127 },
	{ WHARF_TCP_USER_TIMEOUT, -1, -EINVAL, 0 },
	{ WHARF_TCP_USER_TIMEOUT, 1, 0, 1 },
	{ WHARF_TCP_USER_TIMEOUT, INT_MAX, 0, INT_MAX },
	{ WHARF_TCP_USER_TIMEOUT, 0, 0, 0 },
	{ WHARF_TCP_SYNCNT, 0, -EINVAL, 7 },
	{ WHARF_TCP_SYNCNT, 127, 0, 127 },
	{ WHARF_TCP_SYNCNT, 128, -EINVAL, 127 },
	{ WHARF_TCP_LINGER2, 5, 0, 5 },
	{ WHARF_TCP_LINGER2, 500, 0, 120 },
	{ WHARF_TCP_LINGER2, -9, 0, -1 },
	{ WHARF_TCP_LINGER2, 0, 0, 60 },
	{ WHARF_TCP_MAXSEG, 87, -EINVAL, 536 },
	{ WHARF_TCP_MAXSEG, 88, 0, 88 },
	{ WHARF_TCP_MAXSEG, 32767, 0, 32767 },
	{ WHARF_TCP_MAXSEG, 32768, -EINVAL, 32767 },
	{ WHARF_TCP_MAXSEG, 0, 0, 536 },
	{ WHARF_IP_TTL, 0, -EINVAL, 64 },
	{ WHARF_IP_TTL, 1, 0, 1 },
	{ WHARF_IP_TTL, 256, -EINVAL, 1 },
	{ WHARF_IP_TTL, -1, 0, 64 },
	{ WHARF_IP_TTL, -2, -EINVAL, 64 },
	{ WHARF_IP_TOS, 0xff, 0, 0xfc },
	{ WHARF_IP_TOS, 0x110, 0, 0x10 },
	{ WHARF_SO_RCVBUF, 20000, 0, 40000 },
	{ WHARF_SO_RCVBUF, 1, 0, 2304 },
	{ WHARF_SO_RCVBUF, 0, 0, 2304 },
	{ WHARF_SO_SNDBUF, 20000, 0, 40000 },
	{ WHARF_SO_SNDBUF, 1, 0, 4608 },
	{ WHARF_SO_ERROR, 1, -ENOPROTOOPT, 0 },
	{ WHARF_TCP_STATE, 1, -ENOPROTOOPT, 7 },
};

static void each_option_has_linux_s_range(void)
{
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		const struct step *s = &steps[i];

		if (set_int(w, h, s->opt, s->value) != s->answer || get_int(w, h, s->opt) != s->then)
			printf("option %d, value %d\n", s->opt, s->value);
		EQUAL(set_int(w, h, s->opt, s->value), s->answer);
		EQUAL(get_int(w, h, s->opt), s->then);
	}
	wharf_free(w);
}

static void lengths_are_linux_s(void)
{
	static const int ints[] = {
		WHARF_SO_KEEPALIVE, WHARF_SO_RCVBUF, WHARF_SO_SNDBUF, WHARF_SO_REUSEADDR,
		WHARF_TCP_NODELAY, WHARF_TCP_CORK, WHARF_TCP_QUICKACK, WHARF_TCP_NOTSENT_LOWAT,
		WHARF_TCP_MAXSEG, WHARF_TCP_KEEPIDLE, WHARF_TCP_KEEPINTVL,
		WHARF_TCP_DEFER_ACCEPT, WHARF_TCP_KEEPCNT, WHARF_TCP_USER_TIMEOUT,
		WHARF_TCP_SYNCNT, WHARF_TCP_LINGER2,
	};
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP), value[2] = { 100, 100 };
	unsigned char octets[8];
	size_t len;

	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
		EQUAL(wharf_setopt(w, 0, h, ints[i], value, 3), -EINVAL);
		EQUAL(wharf_setopt(w, 0, h, ints[i], value, 0), -EINVAL);
		EQUAL(wharf_setopt(w, 0, h, ints[i], value, 8), 0);
		memset(octets, 0xaa, sizeof octets);
		len = 2;
		EQUAL(wharf_getopt(w, h, ints[i], octets, &len), 0);
		EQUAL(len, 2);
		EQUAL(octets[2], 0xaa);
		len = 8;
		EQUAL(wharf_getopt(w, h, ints[i], octets, &len), 0);
		EQUAL(len, 4);
		EQUAL(octets[4], 0xaa);
		len = 0;
		EQUAL(wharf_getopt(w, h, ints[i], NULL, &len), 0);
		EQUAL(len, 0);
	}
	/* At the IP level an octet will do. */
	octets[0] = 9;
	EQUAL(wharf_setopt(w, 0, h, WHARF_IP_TTL, octets, 1), 0);
	EQUAL(get_int(w, h, WHARF_IP_TTL), 9);
	EQUAL(wharf_setopt(w, 0, h, WHARF_IP_TTL, octets, 0), -EINVAL);
	len = 1;
	EQUAL(wharf_getopt(w, h, WHARF_IP_TTL, octets, &len), 0);
	CHECK(len == 1 && octets[0] == 9);
	len = 3;
	EQUAL(wharf_getopt(w, h, WHARF_IP_TTL, octets, &len), 0);
	EQUAL(len, 1);
	wharf_free(w);
}

static void linger_is_two_ints(void)
{
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP), linger[2] = { 3, 9 };
	size_t len = sizeof linger;

	EQUAL(wharf_setopt(w, 0, h, WHARF_SO_LINGER, linger, 4), -EINVAL);
	EQUAL(wharf_setopt(w, 0, h, WHARF_SO_LINGER, linger, 8), 0);
	linger[0] = linger[1] = 77;
	EQUAL(wharf_getopt(w, h, WHARF_SO_LINGER, linger, &len), 0);
	CHECK(len == 8 && linger[0] == 1 && linger[1] == 9);
	linger[0] = 0;
	EQUAL(wharf_setopt(w, 0, h, WHARF_SO_LINGER, linger, 8), 0);
	len = 4;
	EQUAL(wharf_getopt(w, h, WHARF_SO_LINGER, linger, &len), 0);
	CHECK(len == 4 && linger[0] == 0);
	wharf_free(w);
}

static void congestion_control_is_a_name(void)
{
	wharf *w = stack(1, "congestion=reno");
	int h = wharf_socket(w, 4, WHARF_TCP);
	char name[32];
	size_t len = sizeof name;

	memset(name, 'x', sizeof name);
	EQUAL(wharf_getopt(w, h, WHARF_TCP_CONGESTION, name, &len), 0);
	EQUAL(len, 16);
	CHECK(!strcmp(name, "reno"));
	len = 2;
	EQUAL(wharf_getopt(w, h, WHARF_TCP_CONGESTION, name, &len), 0);
	EQUAL(len, 2);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_CONGESTION, "reno", 4), 0);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_CONGESTION, "reno\0xyz", 8), 0);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_CONGESTION, "ren", 3), -ENOENT);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_CONGESTION, "quick", 5), -ENOENT);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_CONGESTION, "", 0), -EINVAL);
	wharf_free(w);
}

static void raw_numbers_mean_the_same_options(void)
{
	static const struct { int own, level, name; } same[] = {
		{ WHARF_SO_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE },
		{ WHARF_SO_RCVBUF, SOL_SOCKET, SO_RCVBUF },
		{ WHARF_SO_SNDBUF, SOL_SOCKET, SO_SNDBUF },
		{ WHARF_SO_REUSEADDR, SOL_SOCKET, SO_REUSEADDR },
		{ WHARF_TCP_NODELAY, IPPROTO_TCP, TCP_NODELAY },
		{ WHARF_TCP_CORK, IPPROTO_TCP, TCP_CORK },
		{ WHARF_TCP_DEFER_ACCEPT, IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ WHARF_TCP_QUICKACK, IPPROTO_TCP, TCP_QUICKACK },
		{ WHARF_TCP_NOTSENT_LOWAT, IPPROTO_TCP, TCP_NOTSENT_LOWAT },
		{ WHARF_TCP_MAXSEG, IPPROTO_TCP, TCP_MAXSEG },
		{ WHARF_TCP_KEEPIDLE, IPPROTO_TCP, TCP_KEEPIDLE },
		{ WHARF_TCP_KEEPINTVL, IPPROTO_TCP, TCP_KEEPINTVL },
		{ WHARF_TCP_KEEPCNT, IPPROTO_TCP, TCP_KEEPCNT },
		{ WHARF_TCP_USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT },
		{ WHARF_TCP_SYNCNT, IPPROTO_TCP, TCP_SYNCNT },
		{ WHARF_TCP_LINGER2, IPPROTO_TCP, TCP_LINGER2 },
		{ WHARF_IP_TTL, IPPROTO_IP, IP_TTL },
		{ WHARF_IP_TOS, IPPROTO_IP, IP_TOS },
	};
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP), value = 0;

	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		int number = raw(same[i].level, same[i].name);

		EQUAL(get_int(w, h, number), get_int(w, h, same[i].own));
		EQUAL(set_int(w, h, number, 100), 0);
		EQUAL(get_int(w, h, same[i].own), get_int(w, h, number));
	}
	EQUAL(get_int(w, h, raw(SOL_SOCKET, SO_TYPE)), SOCK_STREAM);
	EQUAL(get_int(w, h, raw(SOL_SOCKET, SO_PROTOCOL)), IPPROTO_TCP);
	EQUAL(get_int(w, h, raw(SOL_SOCKET, SO_DOMAIN)), AF_INET);
	EQUAL(get_int(w, h, raw(SOL_SOCKET, SO_ACCEPTCONN)), 0);
	EQUAL(set_int(w, h, raw(SOL_SOCKET, SO_TYPE), 1), -ENOPROTOOPT);
	EQUAL(get_int(w, h, raw(SOL_SOCKET, SO_ERROR)), 0);
	/* Unknown ones: of no level, of a level, and in the list of its own. */
	EQUAL(get_int(w, h, raw(200, 1)), -ENOPROTOOPT);
	EQUAL(get_int(w, h, raw(IPPROTO_TCP, 255)), -ENOPROTOOPT);
	EQUAL(set_int(w, h, raw(IPPROTO_TCP, 255), 1), -ENOPROTOOPT);
	EQUAL(set_int(w, h, raw(SOL_SOCKET, SO_BINDTODEVICE), 1), -ENOPROTOOPT);
	EQUAL(get_int(w, h, 0), -ENOPROTOOPT);
	EQUAL(get_int(w, h, 24), -ENOPROTOOPT);
	EQUAL(get_int(w, h, -1), -ENOPROTOOPT);
	EQUAL(get_int(w, h, INT_MAX), -ENOPROTOOPT);
	EQUAL(get_int(w, h, INT_MIN), -ENOPROTOOPT);
	EQUAL(wharf_setopt(w, 0, h, WHARF_TCP_INFO, &value, 4), -ENOPROTOOPT);
	wharf_free(w);
}

static void options_reach_the_wire(void)
{
	struct peer p;
	unsigned char packet[2000];

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, WHARF_IP_TTL, 7), 0);
	EQUAL(set_int(p.w, p.handle, WHARF_IP_TOS, 0x2f), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "a", 1, 0, NULL), 1);
	EQUAL(wharf_output(p.w, packet, sizeof packet), 41);
	CHECK(packet[8] == 7 && packet[1] == 0x2c);
	/* The second small segment waits for the first, until it is told not to. */
	EQUAL(wharf_send(p.w, p.now, p.handle, "b", 1, 0, NULL), 1);
	EQUAL(drain(&p), 0);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_NODELAY, 1), 0);
	EQUAL(drain(&p), 1);
	peer_close(&p);
}

static void corked_octets_and_those_with_more_to_come_wait(void)
{
	struct peer p;
	struct segment s;

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_CORK, 1), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "ab", 2, 0, NULL), 2);
	EQUAL(wharf_send(p.w, p.now, p.handle, "cd", 2, 0, NULL), 2);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_deadline(p.w, p.now), p.now + 200 * MS);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_CORK, 0), 0);
	CHECK(next_segment(&p, &s));
	EQUAL(s.len, 4);
	give(&p, ACK, p.theirs, p.ours + 4, 20000, NULL);
	EQUAL(wharf_send(p.w, p.now, p.handle, "ef", 2, WHARF_MSG_MORE, NULL), 2);
	EQUAL(drain(&p), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, "gh", 2, 0, NULL), 2);
	CHECK(next_segment(&p, &s));
	EQUAL(s.len, 4);
	peer_close(&p);
}

static void a_quick_acknowledgment_does_not_wait(void)
{
	struct peer p;

	peer_connected(&p);
	peer_converses(&p);
	give(&p, ACK | PSH, p.theirs, p.ours, 20000, "ab");
	EQUAL(drain(&p), 0);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_QUICKACK, 1), 0);
	EQUAL(drain(&p), 1);
	give(&p, ACK | PSH, p.theirs + 2, p.ours, 20000, "cd");
	EQUAL(drain(&p), 1);
	peer_close(&p);
}

static void few_unsent_octets_make_a_socket_unwritable(void)
{
	struct peer p;
	static char octets[50000];

	peer_connected(&p);
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_NOTSENT_LOWAT, 1000), 0);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	CHECK(wharf_send(p.w, p.now, p.handle, octets, sizeof octets, 0, NULL) >= 1000);
	EQUAL(wharf_ready(p.w, p.handle), 0);
	EQUAL(wharf_send(p.w, p.now, p.handle, octets, 1, 0, NULL), -EAGAIN);
	EQUAL(drain(&p) > 0, 1);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	/* 0 is no mark at all, and not one that is never reached. */
	EQUAL(set_int(p.w, p.handle, WHARF_TCP_NOTSENT_LOWAT, 0), 0);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	CHECK(wharf_send(p.w, p.now, p.handle, octets, 5000, 0, NULL) == 5000);
	EQUAL(wharf_ready(p.w, p.handle), WHARF_OUT);
	peer_close(&p);
}

static void a_largest_segment_is_announced_and_kept_to(void)
{
	struct pair p;
	struct wharf_addr to = address(2, 80);
	static char octets[5000], packet[2000];
	int a, b, l;
	ssize_t len;

	pair_open(&p);
	l = listener(p.b, 2, 80, 1);
	a = wharf_socket(p.a, 4, WHARF_TCP);
	EQUAL(set_int(p.a, a, WHARF_TCP_MAXSEG, 500), 0);
	EQUAL(wharf_connect(p.a, p.now, a, &to), -EINPROGRESS);
	settle(&p);
	b = wharf_accept(p.b, p.now, l, NULL);
	CHECK(b >= 0);
	EQUAL(wharf_send(p.b, p.now, b, octets, sizeof octets, 0, NULL), 5000);
	while ((len = wharf_output(p.b, packet, sizeof packet)) > 0)
		CHECK(len <= 540);
	CHECK(get_int(p.b, b, WHARF_TCP_MAXSEG) <= 500);
	pair_close(&p);
}

static void a_path_that_carries_less_is_told_by_ip_mtu_and_tcp_maxseg(void)
{
	static char octets[5000];
	struct peer p;
	struct segment s;

	peer_connecting(&p);
	EQUAL(get_int(p.w, p.handle, raw(IPPROTO_IP, IP_RECVERR)), 0);
	peer_close(&p);
	p.w = stack(1, NULL);
	p.handle = wharf_socket(p.w, 4, WHARF_TCP);
	EQUAL(get_int(p.w, p.handle, raw(IPPROTO_IP, IP_MTU)), -ENOTCONN);
	peer_close(&p);

	peer_connected(&p);
	EQUAL(get_int(p.w, p.handle, raw(IPPROTO_IP, IP_MTU)), 1500);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_MAXSEG), 536); /* The peer announced none. */
	EQUAL(set_int(p.w, p.handle, raw(IPPROTO_IP, IP_MTU), 1400), -ENOPROTOOPT);
	EQUAL(wharf_send(p.w, p.now, p.handle, octets, sizeof octets, 0, NULL), 5000);
	CHECK(next_segment(&p, &s));
	EQUAL(s.len, 536);
	give_icmp(&p, 3, 4, 560, s.seq);
	EQUAL(get_int(p.w, p.handle, raw(IPPROTO_IP, IP_MTU)), 560);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_MAXSEG), 520);
	EQUAL(get_int(p.w, p.handle, WHARF_TCP_STATE), 1);
	peer_close(&p);
}

static void tcp_info_has_linux_s_layout(void)
{
	struct pair p;
	struct tcp_info info;
	size_t len = sizeof info;
	char octets[64] = "", guard[400];
	int a, b;

	pair_open(&p);
	connect_pair(&p, &a, &b, NULL);
	EQUAL(wharf_send(p.a, p.now, a, octets, sizeof octets, 0, NULL), 64);
	wharf_deadline(p.a, p.now); /* The segment leaves the stack, and is not fetched. */
	memset(&info, 0xee, sizeof info);
	EQUAL(wharf_getopt(p.a, a, WHARF_TCP_INFO, &info, &len), 0);
	CHECK(len >= 104 && len <= sizeof info);
	EQUAL(info.tcpi_state, 1);
	EQUAL(info.tcpi_retransmits, 0);
	EQUAL(info.tcpi_unacked, 1);
	CHECK(info.tcpi_snd_mss >= 1400 && info.tcpi_snd_mss <= 1460);
	EQUAL(info.tcpi_snd_cwnd, 10);
	EQUAL(info.tcpi_snd_ssthresh, 0x7fffffff);
	CHECK(info.tcpi_rto >= 200000 && info.tcpi_rto <= 1000000);
	CHECK(info.tcpi_snd_wscale > 0 && info.tcpi_rcv_wscale > 0);
	EQUAL(info.tcpi_options, TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	EQUAL(info.tcpi_advmss, 1460);
	EQUAL(info.tcpi_pmtu, 1500);
	EQUAL(info.tcpi_bytes_sent, 64);
	EQUAL(info.tcpi_bytes_acked, 0);
	EQUAL(info.tcpi_data_segs_out, 1);
	EQUAL(info.tcpi_notsent_bytes, 0);
	EQUAL(info.tcpi_last_ack_recv, 100); /* connect_pair lets so many milliseconds pass. */
	/* So much as there is room for, and not an octet more. */
	memset(guard, 0x55, sizeof guard);
	len = 9;
	EQUAL(wharf_getopt(p.a, a, WHARF_TCP_INFO, guard, &len), 0);
	CHECK(len == 9 && guard[0] == 1 && guard[9] == 0x55);
	len = sizeof guard;
	EQUAL(wharf_getopt(p.a, a, raw(IPPROTO_TCP, TCP_INFO), guard, &len), 0);
	EQUAL(len, 248);
	EQUAL(guard[248], 0x55);
	p.lose_from_a = 3;
	pass(&p, 5 * SECOND);
	len = sizeof info;
	EQUAL(wharf_getopt(p.a, a, WHARF_TCP_INFO, &info, &len), 0);
	EQUAL(info.tcpi_unacked, 0);
	CHECK(info.tcpi_total_retrans >= 2);
	EQUAL(info.tcpi_bytes_acked, 64);
	EQUAL(info.tcpi_bytes_retrans, info.tcpi_bytes_sent - 64);
	EQUAL(info.tcpi_lost, 0);
	EQUAL(wharf_getopt(p.b, b, WHARF_TCP_INFO, &info, &len), 0);
	EQUAL(info.tcpi_bytes_received, 64);
	EQUAL(info.tcpi_rcv_mss, 64);
	EQUAL(info.tcpi_data_segs_out, 0);
	pair_close(&p);
}

static void tcp_info_is_there_without_a_connection(void)
{
	wharf *w = stack(1, NULL);
	int h = wharf_socket(w, 4, WHARF_TCP);
	struct tcp_info info;
	size_t len = sizeof info;

	EQUAL(wharf_getopt(w, h, WHARF_TCP_INFO, &info, &len), 0);
	EQUAL(info.tcpi_state, 7);
	h = listener(w, 1, 80, 5);
	EQUAL(wharf_getopt(w, h, WHARF_TCP_INFO, &info, &len), 0);
	EQUAL(info.tcpi_state, 10);
	EQUAL(info.tcpi_unacked, 0);
	EQUAL(info.tcpi_sacked, 5);
	wharf_free(w);
}

const struct test option_tests[] = {
	TEST(each_option_has_linux_s_default),
	TEST(each_option_has_linux_s_range),
	TEST(lengths_are_linux_s),
	TEST(linger_is_two_ints),
	TEST(congestion_control_is_a_name),
	TEST(raw_numbers_mean_the_same_options),
	TEST(options_reach_the_wire),
	TEST(corked_octets_and_those_with_more_to_come_wait),
	TEST(a_quick_acknowledgment_does_not_wait),
	TEST(few_unsent_octets_make_a_socket_unwritable),
	TEST(a_largest_segment_is_announced_and_kept_to),
	TEST(a_path_that_carries_less_is_told_by_ip_mtu_and_tcp_maxseg),
	TEST(tcp_info_has_linux_s_layout),
	TEST(tcp_info_is_there_without_a_connection),
	{ NULL, NULL },
};
