// A flow changes its worker, because there are more workers than before:
//
//   1. the control thread says which buckets are to be whose (FlowOwners::spread)
//   2. their owner, for one worker after the other that is to have some (move_flows): a few frames a turn,
//   each
//      with sessions or remembered flows, go through the ring that packets take, and are its own no more
//   3. packets still come to it; what belongs to a flow that it has is handled as ever, what does not goes
//      after the flows (go_after), behind them in the same ring
//   4. once it has none left it sends a last frame, and after that all packets
//   5. who gets the last frame has all, and makes itself the owner (take_flows): packets come to it directly.
//      Those that are under way to the first owner still are handed on from there (resume in forwarder.cc).
//
// So each packet meets its flow in one place, and only there. Some packets of a flow may overtake others,
// once. Of a datagram whose fragments come half before and half behind its remembered flow, the second half
// is dropped as `fragment`.
#include "shard.h"

namespace penstock {
namespace {

enum class Moved : uint32_t { kSessions, kFlows, kFragments, kLast };

struct MovedHeader {
  Moved content;
  uint32_t from;
  uint32_t count;
};
constexpr uint32_t kMovedRoom = kChunkBytes - sizeof(MovedHeader);

struct MovedFragment {
  FragmentMemory::Key key;
  FragmentMemory::Ports ports;
};
constexpr uint32_t kSessionsPerFrame = kMovedRoom / sizeof(SessionInfo);
constexpr uint32_t kFragmentsPerFrame = kMovedRoom / sizeof(MovedFragment);
constexpr uint32_t kFramesPerTurn = 4;

Address source_of(const SessionKey& key) {
  return key.version == 4 ? Address::v4(key.source()) : Address::v6(key.source());
}
Address destination_of(const SessionKey& key) {
  return key.version == 4 ? Address::v4(key.destination()) : Address::v6(key.destination());
}

// Of a session that no tunnel owns; kNobody: one does.
uint32_t bucket_of_session(const SessionInfo& session) {
  if (session.wings[0].tunnel != kNoTunnel || session.wings[1].tunnel != kNoTunnel)
    return FlowOwners::kNobody;
  const SessionKey& key = session.wings[0].key;
  return FlowOwners::bucket(source_of(key), destination_of(key), key.protocol(),
                            uint32_t{key.source_port()} + key.destination_port());
}

}  // namespace

void Forwarder::Shard::move_flows() {
  FlowOwners& owners = node.owners_;
  if (move.to == FlowOwners::kNobody && !begin_move()) return;
  for (uint32_t sent = 0; sent < kFramesPerTurn && send_flows(); ++sent) {
  }
  if (!move.told && move.sessions == kNoSession && move.flows == kNoSession) move.told = send_last();
  if (!move.told || owners.owner(move.bucket) == worker) return;
  move.to = FlowOwners::kNobody;
  move.leaves.fill(false);
}

// False: nothing of this worker's is to be another's.
bool Forwarder::Shard::begin_move() {
  const FlowOwners& owners = node.owners_;
  const uint32_t round = owners.round();
  for (uint32_t b = 0; b < FlowOwners::kBuckets; ++b) {
    const uint32_t wanted = owners.wanted(b);
    if (owners.owner(b) != worker || wanted == worker) continue;
    if (move.to == FlowOwners::kNobody) move.to = wanted;
    if (wanted != move.to) continue;
    move.leaves[b] = true;
    move.bucket = b;  // the last one: they are taken in this order, so that all are once it is
  }
  if (move.to == FlowOwners::kNobody) {
    move.round = round;
    return false;
  }
  move.told = false;
  move.sessions = 0;
  move.flows = flow_memory ? 0 : kNoSession;
  return true;
}

// One page of sessions, or of remembered flows. False: none is left, or not now.
bool Forwarder::Shard::send_flows() {
  const bool of_sessions = move.sessions != kNoSession;
  uint32_t& cursor = of_sessions ? move.sessions : move.flows;
  if (cursor == kNoSession) return false;
  SessionTable& table = of_sessions ? sessions : *flow_memory;
  SessionInfo page[kSessionsPerFrame];
  uint32_t next = cursor;
  const uint32_t read = table.read(&next, page, kSessionsPerFrame, now);
  uint32_t count = 0;
  for (uint32_t i = 0; i < read; ++i) {
    const uint32_t bucket =
        of_sessions ? bucket_of_session(page[i]) : FlowOwners::bucket(source_of(page[i].wings[0].key));
    if (bucket != FlowOwners::kNobody && move.leaves[bucket]) page[count++] = page[i];
  }
  if (count > 0) {
    const MovedHeader header{of_sessions ? Moved::kSessions : Moved::kFlows, worker, count};
    if (!send_moved(&header, page, count * sizeof(SessionInfo))) return false;
    for (uint32_t i = 0; i < count; ++i) table.remove(page[i].ref);
    counters.add(Counter::flows_moved, count);
  }
  cursor = next;
  return read == kSessionsPerFrame;  // fewer: many slots were looked at for them
}

bool Forwarder::Shard::send_last() {
  MovedFragment page[kFragmentsPerFrame];
  uint32_t count = 0;
  bool sent = true;
  const auto send = [&](Moved content) {
    const MovedHeader header{content, worker, count};
    sent = sent && send_moved(&header, page, count * sizeof(MovedFragment));
    count = 0;
  };
  fragments.each(now, [&](const FragmentMemory::Key& key, const FragmentMemory::Ports& ports) {
    page[count++] = {key, ports};
    if (count == kFragmentsPerFrame) send(Moved::kFragments);
  });
  send(Moved::kLast);
  return sent;
}

// False: no frame, or no room in the ring.
bool Forwarder::Shard::send_moved(const void* header, const void* content, size_t bytes) {
  FrameIndex index;
  if (cache.allocate(&index, 1) == 0) return false;
  Frame& frame = pool.frame(index);
  frame.start = 0;
  frame.length = static_cast<uint16_t>(sizeof(MovedHeader) + bytes);
  frame.node = node.id();
  frame.version = 0;  // none of the packets, if somebody drops it
  frame.stage = Stage::kMoved;
  std::memcpy(data(index), header, sizeof(MovedHeader));
  std::memcpy(data(index) + sizeof(MovedHeader), content, bytes);
  if (!plane.hand_over(worker, move.to, index)) {
    cache.free(index);
    return false;
  }
  counters.add(Counter::handed_over);
  return true;
}

void Forwarder::Shard::take_flows(FrameIndex index) {
  MovedHeader header;
  std::memcpy(&header, data(index), sizeof header);
  const uint8_t* from = data(index) + sizeof header;
  const bool of_sessions = header.content == Moved::kSessions;
  for (uint32_t i = 0; i < header.count; ++i) {
    if (of_sessions || header.content == Moved::kFlows) {
      SessionInfo session;
      std::memcpy(&session, from + i * sizeof session, sizeof session);
      if (!of_sessions && !flow_memory) continue;
      const bool kept = (of_sessions ? sessions : *flow_memory).adopt(session, now);
      if (!kept) counters.add(of_sessions ? Counter::sessions_closed : Counter::flows_forgotten);
    } else {
      MovedFragment fragment;
      std::memcpy(&fragment, from + i * sizeof fragment, sizeof fragment);
      fragments.put(fragment.key, fragment.ports, now);
    }
  }
  cache.free(index);
  if (header.content != Moved::kLast) return;
  FlowOwners& owners = node.owners_;
  for (uint32_t b = 0; b < FlowOwners::kBuckets; ++b) {
    if (owners.owner(b) == header.from && owners.wanted(b) == worker) owners.take(b, worker);
  }
}

void Forwarder::Shard::go_after(FrameIndex index, Stage stage) {
  hand_over(index, move.to, stage);
}

}  // namespace penstock
