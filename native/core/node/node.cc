#include "node.h"

#include <algorithm>
#include <cstring>

#include "../packet/icmp.h"
#include "../packet/ipv4.h"
#include "../packet/parse.h"
#include "plane.h"

namespace penstock {
namespace {

bool is_neighbour_discovery(const Frame& frame, const uint8_t* packet) {
  if (frame.version != 6 || frame.protocol != protocol::kIcmpv6 || frame.l4 == 0) return false;
  const uint8_t type = icmp::type(packet + frame.l4);
  return type == icmpv6::kNeighbourSolicitation || type == icmpv6::kNeighbourAdvertisement;
}

// Stands where a port was removed.
class AbsentPort final : public Port {
 public:
  uint32_t receive(FrameCache&, uint64_t, FrameIndex*, uint32_t) override { return 0; }
  uint32_t transmit(FrameCache&, const FrameIndex*, uint32_t) override { return 0; }
  bool open() const override { return false; }
  uint32_t openings() const override { return 0; }
  std::string fault() const override { return "it was removed"; }
};

AbsentPort absent_port;

constexpr uint32_t kLastTurns = 1024;  // bursts that a removed port is emptied of

}  // namespace

Node::Node(std::string name, uint32_t most_workers)
    : name_(std::move(name)), ports_(new PortSlot[kMostPorts]), counters_(most_workers) {
  for (uint32_t w = 0; w < most_workers; ++w) records_.push_back(std::make_unique<Records>());
}

void Node::attached() {
  for (uint32_t w = 0; w < plane_->workers(); ++w) add_worker(w);
}

uint16_t Node::add_port(std::vector<std::unique_ptr<Port>> per_worker) {
  const uint16_t count = port_count_.load(std::memory_order_relaxed);
  uint16_t index = 0;
  while (index < count && !ports_[index].owned.empty()) ++index;
  if (index == kMostPorts) return kNoPort;
  PortSlot& slot = ports_[index];
  if (slot.used == nullptr) slot.used.reset(new std::atomic<Port*>[counters_.size()]);
  for (size_t w = 0; w < per_worker.size(); ++w) {
    per_worker[w]->count_into(&counters_[w]);
    slot.used[w].store(per_worker[w].get(), std::memory_order_release);
  }
  for (size_t w = per_worker.size(); w < counters_.size(); ++w) slot.used[w].store(&absent_port);
  slot.owned = std::move(per_worker);
  if (index == count) port_count_.store(static_cast<uint16_t>(count + 1), std::memory_order_release);
  return index;
}

std::string Node::further_ports(uint32_t before, uint32_t workers, FurtherPorts& made) {
  made.resize(ports());
  for (uint16_t index = 0; index < ports(); ++index) {
    const PortSlot& slot = ports_[index];
    if (slot.owned.empty() || slot.closing.load(std::memory_order_relaxed)) continue;
    for (uint32_t w = before; w < workers; ++w) {
      std::string error;
      made[index].push_back(slot.owned[0]->further(w, error));
      if (made[index].back() == nullptr) return error;
    }
  }
  return {};
}

void Node::adopt_ports(uint32_t before, FurtherPorts made) {
  for (uint16_t index = 0; index < made.size(); ++index) {
    for (uint32_t w = before; auto& port : made[index]) {
      port->count_into(&counters_[w]);
      ports_[index].used[w++].store(port.get(), std::memory_order_release);
      ports_[index].owned.push_back(std::move(port));
    }
  }
}

void Node::begin_ports(uint32_t workers) {
  for (uint16_t index = 0; index < ports(); ++index) {
    const PortSlot& slot = ports_[index];
    for (uint32_t w = 0; w < slot.owned.size() && w < workers; ++w) slot.owned[w]->begin();
  }
}

void Node::remove_port(uint16_t index) {
  if (ports_[index].owned.empty() || ports_[index].closing.exchange(true)) return;
  closing_.fetch_add(1, std::memory_order_release);
}

void Node::close_removed(uint32_t worker, uint64_t now) {
  FrameIndex frames[kBurst];
  for (uint16_t index = 0; index < ports(); ++index) {
    Port& gone = port(index, worker);
    if (!ports_[index].closing.load(std::memory_order_acquire) || &gone == &absent_port) continue;
    // What has arrived, and no more: a sender who does not stop is not waited for.
    for (uint32_t turns = 0; turns < kLastTurns; ++turns) {
      const uint32_t count = gone.receive(plane_->cache(worker), now, frames, kBurst);
      if (count == 0) break;
      drop_received(worker, now, frames, count);
    }
    while (const uint32_t count = gone.drain(frames, kBurst)) drop_closed(worker, now, frames, count);
    gone.flush();
    gone.let_go(plane_->cache(worker));
    ports_[index].used[worker].store(&absent_port, std::memory_order_release);
  }
}

bool Node::collect_ports() {
  if (closing_.load(std::memory_order_relaxed) == 0) return false;
  for (uint16_t index = 0; index < ports(); ++index) {
    PortSlot& slot = ports_[index];
    if (!slot.closing.load(std::memory_order_relaxed)) continue;
    bool used = false;
    for (size_t w = 0; w < counters_.size(); ++w) used |= slot.used[w].load() != &absent_port;
    if (used) continue;
    slot.owned.clear();
    slot.closing.store(false, std::memory_order_release);
    closing_.fetch_sub(1, std::memory_order_release);
  }
  return closing_.load(std::memory_order_relaxed) != 0;
}

void Node::set_tap(std::unique_ptr<Tap> tap) {
  tap_.store(tap.get(), std::memory_order_release);
  if (own_tap_ != nullptr) old_taps_.push_back({std::move(own_tap_), plane_->next_version()});
  own_tap_ = std::move(tap);
}

bool Node::collect_taps(uint64_t oldest) {
  std::erase_if(old_taps_, [&](const OldTap& old) { return old.version <= oldest; });
  return !old_taps_.empty();
}

uint64_t Node::total(Counter counter) const {
  uint64_t sum = 0;
  for (const Counters& counters : counters_) sum += counters.get(counter);
  return sum;
}

std::vector<DropRecord> Node::drop_records(uint32_t most) const {
  std::vector<DropRecord> all;
  for (const auto& records : records_) {
    const uint64_t written = records->written.load(std::memory_order_acquire);
    const uint64_t first = written > Records::kSize ? written - Records::kSize : 0;
    for (uint64_t at = first; at < written; ++at) {
      const DropRecord record = records->ring[at % Records::kSize];
      // Overwritten while it was copied: not one to show.
      if (records->written.load(std::memory_order_acquire) >= at + Records::kSize) continue;
      all.push_back(record);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const DropRecord& a, const DropRecord& b) { return a.time > b.time; });
  if (all.size() > most) all.resize(most);
  return all;
}

void Node::record_drop(uint32_t worker, uint64_t now, FrameIndex index, DropReason reason) {
  const Frame& frame = plane_->pool().frame(index);
  Records& records = *records_[worker];
  const uint64_t at = records.written.load(std::memory_order_relaxed);
  DropRecord& record = records.ring[at % Records::kSize];
  record.time = now;
  record.reason = reason;
  record.port = frame.port;
  record.version = 0;
  record.protocol = frame.protocol;
  record.source_port = frame.source_port;
  record.destination_port = frame.destination_port;
  record.interface = frame.interface;
  record.identification = 0;
  const uint8_t* header = plane_->pool().data(index) + frame.l3;
  if (frame.version == 4 && frame.l3 + 20u <= frame.length) {
    record.version = 4;
    record.identification = ipv4::identification(header);
    std::memcpy(record.source, header + 12, 4);
    std::memcpy(record.destination, header + 16, 4);
  } else if (frame.version == 6 && frame.l3 + 40u <= frame.length) {
    record.version = 6;
    std::memcpy(record.source, header + 8, 16);
    std::memcpy(record.destination, header + 24, 16);
  }
  records.written.store(at + 1, std::memory_order_release);
}

void Node::drop(uint32_t worker, uint64_t now, FrameIndex frame, DropReason reason) {
  counters_[worker].add(reason);
  record_drop(worker, now, frame, reason);
  if (Tap* const watching = tap(); watching != nullptr) [[unlikely]]
    watching->finished(worker, now, frame, Verdict::kDropped, static_cast<uint16_t>(reason));
  plane_->cache(worker).free(frame);
}

void Node::drop_closed(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (plane_->pool().frame(frames[i]).version == 0) {
      counters_[worker].add(Counter::unsent);
      plane_->cache(worker).free(frames[i]);
    } else {
      drop(worker, now, frames[i], DropReason::port_closed);
    }
  }
}

void Node::drop_received(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) {
  counters_[worker].add(Counter::rx_packets, count);
  for (uint32_t i = 0; i < count; ++i) {
    Frame& frame = plane_->pool().frame(frames[i]);
    counters_[worker].add(Counter::rx_bytes, frame.length);
    frame.version = frame.protocol = 0;
    frame.l3 = 0;
    frame.source_port = frame.destination_port = 0;
    const uint8_t* packet = plane_->pool().data(frames[i]);
    const DropReason reason = parse_ethernet(frame, packet);
    // Neighbour discovery is the links' own, like ARP: no traffic that somebody misses.
    if (reason != DropReason::kNone || is_neighbour_discovery(frame, packet)) frame.version = 0;
  }
  drop_closed(worker, now, frames, count);
}

bool Node::drain_ports(uint32_t worker, uint64_t now) {
  bool moved = false;
  FrameIndex frames[kBurst];
  for (uint16_t index = 0; index < ports(); ++index) {
    while (const uint32_t count = port(index, worker).receive(plane_->cache(worker), now, frames, kBurst)) {
      drop_received(worker, now, frames, count);
      moved = true;
    }
  }
  return moved;
}

void Node::send_raw(uint32_t worker, uint16_t index, FrameIndex frame) {
  const uint32_t length = plane_->pool().frame(frame).length;
  Tap* const watching = tap();
  if (watching != nullptr) [[unlikely]]
    watching->sending(worker, plane_->pool().frame(frame).received, index, &frame, 1);
  const uint32_t taken = index < ports() ? port(index, worker).transmit(plane_->cache(worker), &frame, 1) : 0;
  if (watching != nullptr) [[unlikely]]
    watching->sent(worker, taken);
  if (taken == 1) {
    counters_[worker].add(Counter::tx_packets);
    counters_[worker].add(Counter::tx_bytes, length);
    return;
  }
  counters_[worker].add(Counter::unsent);
  plane_->cache(worker).free(frame);
}

}  // namespace penstock
