// The pair's wings and datapath: what crosses, once, and what does not; who is believed.
#include "pair_lab.h"

using namespace penstock;

namespace {

using Member = Pair::Member;
constexpr auto kNorth = Pair::kNorth;
constexpr auto kSouth = Pair::kSouth;

uint8_t flags_of(const Bytes& packet) {
  return packet[ipv4::header_bytes(packet.data()) + tcp::kFlags];
}

// SYN through B; the session is known to A before the answer comes there.
void send_syn(Pair& pair) {
  pair.feed(pair.b, kNorth, tcp_packet(true, kTcpSyn));
  CHECK_EQ(pair.left(pair.b, kSouth).size(), 1u);
  pair.synchronise();
  CHECK_EQ(pair.states(pair.b), "AAA");
  CHECK_EQ(pair.states(pair.a), "WWW");
}

// The reference's flow: SYN and ACK through B, the answers come to A.
void establish(Pair& pair) {
  send_syn(pair);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpSyn | kTcpAck));
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
  pair.synchronise();
  pair.feed(pair.b, kNorth, tcp_packet(true, kTcpAck));
  CHECK_EQ(pair.left(pair.b, kSouth).size(), 1u);
  pair.synchronise();
}

void set_up_crosses_once_and_not_again() {
  Pair pair;
  send_syn(pair);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpSyn | kTcpAck));
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent_bytes), 40u);
  CHECK_EQ(pair.count(pair.b, Counter::icd_received), 1u);
  CHECK_EQ(pair.count(pair.b, Counter::icd_sent) + pair.count(pair.a, Counter::icd_received), 0u);
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 0u);
  const auto answers = pair.left(pair.b, kNorth);
  CHECK_EQ(answers.size(), 1u);
  CHECK_EQ(flags_of(answers.at(0)), kTcpSyn | kTcpAck);
  CHECK_EQ(ipv4::ttl(answers[0].data()), 63);  // the pair is one hop
  CHECK(ipv4::checksum_verifies(answers[0].data()));
  // As the reference shows them: counted where it came in.
  pair.synchronise();
  CHECK_EQ(pair.states(pair.a), "WWA");
  CHECK_EQ(pair.states(pair.b), "AAW");
  CHECK_EQ(pair.sessions(pair.a)[0].wings[1].packets, 1u);
  CHECK_EQ(pair.sessions(pair.b)[0].wings[1].packets, 0u);
  CHECK(pair.sessions(pair.b)[0].tcp == static_cast<uint8_t>(TcpState::kSynReceived));
  pair.feed(pair.b, kNorth, tcp_packet(true, kTcpAck));
  CHECK_EQ(pair.left(pair.b, kSouth).size(), 1u);
  pair.synchronise();
  // Established: each node passes one side, and nothing crosses.
  for (int i = 0; i < 5; ++i) {
    pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 100));
    pair.feed(pair.b, kNorth, tcp_packet(true, kTcpAck, 10));
  }
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 5u);
  CHECK_EQ(pair.left(pair.b, kSouth).size(), 5u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 1u);
  CHECK_EQ(pair.count(pair.b, Counter::icd_sent), 0u);
  CHECK_EQ(pair.states(pair.a), "AWA");
  CHECK_EQ(pair.states(pair.b), "AAW");
  CHECK_EQ(pair.count(pair.a, Counter::wings_taken), 1u);
  CHECK_EQ(pair.drops(), 0u);
  // Each sees one side of the end, and drops nothing of it.
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpFin | kTcpAck));
  pair.feed(pair.b, kNorth, tcp_packet(true, kTcpFin | kTcpAck));
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck));
  CHECK_EQ(pair.left(pair.a, kNorth).size() + pair.left(pair.b, kSouth).size(), 3u);
  CHECK_EQ(pair.drops(), 0u);
}

void without_the_copy_it_is_no_first_packet() {
  Pair pair;
  pair.feed(pair.b, kNorth, tcp_packet(true, kTcpSyn));
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpSyn | kTcpAck));  // before the session is known here
  CHECK_EQ(pair.count(pair.a, DropReason::not_syn), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 0u);
}

void a_datapath_that_is_down_drops_by_name() {
  Pair pair(1, "down");
  send_syn(pair);
  for (int i = 0; i < 7; ++i) pair.feed(pair.a, kSouth, tcp_packet(false, kTcpSyn | kTcpAck, 24));
  CHECK_EQ(pair.count(pair.a, DropReason::icd_down), 7u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 0u);
  pair.synchronise();
  CHECK_EQ(pair.states(pair.a), "WWA");
  CHECK_EQ(pair.states(pair.b), "AAW");
  const SessionInfo copy = pair.sessions(pair.a)[0];
  CHECK_EQ(copy.wings[1].packets, 7u);
  CHECK_EQ(copy.wings[1].bytes, 448u);
  CHECK_EQ(copy.timeout, 14400u);  // a copy outlives what it is a copy of
  CHECK_EQ(pair.sessions(pair.b)[0].timeout, 20u);
  const auto records = pair.a.node->drop_records(1);
  CHECK_EQ(records.size(), 1u);
  CHECK(records.at(0).reason == DropReason::icd_down);
}

void established_flows_pass_a_datapath_that_is_down() {
  Pair pair;
  establish(pair);
  pair.set_icd("down");
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 100));
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
  CHECK_EQ(pair.count(pair.a, DropReason::icd_down), 0u);
}

void a_pair_without_one_forwards_locally(const char* state) {
  Pair pair(1, state);
  send_syn(pair);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpSyn | kTcpAck));
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 0u);
  CHECK_EQ(pair.states(pair.a), "AWA");
}
void a_pair_without_a_datapath_forwards_locally() {
  a_pair_without_one_forwards_locally("none");
}
void a_node_that_is_alone_forwards_locally() {
  a_pair_without_one_forwards_locally("alone");
  // A SYN sent again after the node that had it is gone finds the way, too.
  Pair pair(1, "alone");
  send_syn(pair);
  pair.feed(pair.a, kNorth, tcp_packet(true, kTcpSyn));
  CHECK_EQ(pair.left(pair.a, kSouth).size(), 1u);
  CHECK_EQ(pair.states(pair.a), "AAW");
  CHECK_EQ(pair.sessions(pair.a)[0].timeout, 20u);
}

void a_way_out_that_fails_and_comes_back() {
  Pair pair;
  establish(pair);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  const uint64_t before = pair.count(pair.a, Counter::icd_sent);
  pair.set_situation(pair.a, kNorth, true, Served::kEither);
  for (int i = 0; i < 3; ++i) pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), before + 3);
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 3u);
  pair.set_situation(pair.a, kNorth, false, Served::kEither);
  pair.left(pair.a, kNorth);
  for (int i = 0; i < 3; ++i) pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), before + 3);
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 3u);
  // Gone on both: it does not come back. Gone, and no datapath: by the reference's name.
  pair.set_situation(pair.a, kNorth, true, Served::kEither);
  pair.set_situation(pair.b, kNorth, true, Served::kEither);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.b, DropReason::icd_again), 1u);
  CHECK_EQ(pair.count(pair.b, Counter::icd_sent), 0u);
  pair.set_icd("none");
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.a, DropReason::reroute_failed), 1u);
}

// No route any more, instead of a port that is shut.
void a_route_that_is_gone() {
  Pair pair;
  establish(pair);
  struct Gone : Pair {};
  pair.a.tables.routes.erase(pair.a.tables.routes.begin());
  pair.a.tables.publish(*pair.a.node);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
  // What never had one does not trouble the peer.
  pair.feed(pair.a, kSouth, udp_packet(kServer, ip4(192, 168, 100, 77), 1, 2, Bytes(8)));
  CHECK_EQ(pair.count(pair.a, DropReason::no_route), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 2u);
}

Bytes echo(bool is_request) {
  Bytes message(508);
  message[0] = is_request ? icmp::kEchoRequest : icmp::kEchoReply;
  store16(message.data() + 4, 29);
  const uint16_t sum = checksum::finish(checksum::add_bytes(0, message.data(), message.size()));
  checksum::store_raw(message.data() + 2, sum);
  return is_request ? ip_packet(kClient, kServer, protocol::kIcmp, message)
                    : ip_packet(kServer, kClient, protocol::kIcmp, message);
}

// Pings in Z-mode: what the answers are for is served by B alone.
void pings_in_z_mode() {
  Pair pair;
  pair.set_situation(pair.a, kNorth, false, Served::kPeer);
  pair.set_situation(pair.b, kNorth, false, Served::kHere);
  for (uint64_t i = 1; i <= 4; ++i) {
    pair.feed(pair.b, kNorth, echo(true));
    pair.synchronise();
    pair.feed(pair.a, kSouth, echo(false));
    pair.synchronise();
    CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
    CHECK_EQ(pair.count(pair.a, Counter::icd_sent), i);
    CHECK_EQ(pair.count(pair.b, Counter::icd_received), i);
  }
  CHECK_EQ(pair.states(pair.b), "AAA");
  CHECK_EQ(pair.states(pair.a), "WWA");
  CHECK_EQ(pair.sessions(pair.b)[0].wings[1].packets, 0u);
  CHECK_EQ(pair.sessions(pair.a)[0].wings[1].packets, 4u);
  CHECK_EQ(pair.sessions(pair.a)[0].wings[1].bytes, 4u * 528);
  CHECK_EQ(pair.drops(), 0u);
  // What begins a flow to it crosses, too, and the session is B's.
  pair.feed(pair.a, kSouth, udp_packet(kServer, kClient, 53, 7, Bytes(8)));
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
  CHECK_EQ(pair.sessions(pair.a).size(), 1u);
  CHECK_EQ(pair.sessions(pair.b).size(), 2u);
  // Down: by name. The backup may process it: here.
  pair.set_icd("down");
  pair.feed(pair.a, kSouth, echo(false));
  CHECK_EQ(pair.count(pair.a, DropReason::icd_down), 1u);
  pair.set_situation(pair.a, kNorth, false, Served::kPeer, true);
  pair.feed(pair.a, kSouth, echo(false));
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
  pair.set_icd("none");
  pair.set_situation(pair.a, kNorth, false, Served::kPeer);
  pair.feed(pair.a, kSouth, udp_packet(kServer, kClient, 53, 9, Bytes(8)));
  CHECK_EQ(pair.count(pair.a, DropReason::srg_backup), 1u);
}

void an_inspection_wants_both_directions() {
  Pair pair;
  establish(pair);
  SessionTable& table = pair.a.node->own_sessions(0);
  table.set_inspected(pair.sessions(pair.a)[0].ref, true);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 2u);
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
  table.set_inspected(pair.sessions(pair.a)[0].ref, false);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 2u);
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
}

void too_large_for_the_datapath() {
  Pair pair(1, "up", 1500);
  establish(pair);
  pair.set_situation(pair.a, kNorth, true, Served::kEither);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1460));
  auto pieces = pair.left(pair.b, kNorth);
  CHECK_EQ(pieces.size(), 2u);
  uint32_t payload = 0;
  for (const Bytes& piece : pieces) {
    CHECK(ipv4::checksum_verifies(piece.data()));
    CHECK_EQ(ipv4::fragment_offset_bytes(piece.data()), payload);
    payload += static_cast<uint32_t>(piece.size()) - ipv4::kHeaderBytes;
  }
  CHECK_EQ(payload, 1480u);
  CHECK_EQ(pair.count(pair.a, Counter::icd_sent), 3u);  // with the SYN-ACK
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1460, {64, ipv4::kDontFragment}));
  CHECK_EQ(pair.count(pair.a, DropReason::too_big), 1u);
  const auto errors = pair.left(pair.a, kSouth);
  CHECK_EQ(errors.size(), 1u);
  CHECK_EQ(load16(errors.at(0).data() + ipv4::kHeaderBytes + 6), 1460u);  // RFC 1191 §4: what would fit
}

// The two workers' sessions are where their owners look, whichever worker an ICD packet comes to.
void owners_on_other_workers_are_found() {
  Pair pair(3);
  for (uint16_t port = 1; port <= 40; ++port) {
    pair.feed(pair.b, kNorth, udp_packet(kClient, kServer, port, 53, Bytes(8)));
  }
  CHECK_EQ(pair.left(pair.b, kSouth).size(), 40u);
  pair.set_situation(pair.a, kNorth, true, Served::kEither);
  for (uint16_t port = 1; port <= 40; ++port) {
    pair.feed(pair.a, kSouth, udp_packet(kServer, kClient, 53, port, Bytes(8)));
  }
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 40u);
  CHECK_EQ(pair.sessions(pair.b).size(), 40u);  // the answers found theirs
  CHECK(pair.count(pair.b, Counter::handed_over) > 20);
  CHECK_EQ(pair.drops(), 0u);
}

// The client is behind a tunnel that both nodes have and B is active for.
struct TunnelPair : Pair {
  static constexpr uint32_t kAnchor = 2, kTunnel = 7, kSpi = 0x1001;
  uint32_t inbound[2], outbound[2];

  explicit TunnelPair() : Pair(3) {
    for (Member* member : {&a, &b}) {
      const unsigned at = member == &a ? 0 : 1;
      static const uint8_t key[36] = {1, 2, 3};
      std::string error;
      InboundSaOptions in;
      in.spi = kSpi;
      in.key = key;
      in.key_bytes = sizeof key;
      in.anchor = kAnchor;
      in.tunnel = kTunnel;
      inbound[at] = member->node->add_inbound_sa(in, error);
      OutboundSaOptions out;
      out.spi = kSpi + 1;
      out.key = key;
      out.key_bytes = sizeof key;
      out.anchor = kAnchor;
      out.tunnel = kTunnel;
      out.source = ip4(203, 0, 113, 100);
      out.destination = ip4(192, 168, 100, 133);
      out.node_id = static_cast<uint8_t>(1 + at);
      out.routing_instance = member->instance;
      outbound[at] = member->node->add_outbound_sa(out, error);
      CHECK_EQ(error, std::string());
      member->names.tunnels = TagMap({{0x777, kTunnel, kAnchor}});
    }
    ready = true;
    publish(a);
    publish(b);
  }
  void extra(Member& member) override {
    if (!ready) return;
    const unsigned at = &member == &a ? 0 : 1;
    NextHop next{NextHop::Kind::kTunnel, outbound[at], member.zone[kNorth], member.instance};
    next.situation = next_hop_situation(false, at == 0 ? Served::kPeer : Served::kHere, backup_serves);
    member.tables.route(kClient, 32, next, member.instance);
    member.tables.route(ip4(203, 0, 113, 100), 32, {NextHop::Kind::kLocal, 0}, member.instance);
    SpiTable::Entry entry{ip4(203, 0, 113, 100), kSpi, inbound[at], member.zone[kNorth], member.instance};
    entry.standby = at == 0 && !backup_serves;
    member.tables.spis = {entry};
  }
  bool ready = false;
  bool backup_serves = false;
};

void a_tunnel_is_sealed_where_it_is_active() {
  TunnelPair pair;
  pair.run(1);  // workers have the tables
  // The ping came to B by the tunnel.
  NewSession session;
  session.in = SessionKey::ipv4(kClient.v4_bytes(), kServer.v4_bytes(), 29, 29, protocol::kIcmp,
                                pair.b.instance, pair.b.zone[kNorth]);
  session.out = session.in.reversed(pair.b.instance, pair.b.zone[kSouth]);
  session.tunnel[0] = TunnelPair::kTunnel;
  CHECK(pair.b.node->own_sessions(TunnelPair::kAnchor).insert(session, pair.now).status ==
        InsertStatus::kInserted);
  pair.synchronise();
  CHECK_EQ(pair.states(pair.a), "WWW");
  pair.feed(pair.a, kSouth, echo(false));
  const auto sealed = pair.left(pair.b, kNorth);
  CHECK_EQ(sealed.size(), 1u);
  CHECK_EQ(ipv4::protocol(sealed.at(0).data()), protocol::kEsp);
  CHECK_EQ(pair.count(pair.b, Counter::esp_sealed), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::esp_sealed), 0u);
  CHECK_EQ(pair.sessions(pair.b).size(), 1u);
  CHECK_EQ(pair.states(pair.a), "WWA");
  CHECK_EQ(pair.states(pair.b), "AAA");
  // ESP that comes to the backup: by name, and with process-packet-on-backup it is looked at.
  const Bytes esp = ip_packet(ip4(192, 168, 100, 133), ip4(203, 0, 113, 100), protocol::kEsp, [] {
    Bytes packet(64);
    store32(packet.data(), TunnelPair::kSpi);
    store32(packet.data() + 4, 1);
    return packet;
  }());
  pair.feed(pair.a, kNorth, esp);
  CHECK_EQ(pair.count(pair.a, DropReason::srg_backup), 1u);
  pair.backup_serves = true;
  pair.publish(pair.a);
  pair.feed(pair.a, kNorth, esp);
  CHECK_EQ(pair.count(pair.a, DropReason::srg_backup), 1u);
  CHECK_EQ(pair.count(pair.a, DropReason::auth_failed), 1u);
  // Without a datapath such a backup seals by itself, as the reference's did.
  pair.set_icd("none");
  pair.feed(pair.a, kSouth, echo(false));
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
  CHECK_EQ(pair.count(pair.a, Counter::esp_sealed), 1u);
}

// What stands behind the UDP header of a packet that A would send.
Bytes meta(Pair& pair, const Bytes& inner, icd::Header header) {
  Bytes chunk(128 + inner.size());
  std::memcpy(chunk.data() + 128, inner.data(), inner.size());
  Frame frame{};
  frame.start = 128;
  frame.length = static_cast<uint16_t>(inner.size());
  CHECK(parse_ip(frame, chunk.data() + 128) == DropReason::kNone);
  icd::seal(frame, chunk.data() + 128, pair.a.icd.link, header, 1);
  return {chunk.begin() + frame.start + frame.l4 + udp::kHeaderBytes, chunk.end()};
}

void hostile_packets_are_dropped_by_name() {
  Pair pair;
  establish(pair);
  const Address from = pair.a.icd.link.local;
  const Address to = pair.b.icd.link.local;
  const icd::Header honest = {false, 1, Pair::kSouthTag, Pair::kInstanceTag};
  const Bytes inner = tcp_packet(false, kTcpAck, 3);
  const auto send = [&](const Bytes& payload, const Address& source, Ip4Options options = {}) {
    pair.feed(pair.b, kNorth, udp_packet(source, to, 50000, icd::kPort, payload, options));
  };
  send(meta(pair, inner, honest), from);
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);  // it is as good as one from there
  const uint64_t received = pair.count(pair.b, Counter::icd_received);

  send(meta(pair, inner, honest), ip4(192, 168, 100, 66));
  CHECK_EQ(pair.count(pair.b, DropReason::icd_stranger), 1u);
  Bytes forged = meta(pair, inner, honest);
  forged.back() ^= 1;
  send(forged, from);
  forged = meta(pair, inner, honest);
  forged[7] ^= 0x80;
  send(forged, from);
  CHECK_EQ(pair.count(pair.b, DropReason::icd_forged), 2u);
  send(meta(pair, inner, {false, 2, Pair::kSouthTag, Pair::kInstanceTag}), from);  // its own number
  send(meta(pair, inner, {false, 1, 0x99999, Pair::kInstanceTag}), from);
  send(meta(pair, inner, {false, 1, Pair::kSouthTag, 0x99999}), from);
  Bytes version = meta(pair, inner, honest);
  version[0] = static_cast<uint8_t>(version[0] ^ 0xe0);
  send(version, from);
  for (uint32_t length = 0; length < icd::kHeaderBytes; ++length) send(Bytes(length, 0x21), from);
  CHECK_EQ(pair.count(pair.b, DropReason::icd_header), 4u + icd::kHeaderBytes);
  // Authentic and nonsense: the inner packet is parsed like any other.
  Bytes lying = inner;
  lying[3] = static_cast<uint8_t>(lying[3] + 1);
  ipv4::set_checksum(lying.data());
  Bytes chunk(12);
  chunk[0] = 0x21;
  const uint64_t names = uint64_t{Pair::kSouthTag} << 20 | Pair::kInstanceTag;
  chunk[1] = static_cast<uint8_t>(names >> 32);
  store32(chunk.data() + 2, static_cast<uint32_t>(names));
  const uint64_t tag =
      icd::tag(pair.a.icd.link.key, chunk.data(), lying.data(), static_cast<uint32_t>(lying.size()));
  store16(chunk.data() + 6, static_cast<uint16_t>(tag >> 32));
  store32(chunk.data() + 8, static_cast<uint32_t>(tag));
  chunk.insert(chunk.end(), lying.begin(), lying.end());
  send(chunk, from);
  CHECK_EQ(pair.count(pair.b, DropReason::bad_ipv4), 1u);
  // One in another: what is for the node itself does not come this way.
  send(meta(pair, udp_packet(from, to, 1, icd::kPort, meta(pair, inner, honest)), honest), from);
  CHECK_EQ(pair.count(pair.b, DropReason::icd_again), 1u);
  send(meta(pair, tcp_packet(false, kTcpAck, 4), honest), from, {64, ipv4::kMoreFragments});
  CHECK_EQ(pair.count(pair.b, DropReason::fragment), 1u);
  CHECK_EQ(pair.count(pair.b, Counter::icd_received), received + 1);  // the one in another
  // A node without a datapath does not listen.
  pair.set_icd("none");
  send(meta(pair, inner, honest), from);
  CHECK_EQ(pair.count(pair.b, DropReason::unsupported), 1u);
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 0u);
  CHECK_EQ(pair.plane.frames_in_use(), 0u);
}

// An ICMP error goes the way of the flow that it quotes, and takes nothing.
void errors_follow_their_flow() {
  Pair pair;
  send_syn(pair);
  Bytes message(icmp::kHeaderBytes);
  message[0] = 3;
  message[1] = 1;
  const Bytes quoted = tcp_packet(true, kTcpSyn);
  message.insert(message.end(), quoted.begin(), quoted.end());
  checksum::store_raw(message.data() + 2,
                      checksum::finish(checksum::add_bytes(0, message.data(), message.size())));
  pair.feed(pair.a, kSouth, ip_packet(ip4(10, 177, 0, 9), kClient, protocol::kIcmp, message));
  CHECK_EQ(pair.states(pair.a), "WWW");
  CHECK_EQ(pair.left(pair.a, kNorth).size(), 1u);
  pair.set_situation(pair.a, kNorth, true, Served::kEither);
  pair.feed(pair.a, kSouth, ip_packet(ip4(10, 177, 0, 9), kClient, protocol::kIcmp, message));
  CHECK_EQ(pair.states(pair.a), "WWW");
  CHECK_EQ(pair.left(pair.b, kNorth).size(), 1u);
}

void a_wing_goes_back_and_forth() {
  Pair pair;
  establish(pair);
  pair.feed(pair.a, kSouth, tcp_packet(false, kTcpAck, 1));
  pair.synchronise();
  // The answers come to B now: all of the session is there.
  pair.feed(pair.b, kSouth, tcp_packet(false, kTcpAck, 1));
  CHECK_EQ(pair.states(pair.b), "AAA");
  pair.synchronise();
  CHECK_EQ(pair.states(pair.a), "WWW");
  CHECK_EQ(pair.drops(), 0u);
}

}  // namespace

int main() {
  RUN(set_up_crosses_once_and_not_again);
  RUN(without_the_copy_it_is_no_first_packet);
  RUN(a_datapath_that_is_down_drops_by_name);
  RUN(established_flows_pass_a_datapath_that_is_down);
  RUN(a_pair_without_a_datapath_forwards_locally);
  RUN(a_node_that_is_alone_forwards_locally);
  RUN(a_way_out_that_fails_and_comes_back);
  RUN(a_route_that_is_gone);
  RUN(pings_in_z_mode);
  RUN(an_inspection_wants_both_directions);
  RUN(too_large_for_the_datapath);
  RUN(owners_on_other_workers_are_found);
  RUN(a_tunnel_is_sealed_where_it_is_active);
  RUN(hostile_packets_are_dropped_by_name);
  RUN(errors_follow_their_flow);
  RUN(a_wing_goes_back_and_forth);
  FINISH();
}
