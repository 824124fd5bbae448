// What a balancer does to a packet, fed with any IP packet: what an ICMP error quotes stays inside the frame,
// translation there and back gives the packet again, and what is encapsulated parses.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "packet/encapsulate.h"
#include "packet/parse.h"
#include "packet/translate.h"

using namespace penstock;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr uint32_t kRoom = 128;

struct Loaded {
  std::vector<uint8_t> chunk;
  Frame frame{};

  Loaded(const uint8_t* bytes, size_t length, const Frame& parsed) : chunk(kRoom + length), frame(parsed) {
    if (length != 0) std::memcpy(chunk.data() + kRoom, bytes, length);
    frame.start = kRoom;
  }
  uint8_t* packet() { return chunk.data() + frame.start; }
};

// Equal but for a zero checksum, of which there are two.
bool as_before(const uint8_t* made, const uint8_t* before, size_t length) {
  for (size_t i = 0; i < length; ++i) {
    if (made[i] == before[i]) continue;
    const size_t word = i & ~size_t{1};
    if (word + 1 >= length) return false;
    const auto zero = [](const uint8_t* at) { return load16(at) == 0 || load16(at) == 0xffff; };
    if (!zero(made + word) || !zero(before + word)) return false;
  }
  return true;
}

void there_and_back(const uint8_t* bytes, size_t length, const Frame& parsed) {
  const bool v4 = parsed.version == 4;
  const uint8_t other4[4] = {203, 0, 113, 9};
  const uint8_t other6[16] = {0x20, 1, 0xd, 0xb8, 9, 9};
  const Address other = v4 ? Address::v4(other4) : Address::v6(other6);
  const Address own = v4 ? Address::v4(ipv4::destination(bytes)) : Address::v6(bytes + 24);
  Loaded held(bytes, length, parsed);
  Quoted quoted;
  const bool quotes = read_quoted(held.frame, held.packet(), quoted);
  if (quotes) {
    require(quoted.ip + quoted.available == held.frame.length);
    require(quoted.l4 == 0 || quoted.l4 + 8 <= quoted.available);
    const uint8_t* ip = bytes + quoted.ip;
    const Address before = v4 ? Address::v4(ipv4::source(ip)) : Address::v6(ip + 8);
    translate_quoted(held.frame, held.packet(), quoted, End::kSource, other,
                     quoted.source_port != 0 ? 0x1234 : 0);
    translate_quoted(held.frame, held.packet(), quoted, End::kSource, before, quoted.source_port);
  }
  const uint16_t port = held.frame.destination_port;
  translate(held.frame, held.packet(), End::kDestination, other, port == 0 ? 0 : 0x4321);
  translate(held.frame, held.packet(), End::kDestination, own, port);
  require(as_before(held.packet(), bytes, length));
}

void wrapped(const uint8_t* bytes, size_t length, const Frame& parsed) {
  const uint8_t from4[4] = {10, 0, 0, 1}, to4[4] = {10, 0, 0, 2};
  const uint8_t from6[16] = {0x20, 1, 0xd, 0xb8, 1}, to6[16] = {0x20, 1, 0xd, 0xb8, 2};
  for (const bool v4 : {true, false}) {
    for (const auto kind : {Encapsulation::Kind::kIpIp, Encapsulation::Kind::kGue}) {
      const Encapsulation with = {kind, v4 ? Address::v4(from4) : Address::v6(from6),
                                  v4 ? Address::v4(to4) : Address::v6(to6)};
      Loaded held(bytes, length, parsed);
      encapsulate(held.frame, held.packet(), with, load16(bytes), 7);
      Frame outer{};
      outer.length = held.frame.length;
      require(parse_ip(outer, held.packet()) == DropReason::kNone);
      require(outer.l4 == held.frame.l4 && outer.protocol == held.frame.protocol);
      require(std::memcmp(held.packet() + encapsulation_bytes(with), bytes, parsed.length) == 0);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size > 3000) return 0;
  std::vector<uint8_t> bytes(input, input + size);
  // So that the checksum does not stand in the way of what lies behind it.
  if (size >= 20 && input[0] >> 4 == 4 && size >= ipv4::header_bytes(input)) ipv4::set_checksum(bytes.data());
  Frame frame{};
  frame.length = static_cast<uint16_t>(size);
  if (parse_ip(frame, bytes.data()) != DropReason::kNone) return 0;
  there_and_back(bytes.data(), frame.length, frame);
  wrapped(bytes.data(), frame.length, frame);
  return 0;
}
