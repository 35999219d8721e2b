/* What the tests of the C surface share: checks, two stacks back to back, and a peer made of
 * single segments. */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wharf.h"

/* A test fails at its first CHECK that does not hold, and is left there. */
#define CHECK(condition)                                                                       \
	do {                                                                                   \
		if (!(condition)) {                                                            \
			check_failed(__FILE__, __LINE__, #condition);                          \
			return;                                                                \
		}                                                                              \
	} while (0)

/* The same for two numbers, which a failure shows. */
#define EQUAL(left, right)                                                                     \
	do {                                                                                   \
		long long l_ = (long long)(left), r_ = (long long)(right);                     \
		if (l_ != r_) {                                                                \
			not_equal(__FILE__, __LINE__, #left, l_, #right, r_);                  \
			return;                                                                \
		}                                                                              \
	} while (0)

void check_failed(const char *file, int line, const char *text);
void not_equal(const char *file, int line, const char *left, long long l, const char *right,
	       long long r);

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(name) { #name, name }

/* One list a file, each ended by a NULL name. */
extern const struct test accepting_tests[], closing_tests[], connecting_tests[],
	datagram_tests[], handle_tests[], option_tests[], packet_tests[], polling_tests[],
	queue_tests[], random_tests[], timer_tests[];

/* So many rounds, or a twentieth of them where each is slow (WHARF_SLOW is set). */
int rounds(int count);

#define MS 1000ull
#define SECOND 1000000ull

/* ---- Two stacks back to back -------------------------------------------------------------- */

/* 10.0.0.1 and 10.0.0.2, and one clock. */
struct pair {
	wharf *a, *b;
	uint64_t now;
	/* Packets that are lost, counted down; by direction. */
	int lose_from_a, lose_from_b;
	unsigned long sent_by_a, sent_by_b;
};

struct wharf_addr address(int last_octet, int port);
wharf *stack(int last_octet, const char *flags);
wharf *stack_with(int last_octet, const char *flags, uint32_t rcvbuf, uint32_t sndbuf);

void pair_open(struct pair *);
void pair_close(struct pair *);
/* Carries packets both ways until there are none. */
void settle(struct pair *);
/* Lets so much time pass, with every timer at its moment. */
void pass(struct pair *, uint64_t micros);

int listener(wharf *, int last_octet, int port, int backlog);
/* A connection from a to b's port 80: its two handles, and the listener's if it is wanted. */
void connect_pair(struct pair *, int *client, int *server, int *listening);

int get_int(wharf *, int handle, int opt);
int set_int(wharf *, int handle, int opt, int value);
int raw(int level, int name);
int port_of(wharf *, int handle);

/* ---- One stack, and a peer made of single segments ---------------------------------------- */

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

struct segment {
	int flags;
	uint32_t seq, ack;
	int window, urgent, len;
	const char *text;
	/* Of segments that were sent: */
	char octets[2000];
	unsigned char options[40];
	int options_len;
};

/* The stack 10.0.0.1 at `port`, and the peer 10.0.0.2 at port 80. */
struct peer {
	wharf *w;
	uint64_t now;
	int port, handle;
	/* Next number of either side. */
	uint32_t ours, theirs;
};

/* The next segment that the stack sends; 0 if it sends nothing. */
int next_segment(struct peer *, struct segment *);
/* How many packets the stack sends; they are looked at by nobody. */
int drain(struct peer *);
void give(struct peer *, int flags, uint32_t seq, uint32_t ack, int window, const char *text);
void give_segment(struct peer *, const struct segment *);
/* An ICMP error about a segment that the stack has sent: its sequence number is quoted. */
void give_icmp(struct peer *, int type, int code, int mtu, uint32_t seq);
/* A stack whose SYN has left, and one that is connected. */
void peer_connecting(struct peer *);
void peer_connected(struct peer *);
void peer_connected_with(struct peer *, const char *flags);
/* Whether the segment has an option of this kind. */
int has_option(const struct segment *, int kind);
/* An octet each way: from then on the stack's acknowledgments wait for its answers. */
void peer_converses(struct peer *);
void peer_close(struct peer *);

#endif
