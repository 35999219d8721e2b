/* What is only compiled: the layout of Linux's struct tcp_info as the system's header has it.
 *
 * A unit test compares these lines with the offsets in src/capi/tcp_info.rs. */
#include <linux/tcp.h>
#include <stddef.h>

#include "wharf.h"

#define FIELD(name, at)                                                                        \
	_Static_assert(offsetof(struct tcp_info, tcpi_##name) == (at), #name " is elsewhere")

_Static_assert(offsetof(struct tcp_info, tcpi_state) == 0, "the struct begins with the state");
FIELD(retransmits, 2);
FIELD(probes, 3);
FIELD(rto, 8);
FIELD(ato, 12);
FIELD(snd_mss, 16);
FIELD(unacked, 24);
FIELD(rtt, 68);
FIELD(rttvar, 72);
FIELD(snd_ssthresh, 76);
FIELD(snd_cwnd, 80);
FIELD(total_retrans, 100);
FIELD(snd_wnd, 228);

_Static_assert(sizeof(struct wharf_addr) == 20, "wharf_addr");
_Static_assert(sizeof(struct wharf_cfg) == 72, "wharf_cfg, where pointers have 64 bits");
_Static_assert(WHARF_IP_TOS == 23, "the options are counted from 1 without a gap");
