// Longest-prefix match over both families and all routing instances: one hash table per node, probed once per
// prefix length in use in the instance, longest first. Tables of a gateway hold few lengths (/32, /24, /0),
// so a look-up is one to three probes; IPv4 is stored as IPv4-mapped IPv6, its lengths 96 longer.
#pragma once
#include <cstdint>
#include <vector>

#include "../packet/address.h"

namespace penstock {

// The mask of a prefix length, in the byte order of Address.
Address prefix_mask(unsigned length);
inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xd6e8feb86659fd93ull);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

class RouteTable {
 public:
  struct Entry {
    Address prefix;
    uint16_t instance;
    uint8_t length;  // of 128
    uint32_t value;
  };
  static constexpr uint32_t kNone = 0xffffffff;

  RouteTable() = default;
  // Of two entries for one prefix and instance the later wins.
  explicit RouteTable(const std::vector<Entry>& entries);

  // The value of the longest prefix of this instance that holds the address, or kNone.
  uint32_t find(uint16_t instance, const Address& ip) const;

  // The same in two steps, for bursts: begin() asks memory for what end() looks at first.
  struct Search;
  Search begin(uint16_t instance, const Address& ip) const;
  uint32_t end(Search search, const Address& ip) const;

 private:
  struct Slot {
    Address prefix;
    uint32_t value;
    uint16_t instance;
    uint8_t length;
    uint8_t used;

    bool is(uint16_t other_instance, unsigned other_length, const Address& other) const {
      return prefix == other && length == other_length && instance == other_instance;
    }
  };
  // A prefix length in use, and a filter of eight bits for each prefix: most probes that would find nothing
  // end there, in the cache, and not in the slots.
  struct Length {
    Address mask;
    uint8_t length;
    uint32_t filter;  // of its words in filters_, where they start and, a power of two minus one, how many
    uint32_t filter_mask;
  };
  // The lengths in use in one routing instance, longest first: [0] IPv6, [1] IPv4.
  struct Lengths {
    std::vector<Length> of_family[2];
  };
  void add_length(std::vector<Length>& lengths, unsigned length, uint32_t entries);
  void skip_absent(Search& search, const Address& ip) const;
  static uint64_t hash(uint16_t instance, unsigned length, const Address& prefix) {
    return mix(prefix.high ^ length, prefix.low ^ instance);
  }
  // Word and bit of a hash in a length's filter: other bits than those that choose the slot.
  const uint64_t& filter_word(const Length& length, uint64_t hash) const {
    return filters_[length.filter + ((hash >> 38) & length.filter_mask)];
  }
  static uint64_t filter_bit(uint64_t hash) { return 1ull << (hash >> 32 & 63); }

  size_t mask_ = 0;
  std::vector<Slot> slots_;
  std::vector<Lengths> instances_;  // by number
  std::vector<uint64_t> filters_;
};

// How far a look-up has come: the next length to probe, whose filter let it pass, and the prefix's hash.
struct RouteTable::Search {
  const Length* next;
  const Length* last;
  uint64_t hash;
  uint16_t instance;
};

// On to the next length that may have the prefix.
inline void RouteTable::skip_absent(Search& search, const Address& ip) const {
  for (; search.next != search.last; ++search.next) {
    const Length& length = *search.next;
    const Address prefix = {ip.high & length.mask.high, ip.low & length.mask.low};
    search.hash = hash(search.instance, length.length, prefix);
    if ((filter_word(length, search.hash) & filter_bit(search.hash)) != 0) return;
  }
}

inline RouteTable::Search RouteTable::begin(uint16_t instance, const Address& ip) const {
  Search search{nullptr, nullptr, 0, instance};
  if (instance >= instances_.size()) return search;
  const std::vector<Length>& lengths = instances_[instance].of_family[ip.is_v4()];
  search.next = lengths.data();
  search.last = search.next + lengths.size();
  skip_absent(search, ip);
  if (search.next != search.last) __builtin_prefetch(&slots_[search.hash & mask_]);
  return search;
}

inline uint32_t RouteTable::end(Search search, const Address& ip) const {
  while (search.next != search.last) {
    const Length& length = *search.next;
    const Address prefix = {ip.high & length.mask.high, ip.low & length.mask.low};
    for (size_t at = search.hash & mask_; slots_[at].used; at = (at + 1) & mask_) {
      if (slots_[at].is(search.instance, length.length, prefix)) return slots_[at].value;
    }
    ++search.next;
    skip_absent(search, ip);
  }
  return kNone;
}

inline uint32_t RouteTable::find(uint16_t instance, const Address& ip) const {
  return end(begin(instance, ip), ip);
}

}  // namespace penstock
