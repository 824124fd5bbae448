// Two gateways of a pair in virtual time, with wires that tests feed and read packet by packet:
//
//        north A ── port 0  A  port 1 ── south A
//                       port 2
//                         │  ICD
//                       port 2
//        north B ── port 0  B  port 1 ── south B
//
// Zones and routing instances have other numbers on B than on A: only their names mean the same. The
// interchassis link is played here: what one node says of its sessions, the other hears.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "json.h"
#include "lab.h"
#include "packet/ethernet.h"
#include "packet/icmp.h"
#include "packet/ipv4.h"
#include "packet/parse.h"
#include "packet/tcp.h"
#include "packet/udp.h"

namespace penstock {

using Bytes = std::vector<uint8_t>;

inline const Address kClient = ip4(192, 168, 100, 33);
inline const Address kServer = ip4(10, 177, 177, 77);

struct Ip4Options {
  uint8_t ttl = 64;
  uint16_t fragment = 0;
};

inline Bytes ip_packet(const Address& from, const Address& to, uint8_t protocol, const Bytes& payload,
                       Ip4Options options = {}) {
  Bytes packet(ipv4::kHeaderBytes + payload.size());
  ipv4::write(packet.data(),
              {.total_length = static_cast<uint32_t>(packet.size()),
               .fragment = options.fragment,
               .ttl = options.ttl,
               .protocol = protocol},
              from.v4_bytes(), to.v4_bytes());
  std::memcpy(packet.data() + ipv4::kHeaderBytes, payload.data(), payload.size());
  return packet;
}

inline Bytes tcp_packet(bool from_client, uint8_t flags, uint32_t payload = 0, Ip4Options options = {}) {
  Bytes segment(tcp::kHeaderBytes + payload);
  store16(segment.data(), from_client ? 13623 : 22);
  store16(segment.data() + 2, from_client ? 22 : 13623);
  segment[tcp::kDataOffset] = 0x50;
  segment[tcp::kFlags] = flags;
  return from_client ? ip_packet(kClient, kServer, protocol::kTcp, segment, options)
                     : ip_packet(kServer, kClient, protocol::kTcp, segment, options);
}

inline Bytes udp_packet(const Address& from, const Address& to, uint16_t source, uint16_t destination,
                        const Bytes& payload, Ip4Options options = {}) {
  Bytes datagram(udp::kHeaderBytes + payload.size());
  udp::write(datagram.data(), source, destination, static_cast<uint32_t>(datagram.size()));
  if (!payload.empty()) std::memcpy(datagram.data() + udp::kHeaderBytes, payload.data(), payload.size());
  return ip_packet(from, to, protocol::kUdp, datagram, options);
}

struct Pair : Lab {
  enum Side : uint16_t { kNorth, kSouth, kIcd };
  static constexpr uint32_t kNorthTag = 0x11111, kSouthTag = 0x22222, kInstanceTag = 0x33333;

  struct Member {
    Forwarder* node = nullptr;
    Build tables;
    IcdTable icd;
    SyncTable names;
    std::array<std::vector<std::unique_ptr<Port>>, 2> outside;  // north, south, by worker: fed and read
    std::array<uint16_t, 2> zone{};                             // of north, south
    uint16_t instance = 0;
    std::array<uint16_t, 2> situation{};  // of the next hops there
  };
  Member a, b;

  explicit Pair(uint32_t workers = 1, const char* icd = "up", uint16_t icd_mtu = 1540) : Lab(workers) {
    a.node = &forwarder("A");
    b.node = &forwarder("B");
    for (Member* member : {&a, &b}) {
      for (auto& side : member->outside) {
        auto wire = std::make_shared<MemoryWire>(64, workers);
        std::vector<std::unique_ptr<Port>> ports;
        for (uint32_t w = 0; w < workers; ++w) ports.push_back(MemoryWire::end(wire, 0, w));
        member->node->add_port(std::move(ports));
        for (uint32_t w = 0; w < workers; ++w) side.push_back(MemoryWire::end(wire, 1, w));
      }
    }
    wire(*a.node, *b.node);
    prepare(a, 1, icd_mtu, {1, 2}, 0);
    prepare(b, 2, icd_mtu, {5, 4}, 3);
    set_icd(icd);
    for (Member* member : {&a, &b}) member->node->sync_start(false);
    synchronise();
  }

  void prepare(Member& member, uint8_t id, uint16_t icd_mtu, std::array<uint16_t, 2> zones,
               uint16_t instance) {
    member.zone = zones;
    member.instance = instance;
    Build& tables = member.tables;
    const auto low = static_cast<uint8_t>(8 + id);
    tables.interface(0, 0x10, {ip4(192, 168, 98, low)}, 1500, zones[0]);
    tables.interface(1, 0x11, {ip4(192, 168, 251, low)}, 1500, zones[1]);
    tables.interface(2, 0x12, {ip4(100, 64, 10, low)}, icd_mtu, 6);
    for (auto& interface : tables.interfaces->interfaces) interface.routing_instance = instance;
    tables.flow->sessions = true;
    tables.policies->default_permit = true;
    member.icd.configured = true;
    icd::Link& link = member.icd.link;
    link.local = ip4(100, 64, 10, low);
    link.peer = ip4(100, 64, 10, static_cast<uint8_t>(19 - low));
    link.local_id = id;
    link.peer_id = static_cast<uint8_t>(3 - id);
    // Each sends by a key of its own; the peer's has changed.
    link.key = {{0x0123456789abcdef, id}};
    link.peer_keys = {icd::Key{{7, 7}}, icd::Key{{0x0123456789abcdef, link.peer_id}}};
    link.peer_key_count = 2;
    member.icd.routing_instance = instance;
    member.icd.mtu = icd_mtu;
    member.names.zones = TagMap({{kNorthTag, zones[0]}, {kSouthTag, zones[1]}});
    member.names.instances = TagMap({{kInstanceTag, instance}});
    member.names.icmp = true;
    publish(member);
    learn(member, kNorth, ip4(192, 168, 98, 1));
    learn(member, kSouth, ip4(192, 168, 251, 1));
    learn(member, kIcd, member.icd.link.peer);
  }

  void publish(Member& member) {
    Build& tables = member.tables;
    tables.interfaces->index_ports(member.node->ports());
    Tables first;
    first.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
    member.node->publish(first);
    tables.routes.clear();
    tables.next_hops.clear();
    const auto via = [&](Side side, const Address& address) {
      NextHop next{NextHop::Kind::kNeighbour, member.node->neighbour(side, address)};
      if (side != kIcd) next.situation = member.situation[side];
      return next;
    };
    tables.route(ip4(192, 168, 100, 0), 24, via(kNorth, ip4(192, 168, 98, 1)), member.instance);
    tables.route(ip4(10, 177, 0, 0), 16, via(kSouth, ip4(192, 168, 251, 1)), member.instance);
    tables.route(member.icd.link.peer, 32, via(kIcd, member.icd.link.peer), member.instance);
    for (const auto& interface : tables.interfaces->interfaces) {
      tables.route(interface.addresses[0], 32, {NextHop::Kind::kLocal, 0}, member.instance);
    }
    extra(member);
    tables.publish(*member.node);
    Tables parts;
    parts.icd = std::make_shared<IcdTable>(member.icd);
    parts.sync = std::make_shared<SyncTable>(member.names);
    member.node->publish(parts);
  }
  virtual void extra(Member&) {}
  virtual ~Pair() = default;

  void learn(Member& member, Side side, const Address& address) {
    const uint8_t mac[6] = {2, 0, 0, 0, 0, static_cast<uint8_t>(side == kIcd ? 0x12 : 9)};
    member.node->neighbours().learn(member.node->neighbour(side, address), mac, ~0ull >> 2);
  }

  // none, up, down or alone: the tables that src/ha/icd.ts made.
  void set_icd(const std::string& state) {
    static const json::Value golden = json::read_file(PENSTOCK_VECTORS "/icd-golden.json");
    const std::string& hex = golden["tables"][state].text;
    for (Member* member : {&a, &b}) {
      for (size_t i = 0; i < member->icd.verdicts.size(); ++i) {
        member->icd.verdicts[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
      }
      member->icd.configured = state != "none";
      publish(*member);
    }
  }
  void set_situation(Member& member, Side side, bool egress_gone, Served served, bool backup_serves = false) {
    member.situation[side] = next_hop_situation(egress_gone, served, backup_serves);
    publish(member);
  }

  void feed(Member& member, Side side, const Bytes& packet) {
    FrameCache& cache = plane.cache(0);
    FrameIndex index;
    CHECK_EQ(cache.allocate(&index, 1), 1u);
    uint8_t* at = plane.pool().data(index);
    const uint8_t to[6] = {2, 0, 0, 0, 0, static_cast<uint8_t>(0x10 + side)};
    const uint8_t from[6] = {2, 0, 0, 0, 0, 9};
    ethernet::write(at, to, from, ethernet::kTypeIpv4);
    std::memcpy(at + 14, packet.data(), packet.size());
    plane.pool().frame(index).length = static_cast<uint16_t>(14 + packet.size());
    CHECK_EQ(member.outside[side][0]->transmit(cache, &index, 1), 1u);
    run(3);
  }
  // What left there since it was last looked at, without link headers; ARP is passed over.
  std::vector<Bytes> left(Member& member, Side side) {
    std::vector<Bytes> packets;
    FrameIndex frames[16];
    FrameCache& cache = plane.cache(0);
    for (const auto& port : member.outside[side]) {
      while (const uint32_t count = port->receive(cache, now, frames, 16)) {
        for (uint32_t i = 0; i < count; ++i) {
          const uint8_t* at = plane.pool().data(frames[i]);
          if (load16(at + ethernet::kType) == ethernet::kTypeIpv4) {
            packets.emplace_back(at + 14, at + plane.pool().frame(frames[i]).length);
          }
        }
        cache.free(frames, count);
      }
    }
    return packets;
  }

  std::vector<SessionInfo> sessions(const Member& member) {
    std::vector<SessionInfo> all;
    for (uint32_t w = 0; w < plane.workers(); ++w) {
      SessionInfo infos[64];
      uint32_t cursor = 0;
      while (cursor != kNoSession) {
        const unsigned count = member.node->sessions(w).read(&cursor, infos, 64, now);
        all.insert(all.end(), infos, infos + count);
      }
    }
    return all;
  }
  // What the nodes tell each other of their sessions, until there is nothing more to tell.
  void synchronise() {
    std::vector<uint8_t> block(16384);
    for (int turn = 0; turn < 4; ++turn) {
      run(1);
      for (const auto& [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
        while (const uint32_t bytes = from->node->sync_pull(block.data(), 16384)) {
          CHECK(to->node->sync_apply(block.data(), bytes) == Forwarder::SyncApplied::kApplied);
        }
      }
    }
  }
  uint64_t count(const Member& member, Counter counter) { return member.node->total(counter); }
  uint64_t count(const Member& member, DropReason reason) {
    return member.node->total(static_cast<Counter>(reason));
  }
  // "session in/out": A(ctive) or W(arm) each.
  std::string states(const Member& member) {
    std::string text;
    for (const SessionInfo& session : sessions(member)) {
      for (const HaState state : {session.ha, session.wings[0].ha, session.wings[1].ha}) {
        text += state == HaState::kActive ? 'A' : 'W';
      }
    }
    return text;
  }
};

}  // namespace penstock
