// Reads pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng) files.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "capture.h"

namespace penstock {
namespace {

constexpr uint32_t kPcapMicroseconds = 0xa1b2c3d4;
constexpr uint32_t kPcapNanoseconds = 0xa1b23c4d;
constexpr uint32_t kPcapHeaderBytes = 24;
constexpr uint32_t kPcapRecordBytes = 16;

constexpr uint32_t kSectionHeader = 0x0a0d0d0a;  // reads the same in both byte orders
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint32_t kInterfaceDescription = 1;
constexpr uint32_t kObsoletePacket = 2;
constexpr uint32_t kSimplePacket = 3;
constexpr uint32_t kEnhancedPacket = 6;
constexpr uint16_t kEndOfOptions = 0;
constexpr uint16_t kTimeResolution = 9;
constexpr uint16_t kTimeOffset = 14;

constexpr uint32_t kBufferBytes = 64 * 1024;
// libpcap's own limit for a packet is 256 KiB; a block has one packet and options.
constexpr uint32_t kLargestPacket = 256 * 1024;
constexpr uint32_t kLargestBlock = 16 * 1024 * 1024;
constexpr uint32_t kMostInterfaces = 65536;
constexpr uint64_t kSecond = 1000000000;

// A time stamp in units of if_tsresol, as nanoseconds. What does not fit into 64 bits is no time of a
// capture.
uint64_t to_nanoseconds(uint64_t units, uint8_t resolution) {
  if ((resolution & 0x80) != 0) {
    const unsigned shift = resolution & 0x7f;
    return static_cast<uint64_t>((static_cast<unsigned __int128>(units) * kSecond) >> shift);
  }
  for (unsigned i = resolution; i < 9; ++i) units *= 10;
  for (unsigned i = 9; i < resolution && units != 0; ++i) units /= 10;
  return units;
}

}  // namespace

CaptureReader::~CaptureReader() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::unique_ptr<CaptureReader> CaptureReader::open(const std::string& path, std::string& error) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader());
  reader->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader->descriptor_ < 0) {
    error = path + ": " + std::strerror(errno);
    return nullptr;
  }
  reader->buffer_.resize(kBufferBytes);
  auto begun = begin(std::move(reader), error);
  if (begun == nullptr) error = path + ": " + error;
  return begun;
}

std::unique_ptr<CaptureReader> CaptureReader::open_memory(const uint8_t* bytes, uint64_t length,
                                                          std::string& error) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader());
  reader->memory_ = bytes;
  reader->memory_length_ = length;
  return begin(std::move(reader), error);
}

std::unique_ptr<CaptureReader> CaptureReader::begin(std::unique_ptr<CaptureReader> reader,
                                                    std::string& error) {
  if (reader->start()) return reader;
  error = reader->error_;
  return nullptr;
}

int CaptureReader::take(uint8_t* to, uint64_t length) {
  const bool in_memory = descriptor_ < 0;
  uint64_t done = 0;
  while (done < length) {
    if (!in_memory && used_ == buffered_) {
      ssize_t got;
      do {
        got = read(descriptor_, buffer_.data(), buffer_.size());
      } while (got < 0 && errno == EINTR);
      if (got < 0) {
        error_ = std::strerror(errno);
        return -1;
      }
      used_ = 0;
      buffered_ = static_cast<uint64_t>(got);
    }
    const uint8_t* from = in_memory ? memory_ + position_ : buffer_.data() + used_;
    const uint64_t there = in_memory ? memory_length_ - position_ : buffered_ - used_;
    if (there == 0) return done == 0 ? 1 : -1;
    const uint64_t piece = std::min(there, length - done);
    std::memcpy(to + done, from, piece);
    done += piece;
    used_ += piece;
    position_ += piece;
  }
  return 0;
}

// Reads `length` bytes into block_, piece by piece: a length that lies costs no more memory than the file
// has.
bool CaptureReader::fill_block(uint32_t length) {
  block_.clear();
  while (block_.size() < length) {
    const size_t done = block_.size();
    block_.resize(std::min<size_t>(length, done + kBufferBytes));
    if (take(block_.data() + done, block_.size() - done) != 0) return false;
  }
  return true;
}

CaptureReader::Next CaptureReader::fail(const std::string& what, uint64_t offset) {
  const std::string reason = error_.empty() ? what : error_;  // the system's word goes first
  error_ = "offset " + std::to_string(offset) + ": " + reason;
  ended_ = true;
  return Next::kError;
}

uint16_t CaptureReader::word16(const uint8_t* at) const {
  uint16_t word;
  std::memcpy(&word, at, 2);
  return swapped_ ? __builtin_bswap16(word) : word;
}

uint32_t CaptureReader::word32(const uint8_t* at) const {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return swapped_ ? __builtin_bswap32(word) : word;
}

bool CaptureReader::supported(uint16_t link, LinkType& type) {
  type = static_cast<LinkType>(link);
  return type == LinkType::kEthernet || type == LinkType::kRawIp || type == LinkType::kIpv4 ||
         type == LinkType::kIpv6;
}

bool CaptureReader::start() {
  uint8_t magic[4];
  if (take(magic, 4) != 0) {
    fail("shorter than a capture's header", 0);
    return false;
  }
  uint32_t word;
  std::memcpy(&word, magic, 4);
  if (word == kSectionHeader) {
    is_ng_ = true;
    block_offset_ = 0;
    return read_section();
  }
  for (const bool swapped : {false, true}) {
    const uint32_t value = swapped ? __builtin_bswap32(word) : word;
    if (value == kPcapMicroseconds || value == kPcapNanoseconds) {
      swapped_ = swapped;
      nanoseconds_ = value == kPcapNanoseconds;
      return start_pcap();
    }
  }
  fail("not a pcap or pcapng capture", 0);
  return false;
}

bool CaptureReader::start_pcap() {
  uint8_t header[kPcapHeaderBytes - 4];
  if (take(header, sizeof header) != 0) {
    fail("the file header is cut short", 0);
    return false;
  }
  // The upper half may say how long the frame check sequence is, which IP lengths leave out anyway.
  const uint16_t link = static_cast<uint16_t>(word32(header + 16));
  if (word16(header) != 2) {
    fail("pcap version " + std::to_string(word16(header)) + " is not supported, 2 is", 4);
    return false;
  }
  if (!supported(link, link_)) {
    fail("link type " + std::to_string(link) +
             " is not supported: Ethernet (1) and raw IP (101, 228, 229) are",
         20);
    return false;
  }
  return true;
}

CaptureReader::Next CaptureReader::next(CapturedPacket& packet) {
  if (ended_) return error_.empty() ? Next::kEnd : Next::kError;
  if (!is_ng_) return next_pcap(packet);
  for (;;) {
    bool was_packet = false;
    const Next found = next_block(packet, was_packet);
    if (found != Next::kPacket || was_packet) return found;
  }
}

CaptureReader::Next CaptureReader::next_pcap(CapturedPacket& packet) {
  const uint64_t offset = position_;
  uint8_t record[kPcapRecordBytes];
  const int got = take(record, sizeof record);
  if (got == 1) {
    ended_ = true;
    return Next::kEnd;
  }
  if (got != 0) return fail("the capture ends inside a packet's record header", offset);
  const uint32_t captured = word32(record + 8);
  if (captured > kLargestPacket) {
    return fail("a packet of " + std::to_string(captured) + " bytes: more than any capture holds", offset);
  }
  if (!fill_block(captured)) {
    return fail("the capture ends inside a packet of " + std::to_string(captured) + " bytes", offset);
  }
  packet.data = block_.data();
  packet.length = captured;
  packet.original = word32(record + 12);
  packet.time = word32(record) * kSecond + word32(record + 4) * (nanoseconds_ ? 1ull : 1000ull);
  packet.link = link_;
  packet.offset = offset;
  return Next::kPacket;
}

// After its type: length, byte order, version, section length, options. `interfaces` begin anew.
bool CaptureReader::read_section() {
  uint8_t head[24];
  const uint64_t offset = block_offset_;
  if (take(head, sizeof head) != 0) {
    fail("the section header is cut short", offset);
    return false;
  }
  uint32_t magic;
  std::memcpy(&magic, head + 4, 4);
  if (magic != kByteOrderMagic && __builtin_bswap32(magic) != kByteOrderMagic) {
    fail("the section header has no byte-order magic", offset);
    return false;
  }
  swapped_ = magic != kByteOrderMagic;
  if (word16(head + 8) != 1) {
    fail("pcapng version " + std::to_string(word16(head + 8)) + " is not supported, 1 is", offset);
    return false;
  }
  const uint32_t total = word32(head);
  if (total < 28 || total % 4 != 0 || total > kLargestBlock) {
    fail("a section header of " + std::to_string(total) + " bytes", offset);
    return false;
  }
  // What was read: the type and the head, whose last word is the trailing length when there are no options.
  if (!fill_block(total - 28)) {
    fail("the section header is cut short", offset);
    return false;
  }
  const uint8_t* trailer = total > 28 ? block_.data() + block_.size() - 4 : head + 20;
  if (word32(trailer) != total) {
    fail("the lengths before and after a block differ", offset);
    return false;
  }
  interfaces_.clear();
  return true;
}

// Reads a block's type, and its body into block_, unless it is a section header, of which only the type is
// read.
CaptureReader::Next CaptureReader::read_block(uint32_t& type) {
  block_offset_ = position_;
  uint8_t head[4];
  const int got = take(head, 4);
  if (got == 1) {
    ended_ = true;
    return Next::kEnd;
  }
  if (got != 0) return fail("the capture ends inside a block's type", block_offset_);
  type = word32(head);
  if (type == kSectionHeader) return Next::kPacket;
  if (take(head, 4) != 0) return fail("the capture ends inside a block's length", block_offset_);
  const uint32_t total = word32(head);
  if (total < 12 || total % 4 != 0 || total > kLargestBlock) {
    return fail("a block of " + std::to_string(total) + " bytes", block_offset_);
  }
  if (!fill_block(total - 8)) {
    return fail("the capture ends inside a block of " + std::to_string(total) + " bytes", block_offset_);
  }
  if (word32(block_.data() + block_.size() - 4) != total) {
    return fail("the lengths before and after a block differ", block_offset_);
  }
  block_.resize(total - 12);
  return Next::kPacket;
}

CaptureReader::Next CaptureReader::next_block(CapturedPacket& packet, bool& was_packet) {
  uint32_t type = 0;
  const Next read = read_block(type);
  if (read != Next::kPacket) return read;
  packet.offset = block_offset_;
  switch (type) {
    case kSectionHeader:
      return read_section() ? Next::kPacket : Next::kError;
    case kInterfaceDescription:
      return read_interface();
    case kEnhancedPacket:
    case kObsoletePacket:
      was_packet = true;
      return packet_block(packet, type);
    case kSimplePacket:
      was_packet = true;
      return simple_packet(packet);
    default:
      return Next::kPacket;  // a block of another kind: statistics, names, secrets
  }
}

CaptureReader::Next CaptureReader::read_interface() {
  if (block_.size() < 8) return fail("an interface description without its fields", block_offset_);
  if (interfaces_.size() == kMostInterfaces) return fail("too many interfaces", block_offset_);
  Interface interface;
  interface.link = word16(block_.data());
  interface.snapshot = word32(block_.data() + 4);
  for (size_t at = 8; block_.size() - at >= 4;) {
    const uint16_t code = word16(block_.data() + at);
    const uint16_t length = word16(block_.data() + at + 2);
    const uint8_t* value = block_.data() + at + 4;
    if (code == kEndOfOptions) break;
    const size_t padded = (length + 3u) & ~3u;
    if (padded > block_.size() - at - 4) {
      return fail("an interface option of " + std::to_string(length) + " bytes", block_offset_);
    }
    if (code == kTimeResolution && length == 1) interface.resolution = *value;
    if (code == kTimeOffset && length == 8) {
      const uint64_t high = word32(value + (swapped_ ? 0 : 4));
      const uint64_t low = word32(value + (swapped_ ? 4 : 0));
      interface.offset_seconds = static_cast<int64_t>(high << 32 | low);
    }
    at += 4 + padded;
  }
  interfaces_.push_back(interface);
  return Next::kPacket;
}

CaptureReader::Next CaptureReader::packet_block(CapturedPacket& packet, uint32_t type) {
  if (block_.size() < 20) return fail("a packet block without its fields", block_offset_);
  const uint8_t* body = block_.data();
  const uint32_t number = type == kEnhancedPacket ? word32(body) : word16(body);
  if (number >= interfaces_.size()) {
    return fail("a packet of interface " + std::to_string(number) + ", which was not described",
                block_offset_);
  }
  const Interface& interface = interfaces_[number];
  packet.length = word32(body + 12);
  packet.original = word32(body + 16);
  if (packet.length > block_.size() - 20) {
    return fail("a packet of " + std::to_string(packet.length) + " bytes in a block that holds " +
                    std::to_string(block_.size() - 20),
                block_offset_);
  }
  if (!supported(interface.link, packet.link)) {
    return fail("link type " + std::to_string(interface.link) +
                    " is not supported: Ethernet (1) and raw IP (101, 228, 229) are",
                block_offset_);
  }
  packet.data = body + 20;
  const uint64_t units = static_cast<uint64_t>(word32(body + 4)) << 32 | word32(body + 8);
  packet.time =
      to_nanoseconds(units, interface.resolution) + static_cast<uint64_t>(interface.offset_seconds) * kSecond;
  return Next::kPacket;
}

// Without interface and time: of the first interface, and as long as its snapshot length and the block allow.
CaptureReader::Next CaptureReader::simple_packet(CapturedPacket& packet) {
  if (block_.size() < 4) return fail("a packet block without its fields", block_offset_);
  if (interfaces_.empty()) return fail("a packet before any interface was described", block_offset_);
  packet.original = word32(block_.data());
  packet.length = packet.original;
  if (interfaces_[0].snapshot != 0) packet.length = std::min(packet.length, interfaces_[0].snapshot);
  if (packet.length > block_.size() - 4) {
    return fail("a packet of " + std::to_string(packet.length) + " bytes in a block that holds " +
                    std::to_string(block_.size() - 4),
                block_offset_);
  }
  if (!supported(interfaces_[0].link, packet.link)) {
    return fail("link type " + std::to_string(interfaces_[0].link) +
                    " is not supported: Ethernet (1) and raw IP (101, 228, 229) are",
                block_offset_);
  }
  packet.data = block_.data() + 4;
  packet.time = 0;
  return Next::kPacket;
}

}  // namespace penstock
