// The anti-replay window (RFC 4303 §3.4.3) as a ring of bits: bit n mod size says whether number n was seen,
// for the `size` numbers up to the highest authenticated one. Moving on clears the bits of the numbers that
// were jumped over; no word is ever shifted (the idea of RFC 6479, without its spare word: the window is
// exact).
//
//   1. infer(low)    the full number, by RFC 4303 appendix A2 with ESN
//   2. check(seq)    before any cryptography, and again before
//   3. advance(seq)  which only a packet whose tag verified may cause (RFC 4303 §3.4.3)
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

namespace penstock {

constexpr uint32_t kLeastReplayWindow = 64;
constexpr uint32_t kLargestReplayWindow = 8192;

// The owner's own, in a cache line of its choice; one writer, `top` readable by anyone.
class ReplayWindow {
 public:
  ReplayWindow() = default;
  ReplayWindow(const ReplayWindow&) = delete;
  ReplayWindow& operator=(const ReplayWindow&) = delete;
  ~ReplayWindow() {
    if (words_ != &word_) delete[] words_;
  }

  // size: 0 (none: nothing is a replay) or a power of two from 64 to 8192. Everything up to `top` counts as
  // seen: 0 for a new SA, whose first number is 1 (RFC 4303 §3.3.3); the last synchronised number for one
  // that is taken over. Throws std::bad_alloc.
  void init(uint32_t size, uint64_t top, bool extended) {
    uint64_t* words = size > 64 ? new uint64_t[size / 64] : &word_;
    if (words_ != &word_) delete[] words_;
    words_ = words;
    size_ = size;
    extended_ = extended;
    top_.store(top, std::memory_order_relaxed);
    std::fill_n(words_, std::max(size / 64, 1u), ~0ull);
  }

  uint64_t top() const { return top_.load(std::memory_order_relaxed); }
  uint32_t size() const { return size_; }

  // False: no number with these low bits lies at or above the window's left edge and below 2^64 or, left of
  // number 0, the window reaches into a subspace that does not exist.
  //
  // RFC 4303 appendix A2.1 wants the only number with these low bits in the 2^32 from the left edge on.
  // Where the window lies in one subspace (case A) or spans two (case B) is then the carry of this sum.
  // Without a window there is still an edge: half the space behind, as far as A2 lets a window reach.
  bool infer(uint32_t low, uint64_t& sequence) const {
    if (!extended_) {
      sequence = low;
      return true;
    }
    const uint64_t highest = top();
    const uint64_t left = highest - ((size_ == 0 ? 1ull << 31 : size_) - 1);
    sequence = left + static_cast<uint32_t>(low - static_cast<uint32_t>(left));
    return (sequence >= left) == (left <= highest);
  }

  bool check(uint64_t sequence) const {
    const uint64_t highest = top();
    if (sequence > highest || size_ == 0) return true;
    if (highest - sequence >= size_) return false;
    const uint64_t bit = sequence & (size_ - 1);
    return (words_[bit / 64] >> bit % 64 & 1) == 0;
  }

  void advance(uint64_t sequence) {
    const uint64_t highest = top();
    if (sequence > highest) {
      if (size_ != 0 && sequence - highest > 1) clear(highest + 1, sequence - highest);
      top_.store(sequence, std::memory_order_relaxed);
    }
    if (size_ == 0) return;
    const uint64_t bit = sequence & (size_ - 1);
    words_[bit / 64] |= 1ull << bit % 64;
  }

  // Everything up to `seen` was seen, at another node; nothing is done when more was seen here.
  void seen_up_to(uint64_t seen) {
    if (seen <= top()) return;
    std::fill_n(words_, std::max(size_ / 64, 1u), ~0ull);
    top_.store(seen, std::memory_order_relaxed);
  }

  // Takes the size of `other`, and its memory for its own. What was seen stays seen; what lies left of the
  // smaller of the two windows counts as seen.
  void resize(ReplayWindow& other) {
    if (other.size_ == size_) return;
    const uint64_t highest = top();
    const uint64_t known = std::min(size_, other.size_);
    if (other.size_ != 0) std::memset(other.words_, 0xff, std::max(other.size_ / 64, 1u) * 8);
    for (uint64_t back = 0; back < known && back <= highest; ++back) {
      const uint64_t sequence = highest - back;
      const uint64_t from = sequence & (size_ - 1);
      const uint64_t to = sequence & (other.size_ - 1);
      if ((words_[from / 64] >> from % 64 & 1) == 0) other.words_[to / 64] &= ~(1ull << to % 64);
    }
    const bool own = words_ == &word_;
    const bool others_own = other.words_ == &other.word_;
    std::swap(word_, other.word_);
    std::swap(words_, other.words_);
    if (others_own) words_ = &word_;
    if (own) other.words_ = &other.word_;
    std::swap(size_, other.size_);
  }

  void prefetch(uint64_t sequence) const {
    if (size_ > 64) __builtin_prefetch(&words_[(sequence & (size_ - 1)) / 64], 1);
  }

 private:
  // Forgets `count` numbers from `first` on: their bits were those of numbers that the window has left.
  void clear(uint64_t first, uint64_t count) {
    if (count >= size_) {
      std::memset(words_, 0, size_ / 8);
      return;
    }
    while (count > 0) {
      const uint64_t bit = first & (size_ - 1);
      const uint64_t bits = std::min<uint64_t>(64 - bit % 64, count);
      words_[bit / 64] &= ~(~0ull >> (64 - bits) << bit % 64);
      first += bits;
      count -= bits;
    }
  }

  std::atomic<uint64_t> top_{0};
  uint64_t* words_ = &word_;
  uint64_t word_ = ~0ull;  // a window of 64, the default, needs no other cache line
  uint32_t size_ = 0;
  bool extended_ = false;
};

}  // namespace penstock
