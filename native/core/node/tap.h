// What passes a node, copied for whoever watches (penstock capture). A worker asks for the tap once a turn,
// so that none costs nothing; with one,
//
//   1. received   what the filter may want is copied as it came, into the frame's own place (a side array:
//   the
//                 frame's bytes change under way, and it may change workers)
//   2. finished   it was sent, dropped, punted or consumed: the copy, with what became of it and where, goes
//   to
//                 the ring of the worker that saw the end
//   3. sending    what leaves is copied as it leaves
//   4. take       the control thread empties the rings
//
// A ring that is full costs the copy, never the packet (missed()).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "../packet/address.h"
#include "../packet/counters.h"
#include "../packet/frame.h"

namespace penstock {

// Which packets are wanted: a postfix program over what is known of one. What is not known yet (what became
// of a packet that has just arrived) is neither true nor false.
class CaptureFilter {
 public:
  enum class Op : uint8_t {
    kAnd,
    kOr,
    kNot,
    kVersion,  // a: 4, 6; 0: neither
    kArp,
    kProtocol,  // a
    kNet,       // address, mask; either end
    kSourceNet,
    kDestinationNet,
    kPorts,  // a…b; either end
    kSourcePorts,
    kDestinationPorts,
    kSpi,  // a; ESP, also in UDP
    kIn,
    kOut,
    kPort,    // a: of the node, that it came in by or leaves by
    kWorker,  // a
    kDropped,
    kReason,   // a
    kShorter,  // a: at most so many bytes
    kLonger,   // a: at least
  };
  struct Instruction {
    Op op;
    uint32_t a = 0;
    uint32_t b = 0;
    Address address{};
    Address mask{};
  };
  static constexpr size_t kMostInstructions = 256;

  // Empty: every packet. False: the program is none (an operator without what it wants, or results left
  // over).
  bool set(std::vector<Instruction> program);

  struct Facts;
  enum class Answer : uint8_t { kNo, kYes, kUnknown };
  Answer ask(const Facts& facts) const;

 private:
  static Answer test(const Instruction& instruction, const Facts& facts);
  std::vector<Instruction> program_;
};

enum class Verdict : uint8_t { kUnknown, kSent, kDropped, kConsumed, kPunted };

struct CaptureFilter::Facts {
  Frame frame{};  // parsed
  const uint8_t* packet = nullptr;
  bool is_arp = false;
  bool is_out = false;
  uint32_t length = 0;
  uint16_t port = 0;
  uint16_t worker = 0;
  Verdict verdict = Verdict::kUnknown;
  DropReason reason = DropReason::kNone;
};

struct CapturedFrame {
  uint64_t time;         // ns, the loop's clock
  uint64_t id;           // the same for what came in and what became of it
  uint32_t original;     // bytes it had
  uint32_t length;       // bytes captured
  uint16_t port;         // it came in by, or leaves by
  uint16_t worker;       // that it came to, or left by
  uint16_t last_worker;  // that saw its end
  uint16_t detail;       // port that it was sent by, or DropReason
  Verdict verdict;
  bool is_out;
  std::vector<uint8_t> data;
};

class Tap {
 public:
  // ring_bytes: of each worker, a power of two. Throws std::bad_alloc.
  Tap(FramePool& pool, uint32_t workers, CaptureFilter filter, uint32_t ring_bytes);
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  // Worker's thread.
  void received(uint32_t worker, uint64_t now, uint16_t port, const FrameIndex* frames, uint32_t count);
  void finished(uint32_t worker, uint64_t now, FrameIndex frame, Verdict verdict, uint16_t detail);
  // Before frames are given to a port, and after: the first `taken` of them left.
  void sending(uint32_t worker, uint64_t now, uint16_t port, const FrameIndex* frames, uint32_t count);
  void sent(uint32_t worker, uint32_t taken);

  // Control thread.
  std::vector<CapturedFrame> take(uint32_t most);
  uint64_t missed() const;

  static constexpr uint32_t kMostBytes = 4000;  // of a packet

 private:
  struct Copy;    // of a frame that has come in and not ended
  struct Header;  // in a ring
  struct WorkerRing;

  Copy& copy_of(FrameIndex frame) { return *reinterpret_cast<Copy*>(copies_ + uint64_t{frame} * kStride); }
  void end(WorkerRing& ring, uint32_t worker, Copy& copy, Verdict verdict, uint16_t detail);
  void put(WorkerRing& ring, const Header& header, const uint8_t* data);

  static constexpr uint64_t kStride = 4096;
  FramePool& pool_;
  const CaptureFilter filter_;
  uint8_t* copies_ = nullptr;
  uint64_t copies_bytes_ = 0;
  std::vector<std::unique_ptr<WorkerRing>> rings_;
};

}  // namespace penstock
