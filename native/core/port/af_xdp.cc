// The path of a packet:
//
//   receive, worker's thread
//     1. every 100 ms, the first worker: is the interface still there, and up (XdpInterface::watch)
//     2. what the kernel put into the sockets' rings: each a chunk of the pool, the packet in it (take)
//        a. a packet in several chunks: copied into a jumbo frame (take_large)
//     3. new chunks to receive into, in bursts (tend)
//   transmit, worker's thread
//     4. frames' chunks are put into the ring, and the kernel asked once per burst where it wants to be
//     (kick)
//     5. chunks that were sent come back to the cache (reap)
//
// Queues and workers: a socket receives what arrives at its queue of the interface. Where there are fewer
// queues than workers, each worker has a socket on each queue, and the program chooses; they share the
// queue's memory and its rings of chunks, which one worker tends. Otherwise each queue is one worker's, and
// what another owns is handed over. A worker that comes later has a further socket on each queue.
//
// An interface that goes: the first worker sees it and ends the attachment; each worker lets go at its next
// turn, and the last one closes all and takes back the chunks that the kernel had. Then the first worker
// looks for the interface and attaches anew.
#include "af_xdp.h"

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../packet/bytes.h"
#include "../packet/ethernet.h"

namespace penstock {
namespace {

constexpr uint64_t kWatchInterval = 100 * 1000 * 1000;  // ns
constexpr uint32_t kCountEvery = 10;                    // watches
constexpr uint32_t kMoreChunks = 1;                     // XDP_PKT_CONTD, Linux 6.6
constexpr uint32_t kMostQueues = 64;
constexpr uint32_t kKicks = 16;  // of one burst
constexpr uint32_t kBusyTries = 40;
constexpr uint32_t kBusyWait = 25'000;  // us

// The kernel puts a packet 256 bytes (XDP_PACKET_HEADROOM) behind the address that it was given.
static_assert(kHeadroom == 256);
uint64_t fill_address(FrameIndex index) {
  return uint64_t{index} * kChunkBytes + FramePool::receive_offset(index) - kHeadroom;
}
// Packets of the largest that one chunk holds; there is room for what a tunnel appends.
constexpr uint32_t kLargestInChunk = kXdpChunkBytes - kHeadroom;
static_assert(FramePool::receive_offset(15) + kLargestInChunk + kTailroom <= kChunkBytes);

// Where a received packet starts in the pool.
uint64_t address_of(uint64_t descriptor) {
  return (descriptor & XSK_UNALIGNED_BUF_ADDR_MASK) + (descriptor >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
}

// What `lent` says of a frame: not with the kernel, to receive into, to be sent in so many parts.
constexpr uint8_t kHere = 0;
constexpr uint8_t kToReceive = 1;
constexpr uint8_t kToSend = 1;  // more than this: parts not sent yet

uint32_t count_queues(const std::string& name) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  request.ifr_data = reinterpret_cast<char*>(&channels);
  const int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool known = descriptor >= 0 && ioctl(descriptor, SIOCETHTOOL, &request) == 0;
  if (descriptor >= 0) close(descriptor);
  return known ? std::max(1u, std::max(channels.combined_count, channels.rx_count)) : 1;
}

// Holds the interface in a mode in which it takes all multicast, or everything, until closed.
int listen_to_groups(int interface, bool promiscuous) {
  const int descriptor = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  packet_mreq membership{};
  membership.mr_ifindex = interface;
  membership.mr_type = promiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI;
  if (descriptor >= 0)
    setsockopt(descriptor, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership);
  return descriptor;
}

}  // namespace

// Sockets on an interface as it is now.
struct XdpAttachment {
  int link = -1;
  int groups = -1;
  int index = 0;
  uint32_t queues = 0;
  uint32_t workers = 0;  // when it was made: they look after its queues' chunks
  bool jumbo = false;
  XdpMode mode = XdpMode::kGeneric;
  // queue * the most workers + worker; null: this worker has none there.
  std::vector<std::unique_ptr<XdpSocket>> sockets;
  uint64_t dropped = 0;
  std::atomic<uint32_t> users{0};

  uint32_t tender(uint32_t queue) const { return queue % workers; }

  ~XdpAttachment() {
    if (link >= 0) close(link);
    sockets.clear();
    if (groups >= 0) close(groups);
  }
};

class XdpInterface {
 public:
  enum class State : uint8_t { kOpen, kDown, kGone, kFailed };

  XdpInterface(const AfXdpOptions& wanted, FramePool& frames)
      : options(wanted),
        most(std::max(wanted.workers, wanted.most_workers)),
        workers(wanted.workers),
        pool(frames),
        lent(new std::atomic<uint8_t>[frames.chunks()]()) {}

  bool start(SocketError& error);
  std::unique_ptr<XdpAttachment> attach(const InterfaceState& state, SocketError& error);
  void watch(uint64_t now);
  void adopt(std::unique_ptr<XdpAttachment> made, const InterfaceState& state);
  void retire(State why);
  void end();
  bool add_worker(uint32_t worker, SocketError& error);
  XdpSocket& first_of(const XdpAttachment& made, uint32_t queue) const {
    return *made.sockets[queue * most + made.tender(queue)];
  }
  void describe(const XdpAttachment& made);

  const AfXdpOptions options;
  const uint32_t most;  // workers
  uint32_t workers;     // that there are; under watch_lock
  FramePool& pool;
  Steering steering;
  const std::unique_ptr<std::atomic<uint8_t>[]> lent;  // by frame: the kernel has it
  std::atomic<uint32_t> ready{0};                      // of those, given to receive into
  std::atomic<XdpAttachment*> current{nullptr};
  std::atomic<uint32_t> epoch{0};       // odd: attached
  std::unique_ptr<XdpAttachment> held;  // the first worker's, and the last user's when it ended
  std::atomic<bool> ended{false};       // everybody let go of `held`
  std::atomic<State> state{State::kOpen};
  std::atomic<int> error_number{0};
  std::atomic<uint32_t> mtu{0};
  std::atomic<uint64_t> mac{0};
  std::mutex mode_lock;
  std::string mode;
  std::mutex watch_lock;
  bool closing = false;  // not to be attached again
  uint64_t next_watch = 0;
  uint32_t watches = 0;
  uint64_t first_mac = 0;

 private:
  bool open_queue(XdpAttachment& made, uint32_t queue, SocketError& error);
  bool open_further(XdpAttachment& made, uint32_t queue, uint32_t worker, SocketError& error);
};

bool XdpInterface::open_queue(XdpAttachment& made, uint32_t queue, SocketError& error) {
  auto first = std::make_unique<XdpSocket>();
  XdpSizes sizes = options.sizes;
  const bool shared = made.queues < workers;
  while ((shared || most > workers) && sizes.completion < sizes.transmit * most) sizes.completion *= 2;
  const XdpBind how = made.mode == XdpMode::kZeroCopy ? XdpBind::kZeroCopy : XdpBind::kCopy;
  // A process that ended a moment ago may not have let go of the queue yet.
  for (uint32_t tries = 0; tries < kBusyTries; ++tries) {
    error = {};
    if (first->open_first(pool.memory(), pool.memory_bytes(), sizes, made.index, queue, how, made.jumbo,
                          error))
      break;
    if (error.number != EBUSY || epoch.load() != 0) return false;
    usleep(kBusyWait);
  }
  if (error.number != 0) return false;
  const int descriptor = first->descriptor();
  made.sockets[queue * most + made.tender(queue)] = std::move(first);
  for (uint32_t worker = 0; worker < workers; ++worker) {
    const bool has_own = shared && worker != made.tender(queue);
    if (has_own ? !open_further(made, queue, worker, error)
                : !steering.set_socket(queue, most, worker, descriptor, error)) {
      return false;
    }
  }
  return true;
}

bool XdpInterface::open_further(XdpAttachment& made, uint32_t queue, uint32_t worker, SocketError& error) {
  XdpSocket& first = first_of(made, queue);
  auto socket = std::make_unique<XdpSocket>();
  if (!socket->open_shared(first, options.sizes, made.index, queue, error)) return false;
  socket->first = &first;
  if (!steering.set_socket(queue, most, worker, socket->descriptor(), error)) return false;
  made.sockets[queue * most + worker] = std::move(socket);
  return true;
}

// While others use what there is. With watch_lock.
bool XdpInterface::add_worker(uint32_t worker, SocketError& error) {
  if (XdpAttachment* made = current.load(std::memory_order_relaxed)) {
    for (uint32_t queue = 0; queue < made->queues; ++queue) {
      if (!open_further(*made, queue, worker, error)) return false;
    }
    made->users.fetch_add(1);
  }
  workers = std::max(workers, worker + 1);
  return true;
}

// In the best mode that the interface has. Null with `error` filled.
std::unique_ptr<XdpAttachment> XdpInterface::attach(const InterfaceState& interface, SocketError& error) {
  for (auto tried = static_cast<uint8_t>(options.best); tried <= static_cast<uint8_t>(XdpMode::kGeneric);
       ++tried) {
    auto made = std::make_unique<XdpAttachment>();
    made->index = interface.index;
    made->mode = static_cast<XdpMode>(tried);
    made->jumbo = interface.mtu + ethernet::kTaggedHeaderBytes > kLargestInChunk;
    made->queues = std::min({count_queues(options.interface), kMostQueues, STEER_MOST_SOCKETS / most});
    made->workers = workers;
    made->sockets.resize(size_t{made->queues} * most);
    error = {};
    made->link = steering.attach(interface.index, made->mode != XdpMode::kGeneric, error);
    for (uint32_t queue = 0; made->link >= 0 && queue < made->queues; ++queue) {
      if (!open_queue(*made, queue, error)) break;
    }
    if (error.number == 0) {
      made->groups = listen_to_groups(interface.index,
                                      options.promiscuous || (first_mac != 0 && first_mac != mac.load()));
      made->users.store(workers);
      return made;
    }
    if (error.number == EPERM || error.number == EBUSY) break;
  }
  return nullptr;
}

void XdpInterface::describe(const XdpAttachment& made) {
  const char* how = made.mode == XdpMode::kZeroCopy ? "in the driver, without a copy"
                    : made.mode == XdpMode::kDriver ? "in the driver, copying"
                                                    : "in the kernel's path, copying";
  const auto count = [](uint32_t number, const char* what) {
    return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
  };
  const std::lock_guard<std::mutex> guard(mode_lock);
  mode =
      std::string("AF_XDP ") + how + "; " + count(made.queues, "queue") + " for " + count(workers, "worker");
}

void XdpInterface::adopt(std::unique_ptr<XdpAttachment> made, const InterfaceState& interface) {
  mtu.store(interface.mtu, std::memory_order_relaxed);
  describe(*made);
  held = std::move(made);
  ended.store(false, std::memory_order_relaxed);
  current.store(held.get(), std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
  state.store(State::kOpen, std::memory_order_release);
}

void XdpInterface::end() {
  const std::lock_guard<std::mutex> guard(watch_lock);
  closing = true;
  if (current.load(std::memory_order_relaxed) != nullptr) retire(State::kGone);
}

void XdpInterface::retire(State why) {
  state.store(why, std::memory_order_release);
  current.store(nullptr, std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
}

uint64_t mac_word(const InterfaceState& interface) {
  uint64_t word = 0;
  std::memcpy(&word, interface.mac, 6);
  return word;
}

bool XdpInterface::start(SocketError& error) {
  const std::string name = "interface " + options.interface;
  const InterfaceState interface = read_interface(options.interface);
  if (interface.index == 0) {
    error = {ENODEV, "there is no " + name};
  } else if (!interface.is_ethernet) {
    error = {EINVAL, name + " is not Ethernet"};
  } else if (!interface.is_up) {
    error = {ENETDOWN, name + " is down: ip link set " + options.interface + " up"};
  } else if (steering.load(error)) {
    first_mac = mac_word(interface);
    mac.store(first_mac);
    steering.read_kernel_addresses(options.interface);
    if (auto made = attach(interface, error)) {
      adopt(std::move(made), interface);
      return true;
    }
    error.text = name + ": " + error.text;
  }
  return false;
}

// The first worker, ten times a second.
void XdpInterface::watch(uint64_t now) {
  next_watch = now + kWatchInterval;
  ++watches;
  const std::lock_guard<std::mutex> guard(watch_lock);
  if (closing) return;
  const InterfaceState interface = read_interface(options.interface);
  if (XdpAttachment* attached = current.load(std::memory_order_relaxed)) {
    const bool jumbo = interface.mtu + ethernet::kTaggedHeaderBytes > kLargestInChunk;
    if (interface.index != attached->index) return retire(State::kGone);
    if (jumbo && !attached->jumbo) return retire(State::kDown);  // and at once anew
    mtu.store(interface.mtu, std::memory_order_relaxed);
    state.store(interface.is_up ? State::kOpen : State::kDown, std::memory_order_release);
    if (watches % kCountEvery == 0) steering.read_kernel_addresses(options.interface);
    return;
  }
  if (!ended.load(std::memory_order_acquire)) return;
  held.reset();
  if (interface.index == 0 || !interface.is_up) {
    return state.store(interface.index == 0 ? State::kGone : State::kDown, std::memory_order_release);
  }
  mac.store(mac_word(interface), std::memory_order_relaxed);
  SocketError error;
  if (auto made = attach(interface, error)) {
    adopt(std::move(made), interface);
  } else {
    error_number.store(error.number, std::memory_order_relaxed);
    state.store(State::kFailed, std::memory_order_release);
  }
}

AfXdpPorts AfXdpPort::open(const AfXdpOptions& options, FramePool& pool) {
  AfXdpPorts result;
  auto interface = std::make_shared<XdpInterface>(options, pool);
  if (!interface->start(result.error)) return result;
  for (uint32_t worker = 0; worker < options.workers; ++worker) {
    result.ports.emplace_back(new AfXdpPort(interface, worker));
  }
  return result;
}

AfXdpPort::AfXdpPort(std::shared_ptr<XdpInterface> interface, uint32_t worker, uint32_t epoch)
    : interface_(std::move(interface)),
      worker_(worker),
      epoch_(epoch),
      sleeper_(epoll_create1(EPOLL_CLOEXEC)) {}

std::unique_ptr<Port> AfXdpPort::further(uint32_t worker, std::string& error) {
  const std::lock_guard<std::mutex> guard(interface_->watch_lock);
  SocketError failed;
  if (worker >= interface_->most) {
    failed.text = "sockets for " + std::to_string(interface_->most) + " workers";
  } else if (interface_->add_worker(worker, failed)) {
    // As if it had seen all up to the attachment that there is.
    const uint32_t epoch = interface_->epoch.load(std::memory_order_relaxed);
    std::unique_ptr<AfXdpPort> port(new AfXdpPort(interface_, worker, epoch - epoch % 2));
    port->unused_ = true;
    return port;
  }
  error = "interface " + interface_->options.interface + ": " + failed.text;
  return nullptr;
}

AfXdpPort::~AfXdpPort() {
  if (unused_) {  // its worker did not come after all
    const std::lock_guard<std::mutex> guard(interface_->watch_lock);
    if (XdpAttachment* made = interface_->current.load(std::memory_order_relaxed)) made->users.fetch_sub(1);
    interface_->workers = std::min(interface_->workers, worker_);
  }
  if (sleeper_ >= 0) close(sleeper_);
}

bool AfXdpPort::open() const {
  return interface_->state.load(std::memory_order_acquire) == XdpInterface::State::kOpen;
}
uint32_t AfXdpPort::openings() const {
  return (interface_->epoch.load(std::memory_order_relaxed) + 1) / 2;
}
uint32_t AfXdpPort::ready_frames() const {
  return worker_ == 0 ? interface_->ready.load(std::memory_order_relaxed) : 0;
}
uint32_t AfXdpPort::mtu() const {
  return interface_->mtu.load(std::memory_order_relaxed);
}
void AfXdpPort::mac(uint8_t* to) const {
  std::memcpy(to, &interface_->first_mac, 6);
}
std::string AfXdpPort::mode() const {
  const std::lock_guard<std::mutex> guard(interface_->mode_lock);
  return interface_->mode;
}
void AfXdpPort::set_owners(const PortOwners& owners) {
  interface_->steering.set_owners(owners, interface_->most);
}

std::string AfXdpPort::fault() const {
  const std::string name = "interface " + interface_->options.interface;
  switch (interface_->state.load(std::memory_order_acquire)) {
    case XdpInterface::State::kOpen:
      return {};
    case XdpInterface::State::kDown:
      return name + " is down";
    case XdpInterface::State::kGone:
      return name + " was removed";
    case XdpInterface::State::kFailed:
      break;
  }
  return name + " is back, but cannot be opened: " +
         std::strerror(interface_->error_number.load(std::memory_order_relaxed));
}

// The attachment was made, or ended.
void AfXdpPort::change(FrameCache& cache) {
  const uint32_t epoch = interface_->epoch.load(std::memory_order_acquire);
  unused_ = false;
  // One that was made is never skipped over by one that ended: it ends only when all have let go of it.
  for (; epoch_ != epoch; ++epoch_) {
    if (epoch_ % 2 == 1) leave(cache);
  }
  XdpAttachment* made = interface_->current.load(std::memory_order_acquire);
  if (epoch_ % 2 == 0 || made == nullptr) return;
  attachment_ = made;
  for (uint32_t queue = 0; queue < made->queues; ++queue) {
    if (made->tender(queue) == worker_) tended_.push_back(&interface_->first_of(*made, queue));
    XdpSocket* own = made->sockets[queue * interface_->most + worker_].get();
    if (own == nullptr) continue;
    sockets_.push_back(own);
    if (out_ == nullptr || queue == worker_ % made->queues) out_ = own;
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(sleeper_, EPOLL_CTL_ADD, own->descriptor(), &event);
  }
  unsent_ = false;
}

void AfXdpPort::let_go(FrameCache& cache) {
  interface_->end();
  if (interface_->epoch.load(std::memory_order_acquire) != epoch_) change(cache);
}

// The last one closes what the kernel had a part in, and takes back all chunks: those to receive into, those
// received and not fetched, those not sent.
void AfXdpPort::leave(FrameCache& cache) {
  for (const XdpSocket* socket : sockets_) epoll_ctl(sleeper_, EPOLL_CTL_DEL, socket->descriptor(), nullptr);
  attachment_ = nullptr;
  sockets_.clear();
  tended_.clear();
  out_ = nullptr;
  XdpAttachment& ended = *interface_->held;
  if (ended.users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  uint64_t unfetched = 0;
  std::erase(ended.sockets, nullptr);
  for (auto& socket : ended.sockets) {
    unfetched += socket->dropped() + socket->receive.filled(~0u);
  }
  count(Counter::rx_missed, unfetched - ended.dropped);
  if (ended.link >= 0) close(ended.link);
  ended.link = -1;
  for (auto& socket : ended.sockets) socket->close();
  uint32_t unsent = 0;
  for (FrameIndex index = 0; index < interface_->pool.chunks(); ++index) {
    const uint8_t as = interface_->lent[index].exchange(kHere, std::memory_order_relaxed);
    if (as == kHere) continue;
    unsent += as > kToSend;
    cache.free(index);
  }
  count(Counter::tx_refused, unsent);
  interface_->ready.store(0, std::memory_order_relaxed);
  interface_->ended.store(true, std::memory_order_release);
}

uint32_t AfXdpPort::receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) {
  if (worker_ == 0 && now >= interface_->next_watch) {
    interface_->watch(now);
    if (attachment_ != nullptr && interface_->watches % kCountEvery == 0) {
      uint64_t dropped = 0;
      const std::lock_guard<std::mutex> guard(interface_->watch_lock);
      for (const auto& socket : attachment_->sockets) dropped += socket != nullptr ? socket->dropped() : 0;
      Port::count(Counter::rx_missed, dropped - attachment_->dropped);
      attachment_->dropped = dropped;
    }
  }
  if (interface_->epoch.load(std::memory_order_acquire) != epoch_) change(cache);
  if (attachment_ == nullptr) return 0;
  if (unsent_) kick(cache);
  uint32_t received = 0;
  for (size_t i = 0; i < sockets_.size() && received < count; ++i) {
    // Not always the same first: a busy queue must not keep the others waiting.
    XdpSocket& socket = *sockets_[sockets_.size() == 1 ? 0 : (turn_ + i) % sockets_.size()];
    received += take(cache, now, socket, frames + received, count - received);
  }
  ++turn_;
  tend(cache);
  return received;
}

uint32_t AfXdpPort::take(FrameCache& cache, uint64_t now, XdpSocket& socket, FrameIndex* frames,
                         uint32_t count) {
  XdpRing<xdp_desc>& ring = socket.receive;
  FramePool& pool = cache.pool();
  uint32_t taken = 0;
  uint32_t there = ring.filled(count);
  uint32_t chunks = 0;
  while (taken < count && there > 0) {
    const xdp_desc& packet = ring.get();
    if ((packet.options & kMoreChunks) != 0) [[unlikely]] {
      ring.filled(~0u);
      chunks += take_large(cache, now, socket, frames + taken);
      there = ring.filled(count);
      taken += frames[taken] != kNoFrame;
      continue;
    }
    const uint64_t at = address_of(packet.addr);
    const auto index = static_cast<FrameIndex>(at / kChunkBytes);
    Frame& frame = pool.frame(index);
    frame.start = static_cast<uint16_t>(at % kChunkBytes);
    frame.length = static_cast<uint16_t>(packet.len);
    frame.received = now;
    // Another CPU wrote it: its headers are on their way while the rest of the burst is looked at.
    __builtin_prefetch(pool.memory() + at);
    interface_->lent[index].store(kHere, std::memory_order_relaxed);
    frames[taken++] = index;
    ring.take(1);
    ++chunks;
    --there;
  }
  if (chunks == 0) return 0;
  ring.release();
  interface_->ready.fetch_sub(chunks, std::memory_order_relaxed);
  socket.first->ready.fetch_sub(chunks, std::memory_order_relaxed);
  return taken;
}

// A packet in several chunks: into a jumbo frame. kNoFrame: dropped,
// and counted. Returns how many chunks were taken.
uint32_t AfXdpPort::take_large(FrameCache& cache, uint64_t now, XdpSocket& socket, FrameIndex* out) {
  XdpRing<xdp_desc>& ring = socket.receive;
  FramePool& pool = cache.pool();
  const FrameIndex index = cache.allocate_jumbo();
  const uint32_t room = index == kNoFrame ? 0 : pool.room(index) - pool.frame(index).start - kTailroom;
  uint32_t length = 0;
  uint32_t chunks = 0;
  for (bool more = true; more && ring.filled(1) > 0; ++chunks) {
    const xdp_desc packet = ring.get();
    more = (packet.options & kMoreChunks) != 0;
    if (length + packet.len <= room) {
      std::memcpy(pool.data(index) + length, pool.memory() + address_of(packet.addr), packet.len);
    }
    length += packet.len;
    const auto part = static_cast<FrameIndex>(address_of(packet.addr) / kChunkBytes);
    interface_->lent[part].store(kHere, std::memory_order_relaxed);
    cache.free(part);
    ring.take(1);
  }
  *out = kNoFrame;
  if (length <= room) {
    Frame& frame = pool.frame(index);
    frame.length = static_cast<uint16_t>(length);
    frame.received = now;
    *out = index;
  } else if (index == kNoFrame && cache.all_total() > cache.total()) {
    Port::count(Counter::rx_packets);
    Port::count(Counter::rx_bytes, length);
    Port::count(Counter::no_frame);
  } else {
    if (index != kNoFrame) cache.free(index);
    count_oversized(length);
  }
  return chunks;
}

// Chunks to receive into, for the queues that this worker looks after; and what others sent through them.
void AfXdpPort::tend(FrameCache& cache) {
  for (XdpSocket* first : tended_) {
    XdpRing<uint64_t>& ring = first->fill;
    uint32_t given = 0;
    // Some stay for what the node itself has to say.
    // No more than the rings of packets hold: for what has no place there the kernel is not to copy anything.
    const uint32_t most = interface_->options.sizes.receive;
    while (first->ready.load(std::memory_order_relaxed) + given + kBurst <= most &&
           ring.room(kBurst) >= kBurst && cache.available() >= 3 * kBurst) {
      FrameIndex frames[kBurst];
      const uint32_t count = cache.allocate(frames, kBurst);
      for (uint32_t i = 0; i < count; ++i) {
        interface_->lent[frames[i]].store(kToReceive, std::memory_order_relaxed);
        ring.put(fill_address(frames[i]));
      }
      given += count;
    }
    if (given > 0) {
      interface_->ready.fetch_add(given, std::memory_order_relaxed);
      first->ready.fetch_add(given, std::memory_order_relaxed);
      ring.submit();
    }
    if (ring.needs_wakeup()) recvfrom(first->descriptor(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    reap(cache, *first);
  }
}

void AfXdpPort::reap(FrameCache& cache, XdpSocket& first) {
  XdpRing<uint64_t>& ring = first.completion;
  FramePool& pool = cache.pool();
  while (uint32_t there = std::min(ring.filled(kBurst), kBurst)) {
    FrameIndex frames[kBurst];
    uint32_t done = 0;
    for (uint32_t i = 0; i < there; ++i) {
      const auto chunk = static_cast<uint32_t>(ring.get(i) / kChunkBytes);
      const FrameIndex index = pool.frame_of(chunk);
      std::atomic<uint8_t>& parts = interface_->lent[index];
      const auto left = static_cast<uint8_t>(parts.load(std::memory_order_relaxed) - 1);
      parts.store(left == kToSend ? kHere : left, std::memory_order_relaxed);
      if (left != kToSend) continue;
      frames[done++] = index;
    }
    ring.take(there);
    ring.release();
    cache.free(frames, done);
  }
}

uint32_t AfXdpPort::transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count_frames) {
  if (!open() || out_ == nullptr) return 0;
  XdpRing<xdp_desc>& ring = out_->transmit;
  FramePool& pool = cache.pool();
  const uint32_t longest = mtu() + ethernet::kHeaderBytes;
  uint32_t taken = 0;
  uint32_t put = 0;
  for (; taken < count_frames; ++taken) {
    const FrameIndex index = frames[taken];
    const Frame& frame = pool.frame(index);
    const uint8_t* packet = pool.data(index);
    const bool tagged =
        frame.length > ethernet::kHeaderBytes && load16(packet + ethernet::kType) == ethernet::kTypeVlan;
    // A part lies in one chunk, and is no larger than what the kernel takes for one.
    uint32_t parts = 0;
    for (uint32_t at = frame.start; at < uint32_t{frame.start} + frame.length; ++parts) {
      at += std::min(kXdpChunkBytes, kChunkBytes - at % kChunkBytes);
    }
    if (frame.length > longest + (tagged ? ethernet::kTagBytes : 0) || (parts > 1 && !attachment_->jumbo)) {
      count(Counter::tx_refused);
      cache.free(index);
      continue;
    }
    if (ring.room(parts) < parts) break;
    interface_->lent[index].store(static_cast<uint8_t>(kToSend + parts), std::memory_order_relaxed);
    uint64_t at = uint64_t{index} * kChunkBytes + frame.start;
    for (uint32_t left = frame.length; left > 0;) {
      const auto here =
          std::min({left, kXdpChunkBytes, kChunkBytes - static_cast<uint32_t>(at % kChunkBytes)});
      left -= here;
      ring.put({at, here, left > 0 ? kMoreChunks : 0});
      at += here;
    }
    ++put;
  }
  if (put > 0) {
    ring.submit();
    kick(cache);
  }
  return taken;
}

// Has the kernel send what is in the ring. What it has no room for now is asked for again with the next
// burst.
void AfXdpPort::kick(FrameCache& cache) {
  unsent_ = false;
  for (uint32_t i = 0; i < kKicks && out_->transmit.needs_wakeup(); ++i) {
    const bool sent = sendto(out_->descriptor(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0;
    const int error = errno;
    for (XdpSocket* first : tended_) reap(cache, *first);
    if (sent) return;
    if (error != EAGAIN && error != EBUSY && error != ENOBUFS && error != EINTR) {
      if (worker_ == 0) interface_->next_watch = 0;  // down or gone: see which
      return;
    }
    unsent_ = out_->transmit.untaken();
    if (!unsent_) return;
  }
}

}  // namespace penstock
