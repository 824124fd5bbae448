// What show prints. All of it is read while workers write: counters are whole words, lists may miss what came
// a moment ago.
#include <time.h>

#include <algorithm>
#include <cstring>

#include "plane_binding.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostRecords = 16384;
constexpr int64_t kMostSessions = 65536;
constexpr int64_t kMostIndices = 1 << 20;

Napi::Value number(Napi::Env env, double value) {
  return Napi::Number::New(env, value);
}

// A buffer over memory of the plane, which lives as long as the buffer does.
Napi::ArrayBuffer view(Napi::Env env, std::shared_ptr<HeldPlane> plane, void* memory, size_t bytes) {
  auto* keeper = new std::shared_ptr<HeldPlane>(std::move(plane));
  return Napi::ArrayBuffer::New(
      env, memory, bytes, [](Napi::Env, void*, std::shared_ptr<HeldPlane>* held) { delete held; }, keeper);
}

const char* neighbour_state(NeighbourState state) {
  switch (state) {
    case NeighbourState::kReachable:
      return "reachable";
    case NeighbourState::kProbing:
      return "probing";
    case NeighbourState::kFailed:
      return "failed";
    default:
      return "incomplete";
  }
}

Napi::Value record_address(Napi::Env env, const DropRecord& record, const uint8_t* address) {
  if (record.version == 0) return env.Null();
  return copy_bytes(env, address, record.version == 4 ? 4 : 16);
}

const char* ha_state(HaState state) {
  switch (state) {
    case HaState::kWarm:
      return "warm";
    case HaState::kBackup:
      return "backup";
    default:
      return "active";
  }
}

Napi::Object wing(Napi::Env env, const SessionInfo::WingInfo& info) {
  const size_t bytes = info.key.version == 4 ? 4 : 16;
  Napi::Object out = Napi::Object::New(env);
  out["source"] = copy_bytes(env, info.key.source(), bytes);
  out["destination"] = copy_bytes(env, info.key.destination(), bytes);
  out["sourcePort"] = number(env, info.key.source_port());
  out["destinationPort"] = number(env, info.key.destination_port());
  out["protocol"] = number(env, info.key.protocol());
  out["routingInstance"] = number(env, info.key.routing_instance());
  out["zone"] = number(env, info.key.zone());
  out["packets"] = big(env, info.packets);
  out["bytes"] = big(env, info.bytes);
  out["haState"] = Napi::String::New(env, ha_state(info.ha));
  out["tunnel"] = number(env, info.tunnel == kNoTunnel ? -1 : static_cast<double>(info.tunnel));
  return out;
}

uint64_t monotonic_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Napi::Value PlaneBinding::sessions(const Napi::CallbackInfo& info) {
  const Forwarder& target = forwarder(Arg(info, 0, "sessions.node"));
  const uint32_t from = worker(Arg(info, 1, "sessions.worker"));
  const auto cursor = static_cast<uint32_t>(Arg(info, 2, "sessions.cursor").big(0, kNoSession - 1));
  const auto most = Arg(info, 3, "sessions.most").integer<uint32_t>(1, kMostSessions);
  return session_page(info.Env(), &target.sessions(from), from, cursor, most);
}

Napi::Value PlaneBinding::flows(const Napi::CallbackInfo& info) {
  const Forwarder& target = forwarder(Arg(info, 0, "flows.node"));
  const uint32_t from = worker(Arg(info, 1, "flows.worker"));
  const auto cursor = static_cast<uint32_t>(Arg(info, 2, "flows.cursor").big(0, kNoSession - 1));
  const auto most = Arg(info, 3, "flows.most").integer<uint32_t>(1, kMostSessions);
  return session_page(info.Env(), target.flows(from), from, cursor, most);
}

// A page of a worker's table, which there may be none of.
Napi::Value PlaneBinding::session_page(Napi::Env env, const SessionTable* table, uint32_t from,
                                       uint32_t cursor, uint32_t most) {
  // The workers' clock: the last step's in virtual time.
  const uint64_t now = stepped_to_ != 0 ? stepped_to_ : monotonic_ns();
  std::vector<SessionInfo> infos(most);
  unsigned count = 0;
  if (table == nullptr) {
    cursor = kNoSession;
  } else {
    count = table->read(&cursor, infos.data(), most, now);
  }
  Napi::Array list = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) {
    const SessionInfo& session = infos[i];
    Napi::Object entry = Napi::Object::New(env);
    entry["id"] = big(env, session.ref.id);
    entry["worker"] = number(env, from);
    entry["policy"] = number(env, session.policy);
    entry["haState"] = Napi::String::New(env, ha_state(session.ha));
    entry["createdNs"] = big(env, session.created);
    entry["timeoutSeconds"] = number(env, session.timeout_left);
    entry["tcpState"] = Napi::String::New(env, name(static_cast<TcpState>(session.tcp)));
    entry["in"] = wing(env, session.wings[index_of(Wing::kIn)]);
    entry["out"] = wing(env, session.wings[index_of(Wing::kOut)]);
    list[i] = entry;
  }
  Napi::Object page = Napi::Object::New(env);
  page["sessions"] = list;
  page["cursor"] = cursor == kNoSession ? env.Null() : Napi::Value(big(env, cursor));
  return page;
}

Napi::Value PlaneBinding::session_count(const Napi::CallbackInfo& info) {
  const Forwarder& target = forwarder(Arg(info, 0, "sessionCount.node"));
  double count = 0;
  for (uint32_t w = 0; w < plane().workers(); ++w) count += target.sessions(w).size();
  return number(info.Env(), count);
}

Napi::Value PlaneBinding::flow_count(const Napi::CallbackInfo& info) {
  const Forwarder& target = forwarder(Arg(info, 0, "flowCount.node"));
  double count = 0;
  for (uint32_t w = 0; w < plane().workers(); ++w) {
    if (target.flows(w) != nullptr) count += target.flows(w)->size();
  }
  return number(info.Env(), count);
}

Napi::Value PlaneBinding::counters(const Napi::CallbackInfo& info) {
  Node& target = node(Arg(info, 0, "counters.node"));
  Counters* rows = &target.counters(0);
  const size_t bytes = plane().most_workers() * sizeof(Counters);
  const Napi::ArrayBuffer buffer = view(info.Env(), plane_, rows, bytes);
  return Napi::BigUint64Array::New(info.Env(), bytes / sizeof(uint64_t), buffer, 0);
}

// Values, not a view: nothing holds the plane's memory afterwards.
Napi::Value PlaneBinding::counter_totals(const Napi::CallbackInfo& info) {
  Node& target = node(Arg(info, 0, "counterTotals.node"));
  Napi::Array out = Napi::Array::New(info.Env(), kCounterCount);
  for (unsigned i = 0; i < kCounterCount; ++i) {
    out[i] = Napi::Number::New(info.Env(), static_cast<double>(target.total(static_cast<Counter>(i))));
  }
  return out;
}

Napi::Value PlaneBinding::statistics(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arg target(info, 0, "statistics.node");
  const Forwarder& node = forwarder(target);
  const int64_t last = static_cast<int64_t>(known_[node_id(target)].limits.statistics) - 1;
  const Arg indices(info, 1, "statistics.indices");
  const uint32_t count = indices.items(kMostIndices);
  Napi::Array out = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) {
    const Statistic statistic = node.statistic(indices.at(i).integer<uint32_t>(0, last));
    Napi::Object entry = Napi::Object::New(env);
    entry["packets"] = big(env, statistic.packets);
    entry["bytes"] = big(env, statistic.bytes);
    out[i] = entry;
  }
  return out;
}

void PlaneBinding::learn_neighbours(const Napi::CallbackInfo& info) {
  NeighbourTable& table = forwarder(Arg(info, 0, "learnNeighbours.node")).neighbours();
  const Arg list(info, 1, "learnNeighbours.neighbours");
  const uint32_t count = list.items(kMostIndices);
  const uint64_t now = stepped_to_ != 0 ? stepped_to_ : monotonic_ns();
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const Address address = entry.get("address").address();
    const Span mac = entry.get("mac").bytes({6});
    const uint32_t index = table.find_or_insert(entry.get("interface").integer<uint16_t>(0, 65535), address);
    if (index != NeighbourTable::kNone) table.learn(index, mac.data, now);
  }
}

Napi::Value PlaneBinding::neighbours(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const NeighbourTable& table = forwarder(Arg(info, 0, "neighbours.node")).neighbours();
  Napi::Array out = Napi::Array::New(env);
  uint32_t written = 0;
  for (uint32_t i = 0; i < table.size(); ++i) {
    const NeighbourState state = table.state(i);
    if (state == NeighbourState::kFree) continue;
    Napi::Object entry = Napi::Object::New(env);
    entry["interface"] = number(env, table.interface(i));
    entry["address"] = address_bytes(env, table.address(i));
    uint64_t mac = 0;
    if (table.mac(i, mac)) {
      uint8_t bytes[8];
      std::memcpy(bytes, &mac, 8);
      entry["mac"] = copy_bytes(env, bytes, 6);
    } else {
      entry["mac"] = env.Null();
    }
    entry["state"] = Napi::String::New(env, neighbour_state(state));
    out[written++] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::drop_records(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Node& target = node(Arg(info, 0, "dropRecords.node"));
  const auto most = Arg(info, 1, "dropRecords.most").integer<uint32_t>(0, kMostRecords);
  const std::vector<DropRecord> records = target.drop_records(most);
  Napi::Array out = Napi::Array::New(env, records.size());
  for (uint32_t i = 0; i < records.size(); ++i) {
    const DropRecord& record = records[i];
    Napi::Object entry = Napi::Object::New(env);
    entry["timeNs"] = big(env, record.time);
    entry["reason"] = number(env, static_cast<double>(record.reason));
    entry["port"] = number(env, record.port);
    entry["protocol"] = number(env, record.protocol);
    entry["source"] = record_address(env, record, record.source);
    entry["destination"] = record_address(env, record, record.destination);
    entry["sourcePort"] = number(env, record.source_port);
    entry["destinationPort"] = number(env, record.destination_port);
    entry["interface"] = number(env, record.interface);
    entry["identification"] = number(env, record.identification);
    out[i] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::latency(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Host& target = host(Arg(info, 0, "latency.node"));
  constexpr uint32_t kBuckets = LatencyHistogram::kBuckets;
  Napi::BigUint64Array counts = Napi::BigUint64Array::New(env, kBuckets);
  Napi::Float64Array upper = Napi::Float64Array::New(env, kBuckets);
  std::fill_n(counts.Data(), kBuckets, 0);
  for (uint32_t w = 0; w < plane().workers(); ++w) {
    const LatencyHistogram& histogram = target.latency(w);
    for (uint32_t b = 0; b < kBuckets; ++b) counts[b] += histogram.counts[b];
  }
  for (uint32_t b = 0; b < kBuckets; ++b) upper[b] = static_cast<double>(LatencyHistogram::upper_ns(b));
  Napi::Object out = Napi::Object::New(env);
  out["counts"] = counts;
  out["upperNs"] = upper;
  return out;
}

Napi::Value PlaneBinding::nonce_audit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const NonceAudit audit = forwarder(Arg(info, 0, "nonceAudit.node")).nonce_audit();
  Napi::Object out = Napi::Object::New(env);
  out["seen"] = big(env, audit.seen);
  out["repeated"] = big(env, audit.repeated);
  out["unproven"] = big(env, audit.unproven);
  return out;
}

}  // namespace penstock::addon
