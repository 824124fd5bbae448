// The frame pool and its rings, also between threads: run it with the thread sanitizer too.
#include "packet/frame.h"

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "check.h"
#include "packet/counters.h"

using namespace penstock;

namespace {

void a_ring_takes_what_fits() {
  Ring ring(8);
  uint32_t in[16], out[16];
  for (uint32_t i = 0; i < 16; ++i) in[i] = i;
  CHECK_EQ(ring.push(in, 5), 5u);
  CHECK_EQ(ring.push(in + 5, 5), 3u);
  CHECK_EQ(ring.push(in, 1), 0u);
  CHECK_EQ(ring.size(), 8u);
  CHECK_EQ(ring.pop(out, 3), 3u);
  CHECK_EQ(ring.push(in + 8, 8), 3u);
  CHECK_EQ(ring.pop(out + 3, 16), 8u);
  for (uint32_t i = 0; i < 11; ++i) CHECK_EQ(out[i], i);
  CHECK_EQ(ring.pop(out, 16), 0u);
}

// A push and a pop of every size, round after round: nothing lost, nothing out of order.
void a_ring_wraps() {
  Ring ring(64);
  std::mt19937 random(1);
  uint32_t next_in = 0, next_out = 0, values[64];
  for (int round = 0; round < 100000; ++round) {
    const uint32_t offered = random() % 65;
    for (uint32_t i = 0; i < offered; ++i) values[i] = next_in + i;
    next_in += ring.push(values, offered);
    const uint32_t taken = ring.pop(values, random() % 65);
    for (uint32_t i = 0; i < taken; ++i) {
      if (values[i] != next_out++) return check::fail(__FILE__, __LINE__, "out of order");
    }
    ++check::checks;
  }
}

void a_cache_gives_each_frame_once() {
  FramePool pool({100, 64});
  FrameCache cache(pool, 0);
  std::vector<FrameIndex> frames(200);
  CHECK_EQ(cache.allocate(frames.data(), 200), 100u);
  CHECK_EQ(cache.allocate(frames.data() + 100, 1), 0u);
  std::set<FrameIndex> seen;
  for (uint32_t i = 0; i < 100; ++i) {
    CHECK(seen.insert(frames[i]).second && frames[i] < 100);
    CHECK_EQ(pool.owner(frames[i]), 0u);
    CHECK(pool.frame(frames[i]).start >= kHeadroom && pool.frame(frames[i]).start < kChunkBytes / 2);
    CHECK_EQ(pool.data(frames[i]) - pool.memory(),
             static_cast<long>(frames[i]) * kChunkBytes + pool.frame(frames[i]).start);
  }
  cache.free(frames.data(), 100);
  CHECK_EQ(cache.available(), 100u);
}

void a_frame_goes_home() {
  FramePool pool({64, 64, 64});
  FrameCache first(pool, 0), second(pool, 1), third(pool, 2);
  FrameIndex frames[64];
  first.allocate(frames, 20);
  third.allocate(frames + 20, 20);
  second.allocate(frames + 40, 20);
  std::swap(frames[3], frames[33]);
  std::swap(frames[7], frames[47]);
  second.free(frames, 60);
  CHECK_EQ(second.available(), 64u);
  CHECK_EQ(first.available(), 44u);
  first.reclaim();
  third.reclaim();
  CHECK_EQ(first.available(), 64u);
  CHECK_EQ(third.available(), 64u);
}

// Two threads hand frames over and free each other's, as two workers do; a byte in each frame says who wrote
// it last, so the sanitizer sees whether a hand-over also hands the memory over.
void two_threads_hand_frames_over() {
  constexpr uint32_t kFrames = 512;
  constexpr uint64_t kRounds = 30000;
  FramePool pool({kFrames, kFrames});
  Ring rings[2] = {Ring(256), Ring(256)};
  FrameCache caches[2] = {FrameCache(pool, 0), FrameCache(pool, 1)};
  std::atomic<uint64_t> wrong{0}, moved{0};
  std::atomic<int> sending{2};
  const auto work = [&](uint32_t self) {
    FrameCache& cache = caches[self];
    std::mt19937 random(self);
    FrameIndex frames[kBurst];
    const auto receive = [&] {
      const uint32_t count = rings[self].pop(frames, kBurst);
      for (uint32_t i = 0; i < count; ++i) {
        if (pool.frame(frames[i]).length != 1 || pool.data(frames[i])[0] != (self ^ 1)) ++wrong;
      }
      cache.free(frames, count);
      moved += count;
      return count;
    };
    for (uint64_t round = 0; round < kRounds; ++round) {
      cache.reclaim();
      const uint32_t count = cache.allocate(frames, random() % kBurst);
      for (uint32_t i = 0; i < count; ++i) {
        pool.frame(frames[i]).length = 1;
        pool.data(frames[i])[0] = static_cast<uint8_t>(self);
      }
      const uint32_t sent = rings[self ^ 1].push(frames, count);
      cache.free(frames + sent, count - sent);
      receive();
    }
    --sending;
    while (sending != 0) receive();
    while (receive() != 0) {
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (FrameCache& cache : caches) cache.reclaim();
  CHECK_EQ(wrong.load(), 0u);
  CHECK(moved > 0);
  CHECK_EQ(caches[0].available(), kFrames);
  CHECK_EQ(caches[1].available(), kFrames);
}

void counters_add_up() {
  Counters counters;
  counters.add(Counter::rx_packets, 3);
  counters.add(DropReason::runt);
  CHECK_EQ(counters.get(Counter::rx_packets), 3u);
  CHECK_EQ(counters.get(Counter::runt), 1u);
  CHECK_EQ(counters.get(DropReason::runt), 1u);
  CHECK(static_cast<unsigned>(DropReason::kNone) >= kCounterCount);
}

}  // namespace

int main() {
  RUN(a_ring_takes_what_fits);
  RUN(a_ring_wraps);
  RUN(a_cache_gives_each_frame_once);
  RUN(a_frame_goes_home);
  RUN(two_threads_hand_frames_over);
  RUN(counters_add_up);
  FINISH();
}
