// BFD sessions fed with anything: whatever comes, no session is told of silence that was not, nothing is told
// of a packet that a session did not believe, and one that authenticates believes none of it. The first bytes
// choose where a packet comes from and how much time passes; the rest is the packet, mended so far that it
// gets past the length.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "liveness/liveness.h"

using namespace penstock;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

Address own() {
  const uint8_t bytes[4] = {192, 0, 2, 1};
  return Address::v4(bytes);
}
Address other(uint8_t last) {
  const uint8_t bytes[4] = {192, 0, 2, last};
  return Address::v4(bytes);
}

void open(Liveness& liveness, uint32_t id, uint8_t auth) {
  LivenessOptions options;
  options.local = own();
  options.remote = other(static_cast<uint8_t>(10 + id));
  options.discriminator = id;
  options.seed = id;
  options.multihop = id == 2;
  options.minimum_ttl = id == 2 ? 100 : 255;
  options.auth_type = auth;
  options.key_id = 1;
  std::memcpy(options.key, "a key that no input has", kSha1Bytes);
  require(liveness.open(id, options).empty());
  uint8_t packet[bfd::kMostBytes] = {bfd::kVersion << 5, bfd::kDown << 6, 3, bfd::kHeaderBytes};
  store32(packet + bfd::kMyDiscriminator, id);
  require(liveness.transmit(id, packet, auth == 0 ? bfd::kHeaderBytes : bfd::kMostBytes, 50'000'000));
  require(liveness.expect(id, 150'000'000));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  Liveness liveness;
  open(liveness, 1, 0);
  open(liveness, 2, 0);
  open(liveness, 3, bfd::kKeyedSha1);
  open(liveness, 4, bfd::kMeticulousKeyedSha1);
  uint64_t now = 1'000'000, last_heard[5] = {now, now, now, now, now};
  uint32_t believed = 0, told = 0;
  const auto send = [&](const LivenessOptions& session, const uint8_t*, uint32_t length) {
    require(length == (session.auth_type == 0 ? bfd::kHeaderBytes : bfd::kMostBytes));
    return true;
  };
  liveness.poll(now, send);
  while (size >= 4) {
    const uint8_t from = input[0] % 6, ttl = input[1];
    const uint32_t length = input[2] % 64;
    now += static_cast<uint64_t>(input[3]) * 1'000'000;
    input += 4;
    size -= 4;
    const auto available = static_cast<uint32_t>(length < size ? length : size);
    // of its own, so that a byte read behind it is seen
    uint8_t* packet = new uint8_t[available];
    if (available > 0) std::memcpy(packet, input, available);
    if (available >= bfd::kHeaderBytes && (ttl & 1) != 0) {
      packet[0] = static_cast<uint8_t>((packet[0] & 0x1f) | bfd::kVersion << 5);
      packet[bfd::kLength] = static_cast<uint8_t>(available);
      if ((ttl & 2) != 0) store32(packet + bfd::kYourDiscriminator, from);
    }
    const DropReason reason = liveness.hear({packet, available, other(static_cast<uint8_t>(10 + from)), own(),
                                             0, from == 2, static_cast<uint8_t>((ttl & 4) != 0 ? 255 : ttl)},
                                            now);
    if (reason == DropReason::kNone) {
      require(from == 1 || from == 2);  // the others want a key
      require(bfd::is_whole(packet, available));
      last_heard[from] = now;
      ++believed;
    }
    delete[] packet;
    input += available;
    size -= available;
    liveness.poll(now, send);
    for (const LivenessEvent& event : liveness.take(64)) {
      require(event.session >= 1 && event.session <= 4);
      if (event.length > 0) ++told;
      if (event.length == 0) require(event.time - last_heard[event.session] >= 150'000'000);
      if (event.length == 0) last_heard[event.session] = event.time;
    }
    require(told <= believed);
  }
  return 0;
}
