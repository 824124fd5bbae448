// What is meant for the node itself: ARP and neighbour discovery, echo, ESP, IKE.
#include <algorithm>
#include <cstring>

#include "../packet/arp.h"
#include "../packet/icmp.h"
#include "../packet/icmp_echo.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/nd.h"
#include "shard.h"

namespace penstock {
namespace {

constexpr uint16_t kIkePort = 500;

bool has(const std::vector<Address>& addresses, const Address& address) {
  for (const Address& own : addresses) {
    if (own == address) return true;
  }
  return false;
}

bool answers_for(const InterfaceTable::Interface& interface, const Address& address) {
  return has(interface.addresses, address) ||
         std::binary_search(interface.virtual_addresses.begin(), interface.virtual_addresses.end(), address);
}

bool is_link_local(const Address& address) {  // fe80::/10
  return address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0) == 0x80;
}

}  // namespace

bool Forwarder::Shard::is_own(FrameIndex index, const Address& address) const {
  return has(tables->interfaces->interfaces[pool.frame(index).interface].addresses, address);
}

Address Forwarder::Shard::own_address(const Frame& offender) const {
  const auto& interfaces = tables->interfaces->interfaces;
  for (size_t i = 0; i <= interfaces.size(); ++i) {
    const size_t number = i == 0 ? offender.interface : i - 1;  // that it came in on first
    if (number >= interfaces.size()) continue;
    for (const Address& own : interfaces[number].addresses) {
      if (own.is_v4() == (offender.version == 4)) return own;
    }
  }
  return {};
}

// RFC 826: whoever asks for us is learned, an answer is learned if we asked.
void Forwarder::Shard::arp(FrameIndex index) {
  Frame& frame = pool.frame(index);
  uint8_t* packet = data(index);
  const uint8_t* message = packet + frame.l3;
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[frame.interface];
  const bool for_us = answers_for(interface, arp::target_ip(message));
  if (!arp::is_probe(message) && !answers_for(interface, arp::sender_ip(message))) {
    const Address sender = arp::sender_ip(message);
    const uint32_t neighbour = for_us ? node.neighbours_.find_or_insert(frame.interface, sender)
                                      : node.neighbours_.find(frame.interface, sender);
    if (neighbour != NeighbourTable::kNone) node.neighbours_.learn(neighbour, arp::sender_mac(message), now);
  }
  counters.add(Counter::answered);
  if (!for_us || arp::operation(message) != arp::kRequest) return consume(index);
  counters.add(Counter::made);
  arp::answer(packet, frame.l3, interface.mac);
  node.send_raw(worker, frame.port, index);
}

void Forwarder::Shard::neighbour_discovery(FrameIndex index) {
  Frame& frame = pool.frame(index);
  nd::Message message;
  if (!nd::read(frame, data(index), message)) return drop(index, DropReason::bad_l4);
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[frame.interface];
  counters.add(Counter::answered);
  if (message.type == icmpv6::kNeighbourAdvertisement) {
    const uint32_t neighbour = node.neighbours_.find(frame.interface, message.target);
    if (neighbour != NeighbourTable::kNone && message.has_link_layer) {
      node.neighbours_.learn(neighbour, message.link_layer, now);
    }
    return consume(index);
  }
  if (!answers_for(interface, message.target)) return consume(index);
  counters.add(Counter::made);
  if (message.has_link_layer) {
    const uint32_t neighbour = node.neighbours_.find_or_insert(frame.interface, message.source);
    if (neighbour != NeighbourTable::kNone) node.neighbours_.learn(neighbour, message.link_layer, now);
  }
  nd::answer(frame, data(index), message, interface.mac, true);
  node.send_raw(worker, frame.port, index);
}

// An answer to what the control plane sent from one of its ports: a health check's.
bool Forwarder::Shard::is_punted_answer(const Frame& frame, const uint8_t* packet) const {
  const FlowOptions& flow = *tables->flow;
  if (frame.destination_port < flow.punt_low || frame.destination_port > flow.punt_high) return false;
  if (frame.destination_port == 0 || frame.l4 == 0 || (frame.flags & kFirstFragment) != 0) return false;
  switch (frame.protocol) {
    case protocol::kTcp:
    case protocol::kUdp:
      return true;
    case protocol::kIcmp:
      return icmp::type(packet + frame.l4) == icmp::kEchoReply;
    case protocol::kIcmpv6:
      return icmp::type(packet + frame.l4) == icmpv6::kEchoReply;
    default:
      return false;
  }
}

void Forwarder::Shard::local(FrameIndex index) {
  Frame& frame = pool.frame(index);
  const uint8_t* packet = data(index);
  if (is_punted_answer(frame, packet)) return punt(index);
  switch (frame.protocol) {
    case protocol::kEsp:
      return open(index);
    case protocol::kIcmpv6: {
      const uint8_t type = frame.l4 == 0 ? 0 : icmp::type(packet + frame.l4);
      if (type == icmpv6::kNeighbourSolicitation || type == icmpv6::kNeighbourAdvertisement) {
        return neighbour_discovery(index);
      }
      [[fallthrough]];
    }
    case protocol::kIcmp: {
      if ((frame.flags & kIcmpError) != 0 && tunnel_error(index)) return;
      const DropReason reason = icmp_echo::answer(frame, data(index));
      if (reason != DropReason::kNone) return drop(index, reason);
      counters.add(Counter::answered);
      counters.add(Counter::made);
      return originate(index);
    }
    case protocol::kUdp:
      if (frame.destination_port == icd::kPort && tables->icd->configured) return from_peer(index);
      if (frame.l4 != 0 && frame.destination_port == esp::kUdpPort) {
        switch (esp::in_udp(packet + frame.l4)) {
          case esp::InUdp::kEsp:
            return open(index);
          case esp::InUdp::kKeepalive:  // RFC 3948 §4: only the NAT in between needs it
            counters.add(Counter::answered);
            return consume(index);
          case esp::InUdp::kShort:
            return drop(index, DropReason::esp_runt);
          case esp::InUdp::kIke:
            return tables->flow->punt_ike ? punt(index) : drop(index, DropReason::unsupported);
        }
      }
      if (frame.destination_port == bfd::kSingleHopPort || frame.destination_port == bfd::kMultihopPort)
        return hear_bfd(index);
      if (frame.destination_port == tables->flow->icl_port && frame.l4 != 0 && tables->flow->icl_port != 0) {
        return icl(index);
      }
      if (tables->flow->punt_ike && frame.destination_port == kIkePort) return punt(index);
      return drop(index, DropReason::unsupported);
    default:
      return drop(index, DropReason::unsupported);
  }
}

// The interchassis link's, if it came the way that the link is configured.
void Forwarder::Shard::icl(FrameIndex index) {
  const uint32_t sa = pool.frame(index).tunnel_in;
  const uint32_t tunnel = sa == kNoIndex ? kNoIndex : node.inbound_[sa].tunnel;
  if (tunnel != tables->flow->icl_tunnel) return drop(index, DropReason::icl_unprotected);
  punt(index);
}

void Forwarder::Shard::consume(FrameIndex index) {
  if (tap != nullptr) tap->finished(worker, now, index, Verdict::kConsumed, 0);
  cache.free(index);
}

void Forwarder::Shard::punt(FrameIndex index) {
  if (tap != nullptr) tap->finished(worker, now, index, Verdict::kPunted, 0);
  if (!plane.punt(worker, index)) return drop(index, DropReason::punt_full);
  counters.add(Counter::punted);
}

// Worker 0: asks those that have to be asked, at once when a new one is wanted.
void Forwarder::Shard::tick_neighbours() {
  const bool wanted =
      now >= last_tick + kLeastTickNs && node.neighbour_wanted_.load(std::memory_order_relaxed);
  if (!wanted && now < next_tick) return;
  node.neighbour_wanted_.store(false, std::memory_order_relaxed);
  last_tick = now;
  next_tick = now + NeighbourTable::kTickNs;
  look_at_ports();
  node.neighbours_.tick(now, [this](uint32_t neighbour, const uint64_t* mac) { probe(neighbour, mac); });
}

// A port that was opened anew may have another station at its end, or the same with another MAC.
void Forwarder::Shard::look_at_ports() {
  for (uint16_t port = 0; port < openings.size(); ++port) {
    const uint32_t seen = node.port(port, worker).openings();
    if (seen == openings[port]) continue;
    const bool first = openings[port] == 0;
    openings[port] = seen;
    if (first) continue;
    const auto& interfaces = tables->interfaces->interfaces;
    for (uint16_t number = 0; number < interfaces.size(); ++number) {
      if (interfaces[number].port == port) node.neighbours_.ask_again(number);
    }
  }
}

// Asks a neighbour whether it is there.
void Forwarder::Shard::probe(uint32_t neighbour, const uint64_t* known_mac) {
  const uint16_t number = node.neighbours_.interface(neighbour);
  if (number >= tables->interfaces->interfaces.size()) return;
  const InterfaceTable::Interface& interface = tables->interfaces->interfaces[number];
  if (interface.vlan == InterfaceTable::kAbsent) return;
  const Address target = node.neighbours_.address(neighbour);
  const Address* own = nullptr;
  for (const Address& address : interface.addresses) {
    // RFC 4861 §7.2.2 lets any own address ask; one of the target's scope is the one that it can answer.
    const bool same_scope = address.is_v4() || is_link_local(address) == is_link_local(target);
    if (address.is_v4() == target.is_v4() && (own == nullptr || same_scope)) own = &address;
  }
  FrameIndex index;
  if (own == nullptr || cache.allocate(&index, 1) == 0) return;
  counters.add(Counter::made);
  uint8_t to[8];
  if (known_mac != nullptr) std::memcpy(to, known_mac, 8);
  Frame& frame = pool.frame(index);
  frame.version = 0;
  frame.received = now;
  frame.node = node.id();
  frame.length = static_cast<uint16_t>(
      target.is_v4() ? arp::write_request(data(index), interface.vlan, interface.mac, *own, target,
                                          known_mac != nullptr ? to : mac::kBroadcast)
                     : nd::write_solicitation(data(index), interface.vlan, interface.mac, *own, target,
                                              known_mac != nullptr ? to : nullptr));
  node.send_raw(worker, interface.port, index);
}

}  // namespace penstock
