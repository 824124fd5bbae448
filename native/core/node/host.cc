// The path of a packet between two hosts
//
//   1. The client's worker w draws the next of its flows (those with index ≡ w modulo workers) and that
//   flow's
//      next sequence number, and writes the packet: Ethernet, IP, UDP, then flow | sequence | time | pattern.
//   2. The network carries it.
//   3. The server writes down what the packet must be, from its flow and sequence, and compares all of it.
//   4. It answers in the same frame: addresses and ports turned round, a pattern of its own, its own time.
//   5. The client compares the answer as the server did the request.
//
// The pattern is a slice of 8 KiB of random bytes (they stay in the cache), chosen by flow, sequence and
// direction; sums of the bytes before each place are kept, so that a UDP checksum costs two look-ups and not
// a pass over the packet.
#include "host.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <queue>
#include <utility>

#include "../packet/arp.h"
#include "../packet/ethernet.h"
#include "../packet/nd.h"
#include "../packet/parse.h"
#include "arrival_window.h"
#include "plane.h"

namespace penstock {
namespace {

constexpr uint32_t kPatternBytes = 8192;
constexpr uint32_t kLongestPayload = 4096;
constexpr uint32_t kTagBytes = 16;  // flow, sequence, time
constexpr uint32_t kLongestHeaders = ethernet::kHeaderBytes + 40 + 8 + kTagBytes;

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

}  // namespace

uint32_t LatencyHistogram::bucket(uint64_t ns) {
  if (ns < 32) return static_cast<uint32_t>(ns);
  const uint32_t exponent = static_cast<uint32_t>(std::bit_width(ns)) - 6;
  return std::min(32 * (exponent + 1) + static_cast<uint32_t>(ns >> exponent) - 32, kBuckets - 1);
}

uint64_t LatencyHistogram::upper_ns(uint32_t bucket) {
  if (bucket < 32) return bucket;
  const uint32_t exponent = bucket / 32 - 1;
  return ((32ull + bucket % 32 + 1) << exponent) - 1;
}

struct Host::Shard {
  const HostOptions& options;
  LatencyHistogram latency;
  std::vector<ArrivalWindow> arrivals;  // per flow: a duplicate is not delivered twice
  std::vector<uint32_t> sequences;      // client: per own flow, the last one sent
  uint32_t next_flow = 0;
  std::vector<FlowReport> reports;  // per flow
  // By the clock: when each own flow sends next, the earliest on top. Equal times go by the flow's number.
  using Turn = std::pair<uint64_t, uint32_t>;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  bool started = false;

  explicit Shard(const HostOptions& all)
      : options(all), arrivals(all.flows.size()), reports(all.flows.size()) {}
  void arrived(uint32_t flow, uint64_t now) {
    FlowReport& report = reports[flow];
    const uint64_t gap = report.last_arrival == 0 ? 0 : now - report.last_arrival;
    if (gap > report.longest_gap) {
      report.longest_gap = gap;
      report.longest_gap_from = report.last_arrival;
    }
    report.last_arrival = now;
    ++report.delivered;
  }
};

// What both ends know of a packet before it is sent.
struct Host::Expected {
  uint8_t headers[kLongestHeaders];
  uint32_t headers_bytes;
  const uint8_t* pattern;
  uint32_t pattern_bytes;
};

Host::Host(std::string name, uint32_t workers, uint32_t most_workers, HostOptions options)
    : Node(std::move(name), most_workers),
      options_(std::move(options)),
      senders_(workers),

      by_clock_(std::any_of(options_.flows.begin(), options_.flows.end(),
                            [](const Flow& flow) { return flow.interval != 0; })),
      shards_(most_workers) {
  pattern_.resize(kPatternBytes + kLongestPayload);
  uint64_t random = options_.seed;
  for (size_t i = 0; i < kPatternBytes; i += 8) {
    const uint64_t word = next_random(random);
    std::memcpy(&pattern_[i], &word, 8);
  }
  std::memcpy(&pattern_[kPatternBytes], &pattern_[0], kLongestPayload);
  sums_.resize(pattern_.size() / 2 + 1);
  for (size_t i = 0; i < pattern_.size() / 2; ++i) {
    sums_[i + 1] = sums_[i] + load_raw<uint16_t>(&pattern_[2 * i]);
  }
}

void Host::add_worker(uint32_t worker) {
  shards_[worker] = std::make_unique<Shard>(options_);
  const bool sends = !options_.server && worker < senders_;
  if (sends) shards_[worker]->sequences.resize(options_.flows.size() / senders_ + 1);
  shards_[worker]->next_flow = sends ? worker : static_cast<uint32_t>(options_.flows.size());
}

Host::~Host() = default;

const LatencyHistogram& Host::latency(uint32_t worker) const {
  return shards_[worker]->latency;
}

uint64_t Host::next_deadline(uint32_t worker) const {
  if (options_.server || !running() || !sending_.load(std::memory_order_relaxed)) return ~0ull;
  const Shard& shard = *shards_[worker];
  if (!by_clock_ || !shard.started) return 0;
  return shard.turns.empty() ? ~0ull : shard.turns.top().first;
}

std::vector<FlowReport> Host::take_reports() {
  std::vector<FlowReport> all(options_.flows.size());
  for (uint32_t w = 0; w < plane_->workers(); ++w) {
    const auto& shard = shards_[w];
    for (uint32_t flow = 0; flow < all.size(); ++flow) {
      FlowReport& from = shard->reports[flow];
      FlowReport& to = all[flow];
      to.sent += from.sent;
      to.delivered += from.delivered;
      to.last_arrival = std::max(to.last_arrival, from.last_arrival);
      if (from.longest_gap > to.longest_gap) {
        to.longest_gap = from.longest_gap;
        to.longest_gap_from = from.longest_gap_from;
      }
      from.longest_gap = 0;
    }
  }
  return all;
}

uint16_t Host::size_of(uint32_t flow, uint32_t sequence) const {
  if (options_.flows[flow].size != 0) return options_.flows[flow].size;
  return options_.sizes[(flow * 7u + sequence) % options_.sizes.size()];
}

// The packet that `flow` sends as its number `sequence`, towards the server or back. ttl is what the network
// left of it; everything else is fixed.
void Host::expect(Expected& packet, uint32_t flow, uint32_t sequence, bool towards_server, uint64_t time,
                  uint8_t ttl, const uint8_t* ethernet) const {
  const Flow& f = options_.flows[flow];
  const Address& source = towards_server ? f.source : f.destination;
  const Address& destination = towards_server ? f.destination : f.source;
  const uint32_t length = size_of(flow, sequence);
  uint8_t* ip = packet.headers + ethernet::kHeaderBytes;
  std::memcpy(packet.headers, ethernet, ethernet::kHeaderBytes);
  uint8_t* udp;
  if (source.is_v4()) {
    std::memset(ip, 0, 20);
    ip[0] = 0x45;
    store16(ip + 2, length);
    ip[6] = 0x40;  // DF: identification stays 0 (RFC 6864 §4.1)
    ip[8] = ttl;
    ip[9] = 17;
    std::memcpy(ip + 12, source.v4_bytes(), 4);
    std::memcpy(ip + 16, destination.v4_bytes(), 4);
    ipv4::set_checksum(ip);
    udp = ip + 20;
  } else {
    std::memset(ip, 0, 8);
    ip[0] = 0x60;
    store16(ip + 4, length - 40);
    ip[6] = 17;
    ip[7] = ttl;
    std::memcpy(ip + 8, source.bytes(), 16);
    std::memcpy(ip + 24, destination.bytes(), 16);
    udp = ip + 40;
  }
  const uint32_t udp_length = length - static_cast<uint32_t>(udp - ip);
  store16(udp, towards_server ? f.source_port : f.destination_port);
  store16(udp + 2, towards_server ? f.destination_port : f.source_port);
  store16(udp + 4, udp_length);
  store16(udp + 6, 0);
  std::memcpy(udp + 8, &flow, 4);
  std::memcpy(udp + 12, &sequence, 4);
  std::memcpy(udp + 16, &time, 8);
  packet.headers_bytes = static_cast<uint32_t>(udp + 8 + kTagBytes - packet.headers);
  uint64_t choice = static_cast<uint64_t>(flow) << 33 ^ static_cast<uint64_t>(sequence) << 1 ^ towards_server;
  const uint32_t offset = next_random(choice) % kPatternBytes & ~1u;
  packet.pattern = &pattern_[offset];
  packet.pattern_bytes = udp_length - 8 - kTagBytes;
  // RFC 768, RFC 8200 §8.1: the pseudo header, the UDP header, the data. Sums of words as they lie in memory,
  // whose order does not matter to a ones' complement sum (RFC 1071 §2); an odd last byte stands in the first
  // place.
  uint64_t sum = source.is_v4() ? checksum::pseudo_v4(ip + 12, ip + 16, protocol::kUdp, udp_length)
                                : checksum::pseudo_v6(ip + 8, ip + 24, protocol::kUdp, udp_length);
  sum = checksum::add_bytes(sum, udp, 8 + kTagBytes);
  sum = checksum::add(sum, sums_[(offset + packet.pattern_bytes) / 2] - sums_[offset / 2]);
  if (packet.pattern_bytes & 1) sum = checksum::add(sum, packet.pattern[packet.pattern_bytes - 1]);
  const uint16_t checksum = checksum::finish(sum);
  checksum::store_raw(udp + 6, checksum == 0 ? 0xffff : checksum);
}

void Host::write_packet(FrameIndex index, uint32_t flow, uint32_t sequence, bool towards_server,
                        uint64_t now) {
  Frame& frame = plane_->pool().frame(index);
  uint8_t ethernet[ethernet::kHeaderBytes];
  std::memcpy(ethernet, options_.gateway_mac, 6);
  std::memcpy(ethernet + 6, options_.mac, 6);
  const bool v4 = options_.flows[flow].source.is_v4();
  store16(ethernet + 12, v4 ? 0x0800 : 0x86dd);
  Expected packet;
  expect(packet, flow, sequence, towards_server, now, 64, ethernet);
  uint8_t* data = plane_->pool().data(index);
  std::memcpy(data, packet.headers, packet.headers_bytes);
  std::memcpy(data + packet.headers_bytes, packet.pattern, packet.pattern_bytes);
  frame.length = static_cast<uint16_t>(packet.headers_bytes + packet.pattern_bytes);
  frame.version = v4 ? 4 : 6;  // for whoever drops it unparsed
  frame.l3 = ethernet::kHeaderBytes;
  frame.received = now;
}

bool Host::poll(uint32_t worker, uint64_t now) {
  if (!running()) return drain_ports(worker, now);
  Shard& shard = *shards_[worker];
  bool moved = receive(shard, worker, now);
  if (!options_.server && sending_.load(std::memory_order_acquire)) {
    moved |= by_clock_ ? send_by_clock(shard, worker, now) : send(shard, worker, now);
  }
  return moved;
}

bool Host::send(Shard& shard, uint32_t worker, uint64_t now) {
  FrameCache& cache = plane_->cache(worker);
  const uint32_t under_way = cache.total() - cache.available();
  if (under_way >= options_.credit || shard.next_flow >= options_.flows.size()) return false;
  FrameIndex frames[kBurst];
  const uint32_t count = cache.allocate(frames, std::min(options_.credit - under_way, kBurst));
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t flow = shard.next_flow;
    shard.next_flow = flow + senders_ < options_.flows.size() ? flow + senders_ : worker;
    write_packet(frames[i], flow, ++shard.sequences[flow / senders_], true, now);
    bytes += plane_->pool().frame(frames[i]).length;
  }
  counters(worker).add(Counter::sent, count);
  transmit(worker, now, frames, count, bytes);
  return count > 0;
}

// Flows of this worker whose time has come, a burst at most.
bool Host::send_by_clock(Shard& shard, uint32_t worker, uint64_t now) {
  if (!shard.started) {
    shard.started = true;
    const auto flows = static_cast<uint32_t>(worker < senders_ ? options_.flows.size() : 0);
    for (uint32_t flow = worker; flow < flows; flow += senders_) {
      if (options_.flows[flow].interval != 0) shard.turns.emplace(now + options_.flows[flow].first, flow);
    }
  }
  FrameIndex frames[kBurst];
  uint32_t count = 0;
  uint64_t bytes = 0;
  while (count < kBurst && !shard.turns.empty() && shard.turns.top().first <= now) {
    const auto [due, flow] = shard.turns.top();
    shard.turns.pop();
    shard.turns.emplace(due + options_.flows[flow].interval, flow);
    if (plane_->cache(worker).allocate(&frames[count], 1) == 0) continue;  // nothing sent, nothing missed
    ++shard.reports[flow].sent;
    write_packet(frames[count], flow, ++shard.sequences[flow / senders_], true, now);
    bytes += plane_->pool().frame(frames[count++]).length;
  }
  counters(worker).add(Counter::sent, count);
  transmit(worker, now, frames, count, bytes);
  return count > 0;
}

void Host::transmit(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count, uint64_t bytes) {
  const uint32_t taken = port(0, worker).transmit(plane_->cache(worker), frames, count);
  for (uint32_t i = taken; i < count; ++i) {
    bytes -= plane_->pool().frame(frames[i]).length;
    drop(worker, now, frames[i], port(0, worker).open() ? DropReason::wire_full : DropReason::port_closed);
  }
  counters(worker).add(Counter::tx_packets, taken);
  counters(worker).add(Counter::tx_bytes, bytes);
}

bool Host::receive(Shard& shard, uint32_t worker, uint64_t now) {
  FramePool& pool = plane_->pool();
  FrameIndex frames[kBurst];
  FrameIndex answers[kBurst];
  const uint32_t count = port(0, worker).receive(plane_->cache(worker), now, frames, kBurst);
  uint32_t answered = 0;
  uint64_t bytes = 0;
  uint64_t answer_bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + 4 < count) __builtin_prefetch(pool.data(frames[i + 4]) + ethernet::kHeaderBytes);
    bytes += pool.frame(frames[i]).length;
    const Arrival arrival = check(shard, worker, now, frames[i]);
    if (arrival.kind != Arrival::kDelivered || !options_.server) continue;
    ++shard.reports[arrival.flow].sent;
    write_packet(frames[i], arrival.flow, arrival.sequence, false, now);
    answer_bytes += pool.frame(frames[i]).length;
    answers[answered++] = frames[i];
  }
  counters(worker).add(Counter::rx_packets, count);
  counters(worker).add(Counter::rx_bytes, bytes);
  if (answered > 0) {
    counters(worker).add(Counter::sent, answered);
    transmit(worker, now, answers, answered, answer_bytes);
  }
  return count > 0;
}

// Compares an arrived packet with what it must be; frees it unless it is one that a server goes on to answer.
Host::Arrival Host::check(Shard& shard, uint32_t worker, uint64_t now, FrameIndex index) {
  FramePool& pool = plane_->pool();
  const Frame& frame = pool.frame(index);
  const uint8_t* data = pool.data(index);
  const bool v4 = frame.length >= 42 && data[12] == 0x08 && data[13] == 0x00 && data[23] == 17;
  const bool v6 = frame.length >= 62 && data[12] == 0x86 && data[13] == 0xdd && data[20] == 17;
  if (!v4 && !v6) return answer_control(worker, index);
  const uint32_t tag = ethernet::kHeaderBytes + (v4 ? 28 : 48);
  uint32_t flow = ~0u;
  uint32_t sequence = 0;
  uint64_t sent_at = now;
  if (frame.length >= tag + kTagBytes) {
    std::memcpy(&flow, data + tag, 4);
    std::memcpy(&sequence, data + tag + 4, 4);
    std::memcpy(&sent_at, data + tag + 8, 8);
  }
  bool same = flow < options_.flows.size() && v4 == options_.flows[flow].source.is_v4();
  if (same) {
    Expected packet;
    expect(packet, flow, sequence, options_.server, sent_at, data[ethernet::kHeaderBytes + (v4 ? 8 : 7)],
           data);
    same = frame.length == packet.headers_bytes + packet.pattern_bytes &&
           std::memcmp(data, packet.headers, packet.headers_bytes) == 0 &&
           std::memcmp(data + packet.headers_bytes, packet.pattern, packet.pattern_bytes) == 0;
  }
  if (!same) {
    counters(worker).add(Counter::mismatched);
    plane_->cache(worker).free(index);
    return {Arrival::kOther, 0, 0};
  }
  if (shard.arrivals[flow].see(sequence) != ArrivalWindow::kNew) {
    counters(worker).add(Counter::duplicates);
    plane_->cache(worker).free(index);
    return {Arrival::kOther, 0, 0};
  }
  shard.arrived(flow, now);
  counters(worker).add(Counter::delivered);
  counters(worker).add(Counter::delivered_bytes, frame.length - ethernet::kHeaderBytes);
  ++shard.latency.counts[LatencyHistogram::bucket(now - sent_at)];
  if (!options_.server) plane_->cache(worker).free(index);
  return {Arrival::kDelivered, flow, sequence};
}

// A host answers for every address: whatever its gateway asks for on this wire is behind it.
Host::Arrival Host::answer_control(uint32_t worker, FrameIndex index) {
  Frame& frame = plane_->pool().frame(index);
  uint8_t* packet = plane_->pool().data(index);
  nd::Message message;
  const bool whole = parse_ethernet(frame, packet) == DropReason::kNone;
  if (whole && frame.version == 0 && arp::operation(packet + frame.l3) == arp::kRequest) {
    arp::answer(packet, frame.l3, options_.mac);
  } else if (whole && frame.protocol == protocol::kIcmpv6 && nd::read(frame, packet, message) &&
             message.type == icmpv6::kNeighbourSolicitation) {
    nd::answer(frame, packet, message, options_.mac, false);
  } else {
    counters(worker).add(Counter::unexpected);
    plane_->cache(worker).free(index);
    return {Arrival::kOther, 0, 0};
  }
  frame.version = 0;  // a control packet: see Node::drop_closed
  counters(worker).add(Counter::answered);
  send_raw(worker, 0, index);
  return {Arrival::kOther, 0, 0};
}

void Host::resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) {
  drop_closed(worker, now, frames, count);  // a host hands nothing over
}

}  // namespace penstock
