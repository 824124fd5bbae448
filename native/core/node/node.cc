#include "node.h"

#include <algorithm>
#include <cstring>

#include "plane.h"

namespace penstock {

Node::Node(std::string name, uint32_t workers) : name_(std::move(name)), counters_(workers) {
  for (uint32_t w = 0; w < workers; ++w) records_.push_back(std::make_unique<Records>());
}

uint16_t Node::add_port(std::vector<std::unique_ptr<Port>> per_worker) {
  for (size_t w = 0; w < per_worker.size(); ++w) per_worker[w]->count_into(&counters_[w]);
  ports_.push_back(std::move(per_worker));
  port_added();
  return static_cast<uint16_t>(ports_.size() - 1);
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
  const uint8_t* header = plane_->pool().data(index) + frame.l3;
  if (frame.version == 4 && frame.l3 + 20u <= frame.length) {
    record.version = 4;
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

bool Node::drain_ports(uint32_t worker, uint64_t now) {
  bool moved = false;
  FrameIndex frames[kBurst];
  for (auto& port : ports_) {
    while (const uint32_t count = port[worker]->receive(plane_->cache(worker), now, frames, kBurst)) {
      drop_closed(worker, now, frames, count);
      moved = true;
    }
  }
  return moved;
}

void Node::send_raw(uint32_t worker, uint16_t port, FrameIndex frame) {
  const uint32_t length = plane_->pool().frame(frame).length;
  if (port < ports_.size() && ports_[port][worker]->transmit(plane_->cache(worker), &frame, 1) == 1) {
    counters_[worker].add(Counter::tx_packets);
    counters_[worker].add(Counter::tx_bytes, length);
    return;
  }
  counters_[worker].add(Counter::unsent);
  plane_->cache(worker).free(frame);
}

}  // namespace penstock
