#include "link.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "../packet/esp.h"
#include "../packet/ethernet.h"
#include "../packet/ipv4.h"

namespace penstock {
namespace {

constexpr uint32_t kParts = 1'000'000;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t next_random(uint64_t& state) {  // splitmix64
  uint64_t z = state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

// One draw for each kind that there is, so that a link without faults costs none.
bool falls(uint64_t& random, uint32_t parts) {
  return parts != 0 && next_random(random) % kParts < parts;
}

uint64_t mixed(uint64_t digest, uint64_t word) {
  digest = (digest ^ word) * 0x9fb21c651e98df25ull;
  return digest ^ digest >> 29;
}

// When, where, how long, and every byte.
uint64_t seen(uint64_t digest, uint64_t now, uint32_t where, const uint8_t* packet, uint32_t length) {
  digest = mixed(mixed(digest, now), uint64_t{where} << 32 | length);
  uint64_t word;
  for (; length >= 8; length -= 8, packet += 8) {
    std::memcpy(&word, packet, 8);
    digest = mixed(digest, word);
  }
  word = 0;
  std::memcpy(&word, packet, length);
  return mixed(digest, word);
}

// Where the ESP header of a frame is, 0: it is none with an IV.
uint32_t esp_at(const uint8_t* packet, uint32_t length) {
  constexpr uint32_t kIp = ethernet::kHeaderBytes;
  if (length < kIp + 20) return 0;
  const bool v4 = packet[12] == 0x08 && packet[13] == 0x00 && packet[kIp + 9] == protocol::kEsp;
  const bool v6 = packet[12] == 0x86 && packet[13] == 0xdd && packet[kIp + 6] == protocol::kEsp;
  if (!v4 && !v6) return 0;
  const uint32_t at = kIp + (v4 ? (packet[kIp] & 15u) * 4 : 40);
  return length >= at + esp::kHeaderBytes + 8 ? at : 0;
}

}  // namespace

void Link::Queue::insert(Entry entry) {
  uint32_t place = count++;
  for (; place > 0 && at(place - 1).due > entry.due; --place) at(place) = at(place - 1);
  at(place) = entry;
}

class LinkPort final : public Port {
 public:
  LinkPort(std::shared_ptr<Link> link, uint32_t side, uint32_t worker)
      : link_(std::move(link)),
        worker_(worker),
        way_(link_->ways_[side]),
        in_(link_->ways_[side ^ 1].queues[worker]),
        out_(link_->ways_[side].queues[worker]),
        clock_(*link_->around_.clocks[worker]),
        where_(link_->number_ * 2 + side) {}

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override {
    if (!link_->open()) {  // what was under way when it went down
      while (in_.count > 0) lose(cache, pop());
      return 0;
    }
    uint64_t* const digest = link_->around_.digests[worker_];
    uint32_t taken = 0;
    while (taken < count && in_.count > 0 && in_.at(0).due <= clock_) {
      const FrameIndex index = pop();
      Frame& frame = cache.pool().frame(index);
      frame.received = now;
      *digest = seen(*digest, clock_, where_, cache.pool().data(index), frame.length);
      frames[taken++] = index;
    }
    return taken;
  }

  uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) override {
    if (!link_->open()) return 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (out_.full()) return i;
      send(cache, frames[i]);
    }
    return count;
  }

  uint32_t drain(FrameIndex* frames, uint32_t count) override {
    uint32_t taken = 0;
    while (taken < count && in_.count > 0) frames[taken++] = pop();
    return taken;
  }

  uint64_t next_arrival() const override {
    return in_.count == 0 ? ~0ull : link_->open() ? in_.at(0).due : 0;
  }
  bool open() const override { return link_->open(); }
  std::string fault() const override { return link_->open() ? std::string() : "the link is down"; }

 private:
  FrameIndex pop() {
    const FrameIndex index = in_.at(0).frame;
    in_.head = static_cast<uint32_t>((in_.head + 1) % in_.entries.size());
    --in_.count;
    return index;
  }

  void lose(FrameCache& cache, FrameIndex index) {
    // 0: a control packet, see Node::drop_closed
    count(cache.pool().frame(index).version == 0 ? Counter::unsent
                                                 : static_cast<Counter>(DropReason::link_lost));
    cache.free(index);
  }

  void send(FrameCache& cache, FrameIndex index) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    const uint32_t esp = esp_at(cache.pool().data(index), cache.pool().frame(index).length);
    if (esp != 0 && way_.witness.load(kRelaxed)) witness(cache.pool().data(index), esp);
    if (way_.cut.load(std::memory_order_acquire) || falls(out_.random, way_.loss.load(kRelaxed))) {
      return lose(cache, index);
    }
    const uint32_t length = cache.pool().frame(index).length;
    if (falls(out_.random, way_.corrupt.load(kRelaxed)) && length > 0) {
      const uint64_t bit = next_random(out_.random) % (uint64_t{length} * 8);
      cache.pool().data(index)[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      count(Counter::link_corrupted);
    }
    const bool doubled = falls(out_.random, way_.duplicate.load(kRelaxed));
    uint64_t sent = std::max(clock_, out_.free_from);
    if (const uint64_t rate = way_.bits_per_second.load(kRelaxed); rate != 0) {
      sent += uint64_t{length} * 8 * kNsPerSecond / rate;
      out_.free_from = sent;
    }
    arrive(sent, index);
    if (esp != 0) replay(cache, index, sent);
    FrameIndex twin;
    if (doubled && !out_.full() && cache.allocate(&twin, 1) == 1) {
      const Frame& frame = cache.pool().frame(index);
      Frame& copy = cache.pool().frame(twin);
      const uint16_t start = copy.start;
      copy = frame;
      copy.start = start;
      std::memcpy(cache.pool().data(twin), cache.pool().data(index), length);
      count(frame.version == 0 ? Counter::made : Counter::link_duplicated);
      arrive(sent, twin);
    }
  }

  void witness(const uint8_t* packet, uint32_t esp) {
    const bool v4 = packet[12] == 0x08;
    uint64_t words[2] = {};
    std::memcpy(words, packet + ethernet::kHeaderBytes + (v4 ? 16 : 24), v4 ? 4 : 16);
    uint64_t iv;
    std::memcpy(&iv, packet + esp + esp::kHeaderBytes, 8);
    NonceLog& log = *link_->around_.nonces[worker_];
    ++log.seen;
    const uint64_t key = mixed(mixed(words[0], words[1]), esp::spi(packet + esp));
    if (!log.nonces.insert(mixed(key, iv)).second) ++log.repeated;
  }

  // Records what passes, and sends something recorded behind it.
  void replay(FrameCache& cache, FrameIndex index, uint64_t sent) {
    constexpr uint32_t kMostRecorded = 16;
    const uint32_t parts = way_.replay.load(std::memory_order_relaxed);
    if (parts == 0) return;
    const uint8_t* packet = cache.pool().data(index);
    const uint32_t length = cache.pool().frame(index).length;
    if (falls(out_.random, parts) && !out_.recorded.empty() && !out_.full()) {
      const std::vector<uint8_t>& again = out_.recorded[next_random(out_.random) % out_.recorded.size()];
      FrameIndex copy;
      if (cache.allocate(&copy, 1) == 1) {
        Frame& frame = cache.pool().frame(copy);
        const uint16_t start = frame.start;
        frame = cache.pool().frame(index);
        frame.start = start;
        frame.length = static_cast<uint16_t>(again.size());
        std::memcpy(cache.pool().data(copy), again.data(), again.size());
        count(Counter::link_duplicated);
        arrive(sent, copy);
      }
    }
    if (out_.recorded.size() < kMostRecorded) out_.recorded.emplace_back();
    out_.recorded[out_.next_record++ % out_.recorded.size()].assign(packet, packet + length);
  }

  void arrive(uint64_t sent, FrameIndex index) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    uint64_t due = sent + way_.delay.load(kRelaxed);
    if (const uint64_t jitter = way_.jitter.load(kRelaxed); jitter != 0) {
      due += next_random(out_.random) % (jitter + 1);
    }
    if (falls(out_.random, way_.reorder.load(kRelaxed))) {
      due += way_.held_back.load(kRelaxed);
    } else {
      due = out_.last_due = std::max(due, out_.last_due);
    }
    out_.insert({due, index});
  }

  const std::shared_ptr<Link> link_;
  const uint32_t worker_;
  Link::Way& way_;
  Link::Queue& in_;
  Link::Queue& out_;
  const uint64_t& clock_;
  const uint32_t where_;
};

Link::Link(uint32_t capacity, Surroundings surroundings, uint64_t seed, uint32_t number)
    : around_(std::move(surroundings)), number_(number) {
  uint64_t state = seed ^ mixed(0x706c696e6b, number);
  for (Way& way : ways_) {
    way.queues.resize(around_.clocks.size());
    for (Queue& queue : way.queues) {
      queue.entries.resize(capacity);
      queue.random = next_random(state);
    }
  }
}

std::unique_ptr<Port> Link::end(std::shared_ptr<Link> link, uint32_t side, uint32_t worker) {
  return std::make_unique<LinkPort>(std::move(link), side, worker);
}

void Link::set_quality(uint32_t from, const LinkQuality& quality) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  Way& way = ways_[from];
  way.bits_per_second.store(quality.bits_per_second, kRelaxed);
  way.delay.store(quality.delay, kRelaxed);
  way.jitter.store(quality.jitter, kRelaxed);
  way.held_back.store(quality.held_back, kRelaxed);
  way.loss.store(quality.loss, kRelaxed);
  way.duplicate.store(quality.duplicate, kRelaxed);
  way.reorder.store(quality.reorder, kRelaxed);
  way.corrupt.store(quality.corrupt, kRelaxed);
  way.replay.store(quality.replay, kRelaxed);
}

uint32_t Link::held(uint32_t from) const {
  uint32_t frames = 0;
  for (const Queue& queue : ways_[from].queues) frames += queue.count;
  return frames;
}

}  // namespace penstock
