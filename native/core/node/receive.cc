// From a port to the stage that a packet is for: parse, interface, filter-based forwarding, route.
#include <algorithm>
#include <bit>

#include "../packet/ethernet.h"
#include "../packet/parse.h"
#include "shard.h"

namespace penstock {

bool Forwarder::Shard::receive(uint16_t port) {
  constexpr uint32_t kAhead = 4;
  FrameIndex frames[kBurst + 2 * kAhead];
  const uint32_t count = node.port(port, worker).receive(cache, now, frames, kBurst);
  if (count == 0) return false;
  if (tap != nullptr) [[unlikely]]
    tap->received(worker, now, port, frames, count);
  // Prefetches look past the end: the last one again.
  std::fill_n(frames + count, 2 * kAhead, frames[count - 1]);
  for (uint32_t i = 0; i < kAhead; ++i) __builtin_prefetch(data(frames[i]) + ethernet::kHeaderBytes);
  const Frame blank = untagged_on(port);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    __builtin_prefetch(&pool.frame(frames[i + 2 * kAhead]));
    __builtin_prefetch(data(frames[i + kAhead]) + ethernet::kHeaderBytes);
    Frame& frame = pool.frame(frames[i]);
    bytes += frame.length;
    start_over(frame, blank);
    const uint8_t* packet = data(frames[i]);
    const DropReason reason = parse_ethernet(frame, packet);
    if (reason != DropReason::kNone) [[unlikely]] {
      drop(frames[i], reason);
    } else {
      accept(frames[i], frame, packet);
    }
  }
  audit.conclude(*tables->audits);
  counters.add(Counter::rx_packets, count);
  counters.add(Counter::rx_bytes, bytes);
  const uint32_t arrived_count = arrived.count;
  arrived.count = 0;
  route(arrived.frames, arrived_to.data(), arrived_count);
  return true;
}

// What a frame without a tag that came in on this port starts from.
Frame Forwarder::Shard::untagged_on(uint16_t port) const {
  Frame blank{};
  blank.node = node.id();
  blank.port = port;
  blank.tunnel_in = blank.tunnel_out = kNoIndex;
  arrived_on(blank, 0);
  return blank;
}

// The interface that a frame with this tag (0: none) belongs to, or none.
void Forwarder::Shard::arrived_on(Frame& frame, uint16_t vlan) const {
  const InterfaceTable& interfaces = *tables->interfaces;
  frame.interface = interfaces.find(frame.port, vlan);
  if (frame.interface == InterfaceTable::kNone) return;
  frame.routing_instance = interfaces.interfaces[frame.interface].routing_instance;
  frame.zone = interfaces.interfaces[frame.interface].zone;
}

// Is it for this interface, and what does its filter say? What goes on is gathered in `arrived`.
inline void Forwarder::Shard::accept(FrameIndex index, Frame& frame, const uint8_t* packet) {
  if (frame.flags & kTagged) [[unlikely]]
    arrived_on(frame, load16(packet + ethernet::kTag) & ethernet::kVlanMask);
  if (frame.interface == InterfaceTable::kNone) [[unlikely]]
    return drop(index, DropReason::bad_vlan);
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[frame.interface];
  const bool to_us = mac::equal(packet, interface.mac);
  if (frame.version == 0) [[unlikely]]
    return to_us || mac::is_group(packet) ? arp(index) : drop(index, DropReason::not_ours);
  if (!to_us) [[unlikely]]
    return group_addressed(index);
  const uint8_t* ip = packet + frame.l3;
  const bool is_v4 = frame.version == 4;
  if (is_v4 ? ipv4::is_multicast(ip) : ipv6::is_multicast(ip)) [[unlikely]]
    return group_addressed(index);
  const Address to = is_v4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  if (node.options_.audited_keys > 0 && frame.protocol == protocol::kEsp) {
    audit.see(*tables->audits, to, packet + frame.l4, frame.length - frame.l4);
  }
  const int16_t filter = is_v4 ? interface.filter_v4 : interface.filter_v6;
  if (filter >= 0 && !filter_passes(index, frame, to, filter)) return;
  arrived_to[arrived.count] = to;
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

// Filter-based forwarding: false when the packet was discarded, or taken for the way back (returning.cc).
inline bool Forwarder::Shard::filter_passes(FrameIndex index, Frame& frame, const Address& to,
                                            int16_t filter) {
  const Address from = source(index, frame);
  for (const FilterTable::Term& term : tables->filters->filters[static_cast<size_t>(filter)].terms) {
    if (!term.holds(from, to, frame.protocol)) continue;
    count(term.statistic, ip_bytes(frame));
    if (term.action == FilterTable::Action::kRoutingInstance) {
      frame.routing_instance = term.routing_instance;
      return true;
    }
    if (term.action == FilterTable::Action::kDiscard) {
      drop(index, DropReason::filter_discard);
      return false;
    }
    return term.action != FilterTable::Action::kReturn || !take_return(index);
  }
  return true;
}

const NextHop& Forwarder::Shard::leads_to(uint32_t route) const {
  static constexpr NextHop kNowhere{NextHop::Kind::kNone, 0};
  return route == RouteTable::kNone ? kNowhere : tables->routes->next_hops[route];
}

// Where a route by source leads a packet from there (one level).
const NextHop& Forwarder::Shard::by_source(const RouteTable::Search& search, const Address& from) const {
  const NextHop& next = leads_to(tables->routes->table.end(search, from));
  return next.kind == NextHop::Kind::kBySource ? leads_to(RouteTable::kNone) : next;
}

const NextHop& Forwarder::Shard::next_hop(FrameIndex index, const Address& to) const {
  const RouteTable& table = tables->routes->table;
  const NextHop& next = leads_to(table.find(pool.frame(index).routing_instance, to));
  if (next.kind != NextHop::Kind::kBySource) return next;
  return by_source(table.begin(static_cast<uint16_t>(next.index), source(index)), source(index));
}

void Forwarder::Shard::look_up(const FrameIndex* frames, const Address* to, uint32_t count,
                               const NextHop** found) const {
  const RouteTable& table = tables->routes->table;
  RouteTable::Search searches[kBurst];
  uint8_t same[kBurst];        // an earlier packet to the same address, or itself: a burst's are often to few
  uint8_t latest[2] = {0, 0};  // by family
  for (uint32_t i = 0; i < count; ++i) {
    const Frame& frame = pool.frame(frames[i]);
    uint8_t& before = latest[frame.version == 4];
    same[i] = before;
    if (i > before && to[i] == to[before] &&
        frame.routing_instance == pool.frame(frames[before]).routing_instance) {
      continue;
    }
    same[i] = before = static_cast<uint8_t>(i);
    searches[i] = table.begin(frame.routing_instance, to[i]);
  }
  uint64_t by_sources = 0;
  for (uint32_t i = 0; i < count; ++i) {
    found[i] = same[i] == i ? &leads_to(table.end(searches[i], to[i])) : found[same[i]];
    if (found[i]->kind == NextHop::Kind::kBySource) {
      searches[i] = table.begin(static_cast<uint16_t>(found[i]->index), source(frames[i]));
      by_sources |= 1ull << i;
    }
  }
  for (; by_sources != 0; by_sources &= by_sources - 1) {
    const auto i = static_cast<uint32_t>(std::countr_zero(by_sources));
    found[i] = &by_source(searches[i], source(frames[i]));
  }
}

void Forwarder::Shard::route(const FrameIndex* frames, const Address* to, uint32_t count) {
  const NextHop* found[kBurst];
  look_up(frames, to, count, found);
  const bool sessions_wanted = tables->flow->sessions;
  for (uint32_t i = 0; i < count; ++i) {
    const NextHop& next = *found[i];
    if (next.kind == NextHop::Kind::kLocal ||
        (next.kind == NextHop::Kind::kConnected && is_own(frames[i], to[i]))) [[unlikely]] {
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
  const uint32_t of_tunnel = anchor(index, next);
  return of_tunnel != FlowOwners::kNobody ? of_tunnel : node.owners_.owner(bucket_of(flow_of(index)));
}

uint32_t Forwarder::Shard::anchor(FrameIndex index, const NextHop& next) const {
  const Frame& frame = pool.frame(index);
  if (frame.flags & kCrossed) [[unlikely]]
    return anchor_of_crossed(index, next);
  const InboundSa* in = frame.tunnel_in == kNoIndex ? nullptr : &node.inbound_[frame.tunnel_in];
  const OutboundSa* out = next.kind == NextHop::Kind::kTunnel ? &node.outbound_[next.index] : nullptr;
  if (in != nullptr && (out == nullptr || in->tunnel <= out->tunnel)) return in->anchor;
  return out != nullptr ? next.anchor : FlowOwners::kNobody;
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
