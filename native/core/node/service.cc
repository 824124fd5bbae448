// Virtual services whose packets are not simply given to a next hop's MAC, and packets of any group whose
// flow does not stand in their own headers: fragments and ICMP errors. Runs on the worker that polls, for
// flows that are remembered and for fragments on the one that the client's address owns.
//
//   1. flow     what the packet belongs to: an ICMP error to the flow it quotes, a later fragment to what the
//               first one's ports said, an IPsec peer's packets to one flow together
//   2. member   the flow memory's, while that is up; else the table's
//   3. size     before anything is rewritten, so that an ICMP error quotes the packet as it came
//   4. forward  direct, encapsulated, or translated; the way back of translated ones is returning.cc
#include "../packet/fragment.h"
#include "../packet/icmp.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/tcp.h"
#include "../packet/translate.h"
#include "shard.h"

namespace penstock {
namespace {

bool has_ports(uint8_t next) {
  return next == protocol::kTcp || next == protocol::kUdp;
}

// Whether a member depends on what only a first fragment has.
bool asks_ports(const GroupTable::Group& group) {
  if (group.key == HashKey::kFiveTuple || group.key == HashKey::kSymmetricFiveTuple) return true;
  return group.service != nullptr && (group.service->remembers || !group.service->ports.empty());
}

FlowFields fields_of(const ServiceFlow& flow) {
  const bool v4 = flow.client.is_v4();
  return {v4 ? flow.client.v4_bytes() : flow.client.bytes(),
          v4 ? flow.service.v4_bytes() : flow.service.bytes(),
          static_cast<uint8_t>(v4 ? 4 : 16),
          flow.protocol,
          flow.has_ports,
          flow.client_port,
          flow.service_port};
}

// Zones of the flow memory's keys, so that those of the three kinds never meet.
constexpr uint16_t kForwardKey = 0;
constexpr uint16_t kDirectAnswers = 1;

// RFC 9293 §3.3.2 seen from one side: FIN or RST of whoever is heard is all there is to go by.
TcpState next_state(TcpState state, uint8_t flags) {
  if (flags & tcp::kRst) return TcpState::kReset;
  if (state == TcpState::kReset || state == TcpState::kClosing) return state;
  if (flags & tcp::kFin) return TcpState::kClosing;
  return state == TcpState::kSynSent && !(flags & tcp::kSyn) ? TcpState::kEstablished : state;
}

}  // namespace

// Seen from the client: of a packet that goes to the service, or (answers) one that comes from it.
ServiceFlow Forwarder::Shard::service_flow(FrameIndex index, bool answers) const {
  const Frame& frame = pool.frame(index);
  ServiceFlow flow{};
  flow.client = answers ? destination(index, frame) : source(index, frame);
  flow.service = answers ? source(index, frame) : destination(index, frame);
  flow.protocol = frame.protocol;
  flow.client_port = answers ? frame.destination_port : frame.source_port;
  flow.service_port = answers ? frame.source_port : frame.destination_port;
  flow.has_ports = has_ports(frame.protocol) && frame.l4 != 0;
  flow.is_error = (frame.flags & kIcmpError) != 0;
  if (!flow.is_error || !read_quoted(frame, data(index), flow.quoted)) return flow;
  // What is quoted went the other way.
  flow.quotes = true;
  const uint8_t* ip = data(index) + flow.quoted.ip;
  const bool v4 = frame.version == 4;
  const Address from = v4 ? Address::v4(ipv4::source(ip)) : Address::v6(ipv6::source(ip));
  const Address to = v4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  flow.client = answers ? from : to;
  flow.service = answers ? to : from;
  flow.protocol = flow.quoted.protocol;
  flow.client_port = answers ? flow.quoted.source_port : flow.quoted.destination_port;
  flow.service_port = answers ? flow.quoted.destination_port : flow.quoted.source_port;
  flow.has_ports = flow.quoted.has_ports;
  return flow;
}

// Which worker has a client's flows and fragments: both directions of a flow, and the errors about it, have
// its client's address in common and nothing else.
// False: the packet was handed over to that one.
bool Forwarder::Shard::with_flow_owner(FrameIndex index, const Address& client, Stage stage, Stage here) {
  const uint32_t bucket = FlowOwners::bucket(client);
  const uint32_t owner_of_flow = node.owners_.owner(bucket);
  if (owner_of_flow != worker) {
    hand_over(index, owner_of_flow, stage);
    return false;
  }
  if (!move.told || !moves_away(bucket)) return true;
  go_after(index, here);
  return false;
}

// A fragment learns its datagram's ports, or tells them. False: a later one whose first has not been seen.
bool Forwarder::Shard::complete_fragment(FrameIndex index, ServiceFlow& flow, bool answers) {
  const Frame& frame = pool.frame(index);
  const uint8_t* ip = data(index) + frame.l3;
  FragmentMemory::Key key{source(index, frame), destination(index, frame), 0, 0};
  if (frame.version == 4) {
    key.identification = ipv4::identification(ip);
    key.protocol = frame.protocol;
  } else {
    ipv6::Chain chain;
    if (!ipv6::walk(ip, chain) || chain.fragment_header == 0) return false;
    key.identification = load32(ip + chain.fragment_header + 4);
  }
  if ((frame.flags & kFirstFragment) != 0) {
    fragments.put(key, {frame.source_port, frame.destination_port, frame.protocol}, now);
    return true;
  }
  const FragmentMemory::Ports* ports = fragments.get(key, now);
  if (ports == nullptr) return false;
  flow.protocol = ports->protocol;
  flow.has_ports = has_ports(ports->protocol);
  flow.client_port = answers ? ports->destination : ports->source;
  flow.service_port = answers ? ports->source : ports->destination;
  return true;
}

void Forwarder::Shard::to_service(FrameIndex index, const GroupTable::Group& group) {
  if (plane.workers() > 1 && !is_here) {
    const bool remembers = group.service != nullptr && group.service->remembers;
    if (remembers || (is_fragment(pool.frame(index)) && asks_ports(group))) {
      const Address client = service_flow(index, false).client;
      if (!with_flow_owner(index, client, Stage::kService, Stage::kServiceHere)) return;
    }
  }
  service_groups[serving.count] = &group;
  serving.push(index);
  if (serving.full()) service_stage();
}

void Forwarder::Shard::service_stage() {
  const Batch batch = serving;
  const auto groups = service_groups;
  serving.count = 0;
  ServiceFlow flows_of[kBurst];
  uint64_t hashes[kBurst];
  SessionKey keys[kBurst];
  SessionRef refs[kBurst];
  uint32_t asked[kBurst];
  uint32_t asking = 0;
  bool whole[kBurst];
  for (uint32_t i = 0; i < batch.count; ++i) {
    const GroupTable::Group& group = *groups[i];
    ServiceFlow& flow = flows_of[i];
    flow = service_flow(batch.frames[i], false);
    whole[i] = !is_fragment(pool.frame(batch.frames[i])) || !asks_ports(group) ||
               complete_fragment(batch.frames[i], flow, false);
    if (!whole[i]) continue;
    const FlowKey key = make_flow_key(group.key, fields_of(flow));
    hashes[i] = group.table->hasher()(key.bytes, key.length);
    __builtin_prefetch(group.table->slots() + group.table->slot(hashes[i]));
    if (!flow_memory || group.service == nullptr || !group.service->remembers) continue;
    keys[asking] = flow_key(flow, pool.frame(batch.frames[i]).routing_instance);
    asked[asking++] = i;
  }
  if (asking > 0) flow_memory->lookup(keys, refs, asking);
  for (uint32_t i = 0, next = 0; i < batch.count; ++i) {
    const FrameIndex index = batch.frames[i];
    if (!whole[i]) {
      drop(index, DropReason::fragment);
      continue;
    }
    if (next < asking && asked[next] == i) {
      serve_remembered(index, *groups[i], flows_of[i], hashes[i], keys[next], refs[next]);
      ++next;
    } else {
      serve(index, *groups[i], flows_of[i], groups[i]->table->pick(hashes[i]));
    }
  }
}

// The flow memory's key: an IPsec peer's packets are one flow (flow_key.h).
SessionKey Forwarder::Shard::flow_key(const ServiceFlow& flow, uint16_t routing_instance) {
  const bool peer = is_ipsec_peer(fields_of(flow));
  const uint8_t next = peer ? protocol::kEsp : flow.protocol;
  const uint16_t from = peer ? 0 : flow.client_port;
  const uint16_t to = peer ? 0 : flow.service_port;
  return flow.client.is_v4() ? SessionKey::ipv4(flow.client.v4_bytes(), flow.service.v4_bytes(), from, to,
                                                next, routing_instance, kForwardKey)
                             : SessionKey::ipv6(flow.client.bytes(), flow.service.bytes(), from, to, next,
                                                routing_instance, kForwardKey);
}

// The key that a member's answers are found by: translated ones by what the real service sends. The others
// never come here, but a session has two keys.
SessionKey Forwarder::Shard::answers_key(const SessionKey& key, const GroupTable::Group& group,
                                         uint16_t member) const {
  const VirtualService& service = *group.service;
  const VirtualService::Member& to = service.members[member];
  if (to.mode != ForwardingMode::kTranslate) return key.reversed(key.routing_instance(), kDirectAnswers);
  const VirtualService::Ports* ports = service.offered(key.protocol(), key.destination_port());
  const uint16_t real_port = ports != nullptr ? ports->real : key.destination_port();
  const uint32_t number = node.neighbours_.interface(group.members[member].neighbour);
  const uint16_t instance = tables->interfaces->interfaces[number].routing_instance;
  return key.version == 4 ? SessionKey::ipv4(to.address.v4_bytes(), key.source(), real_port,
                                             key.source_port(), key.protocol(), instance, kTranslatedAnswers)
                          : SessionKey::ipv6(to.address.bytes(), key.source(), real_port, key.source_port(),
                                             key.protocol(), instance, kTranslatedAnswers);
}

// A flow that is remembered stays with its member while that is up and means the same real service; it is
// learned anew when it begins anew.
void Forwarder::Shard::serve_remembered(FrameIndex index, const GroupTable::Group& group,
                                        const ServiceFlow& flow, uint64_t hash, const SessionKey& key,
                                        SessionRef ref) {
  const VirtualService& service = *group.service;
  const Frame& frame = pool.frame(index);
  // An earlier packet of the burst may have learned the flow, or forgotten it.
  if (!ref.found() || !flow_memory->live(ref)) ref = flow_memory->find(key);
  const bool is_tcp = frame.protocol == protocol::kTcp && frame.l4 != 0 && !flow.is_error;
  const uint8_t flags = is_tcp ? tcp::flags(data(index) + frame.l4) : 0;
  if (ref.found()) {
    const uint16_t member = service.member_of(flow_memory->policy(ref));
    const TcpState state = flow_memory->tcp_state(ref);
    const bool ended = state == TcpState::kReset || state == TcpState::kClosing;
    SessionKey answers;
    const bool same = member != VirtualService::kNone && service.members[member].up &&
                      !(ended && is_tcp && tcp_first_packet(flags)) &&
                      flow_memory->key(ref, Wing::kOut, &answers) &&
                      answers == answers_key(key, group, member);
    if (same) {
      if (!flow.is_error) follow(ref, is_tcp, flags, ip_bytes(frame));
      return serve(index, group, flow, member);
    }
    flow_memory->remove(ref);
    counters.add(Counter::flows_forgotten);
  }
  if (moves_away(FlowOwners::bucket(flow.client))) return go_after(index, Stage::kServiceHere);
  const uint16_t member = group.table->pick(hash);
  if (member >= group.members.size() || flow.is_error) return serve(index, group, flow, member);
  const DropReason reason = learn_flow(group, key, member, is_tcp, flags, ip_bytes(frame));
  if (reason != DropReason::kNone) return drop(index, reason);
  serve(index, group, flow, member);
}

void Forwarder::Shard::follow(SessionRef ref, bool is_tcp, uint8_t flags, uint32_t bytes) {
  flow_memory->account(ref, bytes, now);
  if (!is_tcp) return;
  const TcpState before = flow_memory->tcp_state(ref);
  const TcpState after = next_state(before, flags);
  if (after != before) flow_memory->set_tcp_state(ref, after, now);
}

// A memory that is full is no reason not to serve, since the table says the same again while the members are
// the same; but for a flow whose answers nothing else would translate back.
DropReason Forwarder::Shard::learn_flow(const GroupTable::Group& group, const SessionKey& key,
                                        uint16_t member, bool is_tcp, uint8_t flags, uint32_t bytes) {
  const bool translated = group.service->members[member].mode == ForwardingMode::kTranslate;
  NewSession session;
  session.in = key;
  session.out = answers_key(key, group, member);
  session.policy = group.service->members[member].id;
  // An IPsec peer may be silent for as long as its dead peer detection allows.
  if (key.protocol() == protocol::kEsp) session.timeout = kPeerTimeoutSeconds;
  if (is_tcp) {
    session.tcp = tcp_first_packet(flags) ? TcpState::kSynSent : next_state(TcpState::kEstablished, flags);
  }
  const InsertResult inserted = flow_memory->insert(session, now);
  switch (inserted.status) {
    case InsertStatus::kInserted:
      counters.add(Counter::flows_remembered);
      flow_memory->account(inserted.ref, bytes, now);
      return DropReason::kNone;
    case InsertStatus::kExists:
      return DropReason::kNone;
    case InsertStatus::kLimit:
      counters.add(Counter::flow_memory_full);
      return translated && group.service->ports.empty() ? DropReason::session_limit : DropReason::kNone;
    case InsertStatus::kConflict:
      break;
  }
  return translated ? DropReason::session_conflict : DropReason::kNone;
}

void Forwarder::Shard::serve(FrameIndex index, const GroupTable::Group& group, const ServiceFlow& flow,
                             uint16_t number) {
  if (number >= group.members.size()) return drop(index, DropReason::no_real_service);
  const GroupTable::Member& member = group.members[number];
  if (flow.quotes) counters.add(Counter::errors_to_flow);
  const ForwardingMode mode =
      group.service == nullptr ? ForwardingMode::kDirect : group.service->members[number].mode;
  switch (mode) {
    case ForwardingMode::kDirect:
      count(member.statistic, ip_bytes(pool.frame(index)));
      return to_neighbour(index, member.neighbour);
    case ForwardingMode::kEncapsulate:
      return serve_encapsulated(index, member, group.service->members[number].tunnel, flow);
    case ForwardingMode::kTranslate:
      return serve_translated(index, member, *group.service, number, flow);
  }
}

uint32_t Forwarder::Shard::link_mtu(uint32_t neighbour) const {
  return tables->interfaces->interfaces[node.neighbours_.interface(neighbour)].mtu;
}

// Larger than the tunnel carries: the inner packet in fragments where that may be, each in a packet of its
// own, so that the tunnel's end need not reassemble; else its source is told what fits.
void Forwarder::Shard::serve_encapsulated(FrameIndex index, const GroupTable::Member& member,
                                          const Encapsulation& tunnel, const ServiceFlow& flow) {
  const Frame& frame = pool.frame(index);
  const uint32_t link = link_mtu(member.neighbour);
  const uint32_t largest = node.path_mtus_.get(member.statistic, link, now) - encapsulation_bytes(tunnel);
  // Fragments of one datagram look alike from outside, too.
  const uint32_t ports = is_fragment(frame) || !flow.has_ports
                             ? 0
                             : static_cast<uint32_t>(flow.client_port) << 16 | flow.service_port;
  const uint64_t entropy = mix(flow.client.low ^ ports, flow.client.high ^ flow.service.low ^ flow.protocol);
  if (ip_bytes(frame) <= largest) [[likely]]
    return send_encapsulated(index, member, tunnel, entropy);
  if (frame.version == 4 && (frame.flags & kDontFragment) == 0) {
    FrameIndex pieces[kMaximumFragments];
    const uint32_t made = fragment_ipv4(cache, index, largest, pieces);
    if (made == 0) return drop(index, DropReason::no_frame);
    counters.add(Counter::fragments_made, made - 1);
    for (uint32_t i = 0; i < made; ++i) send_encapsulated(pieces[i], member, tunnel, entropy);
    return;
  }
  // What every IPv6 link must carry goes in fragments of the outer packet, which IPv4 allows (RFC 4213
  // §3.2.2).
  const bool least = frame.version == 6 && ip_bytes(frame) <= ipv6::kMinimumMtu;
  if (least && tunnel.destination.is_v4()) return send_encapsulated(index, member, tunnel, entropy);
  const uint32_t told = frame.version == 6 && largest < ipv6::kMinimumMtu ? ipv6::kMinimumMtu : largest;
  refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, told);
}

void Forwarder::Shard::send_encapsulated(FrameIndex index, const GroupTable::Member& member,
                                         const Encapsulation& tunnel, uint64_t entropy) {
  count(member.statistic, ip_bytes(pool.frame(index)));
  identification = static_cast<uint16_t>(identification + plane.most_workers());
  encapsulate(pool.frame(index), data(index), tunnel, entropy, identification);
  counters.add(Counter::encapsulated);
  to_neighbour(index, member.neighbour);
}

void Forwarder::Shard::serve_translated(FrameIndex index, const GroupTable::Member& member,
                                        const VirtualService& service, uint16_t number,
                                        const ServiceFlow& flow) {
  Frame& frame = pool.frame(index);
  uint16_t port = 0;
  const bool echo =
      !flow.has_ports && (flow.protocol == protocol::kIcmp || flow.protocol == protocol::kIcmpv6);
  // A later fragment's ports are its first one's affair, once that has said that they are served.
  if (!service.ports.empty() && !echo) {
    const VirtualService::Ports* ports = service.offered(flow.protocol, flow.service_port);
    if (ports == nullptr) return drop(index, DropReason::not_served);
    port = ports->real == ports->offered ? 0 : ports->real;
  }
  if (!is_translatable(frame.protocol) || !is_translatable(flow.protocol)) {
    return drop(index, DropReason::not_translatable);
  }
  if (flow.is_error && !flow.quotes) return drop(index, DropReason::bad_l4);  // of no flow that it names
  const uint32_t link = link_mtu(member.neighbour);
  if (ip_bytes(frame) > link && (frame.flags & kDontFragment) != 0) {
    return refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, link);
  }
  const Address& real = service.members[number].address;
  if (flow.quotes) translate_quoted(frame, data(index), flow.quoted, End::kSource, real, port);
  translate(frame, data(index), End::kDestination, real, flow.is_error ? 0 : port);
  count(member.statistic, ip_bytes(frame));
  counters.add(Counter::translated);
  to_neighbour(index, member.neighbour);
}

void Forwarder::Shard::expire_flows() {
  if (!flow_memory || now < flow_memory->next_deadline()) return;
  flow_memory->expire(now, kExpireBudget,
                      [&](const SessionRef&, SessionEnd) { counters.add(Counter::flows_forgotten); });
}

// An ICMP error to an own address: about what was sent into a tunnel, it says how wide the path is (RFC 2003
// §5.1, RFC 2473 §8). The next packet that is too big for it is answered or cut. False: about something else.
bool Forwarder::Shard::tunnel_error(FrameIndex index) {
  const Frame& frame = pool.frame(index);
  const uint8_t* message = data(index) + frame.l4;
  const bool v4 = frame.version == 4;
  Quoted quoted;
  if (!read_quoted(frame, data(index), quoted)) return false;
  const bool ours = quoted.protocol == protocol::kIpv4 || quoted.protocol == protocol::kIpv6 ||
                    (quoted.protocol == protocol::kUdp && quoted.destination_port == kGuePort);
  const bool too_big =
      v4 ? icmp::type(message) == icmp::kUnreachable && icmp::code(message) == icmp::kFragmentationNeeded
         : icmp::type(message) == icmpv6::kPacketTooBig;
  if (!ours || !too_big) return false;
  const uint8_t* ip = data(index) + quoted.ip;
  const Address end = v4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  const uint32_t said = v4 ? icmp::next_hop_mtu(message) : icmpv6::mtu(message);
  // Less is not believed: anybody may send this (RFC 8201 §4, RFC 5927 §7).
  const uint32_t mtu = std::max(said, v4 ? kLeastPathMtuV4 : ipv6::kMinimumMtu);
  if (said == 0 || mtu > 0xffff) return false;
  const auto& ends = tables->services->ends;
  bool known = false;
  for (auto at = std::lower_bound(
           ends.begin(), ends.end(), end,
           [](const auto&each, const Address&address) { return before(each.first, address); });
       at != ends.end() && at->first == end; ++at) {
    node.path_mtus_.learn(at->second, static_cast<uint16_t>(mtu), now);
    known = true;
  }
  if (!known) return false;
  counters.add(Counter::path_mtus_learned);
  counters.add(Counter::answered);
  consume(index);
  return true;
}

}  // namespace penstock
