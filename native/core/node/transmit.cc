// From a routed packet to a port: TTL, size, next hop's MAC, link header, burst.
#include <algorithm>
#include <cstring>

#include "../packet/ethernet.h"
#include "../packet/fragment.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/parse.h"
#include "shard.h"

namespace penstock {
namespace {

// An ICMP error quotes the packet as it came.
void give_hop_back(Frame& frame, uint8_t* packet) {
  uint8_t* ip = packet + frame.l3;
  if (frame.version == 4) {
    ++ip[ipv4::kTtl];
    ipv4::set_checksum(ip);
  } else {
    ++ip[ipv6::kHopLimit];
  }
  frame.flags = static_cast<uint8_t>(frame.flags & ~kHopTaken);
}

}  // namespace

// A packet in transit: RFC 1812 §5.3.1, RFC 8200 §3: one that would leave with 0 hops is not forwarded.
void Forwarder::Shard::forward(FrameIndex index, const NextHop& next) {
  Frame& frame = pool.frame(index);
  uint8_t* ip = data(index) + frame.l3;
  if (next.kind <= NextHop::Kind::kDiscard) [[unlikely]] {
    if (next.kind == NextHop::Kind::kDiscard) return drop(index, DropReason::no_route);
    return refuse(index, DropReason::no_route, icmp_error::Kind::kNoRoute);
  }
  if ((frame.version == 4 ? ipv4::ttl(ip) : ipv6::hop_limit(ip)) <= 1) {
    return refuse(index, DropReason::ttl_exceeded, icmp_error::Kind::kTtlExceeded);
  }
  if (frame.version == 4) {
    ipv4::decrement_ttl(ip);
  } else {
    ipv6::decrement_hop_limit(ip);
  }
  frame.flags |= kHopTaken;
  send_on(index, next);
}

void Forwarder::Shard::send_on(FrameIndex index, const NextHop& next) {
  switch (next.kind) {
    case NextHop::Kind::kNeighbour:
      return to_neighbour(index, next.index);
    case NextHop::Kind::kGroup:
      return to_group(index, tables->groups->groups[next.index]);
    case NextHop::Kind::kService:
      return to_service(index, tables->groups->groups[next.index]);
    case NextHop::Kind::kConnected: {
      const uint32_t neighbour =
          node.neighbours_.find_or_insert(static_cast<uint16_t>(next.index), destination(index));
      if (neighbour == NeighbourTable::kNone) return drop(index, DropReason::no_neighbour);
      return to_neighbour(index, neighbour);
    }
    case NextHop::Kind::kTunnel: {
      Frame& frame = pool.frame(index);
      frame.tunnel_out = next.index;
      if (next.anchor != worker) return hand_over(index, next.anchor, Stage::kSeal);
      return queue_seal(index);
    }
    default:
      return drop(index, DropReason::no_route);
  }
}

void Forwarder::Shard::originate(const FrameIndex* frames, uint32_t count) {
  Address to[kBurst];
  const NextHop* found[kBurst];
  for (uint32_t i = 0; i < count; ++i) to[i] = destination(frames[i]);
  look_up(frames, to, count, found);
  for (uint32_t i = 0; i < count; ++i) {
    // Nothing that it sends comes back to itself: an answer to an own address would go round for ever.
    if (found[i]->kind == NextHop::Kind::kLocal) {
      drop(frames[i], DropReason::no_route);
    } else {
      send_on(frames[i], *found[i]);
    }
  }
}

void Forwarder::Shard::send_own(FrameIndex index) {
  Frame& frame = pool.frame(index);
  frame.flags = 0;
  const DropReason reason = parse_ip(frame, data(index));
  if (reason != DropReason::kNone) return drop(index, reason);
  originate(index);
}

// Drops a packet and tells its source why, where that may be said (RFC 1812 §4.3.2.7, RFC 4443 §2.4).
void Forwarder::Shard::refuse(FrameIndex index, DropReason reason, icmp_error::Kind error, uint32_t mtu) {
  const uint64_t paid_from = std::max(errors_paid_until, now - std::min(now, kErrorBurst * kErrorIntervalNs));
  FrameIndex answer;
  if (paid_from + kErrorIntervalNs > now || cache.allocate(&answer, 1) == 0) return drop(index, reason);
  Frame& offender = pool.frame(index);
  if (offender.flags & kHopTaken) give_hop_back(offender, data(index));
  Frame& frame = pool.frame(answer);
  frame.node = offender.node;
  frame.port = offender.port;
  frame.interface = offender.interface;
  // Back where it came from, which a filter's routing instance may have no route to.
  frame.routing_instance = offender.flags & (kDecrypted | kCrossed)
                               ? offender.routing_instance
                               : tables->interfaces->interfaces[offender.interface].routing_instance;
  frame.zone = offender.zone;
  frame.received = now;
  frame.tunnel_in = frame.tunnel_out = kNoIndex;
  if (icmp_error::write(frame, data(answer), offender, data(index), error, own_address(offender), mtu)) {
    errors_paid_until = paid_from + kErrorIntervalNs;
    counters.add(error == icmp_error::Kind::kTooBig ? Counter::too_big_sent : Counter::errors_sent);
    originate(answer);
  } else {
    cache.free(answer);
  }
  drop(index, reason);
}

uint64_t Forwarder::Shard::group_hash(FrameIndex index, const GroupTable::Group& group) const {
  const Frame& frame = pool.frame(index);
  const uint8_t* ip = data(index) + frame.l3;
  const bool v4 = frame.version == 4;
  const FlowHasher& hasher = group.table->hasher();
  if (group.key == HashKey::kSourceIp && hasher.function() == HashFunction::kXxh64) {
    return v4 ? chash::xxh64_of4(ipv4::source(ip), hasher.seed())
              : chash::xxh64_of16(ipv6::source(ip), hasher.seed());
  }
  const FlowFields fields = {v4 ? ipv4::source(ip) : ipv6::source(ip),
                             v4 ? ipv4::destination(ip) : ipv6::destination(ip),
                             static_cast<uint8_t>(v4 ? 4 : 16),
                             frame.protocol,
                             frame.l4 != 0 && !(frame.flags & kFirstFragment) &&
                                 (frame.protocol == protocol::kTcp || frame.protocol == protocol::kUdp),
                             frame.source_port,
                             frame.destination_port};
  const FlowKey key = make_flow_key(group.key, fields);
  return hasher(key.bytes, key.length);
}

void Forwarder::Shard::to_group(FrameIndex index, const GroupTable::Group& group) {
  // Their flow stands elsewhere than in their headers.
  if (pool.frame(index).flags & (kFirstFragment | kLaterFragment | kIcmpError)) [[unlikely]]
    return to_service(index, group);
  const uint32_t slot = group.table->slot(group_hash(index, group));
  __builtin_prefetch(group.table->slots() + slot);
  picks[picking.count] = {&group, slot};
  picking.push(index);
  if (picking.full()) pick_stage();
}

void Forwarder::Shard::pick_stage() {
  const uint32_t count = picking.count;
  picking.count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const FrameIndex index = picking.frames[i];
    const GroupTable::Group& group = *picks[i].group;
    const uint16_t member = group.table->slots()[picks[i].slot];
    if (member >= group.members.size()) {
      drop(index, DropReason::no_real_service);
      continue;
    }
    this->count(group.members[member].statistic, ip_bytes(pool.frame(index)));
    to_neighbour(index, group.members[member].neighbour);
  }
}

void Forwarder::Shard::to_neighbour(FrameIndex index, uint32_t neighbour) {
  NeighbourTable& neighbours = node.neighbours_;
  uint64_t mac;
  if (neighbours.mac(neighbour, mac)) {
    if (!pending.empty()) release(neighbour, mac);  // those before it first
    return to_interface(index, neighbours.interface(neighbour), mac);
  }
  if (neighbours.state(neighbour) == NeighbourState::kFailed) return drop(index, DropReason::no_neighbour);
  uint32_t waiting = 0;
  for (const Pending& other : pending) waiting += other.neighbour == neighbour;
  if (pending.size() >= kMostPending || waiting >= kMostPendingPerNeighbour) {
    return drop(index, DropReason::neighbour_pending);
  }
  pending.push_back({index, neighbour, now});
  node.neighbour_wanted_.store(true, std::memory_order_relaxed);
}

void Forwarder::Shard::to_interface(FrameIndex index, uint16_t number, uint64_t mac) {
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[number];
  Frame& frame = pool.frame(index);
  if (ip_bytes(frame) > interface.mtu) [[unlikely]] {
    if (interface.mtu == 0) return drop(index, DropReason::stale);  // the interface is gone
    if (frame.version == 4 && !(frame.flags & kDontFragment)) return fragment(index, number, mac);
    return refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, interface.mtu);
  }
  const uint32_t link = interface.vlan == 0 ? ethernet::kHeaderBytes : ethernet::kTaggedHeaderBytes;
  frame.start = static_cast<uint16_t>(frame.start + frame.l3 - link);
  frame.length = static_cast<uint16_t>(frame.length - frame.l3 + link);
  frame.l3 = static_cast<uint16_t>(link);
  frame.interface = number;
  frame.port = interface.port;
  // Destination and the source's first two bytes, the source's last four, then tag and type.
  uint8_t* header = data(index);
  const uint64_t first = mac | static_cast<uint64_t>(load_raw<uint16_t>(interface.mac)) << 48;
  std::memcpy(header, &first, 8);
  std::memcpy(header + 8, interface.mac + 2, 4);
  if (interface.vlan != 0) store32(header + ethernet::kType, ethernet::kTypeVlan << 16 | interface.vlan);
  store16(header + link - 2, frame.version == 4 ? ethernet::kTypeIpv4 : ethernet::kTypeIpv6);
  Batch& batch = sending[interface.port];
  batch.push(index);
  if (batch.full()) flush(interface.port);
}

// An IPv4 packet that may be cut and is larger than the link.
void Forwarder::Shard::fragment(FrameIndex index, uint16_t number, uint64_t mac) {
  FrameIndex pieces[kMaximumFragments];
  const uint32_t made = fragment_ipv4(cache, index, tables->interfaces->interfaces[number].mtu, pieces);
  if (made == 0) return drop(index, DropReason::no_frame);
  counters.add(Counter::fragments_made, made - 1);  // what leaves is what came in and those made
  for (uint32_t i = 0; i < made; ++i) to_interface(pieces[i], number, mac);
}

void Forwarder::Shard::flush(uint16_t port) {
  Batch& batch = sending[port];
  if (batch.count == 0) return;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < batch.count; ++i) bytes += pool.frame(batch.frames[i]).length;
  if (tap != nullptr) [[unlikely]]
    tap->sending(worker, now, port, batch.frames, batch.count);
  const uint32_t taken = node.port(port, worker).transmit(cache, batch.frames, batch.count);
  if (tap != nullptr) [[unlikely]]
    tap->sent(worker, taken);
  const DropReason reason = node.port(port, worker).open() ? DropReason::wire_full : DropReason::port_closed;
  for (uint32_t i = taken; i < batch.count; ++i) {
    bytes -= pool.frame(batch.frames[i]).length;
    drop(batch.frames[i], reason);
  }
  counters.add(Counter::tx_packets, taken);
  counters.add(Counter::tx_bytes, bytes);
  batch.count = 0;
}

// Stages feed one another, mostly in the order of the path; an ICMP error may start again.
void Forwarder::Shard::flush_all() {
  while (opening.count + session_in.count + picking.count + sealing.count + serving.count + returning.count >
         0) {
    if (opening.count > 0) open_stage();
    if (session_in.count > 0) session_stage();
    if (picking.count > 0) pick_stage();
    if (sealing.count > 0) seal_stage();
    if (serving.count > 0) service_stage();
    if (returning.count > 0) return_stage();
  }
  for (uint16_t port = 0; port < sending.size(); ++port) flush(port);
}

// What waited for this neighbour goes, in order.
void Forwarder::Shard::release(uint32_t neighbour, uint64_t mac) {
  size_t kept = 0;
  for (size_t i = 0; i < pending.size(); ++i) {
    if (pending[i].neighbour == neighbour) {
      to_interface(pending[i].frame, node.neighbours_.interface(neighbour), mac);
    } else {
      pending[kept++] = pending[i];
    }
  }
  pending.resize(kept);
}

void Forwarder::Shard::retry_pending() {
  for (size_t i = 0; i < pending.size();) {
    const Pending entry = pending[i];
    uint64_t mac;
    if (node.neighbours_.mac(entry.neighbour, mac)) {
      release(entry.neighbour, mac);  // this one among them
    } else if (now - entry.since >= kPendingNs) {
      pending.erase(pending.begin() + static_cast<ptrdiff_t>(i));
      drop(entry.frame, DropReason::no_neighbour);
    } else {
      ++i;
    }
  }
}

}  // namespace penstock
