// Frames: one pool of 4 KiB chunks, and one cache line of description per chunk in an array beside them
// (chunks are a page apart, so descriptions inside them would all fall into one set of the cache).
//
//   1. A worker allocates from its own FrameCache (a stack: the chunk freed last is the one still in cache).
//   2. Rings and stages carry FrameIndex values; who holds the index owns the frame.
//   3. A frame freed by another worker travels back to its owner through a ring, in bursts.
//   4. A second, smaller stock holds jumbo frames: chunks in a row, named by the first. Everything else is
//   the
//      same, and they are asked for by those who receive packets that a chunk does not hold.
//
// The control thread takes part like a worker, with frames of its own for injecting.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "ring.h"

namespace penstock {

using FrameIndex = uint32_t;
constexpr FrameIndex kNoFrame = 0xffffffff;
constexpr uint32_t kChunkBytes = 4096;  // AF_XDP refuses larger chunks
constexpr uint32_t kHeadroom = 256;     // for outer headers put before the packet
constexpr uint32_t kTailroom = 64;      // for what a tunnel puts behind it
constexpr uint32_t kJumboChunks = 3;    // that a jumbo frame takes, one after the other: an MTU of 9,600
constexpr uint32_t kBurst = 64;

// Where a frame goes on after a hand-over to the worker that owns it.
// …Here: its flow has come to this worker just now (node/moving.cc); kMoved: flows, not a packet.
enum class Stage : uint8_t {
  kParse,
  kSession,
  kSeal,
  kService,
  kReturn,
  kOriginate,
  kLiveness,
  kSessionHere,
  kServiceHere,
  kReturnHere,
  kMoved,
};

struct alignas(64) Frame {
  // the port's
  uint16_t start;     // first byte of the packet, from the start of the chunk
  uint16_t length;    // bytes from start
  uint64_t received;  // the loop's time, ns, when it was received
  // parsed
  uint16_t l3;      // network header, from start
  uint16_t l4;      // transport header, from start (0: none, e.g. a later fragment)
  uint8_t version;  // 4, 6, or 0 when not IP
  uint8_t protocol;
  uint8_t flags;  // FrameFlag
  Stage stage;
  uint16_t source_port;  // transport ports in host order, or ICMP identifier twice; 0 when l4 is 0
  uint16_t destination_port;
  // where it is
  uint16_t node;
  uint16_t port;       // received on; after routing: to be sent on
  uint16_t interface;  // of the node's interfaces: received on; after routing: to be sent on
  uint16_t routing_instance;
  uint16_t zone;
  uint32_t tunnel_in;   // index of the SA that it was opened with, or kNoIndex
  uint32_t tunnel_out;  // index of the SA that will seal it, or kNoIndex
};
static_assert(sizeof(Frame) == 64);
// Everything but what the port said, as it is in `blank`.
inline void start_over(Frame& frame, const Frame& blank) {
  constexpr size_t kFrom = offsetof(Frame, l3);
  constexpr size_t kBytes = offsetof(Frame, tunnel_out) + sizeof(blank.tunnel_out) - kFrom;
  static_assert(kBytes == 32, "two vectors");
  std::memcpy(reinterpret_cast<uint8_t*>(&frame) + kFrom, reinterpret_cast<const uint8_t*>(&blank) + kFrom,
              kBytes);
}

constexpr uint32_t kNoIndex = 0xffffffff;

enum FrameFlag : uint8_t {
  kFirstFragment = 1,
  kLaterFragment = 2,
  kDontFragment = 4,
  kTagged = 8,      // carries (or, going out, wants) the interface's VLAN tag
  kHopTaken = 32,   // its TTL was decremented here
  kDecrypted = 16,  // came out of a tunnel
  kIcmpError = 64,  // an ICMP error: about another packet, which it quotes
  kCrossed = 128,   // came across the inter-chassis datapath, and does not go back there
};

inline bool is_fragment(const Frame& frame) {
  return (frame.flags & (kFirstFragment | kLaterFragment)) != 0;
}

class FramePool {
 public:
  // participants: workers and the control thread; frames, and jumbo frames (none: empty), are split between
  // them as given. Throws std::bad_alloc when the memory cannot be had.
  explicit FramePool(const std::vector<uint32_t>& frames_per_participant,
                     const std::vector<uint32_t>& jumbos_per_participant = {});
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  Frame& frame(FrameIndex index) { return frames_[index]; }
  uint8_t* chunk(FrameIndex index) { return chunks_ + static_cast<uint64_t>(index) * kChunkBytes; }
  uint8_t* data(FrameIndex index) { return chunk(index) + frames_[index].start; }
  // Where a received packet is put: headroom, and a little more so that the first lines of a burst's packets
  // do not all fall into one set of the cache.
  static constexpr uint32_t receive_offset(FrameIndex index) { return kHeadroom + (index & 15) * 64; }

  uint32_t participants() const { return static_cast<uint32_t>(first_.size() - 1); }
  uint32_t owner(FrameIndex index) const {
    const std::vector<uint32_t>& first = is_jumbo(index) ? first_jumbo_ : first_;
    uint32_t participant = 0;
    while (index >= first[participant + 1]) ++participant;
    return participant;
  }
  uint32_t frames() const { return first_.back(); }  // jumbo frames not counted
  uint32_t chunks() const { return first_jumbo_.back(); }
  bool is_jumbo(FrameIndex index) const { return index >= frames(); }
  // The frame that a chunk belongs to.
  FrameIndex frame_of(uint32_t chunk) const {
    return chunk < frames() ? chunk : chunk - (chunk - frames()) % kJumboChunks;
  }
  // Bytes from the start of its first chunk.
  uint32_t room(FrameIndex index) const { return is_jumbo(index) ? kJumboChunks * kChunkBytes : kChunkBytes; }
  uint8_t* memory() { return chunks_; }
  uint64_t memory_bytes() const { return static_cast<uint64_t>(chunks()) * kChunkBytes; }

 private:
  friend class FrameCache;
  Ring& returns(uint32_t from, uint32_t to) { return *returns_[from * participants() + to]; }

  std::vector<uint32_t> first_;        // first frame of each participant, then the total
  std::vector<uint32_t> first_jumbo_;  // the same of the jumbo frames; the chunks of all together last
  void* chunks_mapping_ = nullptr;
  void* frames_mapping_ = nullptr;
  uint8_t* chunks_ = nullptr;
  Frame* frames_ = nullptr;
  std::vector<std::unique_ptr<Ring>> returns_;
};

// A participant's own frames. One thread at a time.
class FrameCache {
 public:
  FrameCache(FramePool& pool, uint32_t participant);

  // Gives up to count frames, start set to the receive offset; returns how many.
  uint32_t allocate(FrameIndex* frames, uint32_t count);
  // One that holds an MTU of 9,600, or kNoFrame.
  FrameIndex allocate_jumbo();
  // One that holds `bytes` from the receive offset on, and kTailroom; or kNoFrame.
  FrameIndex allocate_for(uint32_t bytes);
  void free(const FrameIndex* frames, uint32_t count);
  void free(FrameIndex frame) { free(&frame, 1); }
  // Takes back what others freed. Called once per burst loop.
  void reclaim();

  FramePool& pool() { return pool_; }
  uint32_t available() const { return static_cast<uint32_t>(stack_.size()); }
  uint32_t total() const { return total_; }
  // Free ones of both kinds.
  uint32_t all_available() const { return available() + static_cast<uint32_t>(jumbos_.size()); }
  uint32_t all_total() const { return total_ + total_jumbo_; }

 private:
  FramePool& pool_;
  const uint32_t participant_;
  const uint32_t total_;
  const uint32_t first_;
  const uint32_t total_jumbo_;
  std::vector<FrameIndex> stack_;  // reserved to total_: never grows on the packet path
  std::vector<FrameIndex> jumbos_;
};

}  // namespace penstock
