// From a routed packet to a port: TTL, size, next hop's MAC, link header, burst.
#include <cstring>

#include "../chash/flow_hash.h"
#include "../packet/ethernet.h"
#include "../packet/fragment.h"
#include "../packet/icmp_error.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "shard.h"

namespace penstock {

// A packet in transit: RFC 1812 §5.3.1, RFC 8200 §3: one that would leave with 0 hops is not forwarded.
void Forwarder::Shard::forward(FrameIndex index, const NextHop& next) {
  Frame& frame = pool.frame(index);
  uint8_t* ip = data(index) + frame.l3;
  if (next.kind == NextHop::Kind::kNone) return refuse(index, DropReason::no_route, IcmpError::kNoRoute);
  if (next.kind == NextHop::Kind::kDiscard) return drop(index, DropReason::no_route);
  if ((frame.version == 4 ? ipv4::ttl(ip) : ipv6::hop_limit(ip)) <= 1) {
    return refuse(index, DropReason::ttl_exceeded, IcmpError::kTimeExceeded);
  }
  if (frame.version == 4) {
    ipv4::decrement_ttl(ip);
  } else {
    ipv6::decrement_hop_limit(ip);
  }
  send_on(index, next);
}

void Forwarder::Shard::send_on(FrameIndex index, const NextHop& next) {
  switch (next.kind) {
    case NextHop::Kind::kNeighbour:
      return to_neighbour(index, next.index);
    case NextHop::Kind::kGroup:
      return to_group(index, tables->groups->groups[next.index]);
    case NextHop::Kind::kConnected: {
      const uint32_t neighbour =
          node.neighbours_.find_or_insert(static_cast<uint16_t>(next.index), destination(index));
      if (neighbour == NeighbourTable::kNone) return drop(index, DropReason::no_neighbour);
      return to_neighbour(index, neighbour);
    }
    case NextHop::Kind::kTunnel: {
      Frame& frame = pool.frame(index);
      frame.tunnel_out = next.index;
      const uint32_t anchor = node.outbound_sa(next.index)->anchor;
      if (anchor != worker) return hand_over(index, anchor, Stage::kSeal);
      sealing.push(index);
      if (sealing.full()) seal_stage();
      return;
    }
    default:
      return drop(index, DropReason::no_route);
  }
}

void Forwarder::Shard::originate(FrameIndex index) {
  const Frame& frame = pool.frame(index);
  const NextHop next = next_hop(frame.routing_instance, destination(index));
  // Nothing that it sends comes back to itself: an answer to an own address would go round for ever.
  if (next.kind == NextHop::Kind::kLocal) return drop(index, DropReason::no_route);
  send_on(index, next);
}

// Drops a packet and tells its source why, where it may (RFC 1812 §4.3.2.7, RFC 4443 §2.4).
void Forwarder::Shard::refuse(FrameIndex index, DropReason reason, IcmpError error, uint32_t mtu) {
  tell_source(index, error, mtu);
  drop(index, reason);
}

void Forwarder::Shard::to_group(FrameIndex index, const GroupTable::Group& group) {
  const Frame& frame = pool.frame(index);
  const uint64_t hash = flow_hash(index, group);
  const uint16_t member = group.table.pick(hash);
  if (member >= group.members.size()) return drop(index, DropReason::no_real_service);
  count(group.members[member].statistic, ip_bytes(frame));
  to_neighbour(index, group.members[member].neighbour);
}

void Forwarder::Shard::to_neighbour(FrameIndex index, uint32_t neighbour) {
  NeighbourTable& neighbours = node.neighbours_;
  uint64_t mac;
  if (neighbours.mac(neighbour, mac)) return to_interface(index, neighbours.interface(neighbour), mac);
  if (neighbours.state(neighbour) == NeighbourState::kFailed) return drop(index, DropReason::no_neighbour);
  uint32_t waiting = 0;
  for (const Pending& other : pending) waiting += other.neighbour == neighbour;
  if (pending.size() >= kMostPending || waiting >= kMostPendingPerNeighbour) {
    return drop(index, DropReason::neighbour_pending);
  }
  pending.push_back({index, neighbour, now});
}

void Forwarder::Shard::to_interface(FrameIndex index, uint16_t number, uint64_t mac) {
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[number];
  Frame& frame = pool.frame(index);
  if (ip_bytes(frame) > interface.mtu && !fits(index, number, mac)) return;
  const uint32_t link = interface.vlan == 0 ? ethernet::kHeaderBytes : ethernet::kTaggedHeaderBytes;
  frame.start = static_cast<uint16_t>(frame.start + frame.l3 - link);
  frame.length = static_cast<uint16_t>(frame.length - frame.l3 + link);
  frame.l3 = static_cast<uint16_t>(link);
  frame.interface = number;
  frame.port = interface.port;
  uint8_t to[8];
  std::memcpy(to, &mac, 8);
  ethernet::write(data(index), to, interface.mac,
                  frame.version == 4 ? ethernet::kTypeIpv4 : ethernet::kTypeIpv6, interface.vlan);
  Batch& batch = sending[interface.port];
  batch.push(index);
  if (batch.full()) flush(interface.port);
}

// A packet larger than the link. True: it goes on as it is (never today). False: it went in fragments, or its
// source was told, and the frame is gone.
bool Forwarder::Shard::fits(FrameIndex index, uint16_t number, uint64_t mac) {
  const uint16_t mtu = tables->interfaces->interfaces[number].mtu;
  const Frame& frame = pool.frame(index);
  if (frame.version == 6 || (frame.flags & kDontFragment)) {
    refuse(index, DropReason::too_big, IcmpError::kTooBig, mtu);
    return false;
  }
  FrameIndex pieces[kMostFragments];
  const uint32_t made = fragment_ipv4(cache, index, mtu, pieces, kMostFragments);
  if (made == 0) {
    drop(index, DropReason::no_frame);
    return false;
  }
  // One packet became several: what leaves is what came in, plus those made.
  counters.add(Counter::fragments_made, made - 1);
  cache.free(index);
  for (uint32_t i = 0; i < made; ++i) to_interface(pieces[i], number, mac);
  return false;
}

void Forwarder::Shard::flush(uint16_t port) {
  Batch& batch = sending[port];
  if (batch.count == 0) return;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < batch.count; ++i) bytes += pool.frame(batch.frames[i]).length;
  const uint32_t taken = node.port(port, worker).transmit(cache, batch.frames, batch.count);
  const DropReason reason = node.port(port, worker).open() ? DropReason::wire_full : DropReason::port_closed;
  for (uint32_t i = taken; i < batch.count; ++i) {
    bytes -= pool.frame(batch.frames[i]).length;
    drop(batch.frames[i], reason);
  }
  counters.add(Counter::tx_packets, taken);
  counters.add(Counter::tx_bytes, bytes);
  batch.count = 0;
}

// Stages feed one another, so they are emptied in the order of the path.
void Forwarder::Shard::flush_all() {
  if (opening.count > 0) open_stage();
  if (session_in.count > 0) session_stage();
  if (sealing.count > 0) seal_stage();
  for (uint16_t port = 0; port < sending.size(); ++port) flush(port);
}

void Forwarder::Shard::retry_pending() {
  if (pending.empty()) return;
  std::vector<Pending>& waiting = pending;
  size_t kept = 0;
  for (size_t i = 0; i < waiting.size(); ++i) {
    const Pending entry = waiting[i];
    uint64_t mac;
    if (node.neighbours_.mac(entry.neighbour, mac)) {
      to_interface(entry.frame, node.neighbours_.interface(entry.neighbour), mac);
    } else if (now - entry.since >= kPendingNs) {
      drop(entry.frame, DropReason::no_neighbour);
    } else {
      waiting[kept++] = entry;
    }
  }
  waiting.resize(kept);
}

}  // namespace penstock
