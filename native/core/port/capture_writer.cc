// Writes pcapng (draft-ietf-opsawg-pcapng) in this machine's byte order.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "capture.h"

namespace penstock {
namespace {

constexpr uint32_t kSectionHeader = 0x0a0d0d0a;
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint32_t kInterfaceDescription = 1;
constexpr uint32_t kEnhancedPacket = 6;
constexpr uint16_t kEndOfOptions = 0;
constexpr uint16_t kComment = 1;
constexpr uint16_t kInterfaceName = 2;
constexpr uint16_t kUserApplication = 4;
constexpr uint16_t kTimeResolution = 9;
constexpr uint8_t kNanoseconds = 9;
constexpr size_t kFlushBytes = 1 << 20;
constexpr size_t kLongestOption = 0xffff;

}  // namespace

std::unique_ptr<CaptureWriter> CaptureWriter::create(const std::string& path, LinkType link,
                                                     const std::string& interface_name, std::string& error) {
  std::unique_ptr<CaptureWriter> writer(new CaptureWriter());
  writer->descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (writer->descriptor_ < 0) {
    error = path + ": " + std::strerror(errno);
    return nullptr;
  }
  writer->path_ = path;
  writer->buffer_.reserve(kFlushBytes + (1 << 16));
  size_t start = writer->begin_block(kSectionHeader);
  writer->put32(kByteOrderMagic);
  writer->put32(1);           // version 1.0
  writer->put32(0xffffffff);  // section length: not known
  writer->put32(0xffffffff);
  writer->put_option(kUserApplication, "penstock", 8);
  writer->put32(kEndOfOptions);
  writer->end_block(start);
  start = writer->begin_block(kInterfaceDescription);
  writer->put32(static_cast<uint32_t>(link));
  writer->put32(0);  // no snapshot length
  writer->put_option(kInterfaceName, interface_name.data(), static_cast<uint16_t>(interface_name.size()));
  writer->put_option(kTimeResolution, &kNanoseconds, 1);
  writer->put32(kEndOfOptions);
  writer->end_block(start);
  if (writer->flush()) return writer;
  error = writer->error_;
  return nullptr;
}

CaptureWriter::~CaptureWriter() {
  flush();
  if (descriptor_ >= 0) close(descriptor_);
}

bool CaptureWriter::write(uint64_t time, const uint8_t* data, uint32_t length, const std::string& comment) {
  if (!error_.empty()) return false;
  const size_t start = begin_block(kEnhancedPacket);
  put32(0);  // the only interface
  put32(static_cast<uint32_t>(time >> 32));
  put32(static_cast<uint32_t>(time));
  put32(length);
  put32(length);
  put_padded(data, length);
  if (!comment.empty()) {
    put_option(kComment, comment.data(), static_cast<uint16_t>(std::min(comment.size(), kLongestOption)));
    put32(kEndOfOptions);
  }
  end_block(start);
  return buffer_.size() < kFlushBytes || flush();
}

bool CaptureWriter::flush() {
  size_t done = 0;
  while (error_.empty() && done < buffer_.size()) {
    const ssize_t wrote = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (wrote >= 0) {
      done += static_cast<size_t>(wrote);
    } else if (errno != EINTR) {
      error_ = path_ + ": " + std::strerror(errno);
    }
  }
  buffer_.clear();
  return error_.empty();
}

void CaptureWriter::put32(uint32_t word) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&word);
  buffer_.insert(buffer_.end(), bytes, bytes + 4);
}

void CaptureWriter::put_padded(const void* bytes, uint32_t length) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  buffer_.insert(buffer_.end(), from, from + length);
  buffer_.resize(buffer_.size() + (-length & 3u));
}

void CaptureWriter::put_option(uint16_t code, const void* value, uint16_t length) {
  put32(code | static_cast<uint32_t>(length) << 16);
  put_padded(value, length);
}

size_t CaptureWriter::begin_block(uint32_t type) {
  const size_t start = buffer_.size();
  put32(type);
  put32(0);
  return start;
}

void CaptureWriter::end_block(size_t start) {
  const auto total = static_cast<uint32_t>(buffer_.size() - start + 4);
  std::memcpy(buffer_.data() + start + 4, &total, 4);
  put32(total);
}

}  // namespace penstock
