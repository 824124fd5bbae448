// Virtual services on several workers: whatever worker a packet comes in on, its flow has one member and one
// place in the flow memory; fragments go where their first one goes; weights mean what they say; a too narrow
// tunnel cuts what may be cut.
#include <algorithm>
#include <map>

#include "chash/build.h"
#include "check.h"
#include "lab.h"
#include "node/fragment_memory.h"
#include "packet/fragment.h"
#include "packet/ipv6.h"
#include "packet/parse.h"

using namespace penstock;

namespace {

constexpr uint8_t kRouterMac[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

std::shared_ptr<const Table> table_of(const std::vector<uint16_t>& slots, uint32_t members) {
  auto made = Table::make(slots.data(), static_cast<uint32_t>(slots.size()), members,
                          FlowHasher(HashFunction::kXxh64, 7), 0);
  const auto deleter = made.get_deleter();
  return {made.release(), [deleter](const Table* t) { deleter(const_cast<Table*>(t)); }};
}

struct Packet {
  std::vector<uint8_t> bytes;  // IP
  uint8_t member;              // last byte of the frame's destination
};

// A balancer with `members` real services, between wires whose other ends the test holds.
struct ServiceLab : Lab {
  const uint32_t members;
  const bool v4;
  Forwarder& router;
  std::shared_ptr<MemoryWire> wires[2];
  std::vector<std::unique_ptr<Port>> ends[2];
  Build tables;
  std::vector<uint32_t> neighbours;

  static ForwarderOptions options() {
    ForwarderOptions made;
    made.flow_limit = 4096;
    return made;
  }
  ServiceLab(uint32_t workers, uint32_t count, bool is_v4, uint32_t most_workers = 0)
      : Lab(workers, 2048, most_workers), members(count), v4(is_v4), router(forwarder("lb", options())) {
    for (uint32_t side = 0; side < 2; ++side) {
      wires[side] = std::make_shared<MemoryWire>(512, plane.most_workers());
      std::vector<std::unique_ptr<Port>> ports;
      for (uint32_t w = 0; w < workers; ++w) {
        ports.push_back(MemoryWire::end(wires[side], 0, w));
      }
      for (uint32_t w = 0; w < plane.most_workers(); ++w) {
        ends[side].push_back(MemoryWire::end(wires[side], 1, w));
      }
      router.add_port(std::move(ports));
    }
    tables.interface(0, 1, {ip4(10, 1, 0, 254), ip6(1, 0xfffe)}, 1500);
    tables.interface(1, 2, {ip4(10, 2, 0, 254), ip6(2, 0xfffe)}, 1500);
    tables.filters->filters.push_back({{{{}, {}, {}, FilterTable::Action::kReturn, 0, kNoIndex}}});
    tables.interfaces->interfaces[1].filter_v4 = tables.interfaces->interfaces[1].filter_v6 = 0;
    publish_interfaces();
    for (uint32_t m = 0; m < members; ++m)
      neighbours.push_back(learned(1, real(m), static_cast<uint8_t>(0x20 + m)));
    const uint32_t upstream = learned(0, v4 ? ip4(10, 1, 0, 1) : ip6(1, 1), 0x11);
    tables.route(v4 ? ip4(192, 0, 0, 0) : ip6(0xc, 0), v4 ? 8 : 48, {NextHop::Kind::kNeighbour, upstream});
    tables.route(service(), v4 ? 32 : 128, {NextHop::Kind::kGroup, 0});
  }
  void publish_interfaces() {
    tables.interfaces->index_ports(router.ports());
    Tables parts;
    parts.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
    parts.filters = std::make_shared<FilterTable>(*tables.filters);
    router.publish(parts);
  }
  uint32_t learned(uint16_t interface, const Address& address, uint8_t last) {
    const uint32_t index = router.neighbour(interface, address);
    const uint8_t mac[6] = {2, 0, 0, 0, 0, last};
    router.neighbours().learn(index, mac, ~0ull >> 2);
    return index;
  }
  Address client(uint32_t n) const {
    return v4 ? ip4(192, 0, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n))
              : ip6(0xc, static_cast<uint16_t>(n));
  }
  Address service() const { return v4 ? ip4(203, 0, 113, 1) : ip6(5, 1); }
  Address real(uint32_t m) const {
    return v4 ? ip4(10, 2, 0, static_cast<uint8_t>(10 + m)) : ip6(2, static_cast<uint16_t>(10 + m));
  }

  void publish(HashKey key, const std::vector<uint16_t>& slots, ForwardingMode mode, bool remembers) {
    GroupTable::Group group{key, table_of(slots, members), {}, nullptr};
    auto made = std::make_shared<VirtualService>();
    made->address = service();
    made->remembers = remembers;
    for (uint32_t m = 0; m < members; ++m) {
      group.members.push_back({neighbours[m], m});
      VirtualService::Member member;
      member.mode = mode;
      member.id = 1000 + m;
      member.address = real(m);
      member.tunnel = {Encapsulation::Kind::kIpIp, v4 ? ip4(10, 2, 0, 254) : ip6(2, 0xfffe), real(m)};
      made->members.push_back(member);
    }
    made->index_members();
    if (mode != ForwardingMode::kDirect || remembers) group.service = made;
    tables.groups = std::make_shared<GroupTable>();
    tables.groups->groups.push_back(group);
    tables.publish(router);
  }

  // A UDP datagram; `fragment`: 0 whole, 1 a first fragment, 2 the later one of the same.
  std::vector<uint8_t> udp(const Address& from, uint16_t from_port, const Address& to, uint16_t to_port,
                           uint32_t payload, int fragment = 0, uint32_t identification = 0,
                           bool dont_fragment = false) const {
    const uint32_t ip_bytes = (v4 ? 20u : 40u) + (fragment != 0 && !v4 ? 8 : 0);
    const uint32_t body = fragment == 2 ? payload : udp::kHeaderBytes + payload;
    std::vector<uint8_t> packet(ip_bytes + body, 0x5a);
    if (v4) {
      ipv4::Fields fields;
      fields.total_length = ip_bytes + body;
      fields.identification = static_cast<uint16_t>(identification);
      fields.fragment = fragment == 1   ? ipv4::kMoreFragments
                        : fragment == 2 ? 100
                        : dont_fragment ? ipv4::kDontFragment
                                        : uint16_t{0};
      fields.protocol = protocol::kUdp;
      ipv4::write(packet.data(), fields, from.v4_bytes(), to.v4_bytes());
    } else {
      ipv6::write(packet.data(),
                  {.payload_length = ip_bytes - 40 + body,
                   .next_header = fragment != 0 ? protocol::kFragment : protocol::kUdp},
                  from.bytes(), to.bytes());
      if (fragment != 0) {
        uint8_t* header = packet.data() + 40;
        header[0] = protocol::kUdp;
        header[1] = 0;
        store16(header + 2, fragment == 1 ? 1 : 800);
        store32(header + 4, identification);
      }
    }
    if (fragment != 2) udp::write(packet.data() + ip_bytes, from_port, to_port, udp::kHeaderBytes + payload);
    return packet;
  }

  void send(uint32_t side, uint32_t worker, const std::vector<uint8_t>& packet) {
    FrameIndex index;
    CHECK_EQ(plane.cache(worker).allocate(&index, 1), 1u);
    uint8_t* at = plane.pool().data(index);
    const uint8_t from[6] = {2, 0, 0, 0, 0, 9};
    ethernet::write(at, kRouterMac[side], from, v4 ? ethernet::kTypeIpv4 : ethernet::kTypeIpv6);
    std::memcpy(at + 14, packet.data(), packet.size());
    plane.pool().frame(index).length = static_cast<uint16_t>(14 + packet.size());
    CHECK_EQ(ends[side][worker]->transmit(plane.cache(worker), &index, 1), 1u);
  }
  // What left on a side since, in the order of the workers.
  std::vector<Packet> left(uint32_t side) {
    std::vector<Packet> all;
    run(4);
    for (uint32_t w = 0; w < plane.workers(); ++w) {
      FrameIndex frames[64];
      while (const uint32_t count = ends[side][w]->receive(plane.cache(w), now, frames, 64)) {
        for (uint32_t i = 0; i < count; ++i) {
          const Frame& frame = plane.pool().frame(frames[i]);
          const uint8_t* at = plane.pool().data(frames[i]);
          if (at[12] == 8 && at[13] == 6) continue;                           // ARP
          if (!v4 && at[20] == protocol::kIcmpv6 && at[54] >= 133) continue;  // neighbour discovery
          all.push_back({{at + 14, at + frame.length}, at[5]});
        }
        plane.cache(w).free(frames, count);
      }
    }
    return all;
  }
  Address source_of(const Packet& packet) const {
    return v4 ? Address::v4(packet.bytes.data() + 12) : Address::v6(packet.bytes.data() + 8);
  }
  uint32_t remembered() const {
    uint32_t sum = 0;
    for (uint32_t w = 0; w < const_cast<Plane&>(plane).workers(); ++w) sum += router.flows(w)->size();
    return sum;
  }
};

std::vector<uint16_t> in_turn(uint32_t members, uint32_t size = 256) {
  std::vector<uint16_t> slots(size);
  for (uint32_t i = 0; i < size; ++i) slots[i] = static_cast<uint16_t>(i % members);
  return slots;
}

// Both directions of a flow come in on any worker: remembered once, and translated back.
void flows_have_one_owner(uint32_t workers, bool v4) {
  ServiceLab lab(workers, 4, v4);
  lab.publish(HashKey::kFiveTuple, in_turn(4), ForwardingMode::kTranslate, true);
  constexpr uint32_t kFlows = 100;
  std::map<uint32_t, uint8_t> member;
  for (uint32_t round = 0; round < 3; ++round) {
    // The table turns round: what is remembered stays.
    if (round == 2) {
      auto slots = in_turn(4);
      std::reverse(slots.begin(), slots.end());
      lab.publish(HashKey::kFiveTuple, slots, ForwardingMode::kTranslate, true);
    }
    for (uint32_t n = 0; n < kFlows; ++n) {
      lab.send(0, (n + round) % workers,
               lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 32));
    }
    const auto out = lab.left(1);
    CHECK_EQ(out.size(), static_cast<size_t>(kFlows));
    for (const Packet& packet : out) {
      const uint32_t n = packet.bytes[v4 ? 15 : 23];
      if (round == 0) member[n] = packet.member;
      CHECK_EQ(packet.member, member[n]);
      const uint8_t* to = packet.bytes.data() + (v4 ? 16 : 24);
      CHECK((v4 ? Address::v4(to) : Address::v6(to)) == lab.real(packet.member - 0x20u));
    }
    CHECK_EQ(lab.remembered(), kFlows);
  }
  for (uint32_t n = 0; n < kFlows; ++n) {
    lab.send(1, n % workers,
             lab.udp(lab.real(member[n] - 0x20u), 53, lab.client(n), static_cast<uint16_t>(1000 + n), 40));
  }
  const auto back = lab.left(0);
  CHECK_EQ(back.size(), static_cast<size_t>(kFlows));
  for (const Packet& packet : back) CHECK(lab.source_of(packet) == lab.service());
  CHECK_EQ(lab.router.total(Counter::translated_back), static_cast<uint64_t>(kFlows));
  if (workers > 1) CHECK(lab.router.total(Counter::handed_over) > kFlows / 2);
  CHECK_EQ(lab.router.total(Counter::handed_over), lab.router.total(Counter::taken_over));
  lab.run(2);
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
  // Nobody sends any more: all are forgotten, by the time that next_deadline() says.
  for (uint32_t i = 0; i < 200 && lab.remembered() > 0; ++i) {
    lab.now = std::max(lab.now + 1'000'000'000, lab.now);
    lab.plane.step(lab.now);
  }
  CHECK_EQ(lab.remembered(), 0u);
  CHECK_EQ(lab.router.total(Counter::flows_forgotten), static_cast<uint64_t>(kFlows));
}

// More workers than before: what is remembered goes along, and so do fragments' ports.
void flows_move_to_further_workers(bool v4) {
  ServiceLab lab(1, 4, v4, 3);
  lab.publish(HashKey::kFiveTuple, in_turn(4), ForwardingMode::kTranslate, true);
  constexpr uint32_t kFlows = 200;
  const auto send_all = [&](uint32_t workers) {
    for (uint32_t n = 0; n < kFlows; ++n) {
      lab.send(0, n % workers,
               lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 32));
    }
    return lab.left(1);
  };
  std::map<uint32_t, uint8_t> member;
  for (const Packet& packet : send_all(1)) member[packet.bytes[v4 ? 15 : 23]] = packet.member;
  CHECK_EQ(member.size(), static_cast<size_t>(kFlows));
  for (uint32_t n = 0; n < 50; ++n) {
    lab.send(0, 0,
             lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 800, 1, 70'000 + n));
  }
  CHECK_EQ(lab.left(1).size(), 50u);
  CHECK_EQ(lab.plane.grow(3), std::string());
  lab.plane.spread_flows();
  for (uint32_t n = 0; n < kFlows; ++n) {  // some before, some behind what moves
    lab.send(0, n % 3, lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 32));
    if (n % 20 == 0) lab.run(1);
  }
  const auto meanwhile = lab.left(1);
  CHECK_EQ(meanwhile.size(), static_cast<size_t>(kFlows));
  for (const Packet& packet : meanwhile) CHECK_EQ(packet.member, member[packet.bytes[v4 ? 15 : 23]]);
  CHECK(!lab.plane.flows_moving());
  for (uint32_t w = 0; w < 3; ++w) CHECK(lab.router.flows(w)->size() > kFlows / 5);
  CHECK_EQ(lab.remembered(), kFlows);
  CHECK_EQ(lab.router.total(Counter::flows_remembered), static_cast<uint64_t>(kFlows));
  for (uint32_t n = 0; n < 50; ++n) {  // of datagrams that had begun before
    lab.send(0, n % 3,
             lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 800, 2, 70'000 + n));
  }
  CHECK_EQ(lab.left(1).size(), 50u);
  CHECK_EQ(lab.router.total(Counter::fragment), 0u);
  // The table turns round: who was forgotten would go elsewhere.
  auto slots = in_turn(4);
  std::reverse(slots.begin(), slots.end());
  lab.publish(HashKey::kFiveTuple, slots, ForwardingMode::kTranslate, true);
  for (const Packet& packet : send_all(3)) CHECK_EQ(packet.member, member[packet.bytes[v4 ? 15 : 23]]);
  for (uint32_t n = 0; n < kFlows; ++n) {
    lab.send(1, n % 3,
             lab.udp(lab.real(member[n] - 0x20u), 53, lab.client(n), static_cast<uint16_t>(1000 + n), 40));
  }
  const auto back = lab.left(0);
  CHECK_EQ(back.size(), static_cast<size_t>(kFlows));
  for (const Packet& packet : back) CHECK(lab.source_of(packet) == lab.service());
  lab.run(2);
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
  CHECK_EQ(lab.router.total(Counter::handed_over), lab.router.total(Counter::taken_over));
}
void flows_move_v4() {
  flows_move_to_further_workers(true);
}
void flows_move_v6() {
  flows_move_to_further_workers(false);
}

// With port keys: a first fragment goes as its flow, the later ones go with it, and one of a datagram that
// was not seen is dropped by name. With address keys nothing is asked.
void fragments_go_together(uint32_t workers, bool v4, ForwardingMode mode) {
  ServiceLab lab(workers, 8, v4);
  lab.publish(HashKey::kFiveTuple, in_turn(8), mode, false);
  std::map<uint32_t, uint8_t> member;
  for (uint32_t n = 0; n < 60; ++n) {
    lab.send(0, n % workers, lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 32));
  }
  const size_t inner = mode != ForwardingMode::kEncapsulate ? 0 : v4 ? 20 : 40;
  const size_t at = inner + (v4 ? 15 : 23);
  for (const Packet& packet : lab.left(1)) member[packet.bytes[at]] = packet.member;
  CHECK_EQ(member.size(), 60u);
  for (const int fragment : {1, 2}) {
    for (uint32_t n = 0; n < 60; ++n) {
      lab.send(0, (n + 1) % workers,
               lab.udp(lab.client(n), static_cast<uint16_t>(1000 + n), lab.service(), 53, 800, fragment,
                       70'000 + n));
    }
    const auto out = lab.left(1);
    CHECK_EQ(out.size(), 60u);
    for (const Packet& packet : out) CHECK_EQ(packet.member, member[packet.bytes[at]]);
  }
  lab.send(0, 0, lab.udp(lab.client(7), 1007, lab.service(), 53, 800, 2, 99));
  CHECK_EQ(lab.left(1).size(), 0u);
  CHECK_EQ(lab.router.total(Counter::fragment), 1u);
  lab.publish(HashKey::kSourceIp, in_turn(8), mode, false);
  lab.send(0, 0, lab.udp(lab.client(7), 1007, lab.service(), 53, 800, 2, 99));
  CHECK_EQ(lab.left(1).size(), 1u);
  lab.run(2);
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
}

void on_one_worker() {
  for (const bool v4 : {true, false}) {
    flows_have_one_owner(1, v4);
    for (const auto mode :
         {ForwardingMode::kDirect, ForwardingMode::kEncapsulate, ForwardingMode::kTranslate}) {
      fragments_go_together(1, v4, mode);
    }
  }
}
void on_three_workers() {
  for (const bool v4 : {true, false}) {
    flows_have_one_owner(3, v4);
    for (const auto mode :
         {ForwardingMode::kDirect, ForwardingMode::kEncapsulate, ForwardingMode::kTranslate}) {
      fragments_go_together(3, v4, mode);
    }
  }
}

// 1:10 is 1:10: exactly in the slots, and over packets of many clients as closely as chance allows.
void weights_mean_what_they_say() {
  for (const bool v4 : {true, false}) {
    ServiceLab lab(1, 2, v4);
    TableInput input;
    input.members = {{"a", 1}, {"b", 10}};
    input.hasher = FlowHasher(HashFunction::kXxh64, 7);
    input.size = 1100;
    const std::vector<uint16_t> slots = build_table(input).slots;
    CHECK_EQ(std::count(slots.begin(), slots.end(), 0), 100);
    CHECK_EQ(std::count(slots.begin(), slots.end(), 1), 1000);
    lab.publish(HashKey::kSourceIp, slots, ForwardingMode::kDirect, true);
    uint32_t count[2] = {0, 0};
    for (uint32_t n = 0; n < 3300; ++n) {
      lab.send(0, 0, lab.udp(lab.client(n), 1000, lab.service(), 53, 8));
      if (n % 100 != 99) continue;
      for (const Packet& packet : lab.left(1)) ++count[packet.member - 0x20];
    }
    CHECK_EQ(count[0] + count[1], 3300u);
    CHECK(count[0] > 300 - 70 && count[0] < 300 + 70);  // four standard deviations of a binomial
  }
}

// Too big for the tunnel: cut where that may be, refused where not, and every byte arrives.
void tunnels_cut_what_may_be_cut() {
  ServiceLab lab(1, 1, true);
  lab.publish(HashKey::kSourceIp, in_turn(1), ForwardingMode::kEncapsulate, false);
  const auto whole = lab.udp(lab.client(1), 1, lab.service(), 2, 1472);
  lab.send(0, 0, whole);
  const auto pieces = lab.left(1);
  CHECK_EQ(pieces.size(), 2u);
  std::vector<uint8_t> payload;
  for (const Packet& piece : pieces) {
    CHECK(piece.bytes.size() <= 1500);
    CHECK_EQ(ipv4::protocol(piece.bytes.data()), protocol::kIpv4);
    CHECK(ipv4::checksum_verifies(piece.bytes.data() + 20));
    CHECK_EQ(ipv4::fragment_word(piece.bytes.data()), 0u);
    payload.insert(payload.end(), piece.bytes.begin() + 40, piece.bytes.end());
  }
  CHECK(payload == std::vector<uint8_t>(whole.begin() + 20, whole.end()));
  CHECK(ipv4::identification(pieces[0].bytes.data()) != ipv4::identification(pieces[1].bytes.data()));
  lab.send(0, 0, lab.udp(lab.client(1), 1, lab.service(), 2, 1472, 0, 0, true));
  CHECK_EQ(lab.left(1).size(), 0u);
  CHECK_EQ(lab.left(0).size(), 1u);
  CHECK_EQ(lab.router.total(Counter::too_big_sent), 1u);
}

void return_tables() {
  const Address a = ip4(10, 0, 0, 1);
  const ReturnTable table = ReturnTable::build({{a, 0, 80, 6, false, false, false, ip4(1, 1, 1, 1), 8080},
                                                {a, 0, 80, 6, false, false, false, ip4(1, 1, 1, 1), 8080},
                                                {a, 1, 80, 6, false, true, false, ip4(1, 1, 1, 1), 8080},
                                                {a, 1, 80, 6, false, false, false, ip4(1, 1, 1, 2), 8080},
                                                {a, 0, 0, 0, true, false, false, ip4(1, 1, 1, 1), 0}});
  CHECK(table.find(0, a, 6, 80) != nullptr && !table.find(0, a, 6, 80)->ambiguous);
  CHECK(table.find(1, a, 6, 80)->ambiguous && table.find(1, a, 6, 80)->remembered);
  CHECK(table.find(0, a, 0, 0)->everything);
  CHECK(table.find(0, a, 17, 80) == nullptr && table.find(0, ip4(10, 0, 0, 2), 6, 80) == nullptr);
  CHECK(ReturnTable::build({}).find(0, a, 6, 80) == nullptr);
}

void fragment_memory_forgets() {
  FragmentMemory memory;
  const FragmentMemory::Key key{ip4(1, 0, 0, 1), ip4(2, 0, 0, 2), 7, 17};
  memory.put(key, {1, 2, 17}, 1000);
  CHECK(memory.get(key, 1000) != nullptr && memory.get(key, 1000)->source == 1);
  memory.put(key, {3, 2, 17}, 2000);
  CHECK_EQ(memory.get(key, 2000)->source, 3u);
  CHECK(memory.get(key, 2000 + FragmentMemory::kLifetimeNs) == nullptr);
  auto other = key;
  other.identification = 8;
  CHECK(memory.get(other, 2000) == nullptr);
  // However many there are, the newest is known.
  for (uint32_t i = 0; i < 10'000; ++i) {
    other.identification = i;
    memory.put(other, {static_cast<uint16_t>(i), 2, 17}, 3000 + i);
    CHECK_EQ(memory.get(other, 3000 + i)->source, static_cast<uint16_t>(i));
  }
}

}  // namespace

int main() {
  RUN(return_tables);
  RUN(fragment_memory_forgets);
  RUN(on_one_worker);
  RUN(on_three_workers);
  RUN(flows_move_v4);
  RUN(flows_move_v6);
  RUN(weights_mean_what_they_say);
  RUN(tunnels_cut_what_may_be_cut);
  FINISH();
}
