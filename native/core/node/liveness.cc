// BFD packets of a forwarder's own sessions: out as packets of the node's own, in from its own addresses.
// Worker 0 has all sessions; what another worker receives for them is handed over.
#include <cstring>

#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/udp.h"
#include "shard.h"

namespace penstock {
namespace {

// Bursts taken from each port before silence is told: a worker that was kept from running has a backlog, and
// in it may lie what says that the neighbour lives.
constexpr uint32_t kBacklogBursts = 32;

}  // namespace

// Sends what is due and tells of silence; asked at each turn, which is at most a burst of each port long.
bool Forwarder::Shard::keep_alive(uint16_t known_ports) {
  if (node.liveness_.silence_due(now)) {
    for (uint16_t port = 0; port < known_ports; ++port) {
      for (uint32_t i = 0; i < kBacklogBursts && receive(port); ++i) {
      }
    }
    flush_all();
  }
  bool moved = false;
  node.liveness_.poll(now, [&](const LivenessOptions& session, const uint8_t* bfd, uint32_t length) {
    return moved = send_bfd(session, bfd, length);
  });
  return moved;
}

bool Forwarder::Shard::send_bfd(const LivenessOptions& session, const uint8_t* bfd, uint32_t length) {
  FrameIndex index;
  if (cache.allocate(&index, 1) == 0) return false;
  Frame& frame = pool.frame(index);
  uint8_t* ip = data(index);
  const bool v4 = session.remote.is_v4();
  const uint32_t header = v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes;
  const uint32_t udp_bytes = udp::kHeaderBytes + length;
  uint8_t* udp_header = ip + header;
  std::memcpy(udp_header + udp::kHeaderBytes, bfd, length);
  udp::write(udp_header, session.source_port, session.multihop ? bfd::kMultihopPort : bfd::kSingleHopPort,
             udp_bytes);
  if (v4) {
    ipv4::Fields fields;
    fields.tos = bfd::kTos;
    fields.total_length = header + udp_bytes;
    fields.fragment = ipv4::kDontFragment;  // RFC 6864 §4.1: an atomic one needs no identification
    fields.ttl = bfd::kTtl;
    fields.protocol = protocol::kUdp;
    ipv4::write(ip, fields, session.local.v4_bytes(), session.remote.v4_bytes());
    udp::set_checksum(udp_header, ipv4::pseudo_header(ip, protocol::kUdp, udp_bytes));
  } else {
    ipv6::Fields fields;
    fields.traffic_class = bfd::kTos;
    fields.payload_length = udp_bytes;
    fields.next_header = protocol::kUdp;
    fields.hop_limit = bfd::kTtl;
    ipv6::write(ip, fields, session.local.bytes(), session.remote.bytes());
    udp::set_checksum(udp_header, ipv6::pseudo_header(ip, protocol::kUdp, udp_bytes));
  }
  const uint16_t start = frame.start;
  frame = Frame{};
  frame.start = start;
  frame.length = static_cast<uint16_t>(header + udp_bytes);
  frame.received = now;
  frame.node = node.id();
  frame.routing_instance = session.routing_instance;
  frame.tunnel_in = frame.tunnel_out = kNoIndex;
  counters.add(Counter::made);
  counters.add(Counter::bfd_sent);
  send_own(index);
  return true;
}

void Forwarder::Shard::hear_bfd(FrameIndex index) {
  if (worker != 0) return hand_over(index, 0, Stage::kLiveness);
  Frame& frame = pool.frame(index);
  if (frame.l4 == 0 || is_fragment(frame)) return drop(index, DropReason::bad_bfd);
  const uint8_t* ip = data(index) + frame.l3;
  const uint8_t* udp_header = data(index) + frame.l4;
  LivenessPacket packet;
  packet.bytes = udp_header + udp::kHeaderBytes;
  packet.length = udp::length(udp_header) - udp::kHeaderBytes;
  packet.source = source(index);
  packet.destination = destination(index);
  packet.routing_instance = frame.routing_instance;
  packet.multihop = frame.destination_port == bfd::kMultihopPort;
  packet.ttl = frame.version == 4 ? ipv4::ttl(ip) : ipv6::hop_limit(ip);
  const DropReason reason = node.liveness_.hear(packet, now);
  if (reason != DropReason::kNone) return drop(index, reason);
  counters.add(Counter::answered);
  counters.add(Counter::bfd_heard);
  consume(index);
}

}  // namespace penstock
