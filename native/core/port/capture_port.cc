// A capture as a port. Files are read and written on the caller's thread: it is for tests and for work on
// files, not for a gateway's path.
#include <cstring>

#include "../packet/ethernet.h"
#include "capture.h"

namespace penstock {

std::unique_ptr<CapturePort> CapturePort::open(const CapturePortOptions& options, std::string& error) {
  std::unique_ptr<CapturePort> port(new CapturePort(options));
  if (!options.read.empty()) {
    port->reader_ = CaptureReader::open(options.read, error);
    if (port->reader_ == nullptr) return nullptr;
  }
  if (!options.write.empty()) {
    port->writer_ = CaptureWriter::create(options.write, LinkType::kEthernet, options.interface_name, error);
    if (port->writer_ == nullptr) return nullptr;
  }
  port->at_end_ = port->reader_ == nullptr;
  return port;
}

void CapturePort::break_down(const std::string& why) {
  if (broken_.load(std::memory_order_relaxed)) return;
  fault_ = why;
  broken_.store(true, std::memory_order_release);
}

bool CapturePort::open() const {
  return !broken_.load(std::memory_order_acquire);
}

std::string CapturePort::fault() const {
  return open() ? std::string() : fault_;
}

// Makes next_ the packet that comes next; false when there is none, or not yet.
bool CapturePort::peek(uint64_t now) {
  if (!has_next_ && !at_end_) {
    switch (reader_->next(next_)) {
      case CaptureReader::Next::kEnd:
        at_end_ = true;
        break;
      case CaptureReader::Next::kError:
        at_end_ = true;
        break_down(options_.read + ": " + reader_->error());
        break;
      case CaptureReader::Next::kPacket:
        has_next_ = true;
        if (is_raw_ip(next_.link) && !options_.has_link_header) {
          has_next_ = false;
          at_end_ = true;
          break_down(options_.read + ": offset " + std::to_string(next_.offset) +
                     ": raw IP, without the Ethernet header that a port's packets have");
        }
    }
  }
  if (!has_next_) return false;
  if (!started_) {
    started_ = true;
    started_at_ = now;
    first_time_ = next_.time;
  }
  // Time stamps may go backwards in a file: such a packet is due at once.
  return !options_.paced || next_.time <= first_time_ || next_.time - first_time_ <= now - started_at_;
}

// Copies next_ into a frame; false when it is larger.
bool CapturePort::put(FramePool& pool, FrameIndex index) {
  Frame& frame = pool.frame(index);
  uint8_t* to = pool.data(index);
  const bool raw = is_raw_ip(next_.link);
  const uint32_t link = raw ? ethernet::kHeaderBytes : 0;
  if (next_.length + link > kChunkBytes - frame.start) {
    count_oversized(next_.length + link);
    return false;
  }
  if (raw) {
    const bool v6 = next_.length != 0 && next_.data[0] >> 4 == 6;
    ethernet::write(to, options_.destination, options_.source,
                    v6 ? ethernet::kTypeIpv6 : ethernet::kTypeIpv4);
  }
  if (next_.length != 0) std::memcpy(to + link, next_.data, next_.length);
  frame.length = static_cast<uint16_t>(next_.length + link);
  return true;
}

uint32_t CapturePort::receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) {
  now_ = now;
  uint32_t received = 0;
  while (received < count && peek(now)) {
    if (cache.allocate(frames + received, 1) == 0) break;
    has_next_ = false;
    if (!put(cache.pool(), frames[received])) {
      cache.free(frames[received]);
      continue;
    }
    cache.pool().frame(frames[received]).received = now;
    ++received;
  }
  return received;
}

uint32_t CapturePort::transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) {
  if (!open()) return 0;
  if (writer_ != nullptr) {
    for (uint32_t i = 0; i < count; ++i) {
      const Frame& frame = cache.pool().frame(frames[i]);
      if (!writer_->write(options_.epoch + now_, cache.pool().data(frames[i]), frame.length)) {
        break_down(writer_->error());
        cache.free(frames, i);
        return i;
      }
    }
  }
  cache.free(frames, count);
  return count;
}

void CapturePort::flush() {
  if (writer_ != nullptr && open() && !writer_->flush()) break_down(writer_->error());
}

}  // namespace penstock
