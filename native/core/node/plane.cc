#include "plane.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>

#include "node.h"

namespace penstock {
namespace {

constexpr uint32_t kPuntRing = 1024;
constexpr uint32_t kInjectRing = 1024;
constexpr uint32_t kIdleTurns = 2000;            // turns without a frame before a worker sleeps
constexpr uint64_t kLongestSleepNs = 1'000'000;  // ports without a descriptor are asked again after this

uint64_t monotonic_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::vector<uint32_t> shares(const PlaneOptions& options, uint32_t each, uint32_t control) {
  std::vector<uint32_t> frames(options.most_workers, each);
  frames.push_back(control);
  return frames;
}

PlaneOptions filled_in(PlaneOptions options) {
  options.most_workers = std::max(options.most_workers, options.workers);
  return options;
}

}  // namespace

// What a worker that may come later has here is address space, and rings and lists of a few hundred KiB; its
// frames, sessions and sockets take memory once it is there.
Plane::Plane(const PlaneOptions& options)
    : options_(filled_in(options)),
      workers_(options.workers),
      pool_(shares(options_, options.frames_per_worker, options.control_frames),
            shares(options_, options.jumbos_per_worker, 0)) {
  for (uint32_t w = 0; w < options_.most_workers; ++w) {
    auto worker = std::make_unique<Worker>();
    worker->cache = std::make_unique<FrameCache>(pool_, w);
    worker->free_frames.store(worker->cache->all_total(), std::memory_order_relaxed);
    worker->punts = std::make_unique<Ring>(kPuntRing);
    for (uint32_t from = 0; from < options_.most_workers; ++from) {
      worker->from.push_back(std::make_unique<Ring>(options_.hand_over_ring));
    }
    worker->seen.store(kOffline, std::memory_order_relaxed);
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->wake < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    worker_.push_back(std::move(worker));
  }
  control_cache_ = std::make_unique<FrameCache>(pool_, options_.most_workers);
  injects_ = std::make_unique<Ring>(kInjectRing);
}

Plane::~Plane() {
  for (auto& worker : worker_) close(worker->wake);
}

uint16_t Plane::add_node(std::unique_ptr<Node> node) {
  node->plane_ = this;
  node->id_ = static_cast<uint16_t>(nodes_.size());
  nodes_.push_back(std::move(node));
  clocks_.push_back({});
  nodes_.back()->attached();
  return nodes_.back()->id_;
}

std::string Plane::grow(uint32_t workers) {
  const uint32_t before = this->workers();
  if (workers < before) return "workers that there are stay until the plane ends";
  if (workers > most_workers()) {
    return "the plane was made for " + std::to_string(most_workers()) + " workers at most";
  }
  std::vector<Node::FurtherPorts> ports(nodes_.size());
  for (size_t n = 0; n < nodes_.size(); ++n) {
    std::string error = nodes_[n]->cannot_grow();
    if (error.empty()) error = nodes_[n]->further_ports(before, workers, ports[n]);
    if (!error.empty()) return error;
  }
  for (size_t n = 0; n < nodes_.size(); ++n) {
    for (uint32_t w = before; w < workers; ++w) nodes_[n]->add_worker(w);
    nodes_[n]->adopt_ports(before, std::move(ports[n]));
  }
  workers_.store(workers, std::memory_order_release);
  return {};
}

void Plane::spread_flows() {
  for (auto& node : nodes_) {
    node->begin_ports(workers());
    node->spread_flows(workers());
  }
}

bool Plane::flows_moving() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->flows_moving(); });
}

std::vector<Punt> Plane::take_punts(uint32_t most) {
  control_cache_->reclaim();
  std::vector<Punt> punts;
  for (uint32_t w = 0; w < workers() && punts.size() < most; ++w) {
    FrameIndex index;
    while (punts.size() < most && worker_[w]->punts->pop(&index, 1) == 1) {
      const Frame& frame = pool_.frame(index);
      const uint8_t* data = pool_.data(index);
      punts.push_back({frame.node, frame.port, static_cast<uint16_t>(w), frame.received,
                       std::vector<uint8_t>(data, data + frame.length)});
      control_cache_->free(index);
    }
  }
  return punts;
}

// A frame of the control thread's with this packet, or kNoFrame.
FrameIndex Plane::control_frame(uint16_t node, const uint8_t* packet, uint32_t length) {
  control_cache_->reclaim();
  FrameIndex index;
  if (length > kChunkBytes - kHeadroom - 512 || control_cache_->allocate(&index, 1) == 0) return kNoFrame;
  Frame& frame = pool_.frame(index);
  frame.length = static_cast<uint16_t>(length);
  frame.node = node;
  frame.version = 0;
  std::memcpy(pool_.data(index), packet, length);
  return index;
}

bool Plane::inject(uint16_t node, uint16_t port, const uint8_t* packet, uint32_t length) {
  const FrameIndex index = control_frame(node, packet, length);
  if (index == kNoFrame) return false;
  pool_.frame(index).port = port;
  pool_.frame(index).stage = Stage::kParse;
  if (injects_->push(&index, 1) == 0) {
    control_cache_->free(index);
    return false;
  }
  return wake();
}

bool Plane::originate(uint16_t node, uint16_t routing_instance, const uint8_t* packet, uint32_t length) {
  const FrameIndex index = control_frame(node, packet, length);
  if (index == kNoFrame) return false;
  Frame& frame = pool_.frame(index);
  frame.stage = Stage::kOriginate;
  frame.routing_instance = routing_instance;
  frame.l3 = frame.l4 = frame.zone = frame.port = frame.interface = 0;
  frame.tunnel_in = frame.tunnel_out = kNoIndex;
  if (injects_->push(&index, 1) == 1) return true;
  control_cache_->free(index);
  return false;
}

bool Plane::wake() {
  const uint64_t one = 1;
  return write(worker_[0]->wake, &one, sizeof one) == sizeof one || errno == EAGAIN;
}

// Worker 0: what the control thread sends, out of a port as it is or routed by its node.
bool Plane::take_injects(uint64_t now) {
  FrameIndex frames[kBurst];
  const uint32_t count = injects_->pop(frames, kBurst);
  for (uint32_t i = 0; i < count; ++i) {
    Frame& frame = pool_.frame(frames[i]);
    Node& node = *nodes_[frame.node];
    node.counters(0).add(Counter::injected);
    frame.received = now;
    if (frame.stage == Stage::kOriginate) {
      node.resume(0, now, &frames[i], 1);
    } else {
      node.send_raw(0, frame.port, frames[i]);
    }
  }
  return count > 0;
}

uint64_t Plane::oldest_seen() const {
  uint64_t oldest = version_.load();
  for (const auto& worker : worker_) {
    const uint64_t seen = worker->seen.load();
    if (seen != kOffline) oldest = std::min(oldest, seen);
  }
  // What waits for a sleeper was handed over by somebody who may have seen older tables. Asked for after the
  // versions, so that nothing older can be pushed any more once a ring was found empty.
  for (const auto& worker : worker_) {
    if (worker->seen.load() != kOffline) continue;
    for (const auto& ring : worker->from) {
      if (ring->size() > 0) return 0;
    }
  }
  return oldest;
}

void Plane::collect() {
  control_cache_->reclaim();
  const uint64_t oldest = oldest_seen();
  bool waiting = false;
  for (auto& node : nodes_) waiting |= node->collect(oldest);
  // Slots wait for two versions more: the next one starts once all have seen this one.
  if (waiting && oldest == version_.load()) ++version_;
}

bool Plane::take_handed_over(uint32_t w, uint64_t now) {
  Worker& worker = *worker_[w];
  bool moved = false;
  FrameIndex frames[kBurst];
  for (uint32_t from = 0; from < workers(); ++from) {
    if (from == w) continue;
    // What was there at the start of the turn, and no more: two busy workers must not keep each other here.
    for (uint32_t left = worker.from[from]->size(); left > 0;) {
      const uint32_t count = worker.from[from]->pop(frames, std::min(left, kBurst));
      left -= count;
      moved = true;
      for (uint32_t i = 0; i < count;) {
        const uint16_t node = pool_.frame(frames[i]).node;
        uint32_t run = 1;
        while (i + run < count && pool_.frame(frames[i + run]).node == node) ++run;
        nodes_[node]->counters(w).add(Counter::taken_over, run);
        nodes_[node]->resume(w, now, frames + i, run);
        i += run;
      }
    }
  }
  return moved;
}

bool Plane::turn(uint32_t w, uint64_t now) {
  Worker& worker = *worker_[w];
  worker.now = now;
  worker.cache->reclaim();
  worker.seen.store(version_.load());
  bool moved = take_handed_over(w, now);
  if (w == 0) moved |= take_injects(now);
  for (auto& node : nodes_) moved |= node->poll(w, now);
  worker.free_frames.store(worker.cache->all_available(), std::memory_order_relaxed);
  worker.turns.store(worker.turns.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (moved) worker.busy.store(worker.busy.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return moved;
}

bool Plane::poll_worker(uint32_t w, uint64_t budget_ns) {
  Worker& worker = *worker_[w];
  worker.state.store(WorkerState::kRunning, std::memory_order_relaxed);
  const uint64_t end = monotonic_ns() + budget_ns;
  uint32_t idle = 0;
  uint64_t now = monotonic_ns();
  while (now < end && !stopped()) {
    idle = turn(w, now) ? 0 : idle + 1;
    now = monotonic_ns();
    if (idle >= kIdleTurns && now < end) {
      sleep(w, std::min(end - now, kLongestSleepNs));
      idle = kIdleTurns;  // one empty turn more and it sleeps again
      now = monotonic_ns();
    }
  }
  worker.seen.store(kOffline);
  if (stopped()) worker.state.store(WorkerState::kIdle, std::memory_order_relaxed);
  return !stopped();
}

void Plane::sleep(uint32_t w, uint64_t budget_ns) {
  Worker& worker = *worker_[w];
  std::vector<pollfd>& sockets = worker.sockets;
  sockets.clear();
  sockets.push_back({worker.wake, POLLIN, 0});
  for (auto& node : nodes_) {
    for (uint16_t p = 0; p < node->ports(); ++p) {
      const int descriptor = node->port(p, w).descriptor();
      if (descriptor >= 0) sockets.push_back({descriptor, POLLIN, 0});
    }
  }
  worker.seen.store(kOffline);
  worker.state.store(WorkerState::kSleeping, std::memory_order_relaxed);
  const timespec wait = {0, static_cast<long>(budget_ns)};
  ppoll(sockets.data(), sockets.size(), &wait, nullptr);
  uint64_t woken;
  if (read(worker.wake, &woken, sizeof woken) < 0 && errno != EAGAIN) stopping_.store(true);
  worker.state.store(WorkerState::kRunning, std::memory_order_relaxed);
}

void Plane::stop() {
  stopping_.store(true, std::memory_order_release);
  for (auto& worker : worker_) {
    const uint64_t one = 1;
    if (write(worker->wake, &one, sizeof one) < 0) continue;  // full: it is awake already
  }
}

bool Plane::step(uint64_t now) {
  bool moved = false;
  for (uint32_t w = 0; w < workers(); ++w) {
    moved |= turn(w, now);
    worker_[w]->seen.store(kOffline);
  }
  return moved;
}

uint64_t Plane::next_deadline() const {
  uint64_t earliest = ~0ull;
  for (const auto& node : nodes_) {
    for (uint32_t w = 0; w < workers(); ++w) earliest = std::min(earliest, node->next_deadline(w));
  }
  return earliest;
}

uint64_t Plane::turns(uint32_t w) const {
  return worker_[w]->turns.load(std::memory_order_relaxed);
}
uint64_t Plane::busy_turns(uint32_t w) const {
  return worker_[w]->busy.load(std::memory_order_relaxed);
}
WorkerState Plane::state(uint32_t w) const {
  return worker_[w]->state.load(std::memory_order_relaxed);
}

bool Plane::hand_over(uint32_t from, uint32_t to, FrameIndex frame) {
  if (worker_[to]->from[from]->push(&frame, 1) == 0) return false;
  if (worker_[to]->state.load(std::memory_order_relaxed) == WorkerState::kSleeping) {
    const uint64_t one = 1;
    if (write(worker_[to]->wake, &one, sizeof one) < 0) return true;  // full: it wakes anyway
  }
  return true;
}

bool Plane::punt(uint32_t worker, FrameIndex frame) {
  return worker_[worker]->punts->push(&frame, 1) == 1;
}

uint64_t Plane::frames_in_use() const {
  uint64_t in_use = control_cache_->total() - control_cache_->available();
  for (const auto& worker : worker_) {
    in_use += worker->cache->all_total() - worker->free_frames.load(std::memory_order_relaxed);
  }
  uint64_t ready = 0;
  for (const auto& node : nodes_) {
    for (uint16_t p = 0; p < node->ports(); ++p) {
      for (uint32_t w = 0; w < workers(); ++w) ready += node->port(p, w).ready_frames();
    }
  }
  // A port counts at once, a worker at the end of its turn.
  return in_use > ready ? in_use - ready : 0;
}

namespace {
std::mutex registry_lock;
std::map<uint32_t, std::shared_ptr<Plane>> registry;
uint32_t next_id = 1;
}  // namespace

uint32_t register_plane(std::shared_ptr<Plane> plane) {
  const std::lock_guard<std::mutex> guard(registry_lock);
  registry[next_id] = std::move(plane);
  return next_id++;
}

std::shared_ptr<Plane> find_plane(uint32_t id) {
  const std::lock_guard<std::mutex> guard(registry_lock);
  const auto found = registry.find(id);
  return found == registry.end() ? nullptr : found->second;
}

void forget_plane(uint32_t id) {
  std::shared_ptr<Plane> last;  // destroyed outside the lock
  const std::lock_guard<std::mutex> guard(registry_lock);
  const auto found = registry.find(id);
  if (found == registry.end()) return;
  last = std::move(found->second);
  registry.erase(found);
}

}  // namespace penstock
