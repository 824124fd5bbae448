// The TCP state machine: conversations as RFC 9293 draws them, and properties of the whole table.
#include "session/tcp_state.h"

#include <initializer_list>

#include "check.h"

using namespace penstock;

namespace {

using S = TcpState;
using V = TcpVerdict;
constexpr Wing kIn = Wing::kIn;
constexpr Wing kOut = Wing::kOut;
constexpr uint8_t kSyn = kTcpSyn, kSynAck = kTcpSyn | kTcpAck, kAck = kTcpAck, kData = kTcpAck | kTcpPush,
                  kFin = kTcpFin | kTcpAck, kRst = kTcpRst, kRstAck = kTcpRst | kTcpAck;

struct Segment {
  Wing wing;
  uint8_t flags;
  S then;
  V verdict = V::kPass;
};

void talk(const char* what, std::initializer_list<Segment> segments, S state = S::kSynSent) {
  unsigned number = 0;
  for (const Segment& segment : segments) {
    const TcpStep step = tcp_step(state, segment.wing, segment.flags);
    if (step.state != segment.then || step.verdict != segment.verdict) {
      std::fprintf(stderr, "%s, segment %u: %s\n", what, number, name(step.state));
    }
    CHECK(step.state == segment.then);
    CHECK(step.verdict == segment.verdict);
    state = step.state;
    ++number;
  }
}

void conversations() {
  talk("open and close, RFC 9293 figures 6 and 12", {{kOut, kSynAck, S::kSynReceived},
                                                     {kIn, kAck, S::kEstablished},
                                                     {kIn, kData, S::kEstablished},
                                                     {kOut, kData, S::kEstablished},
                                                     {kIn, kFin, S::kFinIn},
                                                     {kOut, kAck, S::kFinIn},
                                                     {kOut, kData, S::kFinIn},
                                                     {kOut, kFin, S::kClosing},
                                                     {kIn, kAck, S::kTimeWait},
                                                     {kOut, kFin, S::kTimeWait},
                                                     {kIn, kAck, S::kTimeWait}});
  talk("the responder closes first", {{kOut, kSynAck, S::kSynReceived},
                                      {kIn, kData, S::kEstablished},
                                      {kOut, kFin, S::kFinOut},
                                      {kIn, kData, S::kFinOut},
                                      {kIn, kFin, S::kClosing},
                                      {kOut, kAck, S::kTimeWait}});
  talk("simultaneous close, figure 13", {{kOut, kSynAck, S::kSynReceived},
                                         {kIn, kAck, S::kEstablished},
                                         {kIn, kFin, S::kFinIn},
                                         {kOut, kFin, S::kClosing},
                                         {kIn, kAck, S::kTimeWait},
                                         {kOut, kAck, S::kTimeWait}});
  talk("simultaneous open, figure 7", {{kOut, kSyn, S::kSynBoth},
                                       {kIn, kSynAck, S::kSynCrossed},
                                       {kOut, kSynAck, S::kEstablished},
                                       {kIn, kAck, S::kEstablished}});
  talk("simultaneous open, the responder's SYN-ACK first",
       {{kOut, kSyn, S::kSynBoth}, {kOut, kSynAck, S::kSynReceived}, {kIn, kSynAck, S::kEstablished}});
  talk("retransmissions while opening", {{kIn, kSyn, S::kSynSent},
                                         {kOut, kSynAck, S::kSynReceived},
                                         {kIn, kSyn, S::kSynReceived},
                                         {kOut, kSynAck, S::kSynReceived},
                                         {kIn, kAck, S::kEstablished},
                                         {kOut, kSynAck, S::kEstablished}});
  talk("refused", {{kOut, kRstAck, S::kReset}});
  talk("half-open at the responder, figure 9",
       {{kOut, kAck, S::kSynSent}, {kIn, kRst, S::kReset}, {kIn, kSyn, S::kReset, V::kReopen}});
  talk("an ACK before the SYN-ACK", {{kIn, kAck, S::kSynSent, V::kOutOfState},
                                     {kIn, kFin, S::kSynSent, V::kOutOfState},
                                     {kOut, kFin, S::kSynSent, V::kOutOfState}});
  talk("a SYN on a living connection passes and changes nothing",
       {{kIn, kSyn, S::kEstablished}, {kOut, kAck, S::kEstablished}, {kOut, kSyn, S::kEstablished}},
       S::kEstablished);
  talk("traffic after a RST that the end points ignored",
       {{kIn, kRst, S::kReset}, {kOut, kData, S::kReset}, {kIn, kData, S::kReset}}, S::kEstablished);
  talk("a new connection on the ports of an ended one",
       {{kIn, kSyn, S::kTimeWait, V::kReopen}, {kOut, kSyn, S::kTimeWait, V::kReopen}}, S::kTimeWait);
  talk("a SYN-ACK out of nowhere", {{kOut, kSynAck, S::kTimeWait, V::kOutOfState}}, S::kTimeWait);
  talk("the FIN of a server that does not wait for the ACK",
       {{kOut, kSynAck, S::kSynReceived}, {kOut, kFin, S::kFinOut}, {kIn, kFin, S::kClosing}});
}

constexpr bool is_malformed(uint8_t flags) {
  const bool syn = (flags & kTcpSyn) != 0, fin = (flags & kTcpFin) != 0, rst = (flags & kTcpRst) != 0,
             ack = (flags & kTcpAck) != 0;
  return (syn && fin) || (rst && (syn || fin)) || (!syn && !rst && !ack);
}

void every_state_wing_and_flags() {
  for (unsigned s = 0; s < static_cast<unsigned>(S::kCount); ++s) {
    for (Wing wing : {kIn, kOut}) {
      for (unsigned flags = 0; flags < 256; ++flags) {
        const S state = static_cast<S>(s);
        const TcpStep step = tcp_step(state, wing, static_cast<uint8_t>(flags));
        const bool syn = (flags & kTcpSyn) != 0, ack = (flags & kTcpAck) != 0, rst = (flags & kTcpRst) != 0;
        CHECK(step.state < S::kCount);
        if (step.verdict != V::kPass) CHECK(step.state == state);
        if (state == S::kNone) {
          CHECK(step.state == S::kNone && step.verdict == V::kPass);
          continue;
        }
        CHECK(step.state != S::kNone);
        if (is_malformed(static_cast<uint8_t>(flags))) {
          CHECK(step.verdict == V::kOutOfState);
        } else if (rst) {
          CHECK(step.state == S::kReset);
        } else {
          CHECK(step.state != S::kReset || state == S::kReset);
        }
        CHECK_EQ(step.verdict == V::kReopen,
                 tcp_ended(state) && syn && !ack && !is_malformed(static_cast<uint8_t>(flags)));
        // Nothing goes back to opening, and only a FIN begins to close.
        const bool opening = step.state < S::kEstablished;
        if (state >= S::kEstablished) CHECK(!opening);
        if (state < S::kFinIn && step.state >= S::kFinIn) CHECK(rst || (flags & kTcpFin) != 0);
        // PSH, URG and the ECN bits say nothing about the state.
        const TcpStep plain = tcp_step(state, wing, static_cast<uint8_t>(flags & 0x17));
        CHECK(plain.state == step.state && plain.verdict == step.verdict);
      }
    }
  }
}

void one_side_alone_never_establishes() {
  for (Wing wing : {kIn, kOut}) {
    bool reached[static_cast<unsigned>(S::kCount)] = {};
    reached[static_cast<unsigned>(S::kSynSent)] = true;
    for (unsigned round = 0; round < 12; ++round) {
      for (unsigned s = 0; s < static_cast<unsigned>(S::kCount); ++s) {
        for (unsigned flags = 0; reached[s] && flags < 64; ++flags) {
          reached[static_cast<unsigned>(
              tcp_step(static_cast<S>(s), wing, static_cast<uint8_t>(flags)).state)] = true;
        }
      }
    }
    CHECK(!reached[static_cast<unsigned>(S::kEstablished)]);
    CHECK(!reached[static_cast<unsigned>(S::kFinIn)]);
    CHECK(!reached[static_cast<unsigned>(S::kTimeWait)]);
  }
}

void only_a_bare_syn_opens() {
  for (unsigned flags = 0; flags < 256; ++flags)
    CHECK_EQ(tcp_first_packet(static_cast<uint8_t>(flags)), (flags & 0x17) == kTcpSyn);
}

void timeouts() {
  const SessionTimeouts defaults;
  CHECK_EQ(tcp_timeout(S::kSynSent, 1800, defaults), 20u);
  CHECK_EQ(tcp_timeout(S::kSynReceived, 1800, defaults), 20u);
  CHECK_EQ(tcp_timeout(S::kEstablished, 1234, defaults), 1234u);
  CHECK_EQ(tcp_timeout(S::kFinOut, 1234, defaults), 1234u);
  CHECK_EQ(tcp_timeout(S::kClosing, 1800, defaults), 150u);
  CHECK_EQ(tcp_timeout(S::kTimeWait, 1800, defaults), 2u);
  CHECK_EQ(tcp_timeout(S::kReset, 1800, defaults), 10u);
  CHECK_EQ(tcp_timeout(S::kNone, 60, defaults), 60u);
}

}  // namespace

int main() {
  RUN(conversations);
  RUN(every_state_wing_and_flags);
  RUN(one_side_alone_never_establishes);
  RUN(only_a_bare_syn_opens);
  RUN(timeouts);
  FINISH();
}
