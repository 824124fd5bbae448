// publish(node, parts): reads what the control plane built into tables, and holds what they point at to what
// there is, so that a worker never follows an index into nothing.
#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <tuple>

#include "chash/build.h"
#include "chash_binding.h"
#include "node/tables.h"
#include "packet/ipv4.h"
#include "plane_binding.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostInstances = 4096;  // routing instances and zones have 12 bits in a session's key
constexpr int64_t kMostZones = 4096;
constexpr int64_t kMostInterfaces = 32767;
constexpr int64_t kMostPolicies = 65536;
constexpr int64_t kMostGroups = 4096;
constexpr int64_t kMostSlots = kMaxTableSize;
constexpr int64_t kMostPrefixes = 4096;   // of one term
constexpr int64_t kMostVirtual = 131072;  // of one interface
constexpr int64_t kMostTerms = 4096;      // of one filter
constexpr int64_t kMostServicePorts = 1024;

// What parts may point at.
struct Reading {
  Forwarder& node;
  uint32_t statistics;
  bool remembers;  // there is room for a flow memory
  size_t interfaces;
  size_t filters;
  size_t groups;
};

uint16_t instance(const Arg& of) {
  return of.get("routingInstance").integer<uint16_t>(0, kMostInstances - 1);
}

uint16_t zone(const Arg& arg) {
  return arg.integer<uint16_t>(0, kMostZones - 1);
}

// An index below `count`; the message says when there are none.
uint32_t index_of(const Arg& arg, size_t count, const char* things) {
  if (count == 0) arg.range_error(std::string("there are no ") + things);
  return arg.integer<uint32_t>(0, static_cast<int64_t>(count) - 1);
}

// -1 says none.
uint32_t statistic(const Arg& arg, uint32_t count) {
  const int64_t index = arg.integer(-1, static_cast<int64_t>(count) - 1);
  return index < 0 ? kNoIndex : static_cast<uint32_t>(index);
}

// In the form of the tables: of 128 bits, IPv4 96 longer.
uint8_t prefix_length(const Arg& length, const Address& address) {
  return address.is_v4() ? static_cast<uint8_t>(96 + length.integer(0, 32)) : length.integer<uint8_t>(0, 128);
}

std::vector<FilterTable::Prefix> prefixes(const Arg& list) {
  std::vector<FilterTable::Prefix> out;
  const uint32_t count = list.items(kMostPrefixes);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg prefix = list.at(i);
    const Address address = prefix.get("address").address();
    out.emplace_back(address, prefix_length(prefix.get("length"), address));
  }
  return out;
}

std::shared_ptr<const InterfaceTable> read_interfaces(const Arg& list, const Reading& reading) {
  auto table = std::make_shared<InterfaceTable>();
  const uint32_t count = list.items(kMostInterfaces);
  const size_t before = reading.node.published().interfaces->interfaces.size();
  if (count < before) {
    // Neighbours and packets that wait for one keep the index of their interface.
    list.range_error("at least the " + std::to_string(before) + " entries published before expected, not " +
                     std::to_string(count));
  }
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    InterfaceTable::Interface interface {};
    interface.port = static_cast<uint16_t>(index_of(entry.get("port"), reading.node.ports(), "ports"));
    interface.vlan = entry.get("vlan").integer<uint16_t>(0, 4095);
    interface.mtu = entry.get("mtu").integer<uint16_t>(68, 9600);
    if (interface.vlan == InterfaceTable::kAbsent) interface.mtu = 0;
    interface.routing_instance = instance(entry);
    interface.zone = zone(entry.get("zone"));
    const int64_t last_filter = static_cast<int64_t>(reading.filters) - 1;
    interface.filter_v4 = entry.get("filterV4").integer<int16_t>(-1, last_filter);
    interface.filter_v6 = entry.get("filterV6").integer<int16_t>(-1, last_filter);
    std::memcpy(interface.mac, entry.get("mac").bytes({6}).data, 6);
    const Arg addresses = entry.get("addresses");
    const uint32_t own = addresses.items(kMostPrefixes);
    for (uint32_t a = 0; a < own; ++a) interface.addresses.push_back(addresses.at(a).address());
    const Arg virtuals = entry.get("virtualAddresses");
    const uint32_t shared = virtuals.missing() ? 0 : virtuals.items(kMostVirtual);
    for (uint32_t a = 0; a < shared; ++a) interface.virtual_addresses.push_back(virtuals.at(a).address());
    std::sort(interface.virtual_addresses.begin(), interface.virtual_addresses.end());
    table->interfaces.push_back(std::move(interface));
  }
  table->index_ports(reading.node.ports());
  return table;
}

FilterTable::Term read_term(const Arg& entry, const Reading& reading) {
  FilterTable::Term term{};
  term.sources = prefixes(entry.get("sources"));
  term.destinations = prefixes(entry.get("destinations"));
  const Arg protocols = entry.get("protocols");
  const uint32_t count = protocols.items(256);
  for (uint32_t i = 0; i < count; ++i) term.protocols.push_back(protocols.at(i).integer<uint8_t>(0, 255));
  term.action = static_cast<FilterTable::Action>(
      entry.get("action").choice({"accept", "discard", "routing-instance", "return"}));
  if (term.action == FilterTable::Action::kRoutingInstance) term.routing_instance = instance(entry);
  term.statistic = statistic(entry.get("statistic"), reading.statistics);
  return term;
}

std::shared_ptr<const FilterTable> read_filters(const Arg& list, const Reading& reading) {
  auto table = std::make_shared<FilterTable>();
  table->filters.resize(list.items(kMostInterfaces));
  for (uint32_t f = 0; f < table->filters.size(); ++f) {
    const Arg terms = list.at(f);
    const uint32_t count = terms.items(kMostTerms);
    for (uint32_t t = 0; t < count; ++t) {
      table->filters[f].terms.push_back(read_term(terms.at(t), reading));
    }
  }
  return table;
}

uint32_t read_neighbour(const Arg& entry, const Reading& reading) {
  const auto interface =
      static_cast<uint16_t>(index_of(entry.get("interface"), reading.interfaces, "interfaces"));
  const Arg address = entry.get("address");
  const uint32_t neighbour = reading.node.neighbour(interface, address.address());
  if (neighbour == kNoIndex) address.range_error("the neighbour table is full");
  return neighbour;
}

// How a member's packets reach it.
VirtualService::Member read_forwarding(const Arg& entry) {
  VirtualService::Member member;
  member.id = entry.get("id").integer<uint32_t>(0, kNoIndex - 1);
  member.up = entry.get("up").boolean();
  const unsigned mode = entry.get("mode").choice({"direct", "ipip", "gue", "translated"});
  if (mode == 0) return member;
  const Arg address = entry.get("address");
  member.address = address.address();
  if (mode == 3) {
    member.mode = ForwardingMode::kTranslate;
    return member;
  }
  member.mode = ForwardingMode::kEncapsulate;
  member.tunnel.kind = mode == 1 ? Encapsulation::Kind::kIpIp : Encapsulation::Kind::kGue;
  member.tunnel.destination = member.address;
  const Arg source = entry.get("source");
  member.tunnel.source = source.address();
  if (member.tunnel.source.is_v4() != member.address.is_v4()) {
    source.range_error("an address of the family of the real service expected");
  }
  return member;
}

std::shared_ptr<const VirtualService> read_service(const Arg& entry, const Arg& members,
                                                   const Reading& reading) {
  auto service = std::make_shared<VirtualService>();
  service->address = entry.get("address").address();
  const Arg remembers = entry.get("flowMemory");
  service->remembers = remembers.boolean();
  if (service->remembers && !reading.remembers) {
    remembers.range_error("the node was made without a flow memory (flowLimit 0)");
  }
  const Arg ports = entry.get("ports");
  const uint32_t count = ports.items(kMostServicePorts);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg port = ports.at(i);
    const uint8_t next = port.get("protocol").choice({"tcp", "udp"}) == 0 ? protocol::kTcp : protocol::kUdp;
    service->ports.push_back({next, port.get("offered").integer<uint16_t>(1, 65535),
                              port.get("real").integer<uint16_t>(1, 65535)});
  }
  const uint32_t many = members.items(kMaxTableMembers);
  for (uint32_t m = 0; m < many; ++m) {
    const Arg member = members.at(m);
    const Arg forwarding = member.get("forwarding");
    service->members.push_back(read_forwarding(forwarding));
    const VirtualService::Member& made = service->members.back();
    if (made.mode == ForwardingMode::kTranslate && made.address.is_v4() != service->address.is_v4()) {
      forwarding.range_error("translated to another family than the virtual service's");
    }
  }
  service->index_members();
  return service;
}

GroupTable::Group read_group(const Arg& entry, const Reading& reading) {
  GroupTable::Group group{};
  group.key = static_cast<HashKey>(
      entry.get("key").choice({"source-ip", "destination-ip", "symmetric", "5-tuple", "symmetric-5-tuple"}));
  const FlowHasher hasher(read_hash_function(entry.get("hash")), entry.get("seed").big());
  const Arg members = entry.get("members");
  const uint32_t count = members.items(kMaxTableMembers);
  for (uint32_t m = 0; m < count; ++m) {
    const Arg member = members.at(m);
    group.members.push_back(
        {read_neighbour(member, reading), statistic(member.get("statistic"), reading.statistics)});
  }
  const Arg service = entry.get("service");
  if (!service.missing()) group.service = read_service(service, members, reading);
  const Arg slots = entry.get("slots");
  const auto array = slots.uint16_array();
  const size_t size = array.ElementLength();
  if (size == 0 || size > kMostSlots) {
    slots.range_error("1…" + std::to_string(kMostSlots) + " slots expected, not " + std::to_string(size));
  }
  const uint16_t* data = array.Data();
  for (size_t s = 0; s < size; ++s) {
    if (data[s] >= count && data[s] != kNoMember) {
      slots.range_error("slot " + std::to_string(s) + " names member " + std::to_string(data[s]) + " of " +
                        std::to_string(count));
    }
  }
  // The digest is the builder's affair: it went to whom it concerns with the table.
  group.table = Table::make(data, static_cast<uint32_t>(size), count, hasher, 0);
  return group;
}

std::shared_ptr<const GroupTable> read_groups(const Arg& list, const Reading& reading) {
  auto table = std::make_shared<GroupTable>();
  const uint32_t count = list.items(kMostGroups);
  for (uint32_t g = 0; g < count; ++g) table->groups.push_back(read_group(list.at(g), reading));
  return table;
}

NextHop read_next_hop(const Arg& entry, const Reading& reading) {
  NextHop next{};
  switch (entry.get("kind").choice(
      {"local", "discard", "connected", "neighbour", "tunnel", "by-source", "group"})) {
    case 0:
      next.kind = NextHop::Kind::kLocal;
      break;
    case 1:
      next.kind = NextHop::Kind::kDiscard;
      break;
    case 2:
      next.kind = NextHop::Kind::kConnected;
      next.index = index_of(entry.get("interface"), reading.interfaces, "interfaces");
      break;
    case 3:
      next.kind = NextHop::Kind::kNeighbour;
      next.index = read_neighbour(entry, reading);
      break;
    case 4: {
      next.kind = NextHop::Kind::kTunnel;
      const Arg sa = entry.get("sa");
      next.index = sa.integer<uint32_t>(0, kNoIndex - 1);
      if (reading.node.outbound_sa(next.index) == nullptr) sa.range_error("no such outbound SA");
      next.zone = zone(entry.get("zone"));
      next.routing_instance = instance(entry);
      break;
    }
    case 5:
      next.kind = NextHop::Kind::kBySource;
      next.index = instance(entry);
      break;
    default:
      next.kind = NextHop::Kind::kGroup;
      next.index = index_of(entry.get("group"), reading.groups, "groups");
  }
  const Arg situation = entry.get("situation");
  if (!situation.missing()) {
    const auto served =
        static_cast<Served>(situation.get("served").choice({"either", "here", "peer", "nobody"}));
    next.situation = next_hop_situation(situation.get("egressGone").boolean(), served,
                                        situation.get("backupServes").boolean());
  }
  return next;
}

std::shared_ptr<const Routes> read_routes(const Arg& list, const Reading& reading) {
  auto routes = std::make_shared<Routes>();
  const uint32_t count = list.items();
  std::vector<RouteTable::Entry> entries(count);
  std::map<std::tuple<NextHop::Kind, uint32_t, uint16_t, uint16_t, uint16_t>, uint32_t>
      known;  // few, of many routes
  for (uint32_t i = 0; i < count; ++i) {
    const Arg route = list.at(i);
    RouteTable::Entry& entry = entries[i];
    entry.instance = instance(route);
    entry.prefix = route.get("prefix").address();
    entry.length = prefix_length(route.get("length"), entry.prefix);
    const NextHop next = read_next_hop(route.get("nextHop"), reading);
    const auto [at, fresh] =
        known.try_emplace({next.kind, next.index, next.zone, next.routing_instance, next.situation},
                          static_cast<uint32_t>(routes->next_hops.size()));
    if (fresh) routes->next_hops.push_back(next);
    entry.value = at->second;
  }
  routes->table = RouteTable(entries);
  return routes;
}

std::shared_ptr<const SpiTable> read_spis(const Arg& list, const Reading& reading) {
  std::vector<SpiTable::Entry> entries(list.items());
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const Arg entry = list.at(i);
    entries[i].address = entry.get("address").address();
    entries[i].spi = entry.get("spi").integer<uint32_t>(1, 0xffffffff);
    const Arg sa = entry.get("sa");
    entries[i].sa = sa.integer<uint32_t>(0, kNoIndex - 1);
    if (reading.node.inbound_sa(entries[i].sa) == nullptr) sa.range_error("no such inbound SA");
    entries[i].zone = zone(entry.get("zone"));
    entries[i].routing_instance = instance(entry);
    const Arg standby = entry.get("standby");
    entries[i].standby = !standby.missing() && standby.boolean();
  }
  auto table = std::make_shared<SpiTable>(SpiTable::build(entries));
  for (uint32_t i = 0; i < entries.size(); ++i) {
    if (table->find(entries[i].address, entries[i].spi)->sa == entries[i].sa) continue;
    list.at(i).range_error("this address and SPI stand for another SA in an entry before");
  }
  return table;
}

// Which key an address and SPI stand for, for the witness on the wire: the table's `sa` is the key's number.
std::shared_ptr<const SpiTable> read_audits(const Arg& list, uint32_t keys) {
  std::vector<SpiTable::Entry> entries(list.items());
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const Arg entry = list.at(i);
    entries[i].address = entry.get("address").address();
    entries[i].spi = entry.get("spi").integer<uint32_t>(1, 0xffffffff);
    entries[i].sa = index_of(entry.get("key"), keys, "audited keys");
  }
  return std::make_shared<SpiTable>(SpiTable::build(entries));
}

std::shared_ptr<const PolicyTable> read_policies(const Arg& part) {
  auto table = std::make_shared<PolicyTable>();
  table->default_permit = part.get("defaultPermit").boolean();
  const Arg list = part.get("policies");
  const uint32_t count = list.items(kMostPolicies);
  const auto zone_or_any = [](const Arg& arg) {
    const auto number = arg.integer<uint16_t>(0, PolicyTable::kAnyZone);
    if (number >= kMostZones && number != PolicyTable::kAnyZone) {
      arg.range_error("0…" + std::to_string(kMostZones - 1) + ", or 65535 for any, expected, not " +
                      std::to_string(number));
    }
    return number;
  };
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    PolicyTable::Policy policy{};
    policy.from_zone = zone_or_any(entry.get("fromZone"));
    policy.to_zone = zone_or_any(entry.get("toZone"));
    policy.match.sources = prefixes(entry.get("sources"));
    policy.match.destinations = prefixes(entry.get("destinations"));
    policy.match.action = FilterTable::Action::kAccept;
    policy.match.statistic = kNoIndex;
    const auto protocol = entry.get("protocol").integer<uint8_t>(0, 255);
    if (protocol != 0) policy.match.protocols.push_back(protocol);
    policy.port_low = entry.get("portLow").integer<uint16_t>(0, 65535);
    policy.port_high = entry.get("portHigh").integer<uint16_t>(policy.port_low, 65535);
    policy.permit = entry.get("permit").boolean();
    policy.id = entry.get("id").integer<uint32_t>(0, kNoIndex - 1);
    table->policies.push_back(std::move(policy));
  }
  return table;
}

TagMap read_tags(const Arg& list) {
  const uint32_t count = list.items(1 << 20);
  std::vector<TagMap::Name> names;
  names.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    names.push_back({entry.get("tag").integer<uint32_t>(1, 0xffffffff),
                     entry.get("number").integer<uint32_t>(0, 0x3fffffff),
                     entry.get("worker").missing() ? 0 : entry.get("worker").integer<uint32_t>(0, 65'535)});
  }
  return TagMap(std::move(names));
}

std::shared_ptr<const SyncTable> read_sync(const Arg& part) {
  SyncTable table;
  table.instances = read_tags(part.get("instances"));
  table.zones = read_tags(part.get("zones"));
  table.tunnels = read_tags(part.get("tunnels"));
  table.policies = read_tags(part.get("policies"));
  table.icmp = part.get("icmp").boolean();
  return std::make_shared<SyncTable>(std::move(table));
}

std::shared_ptr<const FlowOptions> read_flow(const Arg& part) {
  FlowOptions flow;
  const Arg punt_ike = part.get("puntIke");
  flow.punt_ike = !punt_ike.missing() && punt_ike.boolean();
  const Arg icl = part.get("icl");
  if (!icl.missing()) {
    flow.icl_port = icl.get("port").integer<uint16_t>(1, 65'535);
    const Arg tunnel = icl.get("tunnel");
    flow.icl_tunnel = tunnel.null() ? kNoIndex : tunnel.integer<uint32_t>(0, kNoIndex - 1);
  }
  const Arg punt_ports = part.get("puntPorts");
  if (!punt_ports.missing()) {
    flow.punt_low = punt_ports.at(0).integer<uint16_t>(0, 65535);
    flow.punt_high = punt_ports.at(1).integer<uint16_t>(flow.punt_low, 65535);
  }
  flow.sessions = part.get("sessions").boolean();
  flow.syn_check = part.get("synCheck").boolean();
  flow.syn_check_in_tunnel = part.get("synCheckInTunnel").boolean();
  return std::make_shared<FlowOptions>(flow);
}

icd::Key read_icd_key(const Arg& arg) {
  icd::Key key;
  std::memcpy(key.words, arg.bytes({sizeof key.words}).data, sizeof key.words);
  return key;
}

std::shared_ptr<const IcdTable> read_icd(const Arg& part) {
  auto table = std::make_shared<IcdTable>();
  const Span verdicts = part.get("verdicts").bytes({situation::kCount});
  std::memcpy(table->verdicts.data(), verdicts.data, situation::kCount);
  const Arg link = part.get("link");
  if (link.null()) return table;
  table->configured = true;
  table->link.local = link.get("localIp").address();
  const Arg peer = link.get("peerIp");
  table->link.peer = peer.address();
  if (table->link.peer.is_v4() != table->link.local.is_v4()) {
    peer.range_error("an address of the family of localIp expected");
  }
  table->link.local_id = link.get("localId").integer<uint8_t>(1, 15);
  table->link.peer_id = link.get("peerId").integer<uint8_t>(1, 15);
  table->link.key = read_icd_key(link.get("key"));
  const Arg keys = link.get("peerKeys");
  table->link.peer_key_count = keys.items(icd::Link::kMostPeerKeys);
  for (uint32_t i = 0; i < table->link.peer_key_count; ++i) {
    table->link.peer_keys[i] = read_icd_key(keys.at(i));
  }
  table->routing_instance = instance(link);
  table->mtu = link.get("mtu").integer<uint16_t>(576, 9600);
  return table;
}

}  // namespace

// A part of the arguments, or null.
template <typename Table, typename Read>
void read_part(const Arg& parts, const char* name, std::shared_ptr<const Table>& out, Read read) {
  const Arg part = parts.get(name);
  if (!part.missing()) out = read(part);
}

void PlaneBinding::publish(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "publish.node");
  Forwarder& node = forwarder(target);
  const ForwarderOptions& limits = known_[node.id()].limits;
  const Arg parts(info, 1, "publish");
  const Tables& kept = node.published();
  Reading reading{node, limits.statistics, limits.flow_limit > 0, 0, 0, 0};
  Tables fresh;
  // Those that others point into come first.
  read_part(parts, "filters", fresh.filters, [&](const Arg& part) { return read_filters(part, reading); });
  reading.filters = (fresh.filters ? fresh.filters : kept.filters)->filters.size();
  read_part(parts, "interfaces", fresh.interfaces,
            [&](const Arg& part) { return read_interfaces(part, reading); });
  reading.interfaces = (fresh.interfaces ? fresh.interfaces : kept.interfaces)->interfaces.size();
  read_part(parts, "groups", fresh.groups, [&](const Arg& part) { return read_groups(part, reading); });
  reading.groups = (fresh.groups ? fresh.groups : kept.groups)->groups.size();
  read_part(parts, "routes", fresh.routes, [&](const Arg& part) { return read_routes(part, reading); });
  read_part(parts, "spis", fresh.spis, [&](const Arg& part) { return read_spis(part, reading); });
  read_part(parts, "audits", fresh.audits,
            [&](const Arg& part) { return read_audits(part, limits.audited_keys); });
  read_part(parts, "policies", fresh.policies, read_policies);
  read_part(parts, "flow", fresh.flow, read_flow);
  read_part(parts, "icd", fresh.icd, read_icd);
  read_part(parts, "sync", fresh.sync, read_sync);
  try {
    node.publish(std::move(fresh));
  } catch (const std::invalid_argument& error) {
    // A part that stays names what a new one no longer has.
    parts.range_error(error.what());
  }
}

}  // namespace penstock::addon
