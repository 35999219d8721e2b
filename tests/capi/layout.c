/* What is only compiled: the layout of Linux's struct tcp_info as the system's header has it.
 *
 * A unit test compares these lines with the offsets in src/capi/tcp_info.rs. */
#include <linux/tcp.h>
#include <stddef.h>

#include "wharf.h"

#define FIELD(name, at)                                                                        \
	_Static_assert(offsetof(struct tcp_info, tcpi_##name) == (at), #name " is elsewhere")

FIELD(state, 0);
FIELD(ca_state, 1);
FIELD(retransmits, 2);
FIELD(probes, 3);
FIELD(backoff, 4);
FIELD(options, 5);
FIELD(rto, 8);
FIELD(ato, 12);
FIELD(snd_mss, 16);
FIELD(rcv_mss, 20);
FIELD(unacked, 24);
FIELD(sacked, 28);
FIELD(lost, 32);
FIELD(retrans, 36);
FIELD(last_data_sent, 44);
FIELD(last_data_recv, 52);
FIELD(last_ack_recv, 56);
FIELD(pmtu, 60);
FIELD(rtt, 68);
FIELD(rttvar, 72);
FIELD(snd_ssthresh, 76);
FIELD(snd_cwnd, 80);
FIELD(advmss, 84);
FIELD(reordering, 88);
FIELD(rcv_space, 96);
FIELD(total_retrans, 100);
FIELD(bytes_acked, 120);
FIELD(bytes_received, 128);
FIELD(segs_out, 136);
FIELD(segs_in, 140);
FIELD(notsent_bytes, 144);
FIELD(min_rtt, 148);
FIELD(data_segs_in, 152);
FIELD(data_segs_out, 156);
FIELD(delivered, 192);
FIELD(bytes_sent, 200);
FIELD(bytes_retrans, 208);
FIELD(rcv_ooopack, 224);
FIELD(snd_wnd, 228);

_Static_assert(sizeof(struct wharf_addr) == 20, "wharf_addr");
_Static_assert(sizeof(struct wharf_cfg) == 72, "wharf_cfg, where pointers have 64 bits");
_Static_assert(WHARF_IP_TOS == 23, "the options are counted from 1 without a gap");
