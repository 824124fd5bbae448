// Between the nodes of a pair: whose packet is it?
//
//   1. session.cc   plain packets (session and wing Active here, a way out, served here) go on; the others:
//   2. wing_packet  what is known of the packet makes a number, and src/ha/icd.ts says what to do with it
//   3. here         first path or TCP state, as in session.cc; a wing that was Warm is Active from now on
//      across       UDP to the other node, once: there from_peer() takes it, and it goes on with 1
//      dropped      by name
//
// A packet is counted, and takes its wing, where it came in; the node that it crosses to keeps TCP's state.
#include "../packet/fragment.h"
#include "../packet/icd.h"
#include "../packet/parse.h"
#include "../packet/tcp.h"
#include "shard.h"

namespace penstock {
namespace {

bool is_setting_up(TcpState state) {
  switch (state) {
    case TcpState::kSynSent:
    case TcpState::kSynBoth:
    case TcpState::kSynReceived:
    case TcpState::kSynCrossed:
      return true;
    default:
      return false;
  }
}

DropReason drop_reason(WingAction action) {
  switch (action) {
    case WingAction::kNotSyn:
      return DropReason::not_syn;
    case WingAction::kRerouteFailed:
      return DropReason::reroute_failed;
    case WingAction::kIcdDown:
      return DropReason::icd_down;
    case WingAction::kSrgBackup:
      return DropReason::srg_backup;
    default:
      return DropReason::icd_again;
  }
}

}  // namespace

// opens: without a session, the packet may begin one.
uint32_t Forwarder::Shard::situation_of(const Frame& frame, const NextHop& next, const Flow5& flow,
                                        SessionRef ref, bool opens) const {
  uint32_t number = next.situation;
  if (next.kind == NextHop::Kind::kNone) number |= situation::kEgressGone;
  if (frame.flags & kCrossed) number |= situation::kCrossed;
  if (!ref.found()) return opens ? number | situation::kSettingUp : number;
  number |= situation::kSession;
  if (sessions.ha(ref) != HaState::kActive) number |= situation::kNotOwned;
  if (flow.is_error) return number;  // it goes the way of its flow, and changes nothing of it
  if (sessions.wing_ha(ref, ref.wing) != HaState::kActive) number |= situation::kWingWarm;
  if (is_setting_up(sessions.tcp_state(ref))) number |= situation::kSettingUp;
  if (sessions.inspected(ref)) number |= situation::kInspected;
  return number;
}

void Forwarder::Shard::wing_packet(FrameIndex index, const NextHop& next, const Flow5& flow,
                                   const SessionKey& key, SessionRef ref) {
  const Frame& frame = pool.frame(index);
  const bool is_tcp = has_tcp_header(frame);
  const uint8_t flags = is_tcp ? tcp::flags(data(index) + frame.l4) : 0;
  // A SYN begins anew what has ended, on whichever node it comes to.
  if (ref.found() && tcp_first_packet(flags) && tcp_ended(sessions.tcp_state(ref))) {
    sessions.remove(ref);
    counters.add(Counter::sessions_closed);
    ref = {};
    if (session_moves_away(index, next, flow)) return go_after(index, Stage::kSessionHere);
  }
  if (!ref.found() && flow.is_error) return drop(index, DropReason::policy_deny);
  const uint32_t number = situation_of(frame, next, flow, ref, may_begin(frame, is_tcp, flags));
  const IcdTable::Verdict verdict = tables->icd->verdict(number);
  if (ref.found() && !flow.is_error && (frame.flags & kCrossed) == 0) {
    sessions.account(ref, ip_bytes(frame), now);
    take_wing(ref, verdict);
  }
  switch (verdict.action) {
    case WingAction::kHere:
      return handle_here(index, next, flow, key, ref);
    case WingAction::kAcross:
      return send_across(index, false);
    default:
      return drop(index, drop_reason(verdict.action));
  }
}

void Forwarder::Shard::handle_here(FrameIndex index, const NextHop& next, const Flow5& flow,
                                   const SessionKey& key, SessionRef ref) {
  Frame& frame = pool.frame(index);
  if (flow.is_error) return forward(index, next);
  const bool is_tcp = has_tcp_header(frame);
  const uint8_t flags = is_tcp ? tcp::flags(data(index) + frame.l4) : 0;
  if (!ref.found()) {
    const DropReason reason = first_path(frame, next, flow, key, is_tcp, flags, ref);
    if (reason != DropReason::kNone) return drop(index, reason);
    if ((frame.flags & kCrossed) == 0) sessions.account(ref, ip_bytes(frame), now);
    return forward(index, next);
  }
  if (is_tcp) {
    const TcpVerdict verdict = sessions.tcp(ref, flags, now);
    // Of a flow whose other side passes through the other node, this one does not see every step.
    const bool sees_both = sessions.wing_ha(ref, Wing::kIn) == HaState::kActive &&
                           sessions.wing_ha(ref, Wing::kOut) == HaState::kActive;
    if (verdict == TcpVerdict::kOutOfState && sees_both) return drop(index, DropReason::tcp_state);
  }
  if (frame.flags & kCrossed) sessions.touch(ref, now);
  forward(index, next);
}

void Forwarder::Shard::take_wing(SessionRef ref, const IcdTable::Verdict& verdict) {
  if (!verdict.flips && !verdict.owns) return;
  // What crosses during set-up comes this way later; what crosses afterwards does so for good.
  const bool peer_keeps = verdict.action == WingAction::kAcross && !is_setting_up(sessions.tcp_state(ref));
  sessions.take_wing(ref, verdict.owns, now);
  if (verdict.flips) wing_moved(ref, peer_keeps);
}

// The one place where a Warm wing becomes Active by a packet.
void Forwarder::Shard::wing_moved(SessionRef ref, bool peer_keeps) {
  counters.add(Counter::wings_taken);
  sync.moved(ref, ref.wing, peer_keeps, now);
}

// To the other node, with what it needs to go on as if the packet had come in there. Pieces of one that is
// too large for the ICD have no ports to find their session by, and need none: it was found here.
void Forwarder::Shard::send_across(FrameIndex index, bool is_piece) {
  const IcdTable& icd = *tables->icd;
  Frame& frame = pool.frame(index);
  const uint32_t inner = ip_bytes(frame);
  const uint32_t room = icd.mtu - icd::overhead(icd.link);
  if (inner > room) [[unlikely]] {
    if (frame.version == 6 || (frame.flags & kDontFragment) != 0) {
      return refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, room);
    }
    FrameIndex pieces[kMaximumFragments];
    const uint32_t made = fragment_ipv4(cache, index, room, pieces);
    if (made == 0) return drop(index, DropReason::no_frame);
    counters.add(Counter::fragments_made, made - 1);
    for (uint32_t i = 0; i < made; ++i) send_across(pieces[i], true);
    return;
  }
  const SyncTable& names = *tables->sync;
  const icd::Header header = {is_piece, icd.link.local_id, frame.zone == 0 ? 0 : names.zones.tag(frame.zone),
                              names.instances.tag(frame.routing_instance)};
  const Flow5 flow = flow_of(index);
  const uint64_t entropy = mix(flow.from.low + flow.to.low + flow.source_port + flow.destination_port,
                               (flow.from.high + flow.to.high) ^ flow.protocol);
  icd::seal(frame, data(index), icd.link, header, entropy);
  frame.routing_instance = icd.routing_instance;
  frame.tunnel_in = frame.tunnel_out = kNoIndex;
  counters.add(Counter::icd_sent);
  counters.add(Counter::icd_sent_bytes, inner);
  originate(index);
}

// A UDP packet to the port of the ICD, from whomever.
void Forwarder::Shard::from_peer(FrameIndex index) {
  Frame& frame = pool.frame(index);
  if (is_fragment(frame)) return drop(index, DropReason::fragment);
  const IcdTable& icd = *tables->icd;
  icd::Header header;
  DropReason reason = icd::open(frame, data(index), icd.link, header);
  if (reason != DropReason::kNone) return drop(index, reason);
  const TagMap::Name* zone = tables->sync->zones.find(header.zone);
  const TagMap::Name* instance = tables->sync->instances.find(header.routing_instance);
  frame.flags = 0;
  reason = parse_ip(frame, data(index));
  if (reason == DropReason::kNone && (instance == nullptr || (zone == nullptr && header.zone != 0))) {
    reason = DropReason::icd_header;
  }
  if (reason != DropReason::kNone) return drop(index, reason);
  frame.flags |= kCrossed;
  frame.zone = zone == nullptr ? uint16_t{0} : static_cast<uint16_t>(zone->number);
  frame.routing_instance = static_cast<uint16_t>(instance->number);
  counters.add(Counter::icd_received);
  counters.add(Counter::icd_received_bytes, frame.length);
  const Address to = destination(index, frame);
  const NextHop& next = next_hop(index, to);
  // What is for a node itself is answered where it came in.
  if (next.kind == NextHop::Kind::kLocal) return drop(index, DropReason::icd_again);
  if (header.is_piece) return forward(index, next);
  to_session_owner(index, next);
}

// As anchor(), of a packet that may have come by a tunnel of the other node: the same one here, which its
// answers go into.
uint32_t Forwarder::Shard::anchor_of_crossed(FrameIndex index, const NextHop& next) const {
  const Frame& frame = pool.frame(index);
  const NextHop& back = leads_to(tables->routes->table.find(frame.routing_instance, source(index, frame)));
  const bool came_by_tunnel = back.kind == NextHop::Kind::kTunnel && back.zone == frame.zone;
  const bool leaves_by_tunnel = next.kind == NextHop::Kind::kTunnel;
  if (came_by_tunnel && leaves_by_tunnel) {
    return node.outbound_[back.index].tunnel <= node.outbound_[next.index].tunnel ? back.anchor : next.anchor;
  }
  if (came_by_tunnel) return back.anchor;
  return leaves_by_tunnel ? next.anchor : FlowOwners::kNobody;
}

}  // namespace penstock
