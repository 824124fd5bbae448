// Ports that need no privilege: memory wires, captures; and cutting what a network card would have cut.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "check.h"
#include "golden.h"
#include "packet/ipv6.h"
#include "packet/parse.h"
#include "port/capture.h"
#include "port/gso.h"
#include "port/memory.h"

using namespace penstock;
using golden::Bytes;

namespace {

struct Cache {
  explicit Cache(uint32_t frames = 512) : pool({frames}), cache(pool, 0) {}
  FrameIndex make(const Bytes& bytes) {
    FrameIndex index = kNoFrame;
    cache.allocate(&index, 1);
    std::copy(bytes.begin(), bytes.end(), pool.data(index));
    pool.frame(index).length = static_cast<uint16_t>(bytes.size());
    return index;
  }
  Bytes bytes(FrameIndex index) { return {pool.data(index), pool.data(index) + pool.frame(index).length}; }
  FramePool pool;
  FrameCache cache;
};

// ---------------------------------------------------------------------------------------------- memory wires

void a_wire_carries_both_ways() {
  Cache held;
  auto wire = std::make_shared<MemoryWire>(64, 2);
  auto a0 = MemoryWire::end(wire, 0, 0), a1 = MemoryWire::end(wire, 0, 1);
  auto b0 = MemoryWire::end(wire, 1, 0), b1 = MemoryWire::end(wire, 1, 1);
  FrameIndex in[3] = {held.make({1}), held.make({2}), held.make({3})}, out[kBurst];
  CHECK_EQ(a0->transmit(held.cache, in, 2), 2u);
  CHECK_EQ(b1->transmit(held.cache, in + 2, 1), 1u);
  CHECK_EQ(wire->held(1), 2u);
  CHECK_EQ(wire->held(0), 1u);
  CHECK_EQ(a0->receive(held.cache, 7, out, kBurst), 0u);
  CHECK_EQ(b1->receive(held.cache, 7, out, kBurst), 0u);
  CHECK_EQ(b0->receive(held.cache, 7, out, kBurst), 2u);
  CHECK(out[0] == in[0] && out[1] == in[1]);
  CHECK_EQ(held.pool.frame(out[0]).received, 7u);
  CHECK_EQ(a1->receive(held.cache, 8, out, kBurst), 1u);
  CHECK_EQ(out[0], in[2]);
  CHECK(a0->open() && a0->fault().empty());
}

void a_full_wire_takes_what_fits() {
  Cache held;
  auto wire = std::make_shared<MemoryWire>(64, 1);
  auto a = MemoryWire::end(wire, 0, 0), b = MemoryWire::end(wire, 1, 0);
  FrameIndex in[100], out[100];
  held.cache.allocate(in, 100);
  CHECK_EQ(a->transmit(held.cache, in, 40), 40u);
  CHECK_EQ(a->transmit(held.cache, in + 40, 60), 24u);
  CHECK_EQ(b->receive(held.cache, 0, out, kBurst), 64u);
  CHECK(std::equal(in, in + 64, out));
}

// Whatever happens while it is shut and opened again, every frame is somewhere.
void a_shut_wire_accounts_for_its_frames() {
  Cache held;
  auto wire = std::make_shared<MemoryWire>(64, 1);
  auto a = MemoryWire::end(wire, 0, 0), b = MemoryWire::end(wire, 1, 0);
  std::mt19937 random(1);
  uint32_t sent = 0, received = 0, full = 0, closed = 0, drained = 0;
  FrameIndex frames[kBurst];
  for (int round = 0; round < 20000; ++round) {
    if (random() % 50 == 0) wire->set_open(!wire->open());
    const uint32_t count = held.cache.allocate(frames, random() % 40);
    const uint32_t taken = a->transmit(held.cache, frames, count);
    sent += taken;
    (a->open() ? full : closed) += count - taken;
    if (!a->open()) CHECK_EQ(taken, 0u);
    held.cache.free(frames + taken, count - taken);
    if (!b->open()) {
      CHECK_EQ(b->receive(held.cache, 0, frames, kBurst), 0u);
      CHECK_EQ(b->fault(), std::string("the wire is shut"));
      if (random() % 2 == 0) {
        while (const uint32_t left = b->drain(frames, kBurst)) {
          drained += left;
          held.cache.free(frames, left);
        }
        CHECK_EQ(wire->held(1), 0u);
      }
    } else {
      const uint32_t got = b->receive(held.cache, 0, frames, random() % 40);
      received += got;
      held.cache.free(frames, got);
    }
    CHECK_EQ(sent, received + drained + wire->held(1));
    CHECK_EQ(held.cache.available() + wire->held(1), held.cache.total());
  }
  CHECK(received > 0 && drained > 0 && closed > 0 && full > 0);
}

// Two nodes' workers on two threads, and the control thread shutting the wire between them.
void a_wire_between_threads() {
  FramePool pool({512, 512});
  FrameCache caches[2] = {FrameCache(pool, 0), FrameCache(pool, 1)};
  auto wire = std::make_shared<MemoryWire>(128, 1);
  std::unique_ptr<Port> ends[2] = {MemoryWire::end(wire, 0, 0), MemoryWire::end(wire, 1, 0)};
  std::atomic<int> running{2};
  uint64_t sent[2] = {}, received[2] = {}, drained[2] = {};
  const auto work = [&](uint32_t side) {
    FrameIndex frames[kBurst];
    std::mt19937 random(side);
    const auto receive = [&] {
      const uint32_t got = ends[side]->receive(caches[side], 0, frames, kBurst);
      for (uint32_t i = 0; i < got; ++i) {
        if (pool.data(frames[i])[0] != (side ^ 1)) check::fail(__FILE__, __LINE__, "another's byte");
      }
      received[side] += got;
      caches[side].free(frames, got);
      const uint32_t left = ends[side]->open() ? 0 : ends[side]->drain(frames, kBurst);
      drained[side] += left;
      caches[side].free(frames, left);
      return got + left;
    };
    for (int round = 0; round < 20000; ++round) {
      caches[side].reclaim();
      const uint32_t count = caches[side].allocate(frames, random() % 40);
      for (uint32_t i = 0; i < count; ++i) pool.data(frames[i])[0] = static_cast<uint8_t>(side);
      const uint32_t taken = ends[side]->transmit(caches[side], frames, count);
      sent[side] += taken;
      caches[side].free(frames + taken, count - taken);
      receive();
    }
    --running;
    while (running != 0) receive();
    while (receive() != 0) {
    }
  };
  std::thread other(work, 1);
  std::thread control([&] {
    while (running != 0) {
      wire->set_open(!wire->open());
      std::this_thread::yield();
    }
    wire->set_open(true);
  });
  work(0);
  other.join();
  control.join();
  for (uint32_t side = 0; side < 2; ++side) {
    caches[side].reclaim();
    CHECK_EQ(sent[side], received[side ^ 1] + drained[side ^ 1] + wire->held(side ^ 1));
  }
}

// ----------------------------------------------------------------------------------------------------
// captures

std::string temporary(const char* name) {
  static const std::string directory = [] {
    char path[] = "/tmp/penstock-port-test-XXXXXX";
    if (mkdtemp(path) == nullptr) std::exit(1);
    return std::string(path);
  }();
  return name == nullptr ? directory : directory + "/" + name;
}

void save(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Writes words of either byte order.
struct Writer {
  bool swapped;
  Bytes bytes{};
  void put16(uint16_t word) {
    if (swapped) word = __builtin_bswap16(word);
    const auto* at = reinterpret_cast<uint8_t*>(&word);
    bytes.insert(bytes.end(), at, at + 2);
  }
  void put32(uint32_t word) {
    if (swapped) word = __builtin_bswap32(word);
    const auto* at = reinterpret_cast<uint8_t*>(&word);
    bytes.insert(bytes.end(), at, at + 4);
  }
  void put(const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  // A pcapng block around a body.
  void block(uint32_t type, Writer body) {
    while (body.bytes.size() % 4 != 0) body.bytes.push_back(0);
    put32(type);
    put32(static_cast<uint32_t>(body.bytes.size() + 12));
    put(body.bytes);
    put32(static_cast<uint32_t>(body.bytes.size() + 12));
  }
};

const Bytes kPackets[] = {Bytes(60, 0x11), Bytes(61, 0x22), Bytes(1514, 0x33)};

Bytes pcap(bool swapped, bool nanoseconds, uint32_t link = 1) {
  Writer file{swapped};
  file.put32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
  file.put16(2);
  file.put16(4);
  file.put32(0);
  file.put32(0);
  file.put32(65535);
  file.put32(link);
  uint32_t second = 1;
  for (const Bytes& packet : kPackets) {
    file.put32(second++);
    file.put32(500);
    file.put32(static_cast<uint32_t>(packet.size()));
    file.put32(static_cast<uint32_t>(packet.size() + 1));
    file.put(packet);
  }
  return file.bytes;
}

void begin_section(Writer& file) {
  Writer body{file.swapped};
  body.put32(0x1a2b3c4d);
  body.put16(1);
  body.put16(0);
  body.put32(0xffffffff);
  body.put32(0xffffffff);
  body.put({4, 0, 4, 0, 't', 'e', 's', 't', 0, 0, 0, 0});  // read in neither order: skipped by length
  file.block(0x0a0d0d0a, body);
}

void describe(Writer& file, uint16_t link, int resolution) {
  Writer body{file.swapped};
  body.put16(link);
  body.put16(0);
  body.put32(100);
  if (resolution >= 0) {
    body.put16(9);
    body.put16(1);
    body.put({static_cast<uint8_t>(resolution), 0, 0, 0});
    body.put32(0);
  }
  file.block(1, body);
}

void enhanced(Writer& file, uint32_t interface, uint64_t time, const Bytes& packet) {
  Writer body{file.swapped};
  body.put32(interface);
  body.put32(static_cast<uint32_t>(time >> 32));
  body.put32(static_cast<uint32_t>(time));
  body.put32(static_cast<uint32_t>(packet.size()));
  body.put32(static_cast<uint32_t>(packet.size() + 1));
  body.put(packet);
  file.block(6, body);
}

// Every kind of block, both byte orders, two sections.
Bytes pcapng(bool swapped) {
  Writer file{swapped};
  begin_section(file);
  describe(file, 1, -1);
  describe(file, 101, 9);
  describe(file, 1, 0x80 | 20);
  enhanced(file, 0, 1000000, kPackets[0]);                   // 1 s in microseconds
  enhanced(file, 1, 2000000000, kPackets[1]);                // 2 s in nanoseconds
  file.block(5, Writer{swapped, Bytes(12)});                 // interface statistics
  enhanced(file, 2, (3ull << 20) + (1 << 19), kPackets[2]);  // 3.5 s in units of 2⁻²⁰ s
  Writer simple{swapped};
  simple.put32(61);
  simple.put(kPackets[1]);
  file.block(3, simple);
  Writer second{!swapped};
  begin_section(second);
  describe(second, 1, 6);
  enhanced(second, 0, 4000000, kPackets[0]);
  file.put(second.bytes);
  return file.bytes;
}

struct Read {
  std::vector<Bytes> packets;
  std::vector<uint64_t> times;
  std::vector<LinkType> links;
  std::string error;
};

Read read_all(const Bytes& bytes) {
  Read read;
  auto reader = CaptureReader::open_memory(bytes.data(), bytes.size(), read.error);
  if (reader == nullptr) return read;
  CapturedPacket packet;
  for (;;) {
    const auto next = reader->next(packet);
    if (next != CaptureReader::Next::kPacket) {
      if (next == CaptureReader::Next::kError) read.error = reader->error();
      CHECK(reader->next(packet) == next);  // it stays at that
      return read;
    }
    read.packets.emplace_back(packet.data, packet.data + packet.length);
    read.times.push_back(packet.time);
    read.links.push_back(packet.link);
  }
}

void pcap_of_every_order_and_resolution() {
  for (const bool swapped : {false, true}) {
    for (const bool nanoseconds : {false, true}) {
      const Read read = read_all(pcap(swapped, nanoseconds));
      CHECK_EQ(read.error, std::string());
      CHECK_EQ(read.packets.size(), 3u);
      for (size_t i = 0; i < read.packets.size(); ++i) {
        CHECK(read.packets[i] == kPackets[i]);
        CHECK_EQ(read.times[i], (i + 1) * 1000000000ull + (nanoseconds ? 500 : 500000));
      }
    }
  }
  CHECK(read_all(pcap(false, false, 101)).links.at(0) == LinkType::kRawIp);
}

void pcapng_of_both_orders() {
  for (const bool swapped : {false, true}) {
    const Read read = read_all(pcapng(swapped));
    CHECK_EQ(read.error, std::string());
    CHECK_EQ(read.packets.size(), 5u);
    const size_t which[] = {0, 1, 2, 1, 0};
    const uint64_t times[] = {1000000000, 2000000000, 3500000000, 0, 4000000000};
    for (size_t i = 0; i < read.packets.size(); ++i) {
      CHECK(read.packets[i] == kPackets[which[i]]);
      CHECK_EQ(read.times[i], times[i]);
    }
    CHECK(read.links.at(1) == LinkType::kRawIp && read.links.at(2) == LinkType::kEthernet);
  }
}

// Cut at every byte: the whole packets before it, then an error with its offset, or a clean end at a record's
// end.
void a_capture_cut_short() {
  const Bytes files[] = {pcap(false, false), pcap(true, true), pcapng(false), pcapng(true)};
  for (const Bytes& whole : files) {
    const size_t packets = read_all(whole).packets.size();
    size_t seen = 0;
    size_t clean_ends = 0;
    for (size_t length = 0; length < whole.size(); ++length) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(length));
      const Read read = read_all(cut);
      CHECK(read.packets.size() >= seen && read.packets.size() <= packets);
      seen = read.packets.size();
      for (size_t i = 0; i < seen; ++i) CHECK(read.packets[i].size() >= 60);
      clean_ends += read.error.empty();
      if (!read.error.empty()) CHECK_EQ(read.error.substr(0, 7), std::string("offset "));
    }
    CHECK(clean_ends > 2 && clean_ends < 20);
  }
}

// Each byte of a capture in turn takes values that lie: nothing but packets and errors comes of it.
void a_capture_that_lies() {
  for (const Bytes& whole : {pcap(false, false), pcapng(false), pcapng(true)}) {
    Bytes bytes = whole;
    for (size_t at = 0; at < std::min<size_t>(bytes.size(), 600); ++at) {
      for (const uint8_t value : {0x00, 0x01, 0x0c, 0x7f, 0x80, 0xff}) {
        bytes[at] = value;
        const Read read = read_all(bytes);
        CHECK(read.packets.size() <= 6);
        bytes[at] = whole[at];
      }
    }
  }
}

void errors_say_what_and_where() {
  const auto error_of = [](Bytes bytes) { return read_all(bytes).error; };
  const auto has = [](const std::string& text, const std::string& part) {
    ++check::checks;
    if (text.find(part) == std::string::npos)
      check::fail(__FILE__, __LINE__, "'" + text + "' lacks '" + part + "'");
  };
  has(error_of({}), "offset 0: shorter than a capture's header");
  has(error_of({'#', '!', '/', 'b', 'i', 'n'}), "not a pcap or pcapng capture");
  has(error_of(pcap(false, false, 113)), "link type 113 is not supported: Ethernet (1) and raw IP");
  Bytes bytes = pcap(false, false);
  bytes[24 + 10] = 0xff;
  has(error_of(bytes), "offset 24: a packet of 16711740 bytes");
  bytes = pcap(false, false);
  bytes.resize(bytes.size() - 1);
  has(error_of(bytes), "offset 177: the capture ends inside a packet of 1514 bytes");

  Writer file{false};
  begin_section(file);
  enhanced(file, 0, 0, kPackets[0]);
  has(error_of(file.bytes), "offset 40: a packet of interface 0, which was not described");
  Writer other{false};
  begin_section(other);
  describe(other, 113, -1);
  enhanced(other, 0, 0, kPackets[0]);
  has(error_of(other.bytes), "offset 60: link type 113 is not supported");
  begin_section(other);  // describes its own interfaces
  other.bytes.erase(other.bytes.begin() + 60, other.bytes.end() - 40);
  enhanced(other, 0, 0, kPackets[0]);
  has(error_of(other.bytes), "offset 100: a packet of interface 0, which was not described");
  Bytes lying = pcapng(false);
  lying[lying.size() - 4] ^= 4;
  has(error_of(lying), "the lengths before and after a block differ");

  std::string error;
  CHECK(CaptureReader::open("/nonexistent/x.pcap", error) == nullptr);
  CHECK_EQ(error, std::string("/nonexistent/x.pcap: No such file or directory"));
  CHECK(CaptureReader::open("/", error) == nullptr);
  has(error, "/: ");
  CHECK(CaptureWriter::create("/nonexistent/x.pcapng", LinkType::kEthernet, "x", error) == nullptr);
  has(error, "No such file or directory");
}

void what_is_written_is_read() {
  const std::string path = temporary("written.pcapng");
  std::string error;
  {
    auto writer = CaptureWriter::create(path, LinkType::kRawIp, "ge-0/0/0", error);
    CHECK(writer != nullptr);
    for (uint32_t length = 0; length < 70; ++length) {
      CHECK(writer->write(1700000000123456789ull + length, Bytes(length, 7).data(), length,
                          length % 2 == 0 ? "" : std::string(length, 'c')));
    }
  }
  const Read read = read_all(load(path));
  CHECK_EQ(read.error, std::string());
  CHECK_EQ(read.packets.size(), 70u);
  for (size_t i = 0; i < read.packets.size(); ++i) {
    CHECK(read.packets[i] == Bytes(i, 7));
    CHECK_EQ(read.times[i], 1700000000123456789ull + i);
    CHECK(read.links[i] == LinkType::kRawIp);
  }
  auto full = CaptureWriter::create("/dev/full", LinkType::kEthernet, "x", error);
  CHECK(full == nullptr);
  CHECK_EQ(error, std::string("/dev/full: No space left on device"));
}

void a_capture_as_a_port() {
  const std::string in = temporary("in.pcap"), out = temporary("out.pcapng");
  save(in, pcap(true, true));
  Cache held;
  std::string error;
  CapturePortOptions options;
  options.read = in;
  options.write = out;
  options.epoch = 1000;
  auto port = CapturePort::open(options, error);
  CHECK(port != nullptr);
  FrameIndex frames[kBurst];
  CHECK_EQ(port->receive(held.cache, 5, frames, 2), 2u);
  CHECK(held.bytes(frames[0]) == kPackets[0] && held.bytes(frames[1]) == kPackets[1]);
  CHECK_EQ(held.pool.frame(frames[1]).received, 5u);
  CHECK(!port->at_end());
  CHECK_EQ(port->transmit(held.cache, frames, 2), 2u);
  CHECK_EQ(port->receive(held.cache, 6, frames, kBurst), 1u);
  CHECK_EQ(port->receive(held.cache, 7, frames + 1, kBurst - 1), 0u);
  CHECK(port->at_end() && port->open() && port->fault().empty());
  CHECK_EQ(port->transmit(held.cache, frames, 1), 1u);
  CHECK_EQ(held.cache.available(), held.cache.total());
  port.reset();
  const Read read = read_all(load(out));
  CHECK_EQ(read.packets.size(), 3u);
  CHECK(read.packets.at(2) == kPackets[2]);
  CHECK_EQ(read.times.at(0), 1005u);
}

void a_paced_capture() {
  const std::string in = temporary("paced.pcap");
  save(in, pcap(false, false));  // a second apart
  Cache held;
  std::string error;
  CapturePortOptions options;
  options.read = in;
  options.paced = true;
  auto port = CapturePort::open(options, error);
  FrameIndex frames[kBurst];
  const uint64_t second = 1000000000, start = 77 * second;
  CHECK_EQ(port->receive(held.cache, start, frames, kBurst), 1u);
  CHECK_EQ(port->receive(held.cache, start + second - 1, frames, kBurst), 0u);
  CHECK_EQ(port->receive(held.cache, start + second, frames, kBurst), 1u);
  CHECK_EQ(port->receive(held.cache, start + 5 * second, frames, kBurst), 1u);
  CHECK_EQ(port->receive(held.cache, start + 6 * second, frames, kBurst), 0u);
}

void captures_that_break_as_a_port() {
  Cache held;
  std::string error;
  FrameIndex frames[kBurst];
  Counters counters;
  Bytes bytes = pcap(false, false);
  bytes.resize(bytes.size() - 5);
  CapturePortOptions options;
  options.read = temporary("cut.pcap");
  save(options.read, bytes);
  auto port = CapturePort::open(options, error);
  CHECK_EQ(port->receive(held.cache, 0, frames, kBurst), 2u);
  held.cache.free(frames, 2);
  CHECK(!port->open());
  CHECK_EQ(port->fault(), options.read + ": offset 177: the capture ends inside a packet of 1514 bytes");

  // Larger than a frame: dropped and counted. None free: waits.
  Writer large{false};
  begin_section(large);
  describe(large, 1, -1);
  enhanced(large, 0, 0, Bytes(5000, 1));
  enhanced(large, 0, 0, kPackets[0]);
  options.read = temporary("large.pcapng");
  save(options.read, large.bytes);
  port = CapturePort::open(options, error);
  port->count_into(&counters);
  FrameIndex all[512];
  const uint32_t taken = held.cache.allocate(all, 512);
  CHECK_EQ(port->receive(held.cache, 0, frames, kBurst), 0u);
  held.cache.free(all, taken);
  CHECK_EQ(port->receive(held.cache, 0, frames, kBurst), 1u);
  CHECK_EQ(counters.get(Counter::oversized), 1u);
  CHECK_EQ(counters.get(Counter::rx_packets), 1u);
  CHECK_EQ(counters.get(Counter::rx_bytes), 5000u);
  CHECK_EQ(held.cache.available(), held.cache.total() - 1);

  // Raw IP wants a link header to be put before it.
  const auto packets = golden::read(std::string(PENSTOCK_VECTORS) + "/packets.txt");
  Writer raw{false};
  begin_section(raw);
  describe(raw, 101, -1);
  for (const auto& packet : packets) {
    if (packet.name == "ipv4-udp" || packet.name == "ipv6-udp") {
      enhanced(raw, 0, 0, Bytes(packet.bytes.begin() + 14, packet.bytes.end()));
    }
  }
  options.read = temporary("raw.pcapng");
  save(options.read, raw.bytes);
  port = CapturePort::open(options, error);
  CHECK_EQ(port->receive(held.cache, 0, frames, kBurst), 0u);
  CHECK(!port->open() && port->fault().find("raw IP") != std::string::npos);
  options.has_link_header = true;
  options.destination[5] = 0x0b;
  options.source[5] = 0x0a;
  options.destination[0] = options.source[0] = 2;
  port = CapturePort::open(options, error);
  CHECK_EQ(port->receive(held.cache, 0, frames, kBurst), 2u);
  CHECK(held.bytes(frames[0]) == packets[0].bytes);
  for (uint32_t i = 0; i < 2; ++i) {
    Frame& frame = held.pool.frame(frames[i]);
    CHECK(parse_ethernet(frame, held.pool.data(frames[i])) == DropReason::kNone);
  }
}

// ---------------------------------------------------------------------------------- what the card would have
// done

// A TCP packet of `payload` bytes; its checksum only begun, as a sender with offloads leaves it.
Bytes tcp_packet(bool v4, bool tagged, uint32_t payload, uint8_t flags) {
  const uint32_t l3 = tagged ? 18 : 14, header = v4 ? 20 : 40, tcp_header = 32;
  Bytes bytes(l3 + header + tcp_header + payload);
  const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};
  ethernet::write(bytes.data(), mac_b, mac_a, v4 ? ethernet::kTypeIpv4 : ethernet::kTypeIpv6, tagged ? 5 : 0);
  uint8_t* ip = bytes.data() + l3;
  uint8_t addresses[32] = {10, 0, 0, 1, 10, 0, 0, 2, 0x20, 1, 0, 0, 0, 0, 0, 0, 0x20, 1};
  const uint32_t l4_length = tcp_header + payload;
  if (v4) {
    ipv4::Fields fields;
    fields.total_length = header + l4_length;
    fields.identification = 0xfffe;
    fields.protocol = protocol::kTcp;
    ipv4::write(ip, fields, addresses, addresses + 4);
  } else {
    ipv6::Fields fields;
    fields.payload_length = l4_length;
    fields.next_header = protocol::kTcp;
    ipv6::write(ip, fields, addresses + 8, addresses + 16);
  }
  uint8_t* tcp = ip + header;
  store16(tcp, 1000);
  store16(tcp + 2, 2000);
  store32(tcp + tcp::kSequence, 0xfffffff0);
  tcp[tcp::kDataOffset] = tcp_header / 4 << 4;
  tcp[tcp::kFlags] = flags;
  std::fill(tcp + 20, tcp + 32, uint8_t{1});
  for (uint32_t i = 0; i < payload; ++i) tcp[tcp_header + i] = static_cast<uint8_t>(i * 7 + i / 256);
  const uint64_t pseudo = v4 ? ipv4::pseudo_header(ip, protocol::kTcp, l4_length)
                             : ipv6::pseudo_header(ip, protocol::kTcp, l4_length);
  checksum::store_raw(tcp + tcp::kChecksum, checksum::fold(pseudo));
  return bytes;
}

uint64_t pseudo_of(const Frame& frame, const uint8_t* data) {
  const uint8_t* ip = data + frame.l3;
  const uint32_t length = static_cast<uint32_t>(frame.length - frame.l4);
  return frame.version == 4 ? ipv4::pseudo_header(ip, frame.protocol, length)
                            : ipv6::pseudo_header(ip, frame.protocol, length);
}

void begun_checksums_are_completed() {
  for (const bool v4 : {true, false}) {
    for (uint32_t payload = 0; payload < 300; ++payload) {
      Bytes bytes = tcp_packet(v4, false, payload, tcp::kAck);
      const uint32_t l4 = v4 ? 34 : 54, length = static_cast<uint32_t>(bytes.size());
      CHECK(complete_checksum(bytes.data(), length, l4, tcp::kChecksum));
      Frame frame{};
      frame.length = static_cast<uint16_t>(length);
      CHECK(parse_ethernet(frame, bytes.data()) == DropReason::kNone);
      CHECK(checksum::verifies(pseudo_of(frame, bytes.data()), bytes.data() + l4, length - l4));
    }
  }
  Bytes bytes(40);
  CHECK(!complete_checksum(bytes.data(), 40, 40, 0));
  CHECK(!complete_checksum(bytes.data(), 40, 34, 5));
  CHECK(!complete_checksum(bytes.data(), 40, 34, 0xffff));
  CHECK(complete_checksum(bytes.data(), 40, 34, 4));
}

void large_packets_are_cut() {
  const uint8_t all = tcp::kAck | tcp::kPsh | tcp::kFin | tcp::kCwr;
  for (const bool v4 : {true, false}) {
    for (const bool tagged : {false, true}) {
      for (const uint32_t payload : {1u, 1447u, 1448u, 1449u, 2896u, 20000u, 65000u}) {
        const Bytes whole = tcp_packet(v4, tagged, payload, all);
        Segmenter segmenter;
        CHECK(segmenter.start(whole.data(), static_cast<uint32_t>(whole.size()),
                              (v4 ? offload::kTcpV4 : offload::kTcpV6) | offload::kEcn, 1448));
        Bytes joined;
        uint32_t number = 0;
        while (!segmenter.done()) {
          Bytes segment(segmenter.largest());
          const uint32_t length = segmenter.next(segment.data());
          Frame frame{};
          frame.length = static_cast<uint16_t>(length);
          CHECK(parse_ethernet(frame, segment.data()) == DropReason::kNone);
          CHECK_EQ(frame.length, length);
          const uint8_t* l4 = segment.data() + frame.l4;
          CHECK(checksum::verifies(pseudo_of(frame, segment.data()), l4, length - frame.l4));
          CHECK_EQ(tcp::sequence(l4), static_cast<uint32_t>(0xfffffff0 + joined.size()));
          if (v4) {
            CHECK_EQ(ipv4::identification(segment.data() + frame.l3), static_cast<uint16_t>(0xfffe + number));
          }
          uint8_t expected = tcp::kAck;
          if (number == 0) expected |= tcp::kCwr;
          if (segmenter.done()) expected |= tcp::kPsh | tcp::kFin;
          CHECK_EQ(tcp::flags(l4), expected);
          CHECK(std::equal(l4 + 20, l4 + 32, whole.data() + frame.l4 + 20));
          joined.insert(joined.end(), l4 + 32, static_cast<const uint8_t*>(segment.data() + length));
          ++number;
        }
        CHECK_EQ(number, (payload + 1447) / 1448);
        CHECK(joined == Bytes(whole.end() - static_cast<long>(payload), whole.end()));
      }
    }
  }
}

void what_cannot_be_cut() {
  Bytes whole = tcp_packet(true, false, 5000, tcp::kAck);
  const auto starts = [&](uint8_t type, uint16_t size) {
    Segmenter segmenter;
    const bool started = segmenter.start(whole.data(), static_cast<uint32_t>(whole.size()), type, size);
    CHECK_EQ(segmenter.done(), !started);
    return started;
  };
  CHECK(starts(offload::kTcpV4, 1000));
  CHECK(!starts(offload::kTcpV4, 0));
  CHECK(!starts(0, 1000));
  CHECK(!starts(3, 1000));                // fragments of UDP
  CHECK(!starts(offload::kUdpL4, 1000));  // not UDP
  whole[34 + 12] = 0x40;
  CHECK(!starts(offload::kTcpV4, 1000));
  whole[34 + 12] = 0x80;
  whole[16] = 0xff;
  CHECK(!starts(offload::kTcpV4, 1000));
  whole = tcp_packet(true, false, 0, tcp::kAck);
  CHECK(!starts(offload::kTcpV4, 1000));
}

}  // namespace

int main() {
  RUN(a_wire_carries_both_ways);
  RUN(a_full_wire_takes_what_fits);
  RUN(a_shut_wire_accounts_for_its_frames);
  RUN(a_wire_between_threads);
  RUN(pcap_of_every_order_and_resolution);
  RUN(pcapng_of_both_orders);
  RUN(a_capture_cut_short);
  RUN(a_capture_that_lies);
  RUN(errors_say_what_and_where);
  RUN(what_is_written_is_read);
  RUN(a_capture_as_a_port);
  RUN(a_paced_capture);
  RUN(captures_that_break_as_a_port);
  RUN(begun_checksums_are_completed);
  RUN(large_packets_are_cut);
  RUN(what_cannot_be_cut);
  const std::string remove = "rm -rf '" + temporary(nullptr) + "'";
  if (std::system(remove.c_str()) != 0) return 1;
  FINISH();
}
