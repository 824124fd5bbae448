// Which slot and wing a key leads to: linear hashing over cache-line buckets of ten entries. When the table
// has grown by a bucket's share of entries, one bucket is split in two, so growing costs an insert a few
// entries' work and never more. Buckets stay where they are (region.h).
//
//   bucket   the hash modulo twice the buckets there were when this doubling began, or modulo those where
//            that bucket does not exist yet
//   tag      the highest eight bits of the hash, never 0: tells entries of a bucket apart without looking at
//            records; one in 255 looks in vain
//   ahead    the eight bits of the hash among which is the one that decides the bucket's next split: only in
//            one doubling out of eight must a split look at records, to fetch the next eight
//   chain    a bucket that is full goes on in overflow buckets; at a load of a half about one in fifty is
#pragma once
#include <atomic>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "region.h"
#include "session_hash.h"
#include "session_slab.h"

namespace penstock {

struct alignas(64) SessionBucket {
  static constexpr unsigned kEntries = 10;
  static constexpr uint32_t kAll = (1u << kEntries) - 1;

  uint8_t tags[kEntries];  // 0: free
  uint8_t ahead[kEntries];
  uint32_t overflow;           // overflow bucket + 1; 0: none
  uint32_t entries[kEntries];  // slot | wing << 31

  // Bit i: tags[i] == tag.
  uint32_t matches(uint8_t tag) const {
#if defined(__SSE2__)
    const __m128i line = _mm_load_si128(reinterpret_cast<const __m128i*>(this));
    const __m128i equal = _mm_cmpeq_epi8(line, _mm_set1_epi8(static_cast<char>(tag)));
    return static_cast<uint32_t>(_mm_movemask_epi8(equal)) & kAll;
#else
    return matches_portable(tag);
#endif
  }
  uint32_t matches_portable(uint8_t tag) const {
    uint32_t mask = 0;
    for (unsigned i = 0; i < kEntries; ++i) mask |= static_cast<uint32_t>(tags[i] == tag) << i;
    return mask;
  }
};
static_assert(sizeof(SessionBucket) == 64);

template <unsigned kWords>
class SessionIndex {
 public:
  using Slab = SessionSlab<kWords>;
  static constexpr uint32_t kWingBit = 0x80000000;
  static constexpr uint32_t kNotFound = 0xffffffff;
  static constexpr unsigned kLoad = 5;  // entries a bucket on average

  SessionIndex(Slab& slab, SessionHash hash, uint32_t sessions, uint32_t initial_sessions)
      : slab_(slab),
        hash_(hash),
        most_buckets_(buckets_for(sessions)),
        most_overflow_(most_buckets_ / 4 + 64),
        bucket_region_(sizeof(SessionBucket) * size_t{most_buckets_}),
        overflow_region_(sizeof(SessionBucket) * size_t{most_overflow_}) {
    buckets_ = reinterpret_cast<SessionBucket*>(bucket_region_.data());
    overflow_ = reinterpret_cast<SessionBucket*>(overflow_region_.data());
    const uint32_t first = initial_sessions == 0 ? kFewest : buckets_for(initial_sessions);
    if (initial_sessions != 0) bucket_region_.populate_first(sizeof(SessionBucket) * size_t{first});
    count_.store(first, std::memory_order_relaxed);
    base_bits_ = static_cast<unsigned>(std::bit_width(first)) - 1;
    split_ = first - base();
  }

  uint64_t hash(const uint64_t* words) const { return hash_.template operator()<kWords>(words); }

  static uint8_t tag_of(uint64_t hash) {
    const uint8_t tag = static_cast<uint8_t>(hash >> 56);
    return tag == 0 ? 1 : tag;
  }
  uint32_t bucket_of(uint64_t hash) const {
    const uint32_t wide = static_cast<uint32_t>(hash) & (2 * base() - 1);
    return wide < count() ? wide : wide & (base() - 1);
  }
  SessionBucket& bucket(uint32_t number) { return buckets_[number]; }
  const SessionBucket& bucket(uint32_t number) const { return buckets_[number]; }
  void prefetch(uint64_t hash) const { __builtin_prefetch(&buckets_[bucket_of(hash)]); }

  bool matches_key(uint32_t entry, const uint64_t* words) const {
    const uint64_t* own = slab_.hot(entry & ~kWingBit).keys[entry >> 31];
    uint64_t differing = 0;
    for (unsigned i = 0; i < kWords; ++i) differing |= own[i] ^ words[i];
    return differing == 0;
  }

  // The entry whose key this is, from `bucket` on, or kNotFound. skip: entries of the first bucket already
  // seen.
  uint32_t find_from(const SessionBucket* at, uint8_t tag, const uint64_t* words, uint32_t mask) const {
    for (;;) {
      for (; mask != 0; mask &= mask - 1) {
        const uint32_t entry = at->entries[std::countr_zero(mask)];
        if (matches_key(entry, words)) return entry;
      }
      if (at->overflow == 0) return kNotFound;
      at = &overflow_[at->overflow - 1];
      mask = at->matches(tag);
    }
  }
  uint32_t find(uint64_t hash, const uint64_t* words) const {
    const SessionBucket* at = &buckets_[bucket_of(hash)];
    return find_from(at, tag_of(hash), words, at->matches(tag_of(hash)));
  }

  // Is there certainly room for two more entries?
  bool has_room() const {
    return overflow_free_ >= 2 || most_overflow_ - overflow_top_.load(std::memory_order_relaxed) >= 2;
  }

  // Room must have been asked for. The key of the entry must already stand in the slab.
  void add(uint64_t hash, uint32_t entry) {
    const uint32_t number = bucket_of(hash);
    const unsigned next_bit = base_bits_ + (number < split_ || number >= base());
    put(&buckets_[number], tag_of(hash), bits_ahead(hash, next_bit), entry);
    ++entries_;
  }

  void remove(uint64_t hash, uint32_t entry) {
    SessionBucket* const first = &buckets_[bucket_of(hash)];
    SessionBucket* at = first;
    const uint8_t tag = tag_of(hash);
    for (;;) {
      for (uint32_t mask = at->matches(tag); mask != 0; mask &= mask - 1) {
        const unsigned i = static_cast<unsigned>(std::countr_zero(mask));
        if (at->entries[i] != entry) continue;
        at->tags[i] = 0;
        --entries_;
        if (first->overflow != 0) shorten(first, at, i);
        return;
      }
      if (at->overflow == 0) return;
      at = &overflow_[at->overflow - 1];
    }
  }

  // To be called once per inserted session: splits a bucket when the load asks for it, and fetches what the
  // next split will read, so that it does not wait for memory.
  void grow() {
    const uint32_t buckets = count();
    if (buckets == most_buckets_) return;
    if (entries_ <= uint64_t{buckets} * kLoad) {
      if (!primed_) prime();
      return;
    }
    split();
    primed_ = !rereads();
    __builtin_prefetch(&buckets_[split_]);
  }

  uint32_t count() const { return count_.load(std::memory_order_relaxed); }
  uint32_t overflow_buckets() const { return overflow_top_.load(std::memory_order_relaxed) - overflow_free_; }
  size_t used_bytes() const {
    return (size_t{count()} + overflow_top_.load(std::memory_order_relaxed)) * sizeof(SessionBucket);
  }
  size_t populate_ahead(size_t max_bytes) {
    const size_t bytes = bucket_region_.populate_ahead(size_t{count()} * sizeof(SessionBucket), max_bytes);
    const size_t chained = size_t{overflow_top_.load(std::memory_order_relaxed)} * sizeof(SessionBucket);
    return bytes + overflow_region_.populate_ahead(chained, max_bytes - bytes);
  }

 private:
  static constexpr uint32_t kFewest = 64;

  static uint32_t buckets_for(uint32_t sessions) {
    const uint64_t buckets = uint64_t{sessions} * 2 / kLoad + 1;
    return buckets < kFewest ? kFewest : static_cast<uint32_t>(buckets);
  }

  uint32_t base() const { return 1u << base_bits_; }
  static uint8_t bits_ahead(uint64_t hash, unsigned next_bit) {
    return static_cast<uint8_t>(hash >> (next_bit & ~7u));
  }
  // Do the splits of this doubling use up the bits ahead?
  bool rereads() const { return (base_bits_ & 7) == 7; }

  void put(SessionBucket* at, uint8_t tag, uint8_t ahead, uint32_t entry) {
    for (;;) {
      const uint32_t free = at->matches(0);
      if (free != 0) {
        const unsigned i = static_cast<unsigned>(std::countr_zero(free));
        at->tags[i] = tag;
        at->ahead[i] = ahead;
        at->entries[i] = entry;
        return;
      }
      if (at->overflow == 0) at->overflow = take_overflow() + 1;
      at = &overflow_[at->overflow - 1];
    }
  }

  // A hole is filled from the end of the chain, so chains go when their entries do.
  void shorten(SessionBucket* first, SessionBucket* hole, unsigned hole_at) {
    SessionBucket* before = first;
    SessionBucket* last = &overflow_[first->overflow - 1];
    while (last->overflow != 0) {
      before = last;
      last = &overflow_[last->overflow - 1];
    }
    uint32_t taken = ~last->matches(0) & SessionBucket::kAll;
    if (taken != 0 && last != hole) {
      const unsigned i = static_cast<unsigned>(std::countr_zero(taken));
      hole->tags[hole_at] = last->tags[i];
      hole->ahead[hole_at] = last->ahead[i];
      hole->entries[hole_at] = last->entries[i];
      last->tags[i] = 0;
      taken &= taken - 1;
    }
    if (taken == 0) {
      give_overflow(before->overflow - 1);
      before->overflow = 0;
    }
  }

  uint32_t take_overflow() {
    if (overflow_free_ != 0) {
      const uint32_t number = overflow_list_ - 1;
      overflow_list_ = overflow_[number].overflow;
      overflow_[number].overflow = 0;
      --overflow_free_;
      return number;
    }
    const uint32_t number = overflow_top_.load(std::memory_order_relaxed);
    overflow_top_.store(number + 1, std::memory_order_relaxed);
    return number;
  }
  void give_overflow(uint32_t number) {
    SessionBucket& bucket = overflow_[number];
    for (uint8_t& tag : bucket.tags) tag = 0;
    bucket.overflow = overflow_list_;
    overflow_list_ = number + 1;
    ++overflow_free_;
  }

  void prime() {
    const SessionBucket& next = buckets_[split_];
    const uint32_t taken = ~next.matches(0) & SessionBucket::kAll;
    for (uint32_t mask = taken; mask != 0; mask &= mask - 1) {
      prefetch_key(next.entries[std::countr_zero(mask)]);
    }
    primed_ = true;
  }
  void prefetch_key(uint32_t entry) const {
    __builtin_prefetch(slab_.hot(entry & ~kWingBit).keys[entry >> 31]);
  }

  // Moves what belongs to the new last bucket there. Each bucket of the chain is copied and freed before its
  // entries are put back, so no more overflow buckets are needed than there were.
  void split() {
    SessionBucket* const targets[2] = {&buckets_[split_], &buckets_[split_ + base()]};
    const unsigned bit = base_bits_ & 7;
    SessionBucket old = *targets[0];
    *targets[0] = SessionBucket{};
    for (;;) {
      for (unsigned i = 0; i < SessionBucket::kEntries; ++i) {
        if (old.tags[i] == 0) continue;
        const uint32_t entry = old.entries[i];
        const uint8_t ahead = rereads() ? bits_ahead(hash_of(entry), base_bits_ + 1) : old.ahead[i];
        put(targets[old.ahead[i] >> bit & 1], old.tags[i], ahead, entry);
      }
      if (old.overflow == 0) break;
      const uint32_t number = old.overflow - 1;
      old = overflow_[number];
      give_overflow(number);
    }
    count_.store(count() + 1, std::memory_order_relaxed);
    if (++split_ == base()) {
      ++base_bits_;
      split_ = 0;
    }
  }
  uint64_t hash_of(uint32_t entry) const { return hash(slab_.hot(entry & ~kWingBit).keys[entry >> 31]); }

  Slab& slab_;
  const SessionHash hash_;
  const uint32_t most_buckets_;
  const uint32_t most_overflow_;
  Region bucket_region_;
  Region overflow_region_;
  SessionBucket* buckets_;
  SessionBucket* overflow_;
  unsigned base_bits_;  // log2 of the buckets there were when this doubling began
  uint32_t split_;      // the bucket to be split next
  bool primed_ = false;
  uint64_t entries_ = 0;
  uint32_t overflow_list_ = 0;  // freed overflow buckets: number + 1
  uint32_t overflow_free_ = 0;
  std::atomic<uint32_t> overflow_top_{0};
  std::atomic<uint32_t> count_{0};
};

}  // namespace penstock
