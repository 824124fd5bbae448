// From a port to the stage that a packet is for: parse, interface, filter-based forwarding, route.
#include <algorithm>

#include "../packet/ethernet.h"
#include "../packet/parse.h"
#include "shard.h"

namespace penstock {

bool Forwarder::Shard::receive(uint16_t port) {
  constexpr uint32_t kAhead = 4;
  FrameIndex frames[kBurst];
  const uint32_t count = node.port(port, worker).receive(cache, now, frames, kBurst);
  if (count == 0) return false;
  for (uint32_t i = 0; i < std::min(count, kAhead); ++i)
    __builtin_prefetch(data(frames[i]) + ethernet::kHeaderBytes);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + 2 * kAhead < count) __builtin_prefetch(&pool.frame(frames[i + 2 * kAhead]));
    if (i + kAhead < count) __builtin_prefetch(data(frames[i + kAhead]) + ethernet::kHeaderBytes);
    Frame& frame = pool.frame(frames[i]);
    bytes += frame.length;
    frame.node = node.id();
    frame.port = port;
    frame.version = 0;
    frame.protocol = 0;
    frame.l3 = 0;
    frame.source_port = frame.destination_port = 0;
    frame.tunnel_in = frame.tunnel_out = kNoIndex;
    const DropReason reason = parse_ethernet(frame, data(frames[i]));
    if (reason != DropReason::kNone) {
      drop(frames[i], reason);
    } else {
      accept(frames[i], frame);
    }
  }
  counters.add(Counter::rx_packets, count);
  counters.add(Counter::rx_bytes, bytes);
  const Batch batch = arrived;
  arrived.count = 0;
  route(batch.frames, batch.count);
  return true;
}

// Is it for this interface, and what does its filter say? What goes on is gathered in `arrived`.
inline void Forwarder::Shard::accept(FrameIndex index, Frame& frame) {
  const InterfaceTable& interfaces = *tables->interfaces;
  const uint8_t* packet = data(index);
  const uint16_t vlan = frame.flags & kTagged ? load16(packet + ethernet::kTag) & ethernet::kVlanMask : 0;
  const uint16_t number = interfaces.find(frame.port, vlan);
  if (number == InterfaceTable::kNone) [[unlikely]]
    return drop(index, DropReason::bad_vlan);
  const InterfaceTable::Interface& interface = interfaces.interfaces[number];
  frame.interface = number;
  frame.routing_instance = interface.routing_instance;
  frame.zone = interface.zone;
  const bool to_us = mac::equal(packet, interface.mac);
  if (frame.version == 0) [[unlikely]]
    return to_us || mac::is_group(packet) ? arp(index) : drop(index, DropReason::not_ours);
  if (!to_us) [[unlikely]]
    return group_addressed(index);
  const Address to = destination(index, frame);
  if (to.is_multicast()) [[unlikely]]
    return group_addressed(index);
  if (node.options_.audited_keys > 0 && frame.protocol == protocol::kEsp) {
    audit.see(*tables->audits, to, packet + frame.l4, frame.length - frame.l4);
  }
  const int16_t filter = frame.version == 4 ? interface.filter_v4 : interface.filter_v6;
  if (filter >= 0 && !filter_passes(index, frame, to, filter)) return;
  tables->routes->table.prefetch(frame.routing_instance, to);
  arrived.push(index);
}

// A packet to a group of stations, or to another station. Only neighbour discovery speaks to groups that a
// node listens to (RFC 4861 §4.3, 4.4).
void Forwarder::Shard::group_addressed(FrameIndex index) {
  const bool to_group = mac::is_group(data(index)) || destination(index).is_multicast();
  if (!to_group) return drop(index, DropReason::not_ours);
  if (pool.frame(index).protocol == protocol::kIcmpv6) return local(index);
  drop(index, DropReason::unsupported);
}

// Filter-based forwarding: false when the packet was discarded.
inline bool Forwarder::Shard::filter_passes(FrameIndex index, Frame& frame, const Address& to,
                                            int16_t filter) {
  const Address from = source(index, frame);
  for (const FilterTable::Term& term : tables->filters->filters[static_cast<size_t>(filter)].terms) {
    if (!term.holds(from, to, frame.protocol)) continue;
    count(term.statistic, ip_bytes(frame));
    if (term.action == FilterTable::Action::kDiscard) {
      drop(index, DropReason::filter_discard);
      return false;
    }
    if (term.action == FilterTable::Action::kRoutingInstance) frame.routing_instance = term.routing_instance;
    return true;
  }
  return true;
}

NextHop Forwarder::Shard::next_hop(FrameIndex index, const Address& to) const {
  return resolve(index, tables->routes->table.find(pool.frame(index).routing_instance, to));
}

// What a route found leads to, by way of the packet's source where it says so (one level).
NextHop Forwarder::Shard::resolve(FrameIndex index, uint32_t found) const {
  const Routes& routes = *tables->routes;
  if (found != RouteTable::kNone && routes.next_hops[found].kind == NextHop::Kind::kBySource) [[unlikely]] {
    found = routes.table.find(static_cast<uint16_t>(routes.next_hops[found].index), source(index));
    if (found != RouteTable::kNone && routes.next_hops[found].kind == NextHop::Kind::kBySource) {
      return {NextHop::Kind::kNone, 0};
    }
  }
  return found == RouteTable::kNone ? NextHop{NextHop::Kind::kNone, 0} : routes.next_hops[found];
}

void Forwarder::Shard::route(const FrameIndex* frames, uint32_t count) {
  const Routes& routes = *tables->routes;
  const bool sessions_wanted = tables->flow->sessions;
  uint32_t found[kBurst];
  for (uint32_t i = 0; i < count; ++i) {
    found[i] = routes.table.find(pool.frame(frames[i]).routing_instance, destination(frames[i]));
    if (found[i] == RouteTable::kNone) continue;
    const NextHop& next = routes.next_hops[found[i]];
    if (next.kind == NextHop::Kind::kBySource) {
      routes.table.prefetch(static_cast<uint16_t>(next.index), source(frames[i]));
    }
  }
  for (uint32_t i = 0; i < count; ++i) {
    const NextHop next = resolve(frames[i], found[i]);
    if (next.kind == NextHop::Kind::kLocal ||
        (next.kind == NextHop::Kind::kConnected && is_own(frames[i], destination(frames[i])))) {
      local(frames[i]);
    } else if (sessions_wanted) {
      to_session_owner(frames[i], next);
    } else {
      forward(frames[i], next);
    }
  }
}

// Which worker owns the session of a packet: that of the tunnel it came from or goes into; of two, the one
// with the lower id; of none, one chosen by the flow, the same for both directions.
uint32_t Forwarder::Shard::owner(FrameIndex index, const NextHop& next) const {
  const Frame& frame = pool.frame(index);
  const InboundSa* in = frame.tunnel_in == kNoIndex ? nullptr : &node.inbound_[frame.tunnel_in];
  const OutboundSa* out = next.kind == NextHop::Kind::kTunnel ? &node.outbound_[next.index] : nullptr;
  if (in != nullptr && (out == nullptr || in->tunnel <= out->tunnel)) return in->anchor;
  if (out != nullptr) return next.anchor;
  const Flow5 flow = flow_of(index);
  const uint64_t hash = mix(flow.from.low + flow.to.low + flow.source_port + flow.destination_port,
                            (flow.from.high + flow.to.high) ^ flow.protocol);
  return static_cast<uint32_t>((hash >> 32) * plane.workers() >> 32);
}

void Forwarder::Shard::to_session_owner(FrameIndex index, const NextHop& next) {
  if (plane.workers() > 1) {
    const uint32_t to = owner(index, next);
    if (to != worker) return hand_over(index, to, Stage::kSession);
  }
  queue_session(index, next);
}

void Forwarder::Shard::hand_over(FrameIndex index, uint32_t to, Stage stage) {
  pool.frame(index).stage = stage;
  if (!plane.hand_over(worker, to, index)) return drop(index, DropReason::hand_over_full);
  counters.add(Counter::handed_over);
}

}  // namespace penstock
