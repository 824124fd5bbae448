// ESP at a gateway: open what came for an own address, seal what a route leads into a tunnel.
#include "../packet/fragment.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/parse.h"
#include "shard.h"

namespace penstock {

namespace {

uint32_t esp_offset(const Frame& frame) {
  return frame.l4 + (frame.protocol == protocol::kUdp ? udp::kHeaderBytes : 0);
}

}  // namespace

// A packet to an own address, ESP or ESP in UDP.
void Forwarder::Shard::open(FrameIndex index) {
  const Frame& frame = pool.frame(index);
  // Fragments of ESP are reassembled before they are opened (RFC 4303 §3.4.1), which no stage does yet.
  if (frame.flags & (kFirstFragment | kLaterFragment)) return drop(index, DropReason::fragment);
  tables->spis->prefetch(destination(index), esp::spi(data(index) + esp_offset(frame)));
  opening.push(index);
  if (opening.full()) open_stage();
}

// Finds each packet's SA; what belongs to another worker starts again there. Returns how many stay.
uint32_t Forwarder::Shard::find_sas(OpenItem* items, FrameIndex* frames) {
  uint32_t own = 0;
  for (uint32_t i = 0; i < opening.count; ++i) {
    const FrameIndex index = opening.frames[i];
    Frame& frame = pool.frame(index);
    uint8_t* esp = data(index) + esp_offset(frame);
    const SpiTable::Entry* entry = tables->spis->find(destination(index), esp::spi(esp));
    if (entry == nullptr) {
      drop(index, DropReason::no_sa);
      continue;
    }
    if (entry->standby) [[unlikely]] {
      drop(index, DropReason::srg_backup);
      continue;
    }
    if (entry->anchor != worker) {
      hand_over(index, entry->anchor, Stage::kParse);
      continue;
    }
    const uint8_t* ip = data(index) + frame.l3;
    frame.tunnel_in = entry->sa;
    frame.zone = entry->zone;
    frame.routing_instance = entry->routing_instance;
    items[own].sa = &node.inbound_[entry->sa];
    items[own].esp = esp;
    items[own].length = static_cast<uint32_t>(frame.length) - esp_offset(frame);
    items[own].outer_tos = frame.version == 4 ? ipv4::tos(ip) : ipv6::traffic_class(ip);
    frames[own++] = index;
  }
  opening.count = 0;
  return own;
}

void Forwarder::Shard::open_stage() {
  OpenItem items[kBurst];
  FrameIndex frames[kBurst];
  const uint32_t count = find_sas(items, frames);
  esp_open(items, count, now);
  FrameIndex opened[kBurst];
  Address to[kBurst];
  uint32_t good = 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const FrameIndex index = frames[i];
    if (items[i].drop != DropReason::kNone) {
      drop(index, items[i].drop);
      continue;
    }
    Frame& frame = pool.frame(index);
    frame.start = static_cast<uint16_t>(items[i].inner - pool.chunk(index));
    frame.length = static_cast<uint16_t>(items[i].inner_length);
    frame.l3 = 0;
    frame.flags = kDecrypted;
    const DropReason reason = parse_ip(frame, data(index));
    if (reason != DropReason::kNone) {
      drop(index, reason);
      continue;
    }
    bytes += frame.length;
    to[good] = destination(index, frame);
    opened[good++] = index;
  }
  counters.add(Counter::esp_opened, good);
  counters.add(Counter::esp_opened_bytes, bytes);
  route(opened, to, good);
}

void Forwarder::Shard::queue_seal(FrameIndex index) {
  node.outbound_[pool.frame(index).tunnel_out].prefetch();
  sealing.push(index);
  if (sealing.full()) seal_stage();
}

void Forwarder::Shard::seal_stage() {
  const Batch batch = sealing;  // what is cut below joins the next one
  sealing.count = 0;
  SealItem items[kBurst];
  FrameIndex frames[kBurst];
  uint32_t fitting = 0;
  for (uint32_t i = 0; i < batch.count; ++i) {
    const FrameIndex index = batch.frames[i];
    const Frame& frame = pool.frame(index);
    OutboundSa& sa = node.outbound_[frame.tunnel_out];
    if (ip_bytes(frame) > sa.max_inner_length()) [[unlikely]] {
      too_big_for_tunnel(index, sa.max_inner_length());
      continue;
    }
    items[fitting].sa = &sa;
    items[fitting].packet = data(index) + frame.l3;
    items[fitting].length = ip_bytes(frame);
    frames[fitting++] = index;
  }
  esp_seal(items, fitting, now);
  uint64_t bytes = 0;
  uint32_t sealed = 0;  // and from here on the first so many of `frames`
  for (uint32_t i = 0; i < fitting; ++i) {
    const FrameIndex index = frames[i];
    if (items[i].drop != DropReason::kNone) {
      drop(index, items[i].drop);
      continue;
    }
    bytes += items[i].length;
    frames[sealed++] = index;
    Frame& frame = pool.frame(index);
    frame.start = static_cast<uint16_t>(items[i].outer - pool.chunk(index));
    frame.length = static_cast<uint16_t>(items[i].outer_length);
    frame.l3 = 0;
    frame.version = items[i].sa->outer_version();
    frame.protocol = items[i].sa->is_udp ? protocol::kUdp : protocol::kEsp;
    frame.flags = items[i].dont_fragment ? kDontFragment : 0;
    frame.routing_instance = items[i].sa->routing_instance;
  }
  counters.add(Counter::esp_sealed, sealed);
  counters.add(Counter::esp_sealed_bytes, bytes);
  originate(frames, sealed);
}

// Larger than the tunnel carries: in fragments where that may be, each sealed by itself (so that the other
// end need not reassemble before it opens), else the source is told what fits (RFC 4301 §8.2.1).
void Forwarder::Shard::too_big_for_tunnel(FrameIndex index, uint32_t largest) {
  const Frame& frame = pool.frame(index);
  if (frame.version == 6 || (frame.flags & kDontFragment)) {
    return refuse(index, DropReason::too_big, icmp_error::Kind::kTooBig, largest);
  }
  FrameIndex pieces[kMaximumFragments];
  const uint32_t made = fragment_ipv4(cache, index, largest, pieces);
  if (made == 0) return drop(index, DropReason::no_frame);
  counters.add(Counter::fragments_made, made - 1);
  for (uint32_t i = 0; i < made; ++i) queue_seal(pieces[i]);
}

}  // namespace penstock
