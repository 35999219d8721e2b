/* An echo over two stacks, in C: client, server and the network between them in one loop.
 *
 *   cargo build --release --features capi
 *   cc -Iinclude examples/c/echo.c target/release/libwharf.a -lpthread -ldl -lm -lgcc_s -o echo
 *
 * A stack has no clock, no thread and no device. Packets go in by wharf_input and come out by
 * wharf_output; time is a number that the caller brings along, in microseconds. So a second of
 * waiting costs nothing here, and every run sends the same packets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "wharf.h"

/* The round trip of the network that is played here: 20 ms each way. */
#define DELAY 20000

/* 10.7.0.`host`, as the address of a stack or of a socket. */
static struct wharf_addr address(uint8_t host, uint16_t port)
{
	struct wharf_addr addr = { .family = 4, .ip = { 10, 7, 0, host }, .port = port };
	return addr;
}

static wharf *stack(uint8_t host)
{
	struct wharf_cfg cfg;

	memset(&cfg, 0, sizeof cfg);	/* 0 stands for the default of every field. */
	cfg.seed = host;		/* Of initial sequence numbers and ports: a secret, elsewhere. */
	cfg.local4 = address(host, 0);
	return wharf_new(&cfg);
}

/* Carries all that `from` has to send; 0 if it had nothing. */
static int carry(wharf *from, wharf *to, uint64_t now)
{
	unsigned char packet[1500];
	ssize_t len;
	int count = 0;

	while ((len = wharf_output(from, packet, sizeof packet)) > 0) {
		wharf_input(to, now + DELAY, packet, (size_t)len);
		count++;
	}
	return count;
}

/* Reads what has come and writes it back; closes after the end of the file. */
static void serve(wharf *server, uint64_t now, int *connection)
{
	char octets[512];
	ssize_t len;

	if (!(wharf_ready(server, *connection) & WHARF_IN))
		return;
	while ((len = wharf_recv(server, now, *connection, octets, sizeof octets, 0, NULL)) > 0)
		wharf_send(server, now, *connection, octets, (size_t)len, 0, NULL);
	if (len == 0) {
		wharf_close(server, now, *connection);
		*connection = -1;
	}
}

int main(void)
{
	static const char message[] = "to the wharf and back";
	char answer[sizeof message];
	size_t have = 0;
	uint64_t now = 0;
	wharf *client = stack(1), *server = stack(2);
	struct wharf_addr place = address(2, 7), peer;
	int listening, connection = -1, call, is_sent = 0;

	if (!client || !server)
		return 1;
	listening = wharf_socket(server, 4, WHARF_TCP);
	if (wharf_bind(server, listening, &place) || wharf_listen(server, listening, 8))
		return 1;
	/* No call waits: a connect is begun, and told to be through by WHARF_OUT. */
	call = wharf_socket(client, 4, WHARF_TCP);
	if (wharf_connect(client, now, call, &place) != -EINPROGRESS)
		return 1;

	while (have < sizeof message - 1) {
		ssize_t len;
		int64_t due, other;

		if (!is_sent && wharf_ready(client, call) & WHARF_OUT) {
			is_sent = wharf_send(client, now, call, message, sizeof message - 1, 0,
					     NULL) > 0;
			wharf_shutdown(client, now, call, SHUT_WR);
		}
		if (connection < 0) {
			connection = wharf_accept(server, now, listening, &peer);
			if (connection >= 0)
				printf("10.7.0.%d is here\n", peer.ip[3]);
		}
		if (connection >= 0)
			serve(server, now, &connection);
		len = wharf_recv(client, now, call, answer + have, sizeof answer - have, 0, NULL);
		if (len > 0)
			have += (size_t)len;

		/* What was said above leaves now and arrives a little later; when there is
		 * nothing to carry, time goes on to the next timer. */
		if (carry(client, server, now) + carry(server, client, now) > 0) {
			now += DELAY;
			continue;
		}
		due = wharf_deadline(client, now);
		other = wharf_deadline(server, now);
		if (due < 0 || (other >= 0 && other < due))
			due = other;
		if (due < 0)
			break;
		now = (uint64_t)due;
		wharf_poll(client, now);
		wharf_poll(server, now);
	}
	printf("%.*s, after %llu ms\n", (int)have, answer, (unsigned long long)now / 1000);

	/* Closing is optional: a stack frees all that is in it. */
	wharf_free(client);
	wharf_free(server);
	return have == sizeof message - 1 ? 0 : 1;
}
