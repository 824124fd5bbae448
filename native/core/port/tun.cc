// The path of a packet:
//
//   receive, worker's thread
//     1. every 100 ms: is the interface still there, and up; one that was removed is made anew (watch)
//     2. answers to what the node asked of the link (step 6)
//     3. one system call a packet: into a frame; of a TUN, a link header is made up before it
//        a. a checksum only begun: completed
//        b. larger than a frame, or several segments in one: cut (gso.h), or a jumbo frame
//   transmit, worker's thread
//     4. TUN: the link header is left out
//     5. one system call a packet
//     6. TUN: a question for a neighbour is not sent, but answered: everybody is behind one MAC
#include "tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../packet/arp.h"
#include "../packet/bytes.h"
#include "../packet/ethernet.h"
#include "../packet/nd.h"
#include "../packet/parse.h"

namespace penstock {
namespace {

constexpr uint64_t kWatchInterval = 100 * 1000 * 1000;  // ns
constexpr uint32_t kReopenEvery = 3;                    // watches
constexpr uint32_t kLargeBytes = 128 * 1024;
constexpr uint32_t kMostAnswers = 64;
constexpr unsigned kUsoOffloads = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6: Linux 6.2

SocketError tun_error(const std::string& interface, const char* what) {
  const int number = errno;
  const std::string where = "interface " + interface + ": ";
  if (number == EPERM || number == EACCES) {
    return {
        EPERM,
        where +
            "a TUN or TAP interface needs the capability CAP_NET_ADMIN: run as root, or grant with "
            "'sudo setcap cap_net_admin+ep \"$(readlink -f \"$(command -v node)\")\"', or have it made for "
            "you: 'sudo ip tuntap add mode tun user $USER " +
            interface + "'"};
  }
  if (number == EBUSY) return {EBUSY, where + "in use by another process"};
  if (number == ENOENT) return {ENOENT, where + "no /dev/net/tun: modprobe tun"};
  return {number, where + what + ": " + std::strerror(number)};
}

// A locally administered address that the name decides.
void make_mac(const std::string& name, uint8_t last, uint8_t* to) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  std::memcpy(to, &hash, 5);
  to[0] = static_cast<uint8_t>((to[0] & 0xfc) | 2);
  to[5] = last;
}

}  // namespace

TunPort::TunPort(const TunOptions& options)
    : options_(options), link_(options.tap ? 0 : ethernet::kHeaderBytes) {
  make_mac(options.interface, 1, mac_);
  if (mac::is_station(options.mac)) mac::copy(mac_, options.mac);
  make_mac(options.interface, 2, peer_);
  answers_.reserve(kMostAnswers);
  large_.resize(kLargeBytes);
}

TunPorts TunPort::open(const TunOptions& options) {
  TunPorts result;
  for (uint32_t worker = 0; worker < options.workers; ++worker) {
    std::unique_ptr<TunPort> port(new TunPort(options));
    if (!port->open_queue(result.error)) {
      result.ports.clear();
      return result;
    }
    result.ports.push_back(std::move(port));
  }
  return result;
}

bool TunPort::open_queue(SocketError& error) {
  close();
  descriptor_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    error = tun_error(options_.interface, "/dev/net/tun");
    return false;
  }
  ifreq request{};
  std::memcpy(request.ifr_name, options_.interface.data(),
              std::min(options_.interface.size(), sizeof request.ifr_name - 1));
  const auto attach = [&](bool queues) {
    request.ifr_flags = static_cast<short>((options_.tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR |
                                           (queues ? IFF_MULTI_QUEUE : 0));
    return ioctl(descriptor_, TUNSETIFF, &request) == 0;
  };
  // One that is there already is attached to as it was made.
  bool queues = has_queues();
  bool attached = attach(queues);
  if (!attached && errno == EINVAL) attached = attach(queues = !queues);
  if (!attached) {
    if (errno == EINVAL) {
      error = {EINVAL, "interface " + options_.interface +
                           " is there, and is of another kind: ip link delete " + options_.interface};
    } else {
      error = tun_error(options_.interface, "TUNSETIFF");
    }
    close();
    return false;
  }
  is_single_.store(!queues, std::memory_order_relaxed);
  constexpr unsigned kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(descriptor_, TUNSETOFFLOAD, kOffloads | kUsoOffloads) != 0)
    ioctl(descriptor_, TUNSETOFFLOAD, kOffloads);
  if (!bring_up(error)) {
    close();
    return false;
  }
  openings_.fetch_add(1, std::memory_order_relaxed);
  state_.store(State::kOpen, std::memory_order_release);
  return true;
}

bool TunPort::bring_up(SocketError& error) {
  InterfaceState interface = read_interface(options_.interface);
  index_ = interface.index;
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::memcpy(request.ifr_name, options_.interface.data(),
              std::min(options_.interface.size(), sizeof request.ifr_name - 1));
  request.ifr_mtu = static_cast<int>(options_.mtu);
  bool good = interface.mtu == options_.mtu || ioctl(descriptor, SIOCSIFMTU, &request) == 0;
  if (good && !interface.is_up) {
    good = ioctl(descriptor, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    good = good && ioctl(descriptor, SIOCSIFFLAGS, &request) == 0;
  }
  if (!good) error = tun_error(options_.interface, "MTU or state");
  if (descriptor >= 0) ::close(descriptor);
  mtu_.store(options_.mtu, std::memory_order_relaxed);
  return good;
}

// Its worker opens it with its first turn (watch): a queue takes part as soon as it is there.
std::unique_ptr<Port> TunPort::further(uint32_t, std::string& error) {
  if (!is_single_.load(std::memory_order_relaxed)) return std::unique_ptr<Port>(new TunPort(options_));
  error = "interface " + options_.interface +
          ": it was made with one queue, so it has one worker: ip link delete " + options_.interface +
          ", and make it with multi_queue";
  return nullptr;
}

void TunPort::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void TunPort::let_go(FrameCache& cache) {
  cache.free(answers_.data(), static_cast<uint32_t>(answers_.size()));
  answers_.clear();
  close();
  state_.store(State::kGone, std::memory_order_release);
}

std::string TunPort::fault() const {
  const std::string name = "interface " + options_.interface;
  switch (state_.load(std::memory_order_acquire)) {
    case State::kOpen:
      return {};
    case State::kDown:
      return name + " is down";
    case State::kGone:
      return name + " was removed";
    case State::kFailed:
      break;
  }
  return name + " cannot be made anew: " + std::strerror(error_number_.load(std::memory_order_relaxed));
}

void TunPort::watch(uint64_t now) {
  next_watch_ = now + kWatchInterval;
  ++watches_;
  const InterfaceState interface = read_interface(options_.interface);
  if (descriptor_ >= 0 && interface.index != index_) {
    close();
    state_.store(State::kGone, std::memory_order_release);
  } else if (descriptor_ >= 0) {
    mtu_.store(interface.mtu, std::memory_order_relaxed);
    state_.store(interface.is_up ? State::kOpen : State::kDown, std::memory_order_release);
  } else if (watches_ % kReopenEvery == 0 || openings_.load(std::memory_order_relaxed) == 0) {
    SocketError error;
    if (open_queue(error)) return;
    error_number_.store(error.number, std::memory_order_relaxed);
    state_.store(State::kFailed, std::memory_order_release);
  }
}

uint32_t TunPort::receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) {
  if (now >= next_watch_) watch(now);
  uint32_t received = 0;
  while (received < count && !answers_.empty()) {
    frames[received++] = answers_.back();
    answers_.pop_back();
  }
  while (received < count) {
    const uint32_t cut = take_segments(cache, frames + received, count - received);
    received += cut;
    if (cut > 0) continue;
    if (!segmenter_.done()) break;  // no frame is free
    FrameIndex index = kNoFrame;
    if (!take(cache, index)) break;
    if (index != kNoFrame) frames[received++] = index;
  }
  for (uint32_t i = 0; i < received; ++i) cache.pool().frame(frames[i]).received = now;
  return received;
}

// Reads one packet: into a frame, or into large_ to be cut. False: there is none, or no frame to read into.
bool TunPort::take(FrameCache& cache, FrameIndex& index) {
  if (descriptor_ < 0 || cache.allocate(&index, 1) == 0) return false;
  FramePool& pool = cache.pool();
  Frame& frame = pool.frame(index);
  uint8_t* packet = pool.data(index);
  const uint32_t room = kChunkBytes - kTailroom - frame.start - link_;
  OffloadHeader offload;
  iovec parts[3] = {{&offload, sizeof offload},
                    {packet + link_, room},
                    {large_.data() + link_ + room, kLargeBytes - link_ - room}};
  const ssize_t got = readv(descriptor_, parts, 3);
  if (got < static_cast<ssize_t>(sizeof offload)) {
    cache.free(index);
    index = kNoFrame;
    return false;
  }
  const auto bytes = static_cast<uint32_t>(got) - static_cast<uint32_t>(sizeof offload);
  if (link_ != 0) {
    const bool v6 = (packet[link_] >> 4) == 6;
    ethernet::write(packet, mac_, peer_, v6 ? ethernet::kTypeIpv6 : ethernet::kTypeIpv4);
  }
  if (bytes > room || offload.gso_type != 0) {
    std::memcpy(large_.data(), packet, link_ + std::min(bytes, room));
    cache.free(index);
    return take_large(cache, offload, link_ + bytes, index);
  }
  if ((offload.flags & offload::kNeedsChecksum) != 0) {
    complete_checksum(packet + link_, bytes, offload.checksum_start, offload.checksum_offset);
  }
  frame.length = static_cast<uint16_t>(link_ + bytes);
  return true;
}

bool TunPort::take_large(FrameCache& cache, const OffloadHeader& offload, uint32_t length,
                         FrameIndex& index) {
  index = kNoFrame;
  if (offload.gso_type != 0) {
    const uint32_t most = kChunkBytes - FramePool::receive_offset(15) - kTailroom;
    const bool fits = segmenter_.start(large_.data(), length, offload.gso_type, offload.gso_size) &&
                      (segmenter_.largest() <= most || cache.all_total() > cache.total());
    if (fits) return true;
  } else {
    index = length <= kJumboChunks * kChunkBytes - 2048 ? cache.allocate_jumbo() : kNoFrame;
    if (index != kNoFrame) {
      uint8_t* packet = cache.pool().data(index);
      std::memcpy(packet, large_.data(), length);
      if ((offload.flags & offload::kNeedsChecksum) != 0) {
        complete_checksum(packet + link_, length - link_, offload.checksum_start, offload.checksum_offset);
      }
      cache.pool().frame(index).length = static_cast<uint16_t>(length);
      return true;
    }
  }
  segmenter_ = {};
  count_oversized(length);
  return true;
}

uint32_t TunPort::take_segments(FrameCache& cache, FrameIndex* frames, uint32_t count) {
  uint32_t taken = 0;
  while (taken < count && !segmenter_.done()) {
    const FrameIndex index = cache.allocate_for(segmenter_.largest());
    if (index == kNoFrame) break;
    cache.pool().frame(index).length = static_cast<uint16_t>(segmenter_.next(cache.pool().data(index)));
    frames[taken++] = index;
  }
  return taken;
}

// Of a TUN, whether the frame is a question for a neighbour; then it is on its way back as the answer, and
// kept.
bool TunPort::answer(FrameCache& cache, FrameIndex index) {
  Frame& frame = cache.pool().frame(index);
  uint8_t* packet = cache.pool().data(index);
  ethernet::Payload payload;
  if (!ethernet::read(packet, frame.length, payload)) return false;
  bool answered = false;
  if (payload.type == ethernet::kTypeArp) {
    const uint8_t* at = packet + payload.offset;
    answered = arp::is_whole(at, frame.length - payload.offset) && arp::operation(at) == arp::kRequest &&
               arp::sender_ip(at) != arp::target_ip(at);
    if (answered) arp::answer(packet, payload.offset, peer_);
  } else {
    nd::Message message;
    answered = parse_ethernet(frame, packet) == DropReason::kNone && nd::read(frame, packet, message) &&
               message.type == icmpv6::kNeighbourSolicitation && !message.source.is_unspecified();
    if (answered) nd::answer(frame, packet, message, peer_, true);
  }
  if (answered && answers_.size() < kMostAnswers) {
    answers_.push_back(index);
  } else {
    cache.free(index);
  }
  return true;
}

bool TunPort::write_out(const uint8_t* packet, uint32_t length) {
  OffloadHeader offload{};
  iovec parts[2] = {{&offload, sizeof offload}, {const_cast<uint8_t*>(packet), length}};
  return writev(descriptor_, parts, 2) >= 0;
}

uint32_t TunPort::transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count_frames) {
  if (!open() || descriptor_ < 0) return 0;
  FramePool& pool = cache.pool();
  const uint32_t longest = mtu() + ethernet::kHeaderBytes;
  uint32_t taken = 0;
  for (; taken < count_frames; ++taken) {
    const FrameIndex index = frames[taken];
    const Frame& frame = pool.frame(index);
    const uint8_t* packet = pool.data(index);
    if (link_ != 0 && frame.length > ethernet::kHeaderBytes) {
      const uint16_t type = load16(packet + ethernet::kType);
      const bool nd =
          type == ethernet::kTypeIpv6 && frame.length >= 14 + 40 + nd::kBytes && packet[20] == 58 &&
          (packet[54] == icmpv6::kNeighbourSolicitation || packet[54] == icmpv6::kNeighbourAdvertisement);
      if ((type == ethernet::kTypeArp || nd) && answer(cache, index)) continue;
    }
    if (frame.length > longest + (link_ == 0 ? ethernet::kTagBytes : 0) || frame.length <= link_) {
      count(Counter::tx_refused);
    } else if (!write_out(packet + link_, frame.length - link_)) {
      if (errno == EAGAIN || errno == ENOBUFS) break;
      next_watch_ = 0;  // down or gone: see which
      if (errno != EINVAL) break;
      count(Counter::tx_refused);
    }
    cache.free(index);
  }
  return taken;
}

}  // namespace penstock
