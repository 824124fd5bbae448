// Makes packets inside the kernel, as a card's driver would bring them: run by BPF_PROG_TEST_RUN with live
// frames, it gives each frame a flow, a size and its turn, and sends it out of an interface.
#include "traffic.h"

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/types.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct traffic_state);
} state SEC(".maps");

enum { IP = 14, UDP = 34, TIME = 42, LEAST = 50 };

static long is_due(__u32 turn, void* due) {
  (void)turn;
  return bpf_ktime_get_ns() >= *(__u64*)due;
}

static __always_inline void store16(__u8* at, __u32 value) {
  at[0] = (__u8)(value >> 8);
  at[1] = (__u8)value;
}

// SECGW-IMIX, in percent
static __always_inline __u32 size_of_mix(void) {
  const __u32 share = bpf_get_prandom_u32() % 100;
  return share < 8    ? 64
         : share < 44 ? 127
         : share < 55 ? 255
         : share < 59 ? 511
         : share < 61 ? 1024
                      : TRAFFIC_LARGEST;
}

SEC("xdp")
int traffic(struct xdp_md* ctx) {
  const __u32 zero = 0;
  struct traffic_state* own = bpf_map_lookup_elem(&state, &zero);
  if (!own) return XDP_ABORTED;
  __u64 now = bpf_ktime_get_ns();
  if (own->interval_ps != 0) {
    __u64 due = own->start + own->sent * own->interval_ps / 1000;
    if (due >= own->end) return XDP_DROP;
    if (now < due) bpf_loop(1 << 20, is_due, &due, 0);
  }
  if (now >= own->end) return XDP_DROP;
  __u32 bytes = (__u32)(ctx->data_end - ctx->data) - IP;
  if (own->mix) {
    bytes = size_of_mix();
    if (bpf_xdp_adjust_tail(ctx, (int)bytes - TRAFFIC_LARGEST) != 0) return XDP_ABORTED;
  }
  __u8* packet = (__u8*)(long)ctx->data;
  if (packet + LEAST > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
  const __u32 chosen = bpf_get_prandom_u32();
  const __u32 tunnel = (chosen >> 8) % TRAFFIC_TUNNELS, host = (chosen & 0xff) % TRAFFIC_HOSTS;
  store16(packet + IP + 2, bytes);
  store16(packet + IP + 16, 10 << 8 | tunnel >> 8);
  store16(packet + IP + 18, (tunnel & 0xff) << 8 | (1 + host));
  store16(packet + IP + 10, 0);
  __u32 sum = 0;
#pragma unroll
  for (int i = 0; i < 20; i += 2) sum += (__u32)packet[IP + i] << 8 | packet[IP + i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  store16(packet + IP + 10, ~sum);
  store16(packet + UDP, 1000 + host);
  store16(packet + UDP + 4, bytes - 20);
  const int timed = own->sent % TRAFFIC_TIMED_EVERY == 0;
  store16(packet + UDP + 2, timed ? TRAFFIC_TIMED_PORT : 53);
  now = bpf_ktime_get_ns();
  __builtin_memcpy(packet + TIME, &now, 8);
  ++own->sent;
  return bpf_redirect(own->interface, 0);
}

const char traffic_license[] SEC("license") = "GPL";
