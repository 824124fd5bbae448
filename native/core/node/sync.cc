// Sessions and SAs of a pair, on the control thread: between the rings of the workers and the interchassis
// link.
#include <cstring>

#include "shard.h"

namespace penstock {

using sync::Mark;
using sync::Record;
using sync::RecordKind;

void Forwarder::Shard::change_numbers(uint32_t index, const SaNumbers& numbers) {
  switch (numbers.kind) {
    case SaNumbers::Kind::kArm:
      return node.outbound_[index].arm(numbers.gate, numbers.ask);
    case SaNumbers::Kind::kTakeOver:
      if (node.outbound_[index].take_over(numbers.epoch, numbers.sequence)) {
        node.outbound_[index].arm(numbers.gate, numbers.ask);
      }
      return;
    case SaNumbers::Kind::kSeen:
      return node.inbound_[index].window.seen_up_to(numbers.sequence);
  }
}

std::string Forwarder::change_numbers(bool outbound, uint32_t index, const SaNumbers& numbers) {
  if (outbound ? !outbound_.live(index) : !inbound_.live(index)) return "no such SA";
  if (numbers.epoch > esp::kLargestEpoch) return "epoch: 0 to 4095; rekey";
  auto change = std::make_unique<SaChange>();
  change->index = index;
  change->numbers = numbers;
  const uint32_t anchor = outbound ? outbound_[index].anchor : inbound_[index].anchor;
  shards_[anchor]->change(change.get());
  changes_.push_back(std::move(change));
  return {};
}

void Forwarder::sync_start(bool all) {
  for (auto& shard : live_shards()) shard->sync.start(all);
  sync_.held.assign(plane_->workers(), {});
  sync_.checks_wanted.resize(plane_->workers());
  for (size_t w = 0; w < plane_->workers(); ++w) sync_.checks_wanted[w] = shards_[w]->sync.checks();
  sync_.checking = false;
  sync_.status.mismatches = 0;
  plane_->wake();
}
void Forwarder::sync_stop() {
  for (auto& shard : live_shards()) shard->sync.stop();
  if (!sync_ready()) return;
  // what was not sent yet is said again on the next connection
  for (auto& shard : live_shards()) {
    if (!shard->sync.started()) continue;
    uint8_t waste[4096];
    for (size_t length = 1; length > 0;) {
      length = shard->sync.out().peek(waste, sizeof waste);
      shard->sync.out().take(length);
    }
  }
}
void Forwarder::sync_digest() {
  for (auto& shard : live_shards()) shard->sync.ask_digest();
}
void Forwarder::sync_refresh() {
  for (auto& shard : live_shards()) shard->sync.ask_refresh();
}

// Workers that were added since the start take part from now on, and all is said anew.
void Forwarder::sync_grow() {
  if (sync_.held.size() != plane_->workers()) sync_start(false);
}

bool Forwarder::sync_ready() const {
  return shards_[0]->sync.started();
}

// All workers' streams have come to a mark: one for all of them. A beginning makes earlier marks void.
uint32_t Forwarder::sync_mark(uint8_t* out) {
  bool begins = false;
  bool differ = false;
  uint64_t sum = 0;
  for (const SyncControl::Held& held : sync_.held) {
    if (!held.holds) return 0;
    begins |= held.mark == Mark::kBegin;
    differ |= held.mark != sync_.held[0].mark;
    sum += held.value;
  }
  for (SyncControl::Held& held : sync_.held) held.holds = begins && differ && held.mark == Mark::kBegin;
  if (differ) return 0;
  sync_.status.sweeps += sync_.held[0].mark == Mark::kSwept;
  return static_cast<uint32_t>(sync::write_mark(sync_.held[0].mark, sum, out));
}

uint32_t Forwarder::sync_pull(uint8_t* out, uint32_t most) {
  if (!sync_ready()) return 0;
  sync_grow();
  uint32_t used = 0;
  const uint32_t workers = plane_->workers();
  for (uint32_t i = 0, idle = 0; idle < workers && most - used >= sync::kMostRecordBytes; ++i) {
    const uint32_t w = (sync_.next_worker + i) % workers;
    SyncControl::Held& held = sync_.held[w];
    ByteRing& ring = shards_[w]->sync.out();
    const size_t there = held.holds ? 0 : ring.peek(out + used, most - used);
    size_t taken = 0;
    while (const size_t length = sync::record_length(out + used + taken, there - taken)) {
      if (out[used + taken] == static_cast<uint8_t>(RecordKind::kMark)) {
        held.holds = true;
        held.mark = static_cast<Mark>(out[used + taken + 1]);
        held.value = load64(out + used + taken + 2);
        ring.take(length);
        break;
      }
      taken += length;
    }
    ring.take(taken);
    used += static_cast<uint32_t>(taken);
    idle = taken == 0 ? idle + 1 : 0;
    if (held.holds && most - used >= sync::kMarkBytes) used += sync_mark(out + used);
  }
  if (++sync_.next_worker >= workers) sync_.next_worker = 0;
  return used;
}

// Shard::owner for a session that comes from the peer.
uint32_t Forwarder::sync_owner(const Record& record) const {
  const uint32_t in = record.tunnel[0];
  const uint32_t out = record.tunnel[1];
  if (in != kNoTunnel && (out == kNoTunnel || in <= out)) return record.tunnel_worker[0];
  if (out != kNoTunnel) return record.tunnel_worker[1];
  const SessionKey& key = record.in;
  const auto address = [&](const uint8_t* bytes) {
    return key.version == 4 ? Address::v4(bytes) : Address::v6(bytes);
  };
  return owners_.owner(FlowOwners::bucket(address(key.source()), address(key.destination()), key.protocol(),
                                          uint32_t{key.source_port()} + key.destination_port()));
}

Forwarder::SyncApplied Forwarder::sync_apply(const uint8_t* block, uint32_t size) {
  if (!sync_ready()) return SyncApplied::kBusy;
  sync_grow();
  if (!sync_checked()) return SyncApplied::kBusy;
  uint32_t records = 0;
  for (uint32_t at = 0; at < size; ++records) {
    const size_t length = sync::record_length(block + at, size - at);
    if (length == 0) {
      ++sync_.status.malformed;
      return SyncApplied::kMalformed;
    }
    at += static_cast<uint32_t>(length);
  }
  for (const auto& shard : live_shards()) {
    if (!shard->sync.has_room(records)) return SyncApplied::kBusy;
  }
  const SyncTable& names = *current_.load()->sync;
  Record record;
  for (uint32_t at = 0; at < size;) {
    const size_t length = sync::record_length(block + at, size - at);
    const sync::ReadStatus read = sync::read_record(block + at, length, names, record);
    at += static_cast<uint32_t>(length);
    if (read == sync::ReadStatus::kMalformed) {
      ++sync_.status.malformed;
      return SyncApplied::kMalformed;
    }
    if (read == sync::ReadStatus::kUnknownName) {
      ++sync_.status.unknown_names;
      continue;
    }
    if (record.kind != RecordKind::kMark) {
      shards_[sync_owner(record)]->sync.put_in(record);
      continue;
    }
    for (size_t w = 0; w < plane_->workers(); ++w) {
      shards_[w]->sync.put_in(record);
      if (record.mark == Mark::kDigest) ++sync_.checks_wanted[w];
    }
    if (record.mark == Mark::kDigest) {
      sync_.expected = record.value;
      sync_.checking = true;
    }
  }
  return SyncApplied::kApplied;
}

// Whether a digest that the peer sent has been held against our sum, if there is one.
bool Forwarder::sync_checked() {
  if (!sync_.checking || sync_.held.size() != plane_->workers()) return true;
  uint64_t sum = 0;
  for (size_t w = 0; w < plane_->workers(); ++w) {
    if (shards_[w]->sync.checks() < sync_.checks_wanted[w]) return false;
    sum += shards_[w]->sync.checked_sum();
  }
  sync_.checking = false;
  ++sync_.status.digests;
  sync_.status.mismatches = sum == sync_.expected ? 0 : sync_.status.mismatches + 1;
  return true;
}

SyncStatus Forwarder::sync_status() {
  if (sync_ready()) sync_checked();
  SyncStatus status = sync_.status;
  for (const auto& shard : live_shards()) {
    const SessionSync::Counts counts = shard->sync.counts();
    status.counts.said += counts.said;
    status.counts.said_bytes += counts.said_bytes;
    status.counts.unnamed += counts.unnamed;
    status.counts.overflows += counts.overflows;
    status.counts.copied += counts.copied;
    status.counts.updated += counts.updated;
    status.counts.closed += counts.closed;
    status.counts.refused += counts.refused;
    status.counts.swept += counts.swept;
    status.overflowed |= shard->sync.overflowed();
  }
  return status;
}

}  // namespace penstock
