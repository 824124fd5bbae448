// What the kernel leaves to the network card on packets between hosts of one machine, done here: checksums
// that are only begun, and packets of up to 64 KiB that are to be cut into segments (struct virtio_net_hdr
// says which).
#pragma once
#include <cstdint>

namespace penstock {

// Virtio 1.2 §5.1.6; linux/virtio_net.h has them too, and cannot be read by C++.
namespace offload {
constexpr uint8_t kNeedsChecksum = 1;  // in flags
constexpr uint8_t kTcpV4 = 1;          // in gso_type
constexpr uint8_t kTcpV6 = 4;
constexpr uint8_t kUdpL4 = 5;
constexpr uint8_t kEcn = 0x80;
}  // namespace offload

// The fields of struct virtio_net_hdr, in this machine's byte order.
struct OffloadHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
static_assert(sizeof(OffloadHeader) == 10);

// Completes a checksum that holds only the pseudo header's sum (VIRTIO_NET_HDR_F_NEEDS_CSUM): over the bytes
// from `start` to the end, stored at start + offset. False when these lie outside the packet.
bool complete_checksum(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset);

// Cuts one packet into segments, one call each: TCP over IPv4 or IPv6, or UDP datagrams of one flow. `packet`
// must stay until the last was taken.
class Segmenter {
 public:
  // `packet`: with its link header, tag included. False when it cannot be cut: another protocol or gso_type,
  // a header that lies, no payload.
  bool start(const uint8_t* packet, uint32_t length, uint8_t gso_type, uint16_t gso_size);
  bool done() const { return at_ >= length_; }
  // Bytes of the longest segment.
  uint32_t largest() const { return header_ + size_; }
  // Writes the next segment (at most largest() bytes) with right lengths, flags and checksums; returns its
  // length.
  uint32_t next(uint8_t* to);

 private:
  const uint8_t* packet_ = nullptr;
  uint32_t length_ = 0;
  uint32_t l3_ = 0;
  uint32_t l4_ = 0;
  uint32_t header_ = 0;  // link, IP and transport headers
  uint32_t size_ = 0;    // payload of a segment
  uint32_t at_ = 0;      // next payload byte
  uint32_t number_ = 0;
  bool is_v4_ = false;
  bool is_tcp_ = false;
};

}  // namespace penstock
