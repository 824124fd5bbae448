// A hierarchical timer wheel over nodes that live elsewhere: seven levels of 64 slots, so that any tick of a
// 64-bit nanosecond clock fits. A node stands in the slot of its deadline on the level of the highest digit
// (base 64) in which the deadline differs from the present; when the present enters a slot of a higher level,
// its nodes are taken out and put back lower down, or are due.
//
// The wheel does not know deadlines: take() hands nodes out, and the caller, who looks them up, ends those
// that are due and adds the others again. A touched session is thus re-armed only when its slot comes up.
// Empty slots are skipped by bit maps, so a jump of the clock costs no more than a tick.
#pragma once
#include <bit>
#include <cstdint>

#include "session.h"

namespace penstock {

// Links: a callable `TimerLink& (uint32_t node)`. Nodes are any values without bit 30.
template <typename Links>
class TimerWheel {
 public:
  static constexpr uint64_t kNever = ~uint64_t{0};

  TimerWheel(Links links, uint64_t now) : links_(links), now_(now) {
    for (auto& level : heads_) {
      for (uint32_t& head : level) head = kNone;
    }
  }

  // A deadline that has passed is due at the first tick that take() has not done.
  void add(uint32_t node, uint64_t deadline) {
    if (deadline < now_) deadline = now_;
    const uint64_t differing = deadline ^ now_;
    const unsigned level = differing == 0 ? 0 : (63 - static_cast<unsigned>(std::countl_zero(differing))) / 6;
    const unsigned slot = digit(deadline, level);
    uint32_t& head = heads_[level][slot];
    TimerLink& link = links_(node);
    link.next = head;
    link.previous = kHead | level << 6 | slot;
    if (head != kNone) links_(head).previous = node;
    head = node;
    occupied_[level] |= uint64_t{1} << slot;
  }

  // Does nothing to a node that take() has handed out.
  void remove(uint32_t node) {
    TimerLink& link = links_(node);
    if (link.previous == kDetached) return;
    if (link.next != kNone) links_(link.next).previous = link.previous;
    if ((link.previous & kHead) != 0) {
      const unsigned level = link.previous >> 6 & 7;
      const unsigned slot = link.previous & 63;
      heads_[level][slot] = link.next;
      if (link.next == kNone) occupied_[level] &= ~(uint64_t{1} << slot);
    } else {
      links_(link.previous).next = link.next;
    }
    link.previous = kDetached;
  }

  // Takes out up to `most` nodes whose slot the tick `now` has reached; fewer only when no more are to be
  // had. Each must be ended, or added again with a deadline after `now`.
  unsigned take(uint64_t now, uint32_t* nodes, unsigned most) {
    unsigned count = 0;
    while (count < most) {
      unsigned level = 0;
      const uint64_t tick = next(&level);
      if (tick > now) {
        if (now_ <= now) now_ = now + 1;
        break;
      }
      now_ = tick;
      const unsigned slot = digit(tick, level);
      uint32_t& head = heads_[level][slot];
      while (head != kNone && count < most) {
        const uint32_t node = head;
        TimerLink& link = links_(node);
        head = link.next;
        link.previous = kDetached;
        nodes[count++] = node;
      }
      if (head != kNone) {
        links_(head).previous = kHead | level << 6 | slot;
      } else {
        occupied_[level] &= ~(uint64_t{1} << slot);
      }
    }
    return count;
  }

  // The tick at which take() next has something to hand out; kNever when the wheel is empty.
  uint64_t next() const {
    unsigned level = 0;
    return next(&level);
  }

 private:
  static constexpr unsigned kLevels = 7;
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kHead = 0x40000000;  // previous: the slot itself, level << 6 | slot
  static constexpr uint32_t kDetached = 0xffffffff;

  static unsigned digit(uint64_t tick, unsigned level) {
    return static_cast<unsigned>(tick >> (6 * level)) & 63;
  }

  uint64_t next(unsigned* at_level) const {
    // A slot of a higher level whose first tick is now comes before what is due at that tick.
    for (unsigned level = 1; level < kLevels && digit(now_, level - 1) == 0; ++level) {
      if ((occupied_[level] >> digit(now_, level) & 1) != 0) {
        *at_level = level;
        return now_;
      }
    }
    for (unsigned level = 0; level < kLevels; ++level) {
      const unsigned present = digit(now_, level);
      // Level 0 holds the present tick itself; on higher levels the present slot has been emptied.
      const uint64_t ahead = level == 0      ? occupied_[0] >> present << present
                             : present == 63 ? 0
                                             : occupied_[level] >> (present + 1) << (present + 1);
      if (ahead == 0) continue;
      *at_level = level;
      const unsigned slot = static_cast<unsigned>(std::countr_zero(ahead));
      const uint64_t block = level == kLevels - 1 ? 0 : now_ >> (6 * (level + 1)) << (6 * (level + 1));
      return block | static_cast<uint64_t>(slot) << (6 * level);
    }
    return kNever;
  }

  Links links_;
  uint64_t now_;  // every earlier tick is done
  uint64_t occupied_[kLevels] = {};
  uint32_t heads_[kLevels][64];
};

}  // namespace penstock
