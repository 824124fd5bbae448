// Sessions: every packet in transit through a gateway belongs to one, set up by its first packet if a policy
// permits it.
#include "../packet/icmp.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/tcp.h"
#include "shard.h"

namespace penstock {
namespace {

// Where ports stand in the first bytes behind an IP header, ICMP echo's identifier included.
void quoted_ports(const uint8_t* l4, bool is_v4, Flow5& flow) {
  switch (flow.protocol) {
    case protocol::kTcp:
    case protocol::kUdp:
      flow.source_port = load16(l4);
      flow.destination_port = load16(l4 + 2);
      return;
    case protocol::kIcmp:
    case protocol::kIcmpv6:
      if (is_v4 ? icmp::is_echo(l4[0]) : icmpv6::is_echo(l4[0])) {
        flow.source_port = flow.destination_port = icmp::identifier(l4);
      }
      return;
    default:
      return;
  }
}

// The flow that an ICMP error is about, seen as its answers: the quoted packet turned round. False when too
// little of it is quoted (8 bytes behind its header: RFC 792) or it is a fragment's later part.
bool quoted_flow(const uint8_t* quoted, uint32_t available, bool is_v4, Flow5& flow) {
  const uint8_t* l4;
  if (is_v4) {
    if (available < ipv4::kHeaderBytes || quoted[0] >> 4 != 4) return false;
    const uint32_t header = ipv4::header_bytes(quoted);
    if (header < ipv4::kHeaderBytes || available < header + 8) return false;
    if (ipv4::fragment_word(quoted) & ipv4::kFragmentOffsetMask) return false;
    l4 = quoted + header;
    flow.protocol = ipv4::protocol(quoted);
    flow.from = Address::v4(ipv4::destination(quoted));
    flow.to = Address::v4(ipv4::source(quoted));
  } else {
    if (available < ipv6::kHeaderBytes + 8 || quoted[0] >> 4 != 6) return false;
    l4 = quoted + ipv6::kHeaderBytes;
    flow.protocol = ipv6::next_header(quoted);
    flow.from = Address::v6(ipv6::destination(quoted));
    flow.to = Address::v6(ipv6::source(quoted));
  }
  flow.source_port = flow.destination_port = 0;
  quoted_ports(l4, is_v4, flow);
  std::swap(flow.source_port, flow.destination_port);
  flow.is_error = true;
  return true;
}

SessionKey key_of(const Flow5& flow, uint16_t routing_instance, uint16_t zone) {
  return flow.from.is_v4() ? SessionKey::ipv4(flow.from.v4_bytes(), flow.to.v4_bytes(), flow.source_port,
                                              flow.destination_port, flow.protocol, routing_instance, zone)
                           : SessionKey::ipv6(flow.from.bytes(), flow.to.bytes(), flow.source_port,
                                              flow.destination_port, flow.protocol, routing_instance, zone);
}

}  // namespace

// Fragments of a datagram share one flow without ports, the first one included: the others have none.
Flow5 Forwarder::Shard::flow_of(FrameIndex index) const {
  const Frame& frame = pool.frame(index);
  Flow5 flow = {source(index),     destination(index),     frame.protocol,
                frame.source_port, frame.destination_port, false};
  if (frame.flags & (kFirstFragment | kLaterFragment)) {
    flow.source_port = flow.destination_port = 0;
  } else if (frame.protocol == protocol::kIcmp || frame.protocol == protocol::kIcmpv6) {
    const uint8_t* message = data(index) + frame.l4;
    const bool is_v4 = frame.version == 4;
    if (is_v4 ? icmp::is_error(icmp::type(message)) : icmpv6::is_error(icmp::type(message))) {
      const uint32_t quoted = frame.l4 + icmp::kHeaderBytes;
      if (!quoted_flow(data(index) + quoted, frame.length - quoted, is_v4, flow)) flow.is_error = true;
    }
  }
  return flow;
}

void Forwarder::Shard::queue_session(FrameIndex index, const NextHop& next) {
  session_next[session_in.count] = &next;
  session_in.push(index);
  if (session_in.full()) session_stage();
}

void Forwarder::Shard::session_stage() {
  const uint32_t count = session_in.count;
  session_in.count = 0;
  Flow5 flows[kBurst];
  SessionKey keys[kBurst];
  SessionRef refs[kBurst];
  for (uint32_t i = 0; i < count; ++i) {
    const Frame& frame = pool.frame(session_in.frames[i]);
    flows[i] = flow_of(session_in.frames[i]);
    keys[i] = key_of(flows[i], frame.routing_instance, frame.zone);
  }
  sessions.lookup(keys, refs, count);
  for (uint32_t i = 0; i < count; ++i) {
    session_packet(session_in.frames[i], *session_next[i], flows[i], keys[i], refs[i]);
  }
}

void Forwarder::Shard::session_packet(FrameIndex index, const NextHop& next, const Flow5& flow,
                                      const SessionKey& key, SessionRef ref) {
  Frame& frame = pool.frame(index);
  // An earlier packet of the burst may have set the session up, or ended it.
  uint32_t asks = 0;
  if (!ref.found() || !sessions.live(ref, asks)) {
    ref = sessions.find(key);
    if (ref.found()) {
      sessions.live(ref, asks);
    } else if (session_moves_away(index, next, flow)) {
      return go_after(index, Stage::kSessionHere);
    }
  }
  // Whose packet is it? A plain one's is ours: nothing asks.
  if ((asks | (next.situation & kNextHopAsks) | (frame.flags & kCrossed)) != 0) [[unlikely]]
    return wing_packet(index, next, flow, key, ref);
  if (next.kind == NextHop::Kind::kNone || next.kind == NextHop::Kind::kDiscard) [[unlikely]] {
    // of a flow that the other node of a pair may still have a way for
    if (ref.found() && next.kind == NextHop::Kind::kNone && tables->icd->configured)
      return wing_packet(index, next, flow, key, ref);
    return forward(index, next);
  }
  if (flow.is_error) {
    // It passes with the flow that it speaks of, and never makes one.
    return ref.found() ? forward(index, next) : drop(index, DropReason::policy_deny);
  }
  const bool is_tcp = has_tcp_header(frame);
  const uint8_t flags = is_tcp ? tcp::flags(data(index) + frame.l4) : 0;
  if (ref.found() && is_tcp) {
    switch (sessions.tcp(ref, flags, now)) {
      case TcpVerdict::kPass:
        break;
      case TcpVerdict::kOutOfState:
        return drop(index, DropReason::tcp_state);
      case TcpVerdict::kReopen:
        sessions.remove(ref);
        counters.add(Counter::sessions_closed);
        ref = {};
        if (session_moves_away(index, next, flow)) return go_after(index, Stage::kSessionHere);
        break;
    }
  }
  if (!ref.found()) {
    const DropReason reason = first_path(frame, next, flow, key, is_tcp, flags, ref);
    if (reason != DropReason::kNone) return drop(index, reason);
  }
  sessions.account(ref, ip_bytes(frame), now);
  forward(index, next);
}

bool Forwarder::Shard::may_begin(const Frame& frame, bool is_tcp, uint8_t flags) const {
  const bool check =
      frame.tunnel_in != kNoIndex ? tables->flow->syn_check_in_tunnel : tables->flow->syn_check;
  return !is_tcp || tcp_first_packet(flags) || (!check && (flags & kTcpRst) == 0);
}

// The first packet of a flow: may it, and what will its answers look like?
DropReason Forwarder::Shard::first_path(const Frame& frame, const NextHop& next, const Flow5& flow,
                                        const SessionKey& key, bool is_tcp, uint8_t flags, SessionRef& ref) {
  if (!may_begin(frame, is_tcp, flags)) return DropReason::not_syn;
  uint16_t answers_instance;
  uint16_t answers_zone;
  egress(next, frame, answers_instance, answers_zone);
  const PolicyTable::Policy* policy = tables->policies->find(frame.zone, answers_zone, flow.from, flow.to,
                                                             frame.protocol, flow.destination_port);
  if (policy != nullptr ? !policy->permit : !tables->policies->default_permit) return DropReason::policy_deny;
  NewSession session;
  session.in = key;
  session.out = key.reversed(answers_instance, answers_zone);
  session.policy = policy != nullptr ? policy->id : kDefaultPolicy;
  if (is_tcp) session.tcp = tcp_first_packet(flags) ? TcpState::kSynSent : TcpState::kEstablished;
  if (frame.tunnel_in != kNoIndex) session.tunnel[0] = node.inbound_[frame.tunnel_in].tunnel;
  if (next.kind == NextHop::Kind::kTunnel) session.tunnel[1] = node.outbound_[next.index].tunnel;
  const InsertResult inserted = sessions.insert(session, now);
  ref = inserted.ref;
  switch (inserted.status) {
    case InsertStatus::kInserted:
      counters.add(Counter::sessions_created);
      return DropReason::kNone;
    case InsertStatus::kExists:
      return DropReason::kNone;
    case InsertStatus::kConflict:
      return DropReason::session_conflict;
    case InsertStatus::kLimit:
      break;
  }
  return DropReason::session_limit;
}

// Where the answers of a packet that leaves by `next` will come in.
void Forwarder::Shard::egress(const NextHop& next, const Frame& frame, uint16_t& routing_instance,
                              uint16_t& zone) const {
  uint32_t interface = next.index;
  if (next.kind == NextHop::Kind::kTunnel) {
    routing_instance = next.routing_instance;
    zone = next.zone;
    return;
  }
  if (next.kind == NextHop::Kind::kNeighbour) interface = node.neighbours_.interface(next.index);
  if (next.kind == NextHop::Kind::kGroup || next.kind == NextHop::Kind::kService) {
    const auto& members = tables->groups->groups[next.index].members;
    interface = members.empty() ? frame.interface : node.neighbours_.interface(members[0].neighbour);
  }
  routing_instance = tables->interfaces->interfaces[interface].routing_instance;
  zone = tables->interfaces->interfaces[interface].zone;
}

void Forwarder::Shard::expire() {
  if (now < sessions.next_deadline()) return;
  sessions.expire(now, kExpireBudget, [&](const SessionRef&, SessionEnd end) {
    counters.add(end == SessionEnd::kClosed ? Counter::sessions_closed : Counter::sessions_expired);
  });
}

}  // namespace penstock
