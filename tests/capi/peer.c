/* A peer made of single segments: headers and checksums by hand. */
#include "harness.h"

static void put16(unsigned char *at, unsigned value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static unsigned get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const unsigned char *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* The Internet checksum, going on from `sum`. */
static unsigned checksum(const unsigned char *at, int len, uint32_t sum)
{
	for (; len > 1; at += 2, len -= 2)
		sum += get16(at);
	if (len)
		sum += (uint32_t)at[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static uint32_t pseudo_header(const unsigned char *ip, int tcp_len)
{
	return get16(ip + 12) + get16(ip + 14) + get16(ip + 16) + get16(ip + 18) + 6u +
	       (uint32_t)tcp_len;
}

void give_segment(struct peer *p, const struct segment *s)
{
	unsigned char packet[2000] = { 0x45, 0 };
	unsigned char *tcp = packet + 20;
	int len = s->text ? (s->len ? s->len : (int)strlen(s->text)) : 0;

	put16(packet + 2, (unsigned)(40 + len));
	packet[8] = 64;
	packet[9] = 6;
	memcpy(packet + 12, "\x0a\0\0\x02\x0a\0\0\x01", 8);
	put16(packet + 10, checksum(packet, 20, 0));
	put16(tcp, 80);
	put16(tcp + 2, (unsigned)p->port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->flags & ACK ? s->ack : 0);
	tcp[12] = 5 << 4;
	tcp[13] = (unsigned char)s->flags;
	put16(tcp + 14, (unsigned)s->window);
	put16(tcp + 18, (unsigned)s->urgent);
	if (len)
		memcpy(tcp + 20, s->text, (size_t)len);
	put16(tcp + 16, checksum(tcp, 20 + len, pseudo_header(packet, 20 + len)));
	wharf_input(p->w, p->now, packet, (size_t)(40 + len));
}

void give_icmp(struct peer *p, int type, int code, int mtu, uint32_t seq)
{
	unsigned char packet[56] = { 0x45, 0, 0, 56 };
	unsigned char *icmp = packet + 20, *quote = icmp + 8;

	packet[8] = 64;
	packet[9] = 1;
	memcpy(packet + 12, "\x0a\0\0\x09\x0a\0\0\x01", 8); /* From a router. */
	put16(packet + 10, checksum(packet, 20, 0));
	icmp[0] = (unsigned char)type;
	icmp[1] = (unsigned char)code;
	put16(icmp + 6, (unsigned)mtu);
	quote[0] = 0x45;
	put16(quote + 2, 1500);
	quote[8] = 1;
	quote[9] = 6;
	memcpy(quote + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	put16(quote + 10, checksum(quote, 20, 0));
	put16(quote + 20, (unsigned)p->port);
	put16(quote + 22, 80);
	put32(quote + 24, seq);
	put16(icmp + 2, checksum(icmp, 36, 0));
	wharf_input(p->w, p->now, packet, sizeof packet);
}

void give(struct peer *p, int flags, uint32_t seq, uint32_t ack, int window, const char *text)
{
	struct segment s = { .flags = flags, .seq = seq, .ack = ack, .window = window, .text = text };

	give_segment(p, &s);
}

int next_segment(struct peer *p, struct segment *s)
{
	unsigned char packet[2000];
	unsigned char *tcp = packet + 20;
	ssize_t len = wharf_output(p->w, packet, sizeof packet);
	int offset;

	memset(s, 0, sizeof *s);
	if (len < 40 || packet[9] != 6)
		return 0;
	/* A packet of the stack's has both checksums right. */
	if (checksum(packet, 20, 0) ||
	    checksum(tcp, (int)len - 20, pseudo_header(packet, (int)len - 20)))
		abort();
	offset = (tcp[12] >> 4) * 4;
	s->flags = tcp[13];
	s->seq = get32(tcp + 4);
	s->ack = get32(tcp + 8);
	s->window = (int)get16(tcp + 14);
	s->urgent = (int)get16(tcp + 18);
	s->len = (int)len - 20 - offset;
	s->options_len = offset - 20;
	memcpy(s->options, tcp + 20, (size_t)s->options_len);
	memcpy(s->octets, tcp + offset, (size_t)s->len);
	return 1;
}

int drain(struct peer *p)
{
	char packet[2000];
	int count = 0;

	while (wharf_output(p->w, packet, sizeof packet) > 0)
		count++;
	return count;
}

static void connecting_with(struct peer *p, const char *flags)
{
	struct wharf_addr to = address(2, 80);
	struct segment syn;

	memset(p, 0, sizeof *p);
	p->w = stack(1, flags);
	p->now = SECOND;
	p->handle = wharf_socket(p->w, 4, WHARF_TCP);
	if (wharf_connect(p->w, p->now, p->handle, &to) != -EINPROGRESS)
		abort();
	if (!next_segment(p, &syn) || syn.flags != SYN)
		abort();
	p->port = port_of(p->w, p->handle);
	p->ours = syn.seq + 1;
	p->theirs = 0xfffffff0u; /* The peer's numbers wrap soon. */
}

void peer_connecting(struct peer *p)
{
	connecting_with(p, "wscale=0,timestamps=0,sack=0");
}

void peer_connected_with(struct peer *p, const char *flags)
{
	connecting_with(p, flags);
	give(p, SYN | ACK, p->theirs, p->ours, 20000, NULL);
	p->theirs++;
	if (drain(p) != 1)
		abort();
}

void peer_connected(struct peer *p)
{
	peer_connected_with(p, "wscale=0,timestamps=0,sack=0");
}

void peer_converses(struct peer *p)
{
	char question;

	give(p, ACK | PSH, p->theirs++, p->ours, 20000, "?");
	if (wharf_recv(p->w, p->now, p->handle, &question, 1, 0, NULL) != 1)
		abort();
	if (wharf_send(p->w, p->now, p->handle, "x", 1, 0, NULL) != 1 || drain(p) != 1)
		abort();
	give(p, ACK, p->theirs, ++p->ours, 20000, NULL);
}

int has_option(const struct segment *s, int kind)
{
	for (int at = 0; at < s->options_len && s->options[at];) {
		if (s->options[at] == kind)
			return 1;
		at += s->options[at] == 1 ? 1 : s->options[at + 1];
	}
	return 0;
}

void peer_close(struct peer *p)
{
	wharf_free(p->w);
}
