// Captures: pcap and pcapng files read, pcapng written, and both as a port.
//
// Every length in a file is checked before it is believed. A file that is cut short gives the whole packets
// that it has, then an error that names the offset.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "port.h"

namespace penstock {

// tcpdump.org link types.
enum class LinkType : uint16_t { kEthernet = 1, kRawIp = 101, kIpv4 = 228, kIpv6 = 229 };

// True for raw IP of any version: the packet starts with its IP header.
inline bool is_raw_ip(LinkType link) {
  return link != LinkType::kEthernet;
}

struct CapturedPacket {
  const uint8_t* data = nullptr;  // valid until the next call of next()
  uint32_t length = 0;            // captured
  uint32_t original = 0;          // on the wire
  uint64_t time = 0;              // ns since 1970; 0 when the file has none
  LinkType link = LinkType::kEthernet;
  uint64_t offset = 0;  // of its record in the file
};

class CaptureReader {
 public:
  enum class Next : uint8_t { kPacket, kEnd, kError };

  // Null, and `error` says why (no such file, not a capture, an unsupported link type), when it cannot be
  // read.
  static std::unique_ptr<CaptureReader> open(const std::string& path, std::string& error);
  // The same from memory, which must outlive the reader.
  static std::unique_ptr<CaptureReader> open_memory(const uint8_t* bytes, uint64_t length,
                                                    std::string& error);
  ~CaptureReader();
  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  // After kEnd or kError it stays at that.
  Next next(CapturedPacket& packet);
  const std::string& error() const { return error_; }

 private:
  struct Interface {
    uint16_t link = 0;
    uint32_t snapshot = 0;   // 0: no limit
    uint8_t resolution = 6;  // if_tsresol: powers of ten, or of two with the top bit
    int64_t offset_seconds = 0;
  };
  CaptureReader() = default;
  static std::unique_ptr<CaptureReader> begin(std::unique_ptr<CaptureReader> reader, std::string& error);

  bool start();
  bool start_pcap();
  Next next_pcap(CapturedPacket& packet);
  Next next_block(CapturedPacket& packet, bool& was_packet);
  bool read_section();
  Next read_block(uint32_t& type);
  Next read_interface();
  Next packet_block(CapturedPacket& packet, uint32_t type);
  Next simple_packet(CapturedPacket& packet);
  static bool supported(uint16_t link, LinkType& type);

  // Reads exactly `length` bytes. 0: all of them, 1: the file ended before the first, -1: after it, or on an
  // error.
  int take(uint8_t* to, uint64_t length);
  bool fill_block(uint32_t length);
  Next fail(const std::string& what, uint64_t offset);
  uint16_t word16(const uint8_t* at) const;
  uint32_t word32(const uint8_t* at) const;

  int descriptor_ = -1;
  const uint8_t* memory_ = nullptr;
  uint64_t memory_length_ = 0;
  std::vector<uint8_t> buffer_;  // of the file
  uint64_t buffered_ = 0, used_ = 0;
  uint64_t position_ = 0;  // in the file, of what take() gives next

  bool is_ng_ = false;
  bool swapped_ = false;
  bool nanoseconds_ = false;
  LinkType link_ = LinkType::kEthernet;
  std::vector<Interface> interfaces_;
  std::vector<uint8_t> block_;
  uint64_t block_offset_ = 0;
  std::string error_;
  bool ended_ = false;
};

class CaptureWriter {
 public:
  // Writes section header and interface description (nanosecond time stamps). Null, and `error` says why,
  // when the file cannot be created.
  static std::unique_ptr<CaptureWriter> create(const std::string& path, LinkType link,
                                               const std::string& interface_name, std::string& error);
  ~CaptureWriter();  // flushes
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  // time: ns since 1970. False once the file could not be written; error() says why.
  bool write(uint64_t time, const uint8_t* data, uint32_t length, const std::string& comment = {});
  bool flush();
  const std::string& error() const { return error_; }

 private:
  CaptureWriter() = default;
  void put32(uint32_t word);
  void put_option(uint16_t code, const void* value, uint16_t length);
  void put_padded(const void* bytes, uint32_t length);
  size_t begin_block(uint32_t type);
  void end_block(size_t start);

  int descriptor_ = -1;
  std::string path_;
  std::vector<uint8_t> buffer_;
  std::string error_;
};

struct CapturePortOptions {
  std::string read;    // file, or empty: nothing is received
  std::string write;   // file, or empty: what is transmitted is freed
  bool paced = false;  // packets come as far apart as they were captured; otherwise as fast as they are taken
  std::string interface_name = "penstock";
  // Put before raw IP packets, which a node's ports do not have: destination and source.
  bool has_link_header = false;
  uint8_t destination[6] = {};
  uint8_t source[6] = {};
  uint64_t epoch = 0;  // ns since 1970 at the loop's time 0, for the time stamps written
};

// A port that receives what a capture holds and writes what is transmitted. One worker alone reads a capture.
// open() stays true at the capture's end (fault() is empty) and is false after a broken file or a failed
// write.
class CapturePort final : public Port {
 public:
  static std::unique_ptr<CapturePort> open(const CapturePortOptions& options, std::string& error);

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override;
  uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) override;
  void flush() override;
  // Reads nothing; one that writes is alone.
  std::unique_ptr<Port> further(uint32_t, std::string& error) override {
    if (options_.write.empty()) return open({}, error);
    error = "the capture " + options_.write + " is written by one worker";
    return nullptr;
  }
  bool open() const override;
  std::string fault() const override;
  // All that the capture holds was received.
  bool at_end() const { return at_end_; }

 private:
  explicit CapturePort(const CapturePortOptions& options) : options_(options) {}
  bool peek(uint64_t now);
  bool put(FramePool& pool, FrameIndex index);
  void break_down(const std::string& why);

  const CapturePortOptions options_;
  std::unique_ptr<CaptureReader> reader_;
  std::unique_ptr<CaptureWriter> writer_;
  CapturedPacket next_;
  bool has_next_ = false;
  std::atomic<bool> at_end_{false};  // asked for by the control thread
  bool started_ = false;
  uint64_t started_at_ = 0;  // loop time of the first packet
  uint64_t first_time_ = 0;  // its time stamp
  uint64_t now_ = 0;
  std::atomic<bool> broken_{false};
  std::string fault_;  // written before broken_ is set
};

}  // namespace penstock
