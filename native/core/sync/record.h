// A session as it crosses the interchassis link, in as few bytes as it takes:
//
//   0   kind (low four bits: RecordKind) | 0x10 IPv6 | 0x20 translated | 0x40 tunnel of the In wing | 0x80 of
//   the Out wing 1   protocol 2   source port (2), destination port (2), of the In wing's packets as they
//   arrive 6   tags of routing instance and zone where they arrive (20 bits each) 11  source, destination (4
//   or 16 bytes each): the identity ends here, which is all that a close says +0  tags of routing instance
//   and zone of the answers (5) +5  tag of the policy (4), TCP state (1), Moved (1), time-out (3, seconds),
//   age (3, seconds) +17 translated: ports and addresses of the answers as they arrive (4 + addresses)
//       tags of tunnels that are there (4 each)
//
// Marks have a value of eight bytes behind their kind and type. Everything in network order.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../session/session_table.h"
#include "tags.h"

namespace penstock::sync {

enum class RecordKind : uint8_t {
  kPut = 0,
  kClose = 1,
  kMark = 2,
  kForget = 3,  // ended at the sender, and perhaps not at the receiver; as kClose in all else
};
enum class Mark : uint8_t {
  kBegin,   // what follows is all there is
  kSwept,   // what was there at the beginning has been said
  kDigest,  // value: sum of the hashes of all that was put and not closed so far
  kCount
};
// Bits of a put's Moved: a wing that this node's peer had, and that passes packets at the sender from now on.
constexpr uint8_t kMovedIn = 1;
constexpr uint8_t kMovedOut = 2;
constexpr uint8_t kPeerKeeps = 4;  // the packets go on through the receiver, whose wing stays Active

constexpr size_t kMarkBytes = 10;
constexpr size_t kMostRecordBytes = 11 + 32 + 17 + 36 + 8;

struct Record {
  RecordKind kind = RecordKind::kPut;
  Mark mark = Mark::kBegin;
  uint64_t value = 0;  // of a mark
  uint64_t hash = 0;   // of the identity
  SessionKey in;
  SessionKey out;  // of a put
  uint32_t policy = 0;
  TcpState tcp = TcpState::kNone;
  uint8_t moved = 0;
  uint32_t timeout = 0;  // seconds
  uint32_t age = 0;      // seconds
  uint32_t tunnel[2] = {kNoTunnel, kNoTunnel};
  uint32_t tunnel_worker[2] = {0, 0};
};

enum class ReadStatus : uint8_t { kRead, kMalformed, kUnknownName };

// Each returns the bytes written, at most kMostRecordBytes; 0: a name of the session has no tag here.
size_t write_put(const SessionInfo& session, uint8_t moved, uint32_t age_seconds, const SyncTable& names,
                 uint8_t* out);
// kClose or kForget.
size_t write_end(RecordKind kind, const SessionKey& in, const SyncTable& names, uint8_t* out);
size_t write_mark(Mark mark, uint64_t value, uint8_t* out);

// Length of the record that begins here, looking at `size` bytes at most; 0: there is none, or it is cut
// short.
size_t record_length(const uint8_t* bytes, size_t size);
// bytes: a whole record (record_length). After kUnknownName only kind and length mean something.
ReadStatus read_record(const uint8_t* bytes, size_t length, const SyncTable& names, Record& record);
// Of the identity of a put or close.
uint64_t identity_hash(const uint8_t* record);

}  // namespace penstock::sync
