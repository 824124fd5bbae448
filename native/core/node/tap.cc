#include "tap.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "../packet/esp.h"
#include "../packet/ethernet.h"
#include "../packet/ipv6.h"
#include "../packet/parse.h"

namespace penstock {

struct Tap::Copy {
  uint64_t time;
  uint64_t id;
  uint32_t original;
  uint16_t length;
  uint16_t port;
  uint16_t worker;
  bool is_live;  // zero in fresh memory
  uint8_t data[kMostBytes];
};

struct Tap::Header {
  uint64_t time;
  uint64_t id;
  uint32_t original;
  uint32_t length;
  uint16_t port;
  uint16_t worker;
  uint16_t last_worker;
  uint16_t detail;
  Verdict verdict;
  bool is_out;
};

// Bytes between one worker and the control thread.
struct Tap::WorkerRing {
  explicit WorkerRing(uint32_t size) : mask(size - 1), bytes(new uint8_t[size]) {}

  void write(uint64_t at, const void* from, uint32_t count) {
    const uint32_t offset = static_cast<uint32_t>(at) & mask;
    const uint32_t first = std::min(count, mask + 1 - offset);
    std::memcpy(bytes.get() + offset, from, first);
    std::memcpy(bytes.get(), static_cast<const uint8_t*>(from) + first, count - first);
  }
  void read(uint64_t at, void* to, uint32_t count) const {
    const uint32_t offset = static_cast<uint32_t>(at) & mask;
    const uint32_t first = std::min(count, mask + 1 - offset);
    std::memcpy(to, bytes.get() + offset, first);
    std::memcpy(static_cast<uint8_t*>(to) + first, bytes.get(), count - first);
  }

  const uint32_t mask;
  const std::unique_ptr<uint8_t[]> bytes;
  alignas(64) std::atomic<uint64_t> written{0};
  uint64_t writing = 0;  // the worker's: written and not yet told
  uint64_t next_id = 0;
  std::atomic<uint64_t> missed{0};
  // of the burst that is being sent: where each frame's records end, and which frames they were
  std::array<uint64_t, kBurst> ends{};
  std::array<FrameIndex, kBurst> frames{};
  alignas(64) std::atomic<uint64_t> read_up_to{0};
};

namespace {

using Answer = CaptureFilter::Answer;

Answer answer(bool holds) {
  return holds ? Answer::kYes : Answer::kNo;
}

bool in_net(const Address& address, const CaptureFilter::Instruction& net) {
  return (((address.high & net.mask.high) ^ net.address.high) |
          ((address.low & net.mask.low) ^ net.address.low)) == 0;
}

// Parses what lies at `packet` for the filter.
CaptureFilter::Facts facts_of(const uint8_t* packet, uint32_t length) {
  CaptureFilter::Facts facts;
  facts.packet = packet;
  facts.length = length;
  facts.frame.length = static_cast<uint16_t>(length);
  if (parse_ethernet(facts.frame, packet) != DropReason::kNone) {
    facts.frame.version = 0;
  } else {
    facts.is_arp = facts.frame.version == 0;
  }
  return facts;
}

}  // namespace

bool CaptureFilter::set(std::vector<Instruction> program) {
  if (program.size() > kMostInstructions) return false;
  size_t depth = 0;
  for (const Instruction& instruction : program) {
    if (instruction.op == Op::kAnd || instruction.op == Op::kOr) {
      if (depth < 2) return false;
      --depth;
    } else if (instruction.op == Op::kNot) {
      if (depth < 1) return false;
    } else {
      ++depth;
    }
  }
  if (depth != (program.empty() ? 0 : 1)) return false;
  program_ = std::move(program);
  return true;
}

CaptureFilter::Answer CaptureFilter::ask(const Facts& facts) const {
  if (program_.empty()) return Answer::kYes;
  std::array<Answer, kMostInstructions> stack;
  size_t depth = 0;
  for (const Instruction& instruction : program_) {
    switch (instruction.op) {
      case Op::kAnd:
      case Op::kOr: {
        const Answer deciding = instruction.op == Op::kAnd ? Answer::kNo : Answer::kYes;
        const Answer right = stack[--depth];
        Answer& left = stack[depth - 1];
        if (left == deciding || right == deciding) {
          left = deciding;
        } else if (right == Answer::kUnknown) {
          left = Answer::kUnknown;
        }
        break;
      }
      case Op::kNot: {
        Answer& top = stack[depth - 1];
        if (top != Answer::kUnknown) top = answer(top == Answer::kNo);
        break;
      }
      default:
        stack[depth++] = test(instruction, facts);
    }
  }
  return stack[0];
}

CaptureFilter::Answer CaptureFilter::test(const Instruction& instruction, const Facts& facts) {
  const auto& [op, a, b, net, mask] = instruction;
  const Frame& frame = facts.frame;
  const bool v4 = frame.version == 4;
  const bool has_ip = frame.version != 0;
  const bool has_ports =
      has_ip && frame.l4 != 0 && (frame.protocol == protocol::kTcp || frame.protocol == protocol::kUdp);
  const auto end = [&](bool source) {
    const uint8_t* ip = facts.packet + frame.l3;
    if (v4) return Address::v4(source ? ipv4::source(ip) : ipv4::destination(ip));
    return Address::v6(source ? ipv6::source(ip) : ipv6::destination(ip));
  };
  const auto in_range = [a = a, b = b](uint16_t port) { return a <= port && port <= b; };
  switch (op) {
    case Op::kVersion:
      return answer(frame.version == a);
    case Op::kArp:
      return answer(facts.is_arp);
    case Op::kProtocol:
      return answer(has_ip && frame.protocol == a);
    case Op::kNet:
      return answer(has_ip && (in_net(end(true), instruction) || in_net(end(false), instruction)));
    case Op::kSourceNet:
      return answer(has_ip && in_net(end(true), instruction));
    case Op::kDestinationNet:
      return answer(has_ip && in_net(end(false), instruction));
    case Op::kPorts:
      return answer(has_ports && (in_range(frame.source_port) || in_range(frame.destination_port)));
    case Op::kSourcePorts:
      return answer(has_ports && in_range(frame.source_port));
    case Op::kDestinationPorts:
      return answer(has_ports && in_range(frame.destination_port));
    case Op::kSpi: {
      if (!has_ip || frame.l4 == 0) return Answer::kNo;
      const uint8_t* l4 = facts.packet + frame.l4;
      if (frame.protocol == protocol::kEsp) return answer(esp::spi(l4) == a);
      const bool in_udp = frame.protocol == protocol::kUdp &&
                          frame.l4 + udp::kHeaderBytes + 4u <= frame.length &&
                          (frame.source_port == esp::kUdpPort || frame.destination_port == esp::kUdpPort);
      return answer(in_udp && esp::spi(l4 + udp::kHeaderBytes) == a);
    }
    case Op::kIn:
      return answer(!facts.is_out);
    case Op::kOut:
      return answer(facts.is_out);
    case Op::kPort:
      return answer(facts.port == a);
    case Op::kWorker:
      return answer(facts.worker == a);
    case Op::kDropped:
      return facts.verdict == Verdict::kUnknown ? Answer::kUnknown
                                                : answer(facts.verdict == Verdict::kDropped);
    case Op::kReason:
      if (facts.verdict == Verdict::kUnknown) return Answer::kUnknown;
      return answer(facts.verdict == Verdict::kDropped && static_cast<uint16_t>(facts.reason) == a);
    case Op::kShorter:
      return answer(facts.length <= a);
    case Op::kLonger:
      return answer(facts.length >= a);
    default:
      return Answer::kNo;
  }
}

Tap::Tap(FramePool& pool, uint32_t workers, CaptureFilter filter, uint32_t ring_bytes)
    : pool_(pool), filter_(std::move(filter)), copies_bytes_(uint64_t{pool.chunks()} * kStride) {
  static_assert(sizeof(Copy) <= kStride);
  for (uint32_t w = 0; w < workers; ++w) rings_.push_back(std::make_unique<WorkerRing>(ring_bytes));
  // touched for frames that are used only
  void* memory = mmap(nullptr, copies_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  copies_ = static_cast<uint8_t*>(memory);
}

Tap::~Tap() {
  munmap(copies_, copies_bytes_);
}

void Tap::received(uint32_t worker, uint64_t now, uint16_t port, const FrameIndex* frames, uint32_t count) {
  WorkerRing& ring = *rings_[worker];
  for (uint32_t i = 0; i < count; ++i) {
    Copy& copy = copy_of(frames[i]);
    // Its last user ended without a word.
    if (copy.is_live) end(ring, worker, copy, Verdict::kConsumed, 0);
    const uint32_t length = pool_.frame(frames[i]).length;
    const uint8_t* packet = pool_.data(frames[i]);
    CaptureFilter::Facts facts = facts_of(packet, length);
    facts.port = port;
    facts.worker = static_cast<uint16_t>(worker);
    if (filter_.ask(facts) == CaptureFilter::Answer::kNo) continue;
    copy.time = now;
    copy.id = ring.next_id++ << 8 | worker;
    copy.original = length;
    copy.length = static_cast<uint16_t>(std::min(length, kMostBytes));
    copy.port = port;
    copy.worker = static_cast<uint16_t>(worker);
    copy.is_live = true;
    std::memcpy(copy.data, packet, copy.length);
  }
  ring.written.store(ring.writing, std::memory_order_release);
}

void Tap::end(WorkerRing& ring, uint32_t worker, Copy& copy, Verdict verdict, uint16_t detail) {
  copy.is_live = false;
  CaptureFilter::Facts facts = facts_of(copy.data, copy.length);
  facts.length = copy.original;
  facts.port = copy.port;
  facts.worker = copy.worker;
  facts.verdict = verdict;
  if (verdict == Verdict::kDropped) facts.reason = static_cast<DropReason>(detail);
  if (filter_.ask(facts) != CaptureFilter::Answer::kYes) return;
  put(ring,
      {copy.time, copy.id, copy.original, copy.length, copy.port, copy.worker, static_cast<uint16_t>(worker),
       detail, verdict, false},
      copy.data);
}

void Tap::finished(uint32_t worker, uint64_t now, FrameIndex frame, Verdict verdict, uint16_t detail) {
  WorkerRing& ring = *rings_[worker];
  Copy& copy = copy_of(frame);
  if (copy.is_live) {
    end(ring, worker, copy, verdict, detail);
  } else if (verdict == Verdict::kDropped) {
    // One of the node's own, e.g. a fragment or what it sealed: as it is now, which may be without a link
    // header.
    const Frame& of = pool_.frame(frame);
    if (of.l3 < ethernet::kHeaderBytes) return;
    CaptureFilter::Facts facts = facts_of(pool_.data(frame), of.length);
    facts.is_out = true;
    facts.port = of.port;
    facts.worker = static_cast<uint16_t>(worker);
    facts.verdict = verdict;
    facts.reason = static_cast<DropReason>(detail);
    if (filter_.ask(facts) != CaptureFilter::Answer::kYes) return;
    const auto w = static_cast<uint16_t>(worker);
    put(ring,
        {now, ring.next_id++ << 8 | worker, of.length, std::min<uint32_t>(of.length, kMostBytes), of.port, w,
         w, detail, verdict, true},
        pool_.data(frame));
  }
  ring.written.store(ring.writing, std::memory_order_release);
}

void Tap::sending(uint32_t worker, uint64_t now, uint16_t port, const FrameIndex* frames, uint32_t count) {
  WorkerRing& ring = *rings_[worker];
  const auto w = static_cast<uint16_t>(worker);
  for (uint32_t i = 0; i < count; ++i) {
    Copy& copy = copy_of(frames[i]);
    const Frame& frame = pool_.frame(frames[i]);
    const uint64_t id = copy.is_live ? copy.id : ring.next_id++ << 8 | worker;
    if (copy.is_live) {
      end(ring, worker, copy, Verdict::kSent, port);
      copy.is_live = true;  // until the port has taken it
    }
    CaptureFilter::Facts facts = facts_of(pool_.data(frames[i]), frame.length);
    facts.is_out = true;
    facts.port = port;
    facts.worker = w;
    facts.verdict = Verdict::kSent;
    if (filter_.ask(facts) == CaptureFilter::Answer::kYes) {
      put(ring,
          {now, id, frame.length, std::min<uint32_t>(frame.length, kMostBytes), port, w, w, port,
           Verdict::kSent, true},
          pool_.data(frames[i]));
    }
    ring.ends[i] = ring.writing;
    ring.frames[i] = frames[i];
  }
}

void Tap::sent(uint32_t worker, uint32_t taken) {
  WorkerRing& ring = *rings_[worker];
  ring.writing = taken == 0 ? ring.written.load(std::memory_order_relaxed) : ring.ends[taken - 1];
  for (uint32_t i = 0; i < taken; ++i) copy_of(ring.frames[i]).is_live = false;
  ring.written.store(ring.writing, std::memory_order_release);
}

void Tap::put(WorkerRing& ring, const Header& header, const uint8_t* data) {
  const uint64_t bytes = sizeof header + header.length;
  if (ring.writing + bytes - ring.read_up_to.load(std::memory_order_acquire) > ring.mask + uint64_t{1}) {
    ring.missed.store(ring.missed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  ring.write(ring.writing, &header, sizeof header);
  ring.write(ring.writing + sizeof header, data, header.length);
  ring.writing += bytes;
}

std::vector<CapturedFrame> Tap::take(uint32_t most) {
  std::vector<CapturedFrame> frames;
  for (auto& ring : rings_) {
    uint64_t at = ring->read_up_to.load(std::memory_order_relaxed);
    const uint64_t end = ring->written.load(std::memory_order_acquire);
    while (at < end && frames.size() < most) {
      Header header;
      ring->read(at, &header, sizeof header);
      CapturedFrame frame{header.time,
                          header.id,
                          header.original,
                          header.length,
                          header.port,
                          header.worker,
                          header.last_worker,
                          header.detail,
                          header.verdict,
                          header.is_out,
                          std::vector<uint8_t>(header.length)};
      ring->read(at + sizeof header, frame.data.data(), header.length);
      frames.push_back(std::move(frame));
      at += sizeof header + header.length;
    }
    ring->read_up_to.store(at, std::memory_order_release);
  }
  std::stable_sort(frames.begin(), frames.end(),
                   [](const CapturedFrame& a, const CapturedFrame& b) { return a.time < b.time; });
  return frames;
}

uint64_t Tap::missed() const {
  uint64_t sum = 0;
  for (const auto& ring : rings_) sum += ring->missed.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace penstock
