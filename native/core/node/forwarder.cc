// The path of a packet, on the worker w that polls (stages take bursts of up to 64):
//
//   Router:
//   1. receive     port → parse → interface, MAC and VLAN → filter-based forwarding          receive.cc
//   2. route       longest prefix in the packet's routing instance                           receive.cc
//   3. forward     TTL; a group picks its member by consistent hash (DSR: only the MAC changes) transmit.cc
//      serve       instead: a tunnel, translation, the flow memory; fragments, ICMP errors   service.cc
//   4. transmit    next hop's MAC, link header, size → port                                  transmit.cc
//      return      before 2: answers of translated real services                             returning.cc
//
//   Gateway, inbound: 1, then ESP to an own address
//   5. open        SPI → SA; another worker's SA: hand the packet over, it starts again at 1
//                  replay check → decrypt → replay advance → traffic selector                esp.cc
//   6. route the inner packet; owner of the session: another worker: hand over, go on at 7
//   7. session     look up, or create by policy; TCP state; count                            session.cc
//   3, 4.
//
//   Gateway, outbound: 1, 2 (ARI: a route into a tunnel), 6, 7, 3, then
//   8. seal        the SA's worker: another: hand over, go on here; outer header, encrypt    esp.cc
//   2, 4 for the outer packet, which is the node's own: neither session nor TTL.
//
//   Between the nodes of a pair: 7 asks whose packet it is, which may send it to the other    wing.cc
//
//   To the node itself: ARP, neighbour discovery, echo, IKE                                  local.cc
//   BFD: sent when due, heard and watched for silence, on worker 0                           liveness.cc
#include "forwarder.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "shard.h"

namespace penstock {

Forwarder::Shard::Shard(Forwarder& forwarder, uint32_t number)
    : node(forwarder),
      worker(number),
      plane(forwarder.plane()),
      pool(plane.pool()),
      cache(plane.cache(number)),
      counters(forwarder.counters(number)),
      sessions(forwarder.options_.sessions),
      statistics(forwarder.options_.statistics),
      audit(forwarder.witnesses_, number) {
  pending.reserve(kMostPending);
  identification = static_cast<uint16_t>(number);
  if (forwarder.options_.flow_limit > 0) {
    SessionTable::Options limits = forwarder.options_.sessions;
    limits.limit = forwarder.options_.flow_limit;
    limits.initial_ipv4 = limits.initial_ipv6 = 0;
    flow_memory.emplace(limits);
  }
}

Forwarder::Forwarder(std::string name, uint32_t workers, uint32_t most_workers, ForwarderOptions options)
    : Node(std::move(name), most_workers),
      options_(options),
      neighbours_(options.neighbour_limit),
      current_(nullptr),
      shards_(most_workers),
      inbound_(options.sa_limit),
      outbound_(options.sa_limit),
      path_mtus_(options.statistics),
      owners_(workers),
      witnesses_(options.audited_keys) {
  auto tables = std::make_unique<Tables>();
  tables->interfaces = std::make_shared<InterfaceTable>();
  tables->filters = std::make_shared<FilterTable>();
  tables->groups = std::make_shared<GroupTable>();
  tables->routes = std::make_shared<Routes>();
  tables->spis = std::make_shared<SpiTable>(SpiTable::build({}));
  tables->policies = std::make_shared<PolicyTable>();
  tables->audits = std::make_shared<SpiTable>(SpiTable::build({}));
  tables->flow = std::make_shared<FlowOptions>();
  tables->icd = std::make_shared<IcdTable>();
  tables->services = std::make_shared<ServiceIndex>();
  tables->sync = std::make_shared<SyncTable>();
  current_.store(tables.release());
}

Forwarder::~Forwarder() {
  delete current_.load();
}

std::span<const std::unique_ptr<Forwarder::Shard>> Forwarder::live_shards() const {
  return {shards_.data(), plane_->workers()};
}

std::string Forwarder::cannot_grow() const {
  return sync_ready() ? name() + " synchronises sessions with the other node of a pair, worker by worker"
                      : std::string();
}

void Forwarder::add_worker(uint32_t worker) {
  shards_[worker] = std::make_unique<Shard>(*this, worker);
}

void Forwarder::spread_flows(uint32_t workers) {
  owners_moved_ |= owners_.spread(workers);
}

// Control thread.
void Forwarder::Shard::change(SaChange* change) {
  change->next = changes.load(std::memory_order_relaxed);
  while (!changes.compare_exchange_weak(change->next, change, std::memory_order_release)) {
  }
}

// Changes come last first, and are made first come first served; a few a turn, since their SAs are cold.
void Forwarder::Shard::make_changes() {
  SaChange* list = changes.exchange(nullptr, std::memory_order_acquire);
  SaChange* last = list;
  SaChange* first = nullptr;
  while (list != nullptr) first = std::exchange(list, std::exchange(list->next, first));
  if (first != nullptr) {
    (first_change == nullptr ? first_change : last_change->next) = first;
    last_change = last;
  }
  for (uint32_t i = 0; i < kChangesPerTurn && first_change != nullptr; ++i) {
    SaChange& change = *first_change;
    first_change = change.next;
    if (change.inbound != nullptr) node.inbound_[change.index].adopt(*change.inbound);
    if (change.outbound != nullptr) node.outbound_[change.index].adopt(*change.outbound);
    if (change.numbers) change_numbers(change.index, *change.numbers);
    change.applied.store(true, std::memory_order_release);
  }
}

bool Forwarder::poll(uint32_t worker, uint64_t now) {
  Shard& shard = *shards_[worker];
  shard.now = now;
  close_ports(worker, now);
  const Running how = how_running();
  if (how == Running::kFrozen) [[unlikely]]
    return false;
  if (how == Running::kShut) [[unlikely]] {
    for (const Shard::Pending& entry : shard.pending) drop(worker, now, entry.frame, DropReason::port_closed);
    shard.pending.clear();
    return drain_ports(worker, now);
  }
  shard.begin_turn();
  bool moved = false;
  // a port that the tables do not know yet waits for them
  const size_t known = how == Running::kRuns ? shard.tables->interfaces->first_of_port.size() : 0;
  for (uint16_t port = 0; port < known; ++port) moved |= shard.receive(port);
  if (worker == 0 && known > 0 && liveness_.due(now)) [[unlikely]]
    moved |= shard.keep_alive(static_cast<uint16_t>(known));
  shard.retry_pending();
  if (worker == 0) shard.tick_neighbours();
  shard.expire();
  shard.expire_flows();
  moved |= shard.sync.poll(now);
  shard.flush_all();
  // with nothing queued any more that came while a flow was still this worker's
  if (shard.move.round != owners_.round()) [[unlikely]]
    shard.move_flows();
  return moved;
}

void Forwarder::resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) {
  if (!running()) return drop_closed(worker, now, frames, count);
  Shard& shard = *shards_[worker];
  shard.now = now;
  shard.begin_turn();
  for (uint32_t i = 0; i < count; ++i) {
    const Frame& frame = plane_->pool().frame(frames[i]);
    switch (frame.stage) {
      case Stage::kParse:
        shard.open(frames[i]);
        break;
      case Stage::kSession: {
        const NextHop& next = shard.next_hop(frames[i], shard.destination(frames[i]));
        if (owners_.round() != 0) {
          shard.to_session_owner(frames[i], next);  // it may have become another's on the way
        } else {
          shard.queue_session(frames[i], next);
        }
        break;
      }
      case Stage::kSessionHere:
        shard.queue_session(frames[i], shard.next_hop(frames[i], shard.destination(frames[i])));
        break;
      case Stage::kSeal:
        shard.queue_seal(frames[i]);
        break;
      case Stage::kService:
        shard.send_on(frames[i], shard.next_hop(frames[i], shard.destination(frames[i])));
        break;
      case Stage::kServiceHere:
        shard.is_here = true;
        shard.send_on(frames[i], shard.next_hop(frames[i], shard.destination(frames[i])));
        shard.is_here = false;
        break;
      case Stage::kReturn:
        if (owners_.round() != 0 &&
            !shard.with_flow_owner(frames[i], shard.service_flow(frames[i], true).client, Stage::kReturn,
                                   Stage::kReturnHere)) {
          break;
        }
        [[fallthrough]];
      case Stage::kReturnHere:
        shard.returning.push(frames[i]);
        if (shard.returning.full()) shard.return_stage();
        break;
      case Stage::kOriginate:
        shard.send_own(frames[i]);
        break;
      case Stage::kLiveness:
        shard.hear_bfd(frames[i]);
        break;
      case Stage::kMoved:
        shard.take_flows(frames[i]);
        break;
    }
  }
  shard.flush_all();
}

size_t Forwarder::heard_ports() const {
  if (how_running() == Running::kRuns)
    return std::min(ports(), current_.load()->interfaces->first_of_port.size());
  return how_running() == Running::kShut ? ports() : 0;
}

uint64_t Forwarder::next_deadline(uint32_t worker) const {
  const Shard& shard = *shards_[worker];
  if (!running()) return shard.pending.empty() ? ~0ull : 0;
  uint64_t earliest = shard.sessions.next_deadline();
  if (shard.flow_memory) earliest = std::min(earliest, shard.flow_memory->next_deadline());
  if (worker == 0) {
    const bool wanted = neighbour_wanted_.load(std::memory_order_relaxed);
    const uint64_t tick = wanted ? shard.last_tick + Shard::kLeastTickNs : shard.next_tick;
    earliest = std::min({earliest, tick, liveness_.next_deadline()});
  }
  if (shard.sync.busy() || shard.move.round != owners_.round()) return 0;
  if (!shard.pending.empty()) earliest = std::min(earliest, shard.pending.front().since + Shard::kPendingNs);
  return earliest;
}

void Forwarder::publish(Tables parts) {
  auto next = std::make_unique<Tables>(*current_.load());
  const bool owners_change = parts.interfaces != nullptr || parts.spis != nullptr;
  const bool services_change = parts.groups != nullptr || parts.interfaces != nullptr;
  if (parts.interfaces) next->interfaces = std::move(parts.interfaces);
  if (parts.filters) next->filters = std::move(parts.filters);
  if (parts.groups) next->groups = std::move(parts.groups);
  if (parts.routes) next->routes = parts.routes;
  if (parts.spis) next->spis = parts.spis;
  if (parts.policies) next->policies = std::move(parts.policies);
  if (parts.audits) next->audits = std::move(parts.audits);
  if (parts.flow) next->flow = std::move(parts.flow);
  if (parts.icd) next->icd = std::move(parts.icd);
  if (parts.sync) next->sync = std::move(parts.sync);
  check(*next);
  if (parts.spis) next->spis = with_anchors(*parts.spis);
  if (parts.routes) next->routes = with_anchors(*parts.routes);
  if (services_differ(*next)) next->routes = with_services(*next);
  if (services_change) next->services = index_services(*next);
  std::unique_ptr<const Tables> old(current_.exchange(next.release()));
  retired_.push_back({std::move(old), plane_->next_version()});
  if (owners_change) tell_owners();
}

// Ports that can bring packets to the worker that owns them learn whose they are.
void Forwarder::tell_owners() {
  const Tables& tables = *current_.load();
  PortOwners owners;
  for (uint32_t b = 0; b < FlowOwners::kBuckets; ++b) {
    owners.buckets.push_back(static_cast<uint8_t>(owners_.owner(b)));
  }
  for (uint16_t number = 0; number < ports(); ++number) {
    Port& told = port(number, 0);
    if (!told.wants_owners()) continue;
    if (owners.spis.empty()) {
      for (const SpiTable::Entry& entry : tables.spis->entries) {
        if (entry.spi != 0) owners.spis.push_back({entry.spi, entry.anchor});
      }
    }
    owners.addresses.clear();
    bool used = false;
    for (const InterfaceTable::Interface& interface : tables.interfaces->interfaces) {
      if (interface.port != number) continue;
      used = true;
      std::memcpy(owners.mac, interface.mac, sizeof owners.mac);
      owners.addresses.insert(owners.addresses.end(), interface.addresses.begin(), interface.addresses.end());
    }
    if (used) told.set_owners(owners);
  }
}

// A packet learns its SA's worker without touching the SA.
std::shared_ptr<const SpiTable> Forwarder::with_anchors(const SpiTable& spis) const {
  auto table = std::make_shared<SpiTable>(spis);
  for (SpiTable::Entry& entry : table->entries) {
    if (entry.spi != 0) entry.anchor = inbound_[entry.sa].anchor;
  }
  return table;
}

std::shared_ptr<const Routes> Forwarder::with_anchors(const Routes& routes) const {
  auto copy = std::make_shared<Routes>(routes);
  for (NextHop& next : copy->next_hops) {
    if (next.kind == NextHop::Kind::kTunnel) next.anchor = outbound_[next.index].anchor;
  }
  return copy;
}

// Whether a next hop says kGroup of a group with a service, or the other way round.
bool Forwarder::services_differ(const Tables& tables) {
  for (const NextHop& next : tables.routes->next_hops) {
    if (next.kind != NextHop::Kind::kGroup && next.kind != NextHop::Kind::kService) continue;
    const bool has_service = tables.groups->groups[next.index].service != nullptr;
    if (has_service != (next.kind == NextHop::Kind::kService)) return true;
  }
  return false;
}

// So that a packet to a group without a service asks nothing of it.
std::shared_ptr<const Routes> Forwarder::with_services(const Tables& tables) {
  auto copy = std::make_shared<Routes>(*tables.routes);
  for (NextHop& next : copy->next_hops) {
    if (next.kind != NextHop::Kind::kGroup && next.kind != NextHop::Kind::kService) continue;
    next.kind = tables.groups->groups[next.index].service != nullptr ? NextHop::Kind::kService
                                                                     : NextHop::Kind::kGroup;
  }
  return copy;
}

std::shared_ptr<const ServiceIndex> Forwarder::index_services(const Tables& tables) const {
  auto index = std::make_shared<ServiceIndex>();
  std::vector<ReturnTable::Entry> entries;
  for (const GroupTable::Group& group : tables.groups->groups) {
    if (group.service == nullptr) continue;
    const VirtualService& service = *group.service;
    for (size_t m = 0; m < group.members.size(); ++m) {
      const VirtualService::Member& member = service.members[m];
      if (member.mode == ForwardingMode::kEncapsulate) {
        index->ends.emplace_back(member.tunnel.destination, group.members[m].statistic);
      }
      if (member.mode != ForwardingMode::kTranslate) continue;
      const uint16_t interface = neighbours_.interface(group.members[m].neighbour);
      const uint16_t instance = tables.interfaces->interfaces[interface].routing_instance;
      entries.push_back({member.address, instance, 0, 0, service.ports.empty(), service.remembers, false,
                         service.address, 0});
      for (const VirtualService::Ports& ports : service.ports) {
        entries.push_back({member.address, instance, ports.real, ports.protocol, false, service.remembers,
                           false, service.address, ports.offered});
      }
    }
  }
  index->returns = ReturnTable::build(entries);
  std::sort(index->ends.begin(), index->ends.end(),
            [](const auto& a, const auto& b) { return before(a.first, b.first); });
  return index;
}

// Every index in the tables names something, so that no stage has to ask.
void Forwarder::check(const Tables& tables) const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  };
  const size_t interfaces = tables.interfaces->interfaces.size();
  for (const auto& interface : tables.interfaces->interfaces) {
    require(interface.port < ports(), "an interface names a port that does not exist");
    const auto filters = static_cast<int>(tables.filters->filters.size());
    require(interface.filter_v4 < filters && interface.filter_v6 < filters,
            "an interface names a filter that does not exist");
    require(interface.port < tables.interfaces->first_of_port.size(),
            "the interfaces were not indexed by port");
  }
  for (const NextHop& next : tables.routes->next_hops) {
    switch (next.kind) {
      case NextHop::Kind::kConnected:
        require(next.index < interfaces, "a route names an interface that does not exist");
        break;
      case NextHop::Kind::kNeighbour:
        require(next.index < neighbours_.size(), "a route names a neighbour that does not exist");
        break;
      case NextHop::Kind::kTunnel:
        require(outbound_.live(next.index), "a route names an outbound SA that does not exist");
        break;
      case NextHop::Kind::kGroup:
      case NextHop::Kind::kService:
        require(next.index < tables.groups->groups.size(), "a route names a group that does not exist");
        break;
      default:
        break;
    }
  }
  for (const auto& group : tables.groups->groups) {
    for (const auto& member : group.members) {
      require(member.neighbour < neighbours_.size(),
              "a group's member names a neighbour that does not exist");
    }
    require(group.service == nullptr || group.service->members.size() == group.members.size(),
            "a group's service has other members than the group");
  }
  for (const auto& entry : tables.spis->entries) {
    require(entry.spi == 0 || inbound_.live(entry.sa), "an SPI names an inbound SA that does not exist");
  }
  for (uint32_t i = 0; i < neighbours_.size(); ++i) {
    require(neighbours_.interface(i) < interfaces || neighbours_.state(i) == NeighbourState::kFree,
            "a neighbour is on an interface that does not exist any more");
  }
}

bool Forwarder::collect(uint64_t oldest) {
  // Sessions grow onto huge pages that are there already, so that no worker waits for one.
  constexpr uint64_t kAheadBytes = uint64_t{16} << 20;
  for (uint32_t w = 0; w < plane_->workers(); ++w) shards_[w]->sessions.populate(kAheadBytes);
  if (owners_moved_ && !owners_.moving()) {
    owners_moved_ = false;
    tell_owners();
  }
  std::erase_if(retired_, [&](const Retired& retired) { return retired.version <= oldest; });
  const bool closing = collect_ports() | collect_taps(oldest);
  liveness_.collect();
  std::erase_if(changes_, [](const auto& change) { return change->applied.load(std::memory_order_acquire); });
  // a change that no worker has made yet names its SA
  if (!changes_.empty()) return true;
  inbound_.collect(oldest);
  outbound_.collect(oldest);
  return closing || !retired_.empty() || inbound_.has_retired() || outbound_.has_retired();
}

uint32_t Forwarder::add_inbound_sa(const InboundSaOptions& options, std::string& error) {
  return add_sa(inbound_, options, error);
}
uint32_t Forwarder::add_outbound_sa(const OutboundSaOptions& options, std::string& error) {
  return add_sa(outbound_, options, error);
}

template <typename Sa, typename Options>
uint32_t Forwarder::add_sa(Slab<Sa>& slab, const Options& options, std::string& error) {
  uint32_t index;
  Sa* sa = slab.make(index);
  if (sa == nullptr) {
    error = "every slot for SAs is taken (" + std::to_string(options_.sa_limit) + ")";
    return kNoIndex;
  }
  error = sa->init(options);
  if (error.empty() && options.anchor >= plane_->workers()) error = "anchor: no such worker";
  if (error.empty()) return index;
  slab.unmake(index);
  return kNoIndex;
}

void Forwarder::retire_inbound_sa(uint32_t index) {
  inbound_.retire(index, plane_->version());
}
void Forwarder::retire_outbound_sa(uint32_t index) {
  outbound_.retire(index, plane_->version());
}
const InboundSa* Forwarder::inbound_sa(uint32_t index) const {
  return inbound_.live(index) ? &inbound_[index] : nullptr;
}
const OutboundSa* Forwarder::outbound_sa(uint32_t index) const {
  return outbound_.live(index) ? &outbound_[index] : nullptr;
}

// What a worker changes is prepared here, so that it neither allocates nor frees.
template <typename Sa, typename Options>
std::string Forwarder::change_sa(Slab<Sa>& slab, uint32_t index, Options options,
                                 std::unique_ptr<Sa> SaChange::*to) {
  // what stays: the key, the numbers, the worker
  static constexpr uint8_t kNoKey[16 + esp::kSaltBytes] = {};
  options.algorithm = EspAlgorithm::kGcm;
  options.key = kNoKey;
  options.key_bytes = sizeof kNoKey;
  options.authentication_key_bytes = 0;
  options.spi = slab[index].spi;
  options.extended_sequence_number = slab[index].is_extended;
  auto change = std::make_unique<SaChange>();
  (*change).*to = std::make_unique<Sa>();
  std::string error = ((*change).*to)->init(options);
  if (!error.empty()) return error;
  change->index = index;
  shards_[slab[index].anchor]->change(change.get());
  changes_.push_back(std::move(change));
  return {};
}

std::string Forwarder::change_inbound_sa(uint32_t index, const InboundSaOptions& options) {
  return change_sa(inbound_, index, options, &SaChange::inbound);
}
std::string Forwarder::change_outbound_sa(uint32_t index, const OutboundSaOptions& options) {
  return change_sa(outbound_, index, options, &SaChange::outbound);
}

uint32_t Forwarder::neighbour(uint16_t interface, const Address& address) {
  const uint32_t index = neighbours_.find_or_insert(interface, address);
  if (index != NeighbourTable::kNone) neighbours_.pin(index);
  return index;
}

Statistic Forwarder::statistic(uint32_t index) const {
  Statistic sum;
  for (uint32_t w = 0; w < plane_->workers(); ++w) {
    const std::vector<Statistic>& statistics = shards_[w]->statistics;
    if (index >= statistics.size()) continue;
    sum.packets += statistics[index].packets;
    sum.bytes += statistics[index].bytes;
  }
  return sum;
}

NonceAudit Forwarder::nonce_audit() const {
  NonceAudit sum;
  for (uint32_t w = 0; w < plane_->workers(); ++w) {
    const auto& shard = shards_[w];
    sum.seen += shard->audit.audit().seen;
    sum.repeated += shard->audit.audit().repeated;
    sum.unproven += shard->audit.audit().unproven;
  }
  return sum;
}

const SessionTable& Forwarder::sessions(uint32_t worker) const {
  return shards_[worker]->sessions;
}

SessionTable& Forwarder::own_sessions(uint32_t worker) {
  return shards_[worker]->sessions;
}

const SessionTable* Forwarder::flows(uint32_t worker) const {
  return shards_[worker]->flow_memory ? &*shards_[worker]->flow_memory : nullptr;
}

}  // namespace penstock
