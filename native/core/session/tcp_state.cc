#include "tcp_state.h"

namespace penstock {
namespace {

using S = TcpState;

enum Class : uint8_t { kSyn, kSynAck, kAck, kFin, kRst, kBad, kClasses };

// RST outranks all; SYN with FIN, and neither SYN, ACK, FIN nor RST, are no TCP that an end point sends.
constexpr Class classify(uint8_t flags) {
  if ((flags & kTcpRst) != 0) return (flags & (kTcpSyn | kTcpFin)) != 0 ? kBad : kRst;
  if ((flags & kTcpSyn) != 0) {
    if ((flags & kTcpFin) != 0) return kBad;
    return (flags & kTcpAck) != 0 ? kSynAck : kSyn;
  }
  // RFC 9293 §3.10.7.4: after the handshake a segment without ACK is dropped, FIN or not.
  if ((flags & kTcpAck) == 0) return kBad;
  return (flags & kTcpFin) != 0 ? kFin : kAck;
}

constexpr uint8_t kDrop = 0x40;
constexpr uint8_t kAgain = 0x80;

struct Table {
  uint8_t next[static_cast<unsigned>(S::kCount)][2][kClasses];

  constexpr void row(S state, unsigned wing, uint8_t syn, uint8_t syn_ack, uint8_t ack, uint8_t fin,
                     uint8_t rst) {
    uint8_t* cells = next[static_cast<unsigned>(state)][wing];
    cells[kSyn] = syn;
    cells[kSynAck] = syn_ack;
    cells[kAck] = ack;
    cells[kFin] = fin;
    cells[kRst] = rst;
    cells[kBad] = kDrop;
  }
};

constexpr uint8_t go(S state) {
  return static_cast<uint8_t>(state);
}

constexpr Table build() {
  Table t{};
  constexpr unsigned in = 0;
  constexpr unsigned out = 1;
  constexpr uint8_t none = go(S::kNone), sent = go(S::kSynSent), both = go(S::kSynBoth),
                    received = go(S::kSynReceived), crossed = go(S::kSynCrossed),
                    established = go(S::kEstablished), fin_in = go(S::kFinIn), fin_out = go(S::kFinOut),
                    closing = go(S::kClosing), waiting = go(S::kTimeWait), reset = go(S::kReset);
  t.row(S::kNone, in, none, none, none, none, none);
  t.row(S::kNone, out, none, none, none, none, none);
  //                              SYN          SYN-ACK      ACK          FIN      RST
  t.row(S::kSynSent, in, /*    */ sent, /*   */ kDrop, /**/ kDrop, /* */ kDrop, reset);
  // A bare ACK from the responder is what an end point with a connection of old answers (RFC 9293 §3.5.1).
  t.row(S::kSynSent, out, /*   */ both, /*   */ received, /**/ sent, /**/ kDrop, reset);
  t.row(S::kSynBoth, in, /*    */ both, /*   */ crossed, /**/ crossed, /**/ kDrop, reset);
  t.row(S::kSynBoth, out, /*   */ both, /*   */ received, /**/ received, /**/ kDrop, reset);
  t.row(S::kSynReceived, in, /**/ received, established, established, fin_in, reset);
  // The responder may send data and even its FIN before it hears the ACK (RFC 9293 §3.10.4, RFC 7413).
  t.row(S::kSynReceived, out, received, received, received, fin_out, reset);
  t.row(S::kSynCrossed, in, /* */ crossed, crossed, crossed, fin_in, reset);
  t.row(S::kSynCrossed, out, /**/ crossed, established, established, fin_out, reset);
  // A SYN on a living connection is answered by a challenge ACK (RFC 5961 §4): it passes and changes nothing.
  t.row(S::kEstablished, in, /**/ established, established, established, fin_in, reset);
  t.row(S::kEstablished, out, established, established, established, fin_out, reset);
  t.row(S::kFinIn, in, /*      */ fin_in, fin_in, fin_in, fin_in, reset);
  t.row(S::kFinIn, out, /*     */ fin_in, fin_in, fin_in, closing, reset);
  t.row(S::kFinOut, in, /*     */ fin_out, fin_out, fin_out, closing, reset);
  t.row(S::kFinOut, out, /*    */ fin_out, fin_out, fin_out, fin_out, reset);
  t.row(S::kClosing, in, /*    */ closing, kDrop, waiting, closing, reset);
  t.row(S::kClosing, out, /*   */ closing, kDrop, waiting, closing, reset);
  t.row(S::kTimeWait, in, /*   */ kAgain, kDrop, waiting, waiting, reset);
  t.row(S::kTimeWait, out, /*  */ kAgain, kDrop, waiting, waiting, reset);
  t.row(S::kReset, in, /*      */ kAgain, reset, reset, reset, reset);
  t.row(S::kReset, out, /*     */ kAgain, reset, reset, reset, reset);
  t.next[none][in][kBad] = none;
  t.next[none][out][kBad] = none;
  return t;
}

constexpr Table kTable = build();

}  // namespace

TcpStep tcp_step(TcpState state, Wing wing, uint8_t flags) {
  const uint8_t cell = kTable.next[static_cast<unsigned>(state)][index_of(wing)][classify(flags)];
  if ((cell & kDrop) != 0) return {state, TcpVerdict::kOutOfState};
  if ((cell & kAgain) != 0) return {state, TcpVerdict::kReopen};
  return {static_cast<TcpState>(cell), TcpVerdict::kPass};
}

const char* name(TcpState state) {
  static constexpr const char* kNames[] = {"none",        "syn-sent",    "syn-both", "syn-received",
                                           "syn-crossed", "established", "fin-in",   "fin-out",
                                           "closing",     "time-wait",   "reset"};
  return state < TcpState::kCount ? kNames[static_cast<unsigned>(state)] : "?";
}

}  // namespace penstock
