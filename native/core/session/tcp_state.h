// TCP as a session sees it: which flags may come from which side, and how long the session then lives.
// Sequence numbers are not followed: whether a RST or FIN is inside the window is for the end points to say,
// so a RST only shortens the session's life and traffic that goes on after it passes (a forged RST that the
// end points ignore harms no one), and no state trusts a single packet with removing the session.
#pragma once
#include <cstdint>

#include "session.h"

namespace penstock {

enum class TcpState : uint8_t {
  kNone,         // not TCP
  kSynSent,      // SYN of the initiator seen
  kSynBoth,      // SYNs of both sides seen, none acknowledged: simultaneous open (RFC 9293 §3.5)
  kSynReceived,  // SYN-ACK of the responder seen, the initiator's ACK awaited
  kSynCrossed,   // simultaneous open: SYN-ACK of the initiator seen, the responder's ACK awaited
  kEstablished,
  kFinIn,     // FIN of the initiator seen
  kFinOut,    // FIN of the responder seen
  kClosing,   // FINs of both sides seen, the last ACK awaited
  kTimeWait,  // and acknowledged
  kReset,     // RST seen
  kCount
};

enum TcpFlag : uint8_t { kTcpFin = 1, kTcpSyn = 2, kTcpRst = 4, kTcpPush = 8, kTcpAck = 16, kTcpUrgent = 32 };

enum class TcpVerdict : uint8_t {
  kPass,
  kOutOfState,  // drop as tcp_state, unless this node sees only one side of the flow
  kReopen,      // a SYN on a session that has ended: remove the session and take the first path
};

struct TcpStep {
  TcpState state;
  TcpVerdict verdict;
};

// state: of the session; wing: which side the packet comes from; flags: byte 13 of the TCP header.
// A verdict other than kPass leaves the state as it was.
TcpStep tcp_step(TcpState state, Wing wing, uint8_t flags);

// May a TCP packet with these flags set up a session ("First path Pkt not syn" otherwise)?
constexpr bool tcp_first_packet(uint8_t flags) {
  return (flags & (kTcpSyn | kTcpAck | kTcpFin | kTcpRst)) == kTcpSyn;
}

// Seconds without a packet after which a session in this state ends; established: the session's own time-out.
constexpr uint32_t tcp_timeout(TcpState state, uint32_t established, const SessionTimeouts& timeouts) {
  switch (state) {
    case TcpState::kSynSent:
    case TcpState::kSynBoth:
    case TcpState::kSynReceived:
    case TcpState::kSynCrossed:
      return timeouts.tcp_initial;
    case TcpState::kClosing:
      return timeouts.tcp_closing;
    case TcpState::kTimeWait:
      return timeouts.tcp_time_wait;
    case TcpState::kReset:
      return timeouts.tcp_reset;
    default:
      return established;
  }
}

constexpr bool tcp_ended(TcpState state) {
  return state == TcpState::kTimeWait || state == TcpState::kReset;
}

const char* name(TcpState state);

}  // namespace penstock
