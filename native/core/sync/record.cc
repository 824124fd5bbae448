#include "record.h"

#include <algorithm>
#include <cstring>

#include "../packet/bytes.h"

namespace penstock::sync {
namespace {

constexpr uint8_t kV6 = 0x10;
constexpr uint8_t kTranslated = 0x20;
constexpr uint8_t kTunnelIn = 0x40;
constexpr uint8_t kTunnelOut = 0x80;
constexpr size_t kAddresses = 11;
constexpr size_t kTagBytes = 5;
constexpr size_t kFixed = kTagBytes + 4 + 1 + 1 + 3 + 3;
constexpr uint32_t kMost24 = (1u << 24) - 1;

void store24(uint8_t* out, uint32_t value) {
  value = std::min(value, kMost24);
  out[0] = static_cast<uint8_t>(value >> 16);
  store16(out + 1, static_cast<uint16_t>(value));
}
uint32_t load24(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 16 | load16(bytes + 1);
}

// Zone 0 is none, and the only one without a name.
bool write_tags(uint16_t instance, uint16_t zone, const SyncTable& names, uint8_t* out) {
  const uint32_t instance_tag = names.instances.tag(instance);
  const uint32_t zone_tag = zone == 0 ? 0 : names.zones.tag(zone);
  if (instance_tag == 0 || (zone != 0 && zone_tag == 0)) return false;
  store32(out, instance_tag << 12 | zone_tag >> 8);
  out[4] = static_cast<uint8_t>(zone_tag);
  return true;
}
bool read_tags(const uint8_t* bytes, const SyncTable& names, uint16_t& instance, uint16_t& zone) {
  const uint32_t word = load32(bytes);
  const uint32_t zone_tag = (word & 0xfff) << 8 | bytes[4];
  const TagMap::Name* found = names.instances.find(word >> 12);
  if (found == nullptr) return false;
  instance = static_cast<uint16_t>(found->number);
  zone = 0;
  if (zone_tag == 0) return true;
  found = names.zones.find(zone_tag);
  if (found == nullptr) return false;
  zone = static_cast<uint16_t>(found->number);
  return true;
}

size_t address_bytes(const SessionKey& key) {
  return key.version == 4 ? 4 : 16;
}

size_t write_identity(RecordKind kind, const SessionKey& in, const SyncTable& names, uint8_t* out) {
  const size_t length = address_bytes(in);
  out[0] = static_cast<uint8_t>(static_cast<unsigned>(kind) | (in.version == 6 ? kV6 : 0u));
  out[1] = in.protocol();
  store16(out + 2, in.source_port());
  store16(out + 4, in.destination_port());
  if (!write_tags(in.routing_instance(), in.zone(), names, out + 6)) return 0;
  std::memcpy(out + kAddresses, in.source(), length);
  std::memcpy(out + kAddresses + length, in.destination(), length);
  return kAddresses + 2 * length;
}

SessionKey key_of(bool is_v6, const uint8_t* addresses, uint16_t source_port, uint16_t destination_port,
                  uint8_t protocol, uint16_t instance, uint16_t zone) {
  return is_v6 ? SessionKey::ipv6(addresses, addresses + 16, source_port, destination_port, protocol,
                                  instance, zone)
               : SessionKey::ipv4(addresses, addresses + 4, source_port, destination_port, protocol, instance,
                                  zone);
}

bool read_tunnel(const uint8_t* bytes, const SyncTable& names, uint32_t& tunnel, uint32_t& worker) {
  const TagMap::Name* found = names.tunnels.find(load32(bytes));
  if (found == nullptr) return false;
  tunnel = found->number;
  worker = found->worker;
  return true;
}

}  // namespace

uint64_t identity_hash(const uint8_t* record) {
  const size_t end = kAddresses + ((record[0] & kV6) != 0 ? 32 : 8);
  uint64_t hash = 0x9e3779b97f4a7c15ull ^ (record[0] & kV6);
  for (size_t at = 1; at < end; at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, record + at, std::min<size_t>(8, end - at));
    hash = (hash ^ word) * 0xff51afd7ed558ccdull;
    hash ^= hash >> 32;
  }
  hash *= 0xc4ceb9fe1a85ec53ull;
  return hash ^ hash >> 33;
}

size_t write_put(const SessionInfo& session, uint8_t moved, uint32_t age_seconds, const SyncTable& names,
                 uint8_t* out) {
  const SessionKey& in = session.wings[0].key;
  const SessionKey& answers = session.wings[1].key;
  size_t at = write_identity(RecordKind::kPut, in, names, out);
  if (at == 0) return 0;
  if (!write_tags(answers.routing_instance(), answers.zone(), names, out + at)) return 0;
  store32(out + at + 5, session.policy == 0 ? 0 : names.policies.tag(session.policy));
  out[at + 9] = session.tcp;
  out[at + 10] = moved;
  store24(out + at + 11, session.own_timeout);
  store24(out + at + 14, age_seconds);
  at += kFixed;
  const size_t length = address_bytes(in);
  const bool plain = answers.source_port() == in.destination_port() &&
                     answers.destination_port() == in.source_port() &&
                     std::memcmp(answers.source(), in.destination(), length) == 0 &&
                     std::memcmp(answers.destination(), in.source(), length) == 0;
  if (!plain) {
    out[0] |= kTranslated;
    store16(out + at, answers.source_port());
    store16(out + at + 2, answers.destination_port());
    std::memcpy(out + at + 4, answers.source(), length);
    std::memcpy(out + at + 4 + length, answers.destination(), length);
    at += 4 + 2 * length;
  }
  for (unsigned wing = 0; wing < 2; ++wing) {
    const uint32_t tunnel = session.wings[wing].tunnel;
    if (tunnel == kNoTunnel) continue;
    const uint32_t tag = names.tunnels.tag(tunnel);
    if (tag == 0) return 0;
    out[0] |= wing == 0 ? kTunnelIn : kTunnelOut;
    store32(out + at, tag);
    at += 4;
  }
  return at;
}

size_t write_end(RecordKind kind, const SessionKey& in, const SyncTable& names, uint8_t* out) {
  return write_identity(kind, in, names, out);
}

size_t write_mark(Mark mark, uint64_t value, uint8_t* out) {
  out[0] = static_cast<uint8_t>(RecordKind::kMark);
  out[1] = static_cast<uint8_t>(mark);
  store32(out + 2, static_cast<uint32_t>(value >> 32));
  store32(out + 6, static_cast<uint32_t>(value));
  return kMarkBytes;
}

size_t record_length(const uint8_t* bytes, size_t size) {
  if (size < 2) return 0;
  const size_t address = (bytes[0] & kV6) != 0 ? 16 : 4;
  size_t length;
  switch (static_cast<RecordKind>(bytes[0] & 15)) {
    case RecordKind::kMark:
      length = kMarkBytes;
      break;
    case RecordKind::kClose:
    case RecordKind::kForget:
      length = kAddresses + 2 * address;
      break;
    case RecordKind::kPut:
      length = kAddresses + 2 * address + kFixed + ((bytes[0] & kTranslated) != 0 ? 4 + 2 * address : 0) +
               ((bytes[0] & kTunnelIn) != 0 ? 4 : 0) + ((bytes[0] & kTunnelOut) != 0 ? 4 : 0);
      break;
    default:
      return 0;
  }
  return length <= size ? length : 0;
}

ReadStatus read_record(const uint8_t* bytes, size_t length, const SyncTable& names, Record& record) {
  record.kind = static_cast<RecordKind>(bytes[0] & 15);
  if (record.kind == RecordKind::kMark) {
    if (bytes[0] != static_cast<uint8_t>(RecordKind::kMark) ||
        bytes[1] >= static_cast<uint8_t>(Mark::kCount)) {
      return ReadStatus::kMalformed;
    }
    record.mark = static_cast<Mark>(bytes[1]);
    record.value = static_cast<uint64_t>(load32(bytes + 2)) << 32 | load32(bytes + 6);
    return ReadStatus::kRead;
  }
  const bool is_v6 = (bytes[0] & kV6) != 0;
  const size_t address = is_v6 ? 16 : 4;
  const uint8_t protocol = bytes[1];
  const uint16_t source_port = load16(bytes + 2);
  const uint16_t destination_port = load16(bytes + 4);
  record.hash = identity_hash(bytes);
  uint16_t instance, zone;
  if (!read_tags(bytes + 6, names, instance, zone)) return ReadStatus::kUnknownName;
  record.in = key_of(is_v6, bytes + kAddresses, source_port, destination_port, protocol, instance, zone);
  if (record.kind != RecordKind::kPut) return ReadStatus::kRead;
  size_t at = kAddresses + 2 * address;
  const uint8_t tcp = bytes[at + 9];
  if (tcp >= static_cast<uint8_t>(TcpState::kCount) || bytes[at + 10] > 7) return ReadStatus::kMalformed;
  record.tcp = static_cast<TcpState>(tcp);
  record.moved = bytes[at + 10];
  record.timeout = load24(bytes + at + 11);
  record.age = load24(bytes + at + 14);
  record.policy = 0;
  if (const uint32_t tag = load32(bytes + at + 5); tag != 0) {
    const TagMap::Name* policy = names.policies.find(tag);
    if (policy == nullptr) return ReadStatus::kUnknownName;
    record.policy = policy->number;
  }
  if (!read_tags(bytes + at, names, instance, zone)) return ReadStatus::kUnknownName;
  at += kFixed;
  record.out = record.in.reversed(instance, zone);
  if ((bytes[0] & kTranslated) != 0) {
    record.out =
        key_of(is_v6, bytes + at + 4, load16(bytes + at), load16(bytes + at + 2), protocol, instance, zone);
    at += 4 + 2 * address;
  }
  for (unsigned wing = 0; wing < 2; ++wing) {
    record.tunnel[wing] = kNoTunnel;
    if ((bytes[0] & (wing == 0 ? kTunnelIn : kTunnelOut)) == 0) continue;
    if (!read_tunnel(bytes + at, names, record.tunnel[wing], record.tunnel_worker[wing]))
      return ReadStatus::kUnknownName;
    at += 4;
  }
  return at == length ? ReadStatus::kRead : ReadStatus::kMalformed;
}

}  // namespace penstock::sync
