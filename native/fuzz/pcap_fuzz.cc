// Captures of any content: packets and errors come of them, nothing else.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "port/capture.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  std::string error;
  auto reader = CaptureReader::open_memory(input, size, error);
  if (reader == nullptr) {
    if (error.empty()) std::abort();
    return 0;
  }
  CapturedPacket packet;
  uint64_t sum = 0;
  uint64_t offset = 0;
  for (;;) {
    const CaptureReader::Next next = reader->next(packet);
    if (next == CaptureReader::Next::kPacket) {
      if (packet.offset < offset || packet.offset >= size || packet.length > size) std::abort();
      offset = packet.offset + 1;
      for (uint32_t i = 0; i < packet.length; ++i) sum += packet.data[i];
      continue;
    }
    if ((next == CaptureReader::Next::kError) == reader->error().empty()) std::abort();
    asm volatile("" : : "r"(sum));  // every byte was read
    return 0;
  }
}
