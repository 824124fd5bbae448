// The inter-chassis datapath's packets, fed with anything: as a datagram between its two ends, whose payload
// is the input, and with a tag that is right, so that what lies behind it is reached. What open() gives lies
// inside the frame, and what is sealed opens again.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "packet/icd.h"
#include "packet/ipv4.h"
#include "packet/ipv6.h"
#include "packet/parse.h"
#include "packet/udp.h"

using namespace penstock;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

icd::Link link_of(bool v4) {
  const uint8_t a4[4] = {10, 4, 1, 2}, b4[4] = {10, 4, 1, 3};
  const uint8_t a6[16] = {0x20, 1, 0xd, 0xb8, 1}, b6[16] = {0x20, 1, 0xd, 0xb8, 2};
  icd::Link link;
  link.local = v4 ? Address::v4(a4) : Address::v6(a6);
  link.peer = v4 ? Address::v4(b4) : Address::v6(b6);
  link.local_id = 1;
  link.peer_id = 2;
  link.key = {{1, 2}};
  link.peer_keys[0] = {{3, 4}};
  link.peer_keys[1] = {{5, 6}};
  link.peer_key_count = 2;
  return link;
}

// The peer's.
icd::Link turned(const icd::Link& link) {
  icd::Link other = link;
  std::swap(other.local, other.peer);
  std::swap(other.local_id, other.peer_id);
  other.key = link.peer_keys[1];
  other.peer_keys[0] = link.key;
  other.peer_key_count = 1;
  return other;
}

// A datagram from the peer with this payload, parsed as the node has it. Exactly as long as it says.
void received(const uint8_t* payload, uint32_t length, bool v4, bool tagged) {
  const icd::Link link = link_of(v4);
  const uint32_t ip = v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes;
  std::vector<uint8_t> packet(ip + udp::kHeaderBytes + length);
  if (v4) {
    ipv4::write(packet.data(),
                {.total_length = static_cast<uint32_t>(packet.size()), .protocol = protocol::kUdp},
                link.peer.v4_bytes(), link.local.v4_bytes());
  } else {
    ipv6::write(packet.data(), {.payload_length = udp::kHeaderBytes + length, .next_header = protocol::kUdp},
                link.peer.bytes(), link.local.bytes());
  }
  uint8_t* udp = packet.data() + ip;
  udp::write(udp, 50000, icd::kPort, udp::kHeaderBytes + length);
  uint8_t* own = udp + udp::kHeaderBytes;
  if (length > 0) std::memcpy(own, payload, length);
  if (tagged && length >= icd::kHeaderBytes) {
    own[0] = static_cast<uint8_t>(0x20 | (own[0] & 0x10) | 2);
    const uint64_t tag =
        icd::tag(link.peer_keys[1], own, own + icd::kHeaderBytes, length - icd::kHeaderBytes);
    store16(own + 6, static_cast<uint16_t>(tag >> 32));
    store32(own + 8, static_cast<uint32_t>(tag));
  }
  Frame frame{};
  frame.length = static_cast<uint16_t>(packet.size());
  require(parse_ip(frame, packet.data()) == DropReason::kNone);
  const Frame before = frame;
  icd::Header header;
  const DropReason reason = icd::open(frame, packet.data(), link, header);
  if (reason != DropReason::kNone) {
    require(!tagged || length < icd::kHeaderBytes);
    require(frame.start == before.start && frame.length == before.length && frame.l3 == before.l3);
    return;
  }
  require(length >= icd::kHeaderBytes && header.node_id == 2);
  require(frame.length == length - icd::kHeaderBytes && frame.start + frame.length == packet.size());
  frame.flags = 0;
  (void)parse_ip(frame, packet.data() + frame.start);
}

void there_and_back(const uint8_t* bytes, uint32_t length, const Frame& parsed) {
  constexpr uint32_t kRoom = 128;
  for (const bool v4 : {true, false}) {
    const icd::Link link = link_of(v4);
    std::vector<uint8_t> chunk(kRoom + length);
    std::memcpy(chunk.data() + kRoom, bytes, length);
    Frame frame = parsed;
    frame.start = kRoom;
    const icd::Header header = {(bytes[0] & 1) != 0, 1, load32(bytes) & 0xfffff, load32(bytes + 4) & 0xfffff};
    icd::seal(frame, chunk.data() + kRoom, link, header, load64(bytes));
    require(frame.start + icd::overhead(link) == kRoom);
    Frame outer{};
    outer.start = frame.start;
    outer.length = frame.length;
    require(parse_ip(outer, chunk.data() + frame.start) == DropReason::kNone);
    require(outer.destination_port == icd::kPort && outer.l4 == frame.l4);
    icd::Header opened;
    require(icd::open(outer, chunk.data() + frame.start, turned(link), opened) == DropReason::kNone);
    require(outer.start == kRoom && outer.length == parsed.length);
    require(opened.zone == header.zone && opened.routing_instance == header.routing_instance &&
            opened.is_piece == header.is_piece && opened.node_id == 1);
    require(std::memcmp(chunk.data() + kRoom, bytes, parsed.length) == 0);
    chunk[frame.start + frame.l4 + udp::kHeaderBytes +
          load16(bytes + 2) % (icd::kHeaderBytes + parsed.length)] ^= 0x20;
    Frame changed{};
    changed.start = frame.start;
    changed.length = frame.length;
    if (!v4) return;  // the checksum of UDP would stand before it
    require(parse_ip(changed, chunk.data() + frame.start) == DropReason::kNone);
    require(icd::open(changed, chunk.data() + frame.start, turned(link), opened) != DropReason::kNone);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size > 3000) return 0;
  for (const bool v4 : {true, false}) {
    received(input, static_cast<uint32_t>(size), v4, false);
    received(input, static_cast<uint32_t>(size), v4, true);
  }
  std::vector<uint8_t> bytes(input, input + size);
  if (size >= 20 && input[0] >> 4 == 4 && size >= ipv4::header_bytes(input)) ipv4::set_checksum(bytes.data());
  Frame frame{};
  frame.length = static_cast<uint16_t>(size);
  if (parse_ip(frame, bytes.data()) != DropReason::kNone) return 0;
  there_and_back(bytes.data(), frame.length, frame);
  return 0;
}
