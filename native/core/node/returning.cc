// The way back of translated services: what real services send becomes the virtual service's again. A packet
// comes here from the filter of an interface on their side (FilterTable::Action::kReturn).
//
//   1. is its source (an ICMP error: what it quotes) a real service's?   No: it goes on as any packet
//   2. the flow memory says whose answer it is, where one is kept; else its address and port do
//   3. hops and size, before anything is rewritten
//   4. source, or what is quoted, rewritten; then it is routed as any packet
#include "../packet/icmp.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/tcp.h"
#include "../packet/translate.h"
#include "shard.h"

namespace penstock {
namespace {

bool is_echo_reply(const Frame& frame, const uint8_t* packet) {
  if (frame.l4 == 0) return false;
  const uint8_t type = icmp::type(packet + frame.l4);
  return (frame.protocol == protocol::kIcmp && type == icmp::kEchoReply) ||
         (frame.protocol == protocol::kIcmpv6 && type == icmpv6::kEchoReply);
}

}  // namespace

// True: taken, and it comes back by route() whatever is found. False: no real service's.
bool Forwarder::Shard::take_return(FrameIndex index) {
  const ReturnTable& returns = tables->services->returns;
  if (returns.empty()) return false;
  const Frame& frame = pool.frame(index);
  const ServiceFlow flow = service_flow(index, true);
  const ReturnTable::Entry* general = returns.find(frame.routing_instance, flow.service, 0, 0);
  // Each real service has one for its address, however many it has for ports.
  if (general == nullptr) return false;
  if (plane.workers() > 1 && (general->remembered || is_fragment(frame))) {
    if (!with_flow_owner(index, flow.client, Stage::kReturn, Stage::kReturnHere)) return true;
  }
  returning.push(index);
  if (returning.full()) return_stage();
  return true;
}

void Forwarder::Shard::return_stage() {
  const Batch batch = returning;
  returning.count = 0;
  FrameIndex onward[kBurst];
  Address to[kBurst];
  uint32_t going = 0;
  for (uint32_t i = 0; i < batch.count; ++i) {
    if (!translate_back(batch.frames[i])) continue;
    to[going] = destination(batch.frames[i]);
    onward[going++] = batch.frames[i];
  }
  route(onward, to, going);
}

// Whose answer a packet is, if anybody's.
Forwarder::Shard::Offered Forwarder::Shard::offered_by(FrameIndex index, const ServiceFlow& flow) {
  const Frame& frame = pool.frame(index);
  const ReturnTable& returns = tables->services->returns;
  const ReturnTable::Entry* general = returns.find(frame.routing_instance, flow.service, 0, 0);
  const ReturnTable::Entry* exact =
      flow.has_ports ? returns.find(frame.routing_instance, flow.service, flow.protocol, flow.service_port)
                     : nullptr;
  if (flow_memory &&
      ((general != nullptr && general->remembered) || (exact != nullptr && exact->remembered))) {
    const bool v4 = flow.client.is_v4();
    const bool peer = is_ipsec_peer(
        {nullptr, nullptr, 4, flow.protocol, flow.has_ports, flow.service_port, flow.client_port});
    const uint8_t next = peer ? protocol::kEsp : flow.protocol;
    const uint16_t from = peer ? 0 : flow.service_port;
    const uint16_t to = peer ? 0 : flow.client_port;
    const SessionKey key = v4 ? SessionKey::ipv4(flow.service.v4_bytes(), flow.client.v4_bytes(), from, to,
                                                 next, frame.routing_instance, kTranslatedAnswers)
                              : SessionKey::ipv6(flow.service.bytes(), flow.client.bytes(), from, to, next,
                                                 frame.routing_instance, kTranslatedAnswers);
    const SessionRef ref = flow_memory->find(key);
    SessionKey sent;
    if (ref.found() && ref.wing == Wing::kOut && flow_memory->key(ref, Wing::kIn, &sent)) {
      const bool is_tcp = frame.protocol == protocol::kTcp && frame.l4 != 0;
      if (!flow.is_error)
        follow(ref, is_tcp, is_tcp ? tcp::flags(data(index) + frame.l4) : 0, ip_bytes(frame));
      const Address address = v4 ? Address::v4(sent.destination()) : Address::v6(sent.destination());
      // A peer's flow has no ports of its own; its packets' are as their place in the table says.
      const uint16_t port = !peer ? sent.destination_port() : exact != nullptr ? exact->offered : 0;
      return {true, address, flow.has_ports ? port : uint16_t{0}};
    }
    if (moves_away(FlowOwners::bucket(flow.client))) return {.is_away = true};
  }
  if (exact != nullptr && !exact->ambiguous) return {true, exact->address, exact->offered};
  if (general == nullptr || general->ambiguous) return {};
  const bool answer = (general->everything && !general->remembered) || is_echo_reply(frame, data(index)) ||
                      (!general->everything && (frame.flags & kLaterFragment) != 0 && !flow.has_ports);
  return answer ? Offered{true, general->address, 0} : Offered{};
}

// False: dropped.
bool Forwarder::Shard::translate_back(FrameIndex index) {
  Frame& frame = pool.frame(index);
  ServiceFlow flow = service_flow(index, true);
  if (is_fragment(frame)) complete_fragment(index, flow, true);  // not known: it may still be its address's
  if (flow.is_error && !flow.quotes) return true;
  const Address to = destination(index, frame);
  const NextHop& next = next_hop(index, to);
  // What it says to us (neighbour discovery, answers to our probes) is no client's.
  if (next.kind == NextHop::Kind::kLocal || (next.kind == NextHop::Kind::kConnected && is_own(index, to)))
    return true;
  const Offered offered = offered_by(index, flow);
  if (offered.is_away) {
    go_after(index, Stage::kReturnHere);
    return false;
  }
  if (!offered.found) return true;
  const uint8_t* ip = data(index) + frame.l3;
  if (!is_translatable(frame.protocol) || !is_translatable(flow.protocol)) {
    drop(index, DropReason::not_translatable);
    return false;
  }
  if ((frame.version == 4 ? ipv4::ttl(ip) : ipv6::hop_limit(ip)) <= 1) {
    refuse(index, DropReason::ttl_exceeded, icmp_error::Kind::kTtlExceeded);
    return false;
  }
  const uint32_t mtu = next.kind == NextHop::Kind::kNeighbour ? link_mtu(next.index)
                       : next.kind == NextHop::Kind::kConnected
                           ? tables->interfaces->interfaces[next.index].mtu
                           : 0;  // not known here
  if (mtu != 0 && ip_bytes(frame) > mtu && (frame.flags & kDontFragment) != 0) {
    refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, mtu);
    return false;
  }
  if (flow.quotes) {
    // A router between us and the real service speaks for itself (RFC 5508 §4.2); the real service does not.
    const bool by_itself = source(index, frame) == flow.service;
    translate_quoted(frame, data(index), flow.quoted, End::kDestination, offered.address, offered.port);
    if (by_itself) translate(frame, data(index), End::kSource, offered.address, 0);
  } else {
    translate(frame, data(index), End::kSource, offered.address, offered.port);
  }
  counters.add(Counter::translated_back);
  return true;
}

}  // namespace penstock
