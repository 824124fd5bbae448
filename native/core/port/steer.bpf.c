// Which packets are the node's, and which worker's each is. Runs in the kernel, on an interface of an AF_XDP
// port.
//
//   1. to our MAC, or to a group: otherwise the kernel's
//   2. ARP, neighbour discovery for our addresses: worker 0
//   3. ESP and ESP in UDP: the worker of the SA that its SPI names
//   4. IKE and BFD: worker 0
//   5. what else is to our MAC and not to an address of the kernel's: the worker of its flow, both directions
//   the
//      same, as Forwarder::Shard::owner has it
//
// A hint that saves hand-overs: the worker that gets a packet looks again.
#include "steer.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/types.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct steer_config);
} config SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, STEER_MOST_SOCKETS);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, STEER_MOST_ADDRESSES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steer_address);
  __type(value, __u32);
} addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, STEER_MOST_SPIS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, __u32);
} spis SEC(".maps");

enum {
  ETHERNET = 14,
  TAG = 4,
  ARP_BYTES = 28,
  ARP_TARGET = 24,
  IPV4_HEADER = 20,
  IPV6_HEADER = 40,
  ND_TARGET = 8,
  ND_BYTES = 24,
  SOLICITATION = 135,
  ADVERTISEMENT = 136,
  ICMP = 1,
  TCP = 6,
  UDP = 17,
  ESP = 50,
  ICMPV6 = 58,
  IKE = 500,
  NAT_T = 4500,
  BFD_CONTROL = 3784,
  BFD_ECHO = 3785,
  BFD_MULTIHOP = 4784,
  BFD_LAG = 6784,
};

#define INLINE static __always_inline

INLINE __u16 load16(const void* at) {
  const __u8* bytes = at;
  return (__u16)(bytes[0] << 8 | bytes[1]);
}
INLINE __u32 raw32(const void* at) {
  __u32 word;
  __builtin_memcpy(&word, at, 4);
  return word;
}
INLINE __u64 raw64(const void* at) {
  __u64 word;
  __builtin_memcpy(&word, at, 8);
  return word;
}
INLINE struct steer_address v4(const void* at) {
  struct steer_address address = {0, 0x00000000ffff0000ull | (__u64)raw32(at) << 32};
  return address;
}
INLINE struct steer_address v6(const void* at) {
  struct steer_address address = {raw64(at), raw64((const __u8*)at + 8)};
  return address;
}

INLINE __u32 owner_of(const struct steer_address* address) {
  const __u32* owner = bpf_map_lookup_elem(&addresses, address);
  return owner ? *owner : 0;
}

INLINE int give(struct xdp_md* ctx, const struct steer_config* own, __u32 worker) {
  return bpf_redirect_map(&sockets, ctx->rx_queue_index * own->workers + worker, XDP_PASS);
}

// mix() of node/route_table.h: both halves of a 128-bit product, by parts of 32 bits.
INLINE __u64 mix(__u64 a, __u64 b) {
  a ^= 0x9e3779b97f4a7c15ull;
  b ^= 0xd6e8feb86659fd93ull;
  const __u64 a0 = (__u32)a, a1 = a >> 32, b0 = (__u32)b, b1 = b >> 32;
  const __u64 low = a0 * b0;
  const __u64 middle = a1 * b0 + (low >> 32);
  const __u64 cross = a0 * b1 + (__u32)middle;
  return (cross << 32 | (__u32)low) ^ (a1 * b1 + (middle >> 32) + (cross >> 32));
}

// FlowOwners::bucket.
INLINE __u32 worker_of_flow(const struct steer_config* own, const struct steer_address* from,
                            const struct steer_address* to, __u8 protocol, __u32 ports) {
  const __u64 hash = mix(from->low + to->low + ports, (from->high + to->high) ^ protocol);
  return own->owners[hash >> 54];
}

INLINE __u32 worker_of_spi(const struct steer_config* own, __u32 spi, __u32 otherwise) {
  const __u32* worker = bpf_map_lookup_elem(&spis, &spi);
  return worker && *worker < own->workers ? *worker : otherwise;
}

// The transport header at l4: `from` and `to` are the packet's.
INLINE int transport(struct xdp_md* ctx, const struct steer_config* own, const __u8* l4, const __u8* end,
                     __u8 protocol, const struct steer_address* from, const struct steer_address* to) {
  __u32 ports = 0;
  if (l4 + 8 <= end) {
    if (protocol == ESP) {
      return give(ctx, own, worker_of_spi(own, raw32(l4), worker_of_flow(own, from, to, protocol, 0)));
    }
    if (protocol == UDP) {
      const __u16 port = load16(l4 + 2);
      if (port == IKE || port == BFD_CONTROL || port == BFD_ECHO || port == BFD_MULTIHOP || port == BFD_LAG)
        return give(ctx, own, 0);
      ports = (__u32)load16(l4) + port;
      if (port == NAT_T && l4 + 12 <= end) {
        const __u32 spi = raw32(l4 + 8);  // RFC 3948 §2.2: zero marks IKE
        if (spi == 0) return give(ctx, own, 0);
        return give(ctx, own, worker_of_spi(own, spi, worker_of_flow(own, from, to, protocol, ports)));
      }
    } else if (protocol == TCP) {
      ports = (__u32)load16(l4) + load16(l4 + 2);
    } else if ((protocol == ICMP && (l4[0] == 0 || l4[0] == 8)) ||
               (protocol == ICMPV6 && (l4[0] == 128 || l4[0] == 129))) {
      ports = 2 * (__u32)load16(l4 + 4);
    }
  }
  return give(ctx, own, worker_of_flow(own, from, to, protocol, ports));
}

INLINE int ipv4(struct xdp_md* ctx, const struct steer_config* own, const __u8* ip, const __u8* end,
                int to_group) {
  if (to_group || ip + IPV4_HEADER > end) return XDP_PASS;
  const struct steer_address from = v4(ip + 12), to = v4(ip + 16);
  if (own->shared && owner_of(&to) == STEER_KERNEL) return XDP_PASS;
  const __u32 header = (ip[0] & 15) * 4;
  // A fragment: ports are not in each, so they count in none.
  if ((load16(ip + 6) & 0x3fff) != 0) return give(ctx, own, worker_of_flow(own, &from, &to, ip[9], 0));
  return transport(ctx, own, ip + header, end, ip[9], &from, &to);
}

INLINE int ipv6(struct xdp_md* ctx, const struct steer_config* own, const __u8* ip, const __u8* end,
                int to_group) {
  if (ip + IPV6_HEADER > end) return XDP_PASS;
  const __u8* l4 = ip + IPV6_HEADER;
  if (ip[6] == ICMPV6 && l4 + ND_BYTES <= end && (l4[0] == SOLICITATION || l4[0] == ADVERTISEMENT)) {
    const struct steer_address target = v6(l4 + ND_TARGET);
    const __u32 owner = owner_of(&target);
    if (owner == STEER_KERNEL || (owner == 0 && to_group && own->shared)) return XDP_PASS;
    return give(ctx, own, 0);
  }
  if (to_group) return XDP_PASS;
  const struct steer_address from = v6(ip + 8), to = v6(ip + 24);
  if (own->shared && owner_of(&to) == STEER_KERNEL) return XDP_PASS;
  return transport(ctx, own, l4, end, ip[6], &from, &to);
}

INLINE int arp(struct xdp_md* ctx, const struct steer_config* own, const __u8* at, const __u8* end,
               int to_group) {
  if (at + ARP_BYTES > end) return XDP_PASS;
  const struct steer_address target = v4(at + ARP_TARGET);
  const __u32 owner = owner_of(&target);
  if (owner == STEER_KERNEL || (owner == 0 && to_group && own->shared)) return XDP_PASS;
  return give(ctx, own, 0);
}

SEC("xdp.frags")
int steer(struct xdp_md* ctx) {
  const __u32 zero = 0;
  const struct steer_config* own = bpf_map_lookup_elem(&config, &zero);
  if (!own || own->workers == 0) return XDP_PASS;
  const __u8* packet = (const __u8*)(long)ctx->data;
  const __u8* end = (const __u8*)(long)ctx->data_end;
  if (packet + ETHERNET + TAG > end) return XDP_PASS;
  const int to_group = packet[0] & 1;
  if (!to_group && (raw32(packet) != raw32(own->mac) || load16(packet + 4) != load16(own->mac + 4)))
    return XDP_PASS;
  __u16 type = load16(packet + 12);
  const __u8* payload = packet + ETHERNET;
  if (type == 0x8100) {
    type = load16(packet + ETHERNET + 2);
    payload += TAG;
  }
  if (type == 0x0800) return ipv4(ctx, own, payload, end, to_group);
  if (type == 0x86dd) return ipv6(ctx, own, payload, end, to_group);
  if (type == 0x0806) return arp(ctx, own, payload, end, to_group);
  return XDP_PASS;
}

const char steer_license[] SEC("license") = "GPL";
