// An AF_XDP socket and its rings, by system calls alone (Documentation/networking/af_xdp.rst).
//
//   fill        we ──▶ kernel   chunks to receive into            of a queue of the interface, one for all
//   sockets completion  we ◀── kernel   chunks that were sent             on it: used by one worker receive
//   we ◀── kernel   packets                           of each socket transmit    we ──▶ kernel   packets of
//   each socket
#pragma once
#include <linux/if_xdp.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "packet_socket.h"

namespace penstock {

// One ring that is shared with the kernel. Each side keeps what it last saw of the other's index.
template <typename Entry>
class XdpRing {
 public:
  // Ours to fill.
  uint32_t room(uint32_t wanted) {
    if (mask_ + 1 - (mine_ - theirs_) < wanted) theirs_ = __atomic_load_n(consumer_, __ATOMIC_ACQUIRE);
    return mask_ + 1 - (mine_ - theirs_);
  }
  void put(const Entry& entry) { entries_[mine_++ & mask_] = entry; }
  void submit() { __atomic_store_n(producer_, mine_, __ATOMIC_RELEASE); }
  // What was submitted and the kernel has not taken yet.
  bool untaken() { return __atomic_load_n(consumer_, __ATOMIC_ACQUIRE) != mine_; }

  // Ours to empty.
  uint32_t filled(uint32_t wanted) {
    if (theirs_ - mine_ < wanted) theirs_ = __atomic_load_n(producer_, __ATOMIC_ACQUIRE);
    return theirs_ - mine_;
  }
  const Entry& get(uint32_t ahead = 0) const { return entries_[(mine_ + ahead) & mask_]; }
  void take(uint32_t count) { mine_ += count; }
  void release() { __atomic_store_n(consumer_, mine_, __ATOMIC_RELEASE); }

  bool needs_wakeup() const {
    return (__atomic_load_n(flags_, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
  }
  bool mapped() const { return mapping_ != nullptr; }

 private:
  friend class XdpSocket;
  uint32_t* producer_ = nullptr;
  uint32_t* consumer_ = nullptr;
  uint32_t* flags_ = nullptr;
  Entry* entries_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t mine_ = 0;
  uint32_t theirs_ = 0;
  void* mapping_ = nullptr;
  uint64_t mapping_bytes_ = 0;
};

struct XdpSizes {
  uint32_t receive = 2048;  // packets; powers of two
  uint32_t transmit = 1024;
  uint32_t fill = 2048;  // chunks
  uint32_t completion = 2048;
};

// What the kernel sees of each chunk of the pool: as much as lies in it wherever a packet starts.
constexpr uint32_t kXdpChunkBytes = 3072;

enum class XdpBind : uint8_t { kZeroCopy, kCopy };

class XdpSocket {
 public:
  XdpSocket() = default;
  ~XdpSocket() { close(); }
  XdpSocket(const XdpSocket&) = delete;
  XdpSocket& operator=(const XdpSocket&) = delete;

  // The first socket of a queue: registers the memory, and has the fill and completion rings. `jumbo`:
  // packets may be of several chunks. False with `error` filled.
  bool open_first(void* memory, uint64_t bytes, const XdpSizes& sizes, int interface, uint32_t queue,
                  XdpBind how, bool jumbo, SocketError& error);
  // A further one on the same queue and memory.
  bool open_shared(const XdpSocket& other, const XdpSizes& sizes, int interface, uint32_t queue,
                   SocketError& error);
  void close();

  int descriptor() const { return descriptor_; }
  bool is_zero_copy() const;
  // Packets that the kernel dropped here, since the socket was made.
  uint64_t dropped() const;

  // Of the first socket of a queue: chunks that the kernel has to receive into, or has received into.
  std::atomic<uint32_t> ready{0};
  XdpSocket* first = this;

  XdpRing<uint64_t> fill;
  XdpRing<uint64_t> completion;
  XdpRing<xdp_desc> receive;
  XdpRing<xdp_desc> transmit;

 private:
  bool create(const XdpSizes& sizes, SocketError& error);
  bool map_rings(const XdpSizes& sizes, bool of_queue, SocketError& error);
  template <typename Entry>
  bool map_ring(XdpRing<Entry>& ring, uint32_t count, const xdp_ring_offset& at, uint64_t page,
                SocketError& error);
  bool set(int option, const void* value, uint32_t bytes, const char* name, SocketError& error);

  int descriptor_ = -1;
};

// Which of these the process lacks, for people; empty: none. Names as setcap takes them.
std::string missing_capabilities(bool for_xdp);

}  // namespace penstock
