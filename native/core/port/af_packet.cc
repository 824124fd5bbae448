// The path of a packet:
//
//   receive, worker's thread
//     1. every 100 ms: is the interface still there, and up (watch)
//     2. slots that the kernel filled, in order: copied to a frame, the slot given back
//        a. the kernel took the VLAN tag out of the packet: put back
//        b. a checksum only begun by a sender on this machine: completed
//        c. larger than a slot, or several segments in one: fetched whole from the socket, and cut (gso.h)
//   transmit, worker's thread
//     3. frames are copied to slots, and the kernel asked once per burst to send them
#include "af_packet.h"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../packet/bytes.h"
#include "../packet/ethernet.h"
#include "packet_group.h"

namespace penstock {
namespace {

constexpr uint64_t kWatchInterval = 100 * 1000 * 1000;  // ns
constexpr uint32_t kReopenEvery = 3;                    // watches
constexpr uint32_t kCountEvery = 10;                    // watches
constexpr uint32_t kLargeBytes = 128 * 1024;            // the kernel joins no more than 64 KiB and headers
constexpr uint32_t kMostSlotBytes = 16 * 1024;
constexpr uint32_t kSlotOverhead = 160;  // headers of a slot, offload and link header, alignment
constexpr uint32_t kTransmitData = TPACKET2_HDRLEN - sizeof(sockaddr_ll);  // where the kernel reads a packet

uint32_t slot_bytes_for(uint32_t mtu) {
  uint32_t bytes = 2048;
  while (bytes < mtu + kSlotOverhead && bytes < kMostSlotBytes) bytes *= 2;
  return bytes;
}

uint64_t mac_word(const InterfaceState& interface) {
  uint64_t word = 0;
  std::memcpy(&word, interface.mac, 6);
  return word;
}

// Packets that fit behind the receive offset.
constexpr uint32_t kInChunk = kChunkBytes - FramePool::receive_offset(15) - kTailroom;
constexpr uint32_t kInJumbo = kJumboChunks * kChunkBytes - FramePool::receive_offset(15) - kTailroom;

// Room for one tag behind the addresses.
void insert_tag(uint8_t* packet_with_gap_before, const uint16_t* tag) {
  std::memmove(packet_with_gap_before, packet_with_gap_before + ethernet::kTagBytes, 12);
  store16(packet_with_gap_before + ethernet::kType, tag[0]);
  store16(packet_with_gap_before + ethernet::kTag, tag[1]);
}

}  // namespace

AfPacketPort::AfPacketPort(const AfPacketOptions& options, std::shared_ptr<PacketGroup> group)
    : options_(options), group_(std::move(group)) {
  large_.resize(kLargeBytes);
}

AfPacketPorts AfPacketPort::open(const AfPacketOptions& options) {
  AfPacketPorts result;
  const bool shared = std::max(options.workers, options.most_workers) > 1;
  const auto group = shared ? std::make_shared<PacketGroup>() : nullptr;
  for (uint32_t worker = 0; worker < options.workers && result.error.number == 0; ++worker) {
    std::unique_ptr<AfPacketPort> port(new AfPacketPort(options, group));
    const InterfaceState interface = read_interface(options.interface);
    if (interface.index == 0) {
      result.error = {ENODEV, "there is no interface " + options.interface};
    } else if (!interface.is_ethernet) {
      result.error = {EINVAL, "interface " + options.interface + " is not Ethernet"};
    } else if (!interface.is_up) {
      result.error = {
          ENETDOWN, "interface " + options.interface + " is down: ip link set " + options.interface + " up"};
    } else {
      port->open_sockets(interface, false, result.error);
    }
    result.ports.push_back(std::move(port));
  }
  if (result.error.number != 0) {
    result.ports.clear();
    return result;
  }
  // Until the last had joined, the earlier ones were given what is now the later ones'.
  for (auto& port : result.ports) port->discard_received();
  return result;
}

// While the others receive: it joins their group where nothing is given to it yet, and what it was given
// before is what they were given as well.
std::unique_ptr<Port> AfPacketPort::further(uint32_t, std::string& error) {
  std::unique_ptr<AfPacketPort> port(new AfPacketPort(options_, group_));
  SocketError failed;
  const InterfaceState interface = read_interface(options_.interface);
  if (group_ == nullptr) {
    failed.text = "interface " + options_.interface + ": opened for one worker";
  } else if (interface.index == 0) {
    port->state_.store(State::kGone);  // it opens when the interface is back
    return port;
  } else if (port->open_sockets(interface, true, failed)) {
    port->discard_received();
    port->first_mac_ = first_mac_;
    return port;
  }
  error = failed.text;
  return nullptr;
}

void AfPacketPort::begin() {
  if (!waits_) return;
  waits_ = false;
  group_->open_to_all(receive_);
}

bool AfPacketPort::open_sockets(const InterfaceState& interface, bool waits, SocketError& error) {
  const uint32_t slot_bytes = slot_bytes_for(interface.mtu);
  if (first_mac_ == 0) first_mac_ = mac_word(interface);
  const bool promiscuous = options_.promiscuous || mac_word(interface) != first_mac_;
  receive_at_ = transmit_at_ = 0;
  unsent_ = false;
  const bool made = receive_.open_receive(options_.receive_slots, slot_bytes, error) &&
                    transmit_.open_transmit(options_.transmit_slots, slot_bytes, error) &&
                    transmit_.bind(interface.index, false, error) &&
                    (group_ == nullptr ? receive_.bind(interface.index, promiscuous, error)
                                       : group_->join(receive_, interface.index, promiscuous, waits, error));
  if (!made) {
    error.text = "interface " + options_.interface + ": " + error.text;
    receive_.close();
    transmit_.close();
    return false;
  }
  waits_ = waits;
  openings_.fetch_add(1, std::memory_order_relaxed);
  adopt(interface);
  return true;
}

void AfPacketPort::close_sockets() {
  if (group_ != nullptr) {
    group_->leave(receive_);
  } else {
    receive_.close();
  }
  transmit_.close();
}

void AfPacketPort::adopt(const InterfaceState& interface) {
  index_ = interface.index;
  mtu_.store(interface.mtu, std::memory_order_relaxed);
  mac_.store(mac_word(interface), std::memory_order_relaxed);
  state_.store(State::kOpen, std::memory_order_release);
}

void AfPacketPort::mac(uint8_t* to) const {
  const uint64_t address = mac_.load(std::memory_order_relaxed);
  std::memcpy(to, &address, 6);
}

std::string AfPacketPort::fault() const {
  switch (state_.load(std::memory_order_acquire)) {
    case State::kOpen:
      return {};
    case State::kDown:
      return "interface " + options_.interface + " is down";
    case State::kGone:
      return "interface " + options_.interface + " was removed";
    case State::kFailed:
      break;
  }
  return "interface " + options_.interface +
         " is back, but cannot be opened: " + std::strerror(error_number_.load(std::memory_order_relaxed));
}

// Notices that the interface went down, came up, was removed or made anew (which wants new sockets: the
// kernel unbinds those of a removed interface for good).
void AfPacketPort::watch(uint64_t now) {
  next_watch_ = now + kWatchInterval;
  ++watches_;
  const bool has_socket = receive_.descriptor() >= 0;
  if (!has_socket && watches_ % kReopenEvery != 0) return;
  if (has_socket) {
    int seen = 0;  // an error that is never fetched keeps poll(2) from sleeping
    socklen_t length = sizeof seen;
    getsockopt(receive_.descriptor(), SOL_SOCKET, SO_ERROR, &seen, &length);
  }
  const InterfaceState interface = read_interface(options_.interface);
  if (interface.index == 0 || (has_socket && interface.index != index_)) {
    // Closed at once, so that the workers' next group finds none of the old one left.
    close_sockets();
    state_.store(State::kGone, std::memory_order_release);
  } else if (!interface.is_up) {
    state_.store(State::kDown, std::memory_order_release);
  } else if (!has_socket) {
    SocketError error;
    if (!open_sockets(interface, false, error)) {
      error_number_.store(error.number, std::memory_order_relaxed);
      state_.store(State::kFailed, std::memory_order_release);
    }
  } else {
    adopt(interface);
    if (watches_ % kCountEvery == 0) read_statistics();
  }
}

void AfPacketPort::read_statistics() {
  tpacket_stats statistics{};
  socklen_t length = sizeof statistics;
  if (getsockopt(receive_.descriptor(), SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0) {
    count(Counter::rx_missed, statistics.tp_drops);
  }
}

uint32_t AfPacketPort::receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) {
  if (now >= next_watch_) watch(now);
  if (unsent_) kick();
  uint32_t received = take_segments(cache, now, frames, count);
  while (received < count && segmenter_.done() && receive_.slots() != 0) {
    tpacket2_hdr* slot = receive_.slot(receive_at_);
    if ((__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
    const FrameIndex index = cache.allocate_for(std::min(slot->tp_snaplen, receive_.slot_bytes()));
    if (index == kNoFrame && (slot->tp_snaplen <= kInChunk || cache.all_total() > cache.total())) break;
    const Taken taken = take(cache, index);
    __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    receive_at_ = (receive_at_ + 1) & (receive_.slots() - 1);
    if (taken == Taken::kFrame) {
      cache.pool().frame(index).received = now;
      frames[received++] = index;
    } else {
      if (index != kNoFrame) cache.free(index);
      if (taken == Taken::kSegments)
        received += take_segments(cache, now, frames + received, count - received);
    }
  }
  return received;
}

AfPacketPort::Taken AfPacketPort::take(FrameCache& cache, FrameIndex index) {
  const tpacket2_hdr* slot = receive_.slot(receive_at_);
  const auto* bytes = reinterpret_cast<const uint8_t*>(slot);
  sockaddr_ll from;
  std::memcpy(&from, bytes + TPACKET_ALIGN(sizeof(tpacket2_hdr)), sizeof from);
  const uint8_t* packet = bytes + slot->tp_mac;
  OffloadHeader offload;
  std::memcpy(&offload, packet - sizeof offload, sizeof offload);
  const uint32_t there = slot->tp_snaplen;
  const uint32_t whole = slot->tp_len;
  const bool tagged = (slot->tp_status & TP_STATUS_VLAN_VALID) != 0;
  const bool queued = (slot->tp_status & TP_STATUS_COPY) != 0;
  const uint16_t tag[2] = {
      (slot->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? slot->tp_vlan_tpid : ethernet::kTypeVlan,
      slot->tp_vlan_tci};
  if (from.sll_pkttype == PACKET_OUTGOING) {
    if (queued) skip_queued();
    return Taken::kNothing;
  }
  if (there < whole || queued || offload.gso_type != 0 || whole < ethernet::kHeaderBytes) {
    return take_large(packet, there, whole, queued, tagged ? tag : nullptr,
                      cache.all_total() > cache.total());
  }
  const uint32_t gap = tagged ? ethernet::kTagBytes : 0;
  if (index == kNoFrame) {
    count_oversized(whole + gap);
    return Taken::kNothing;
  }
  Frame& frame = cache.pool().frame(index);
  uint8_t* to = cache.pool().data(index);
  std::memcpy(to + gap, packet, whole);
  if ((offload.flags & offload::kNeedsChecksum) != 0) {
    complete_checksum(to + gap, whole, offload.checksum_start, offload.checksum_offset);
  }
  if (tagged) insert_tag(to, tag);
  frame.length = static_cast<uint16_t>(whole + gap);
  return Taken::kFrame;
}

// A packet that is no frame as it is: brings it into large_, from the slot or, when it did not fit there,
// from the socket's queue, and starts to cut it.
AfPacketPort::Taken AfPacketPort::take_large(const uint8_t* packet, uint32_t there, uint32_t whole,
                                             bool queued, const uint16_t* tag, bool has_jumbos) {
  uint8_t* to = large_.data() + ethernet::kTagBytes;
  const uint32_t room = kLargeBytes - ethernet::kTagBytes;
  OffloadHeader offload{};
  if (queued) {
    iovec parts[2] = {{&offload, sizeof offload}, {to, room}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t got = recvmsg(receive_.descriptor(), &message, MSG_DONTWAIT);
    if (got != static_cast<ssize_t>(sizeof offload + whole) || (message.msg_flags & MSG_TRUNC) != 0) {
      count_oversized(whole);
      return Taken::kNothing;
    }
  } else if (there == whole && whole <= room) {
    std::memcpy(&offload, packet - sizeof offload, sizeof offload);
    std::memcpy(to, packet, whole);
  } else {
    count_oversized(whole);
    return Taken::kNothing;
  }
  if (tag != nullptr) {
    to -= ethernet::kTagBytes;
    whole += ethernet::kTagBytes;
    insert_tag(to, tag);
  }
  if (segmenter_.start(to, whole, offload.gso_type, offload.gso_size) &&
      segmenter_.largest() <= (has_jumbos ? kInJumbo : kInChunk)) {
    return Taken::kSegments;
  }
  segmenter_ = {};
  count_oversized(whole);
  return Taken::kNothing;
}

uint32_t AfPacketPort::take_segments(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) {
  uint32_t taken = 0;
  while (taken < count && !segmenter_.done()) {
    frames[taken] = cache.allocate_for(segmenter_.largest());
    if (frames[taken] == kNoFrame) break;
    Frame& frame = cache.pool().frame(frames[taken]);
    frame.length = static_cast<uint16_t>(segmenter_.next(cache.pool().data(frames[taken])));
    frame.received = now;
    ++taken;
  }
  return taken;
}

void AfPacketPort::skip_queued() {
  OffloadHeader offload;  // nothing shorter is taken
  recv(receive_.descriptor(), &offload, sizeof offload, MSG_DONTWAIT);
}

void AfPacketPort::discard_received() {
  for (;;) {
    tpacket2_hdr* slot = receive_.slot(receive_at_);
    const uint32_t status = __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
    if ((status & TP_STATUS_USER) == 0) return;
    if ((status & TP_STATUS_COPY) != 0) skip_queued();
    __atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    receive_at_ = (receive_at_ + 1) & (receive_.slots() - 1);
  }
}

uint32_t AfPacketPort::transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count_frames) {
  if (!open() || transmit_.descriptor() < 0) return 0;
  const uint32_t longest = mtu() + ethernet::kHeaderBytes;
  uint32_t taken = 0;
  uint32_t refused = 0;
  for (; taken < count_frames; ++taken) {
    const Frame& frame = cache.pool().frame(frames[taken]);
    const uint8_t* packet = cache.pool().data(frames[taken]);
    const bool tagged =
        frame.length > ethernet::kHeaderBytes && load16(packet + ethernet::kType) == ethernet::kTypeVlan;
    if (frame.length > longest + (tagged ? ethernet::kTagBytes : 0) ||
        frame.length + kTransmitData > transmit_.slot_bytes()) {
      ++refused;
      continue;
    }
    tpacket2_hdr* slot = transmit_.slot(transmit_at_);
    const uint32_t status = __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
    if ((status & (TP_STATUS_SEND_REQUEST | TP_STATUS_SENDING)) != 0) break;
    std::memcpy(reinterpret_cast<uint8_t*>(slot) + kTransmitData, packet, frame.length);
    slot->tp_len = frame.length;
    __atomic_store_n(&slot->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
    transmit_at_ = (transmit_at_ + 1) & (transmit_.slots() - 1);
  }
  count(Counter::tx_refused, refused);
  cache.free(frames, taken);
  if (taken > refused || unsent_) kick();
  return taken;
}

// Has the kernel send what waits in slots. What it has no room for now is asked for again with the next
// burst.
void AfPacketPort::kick() {
  unsent_ = false;
  if (transmit_.descriptor() < 0 || send(transmit_.descriptor(), nullptr, 0, MSG_DONTWAIT) >= 0) return;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EINTR) {
    unsent_ = true;
  } else {
    next_watch_ = 0;  // down or gone: see which
  }
}

}  // namespace penstock
