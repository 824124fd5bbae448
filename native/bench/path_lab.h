// A plane with ports that give what was laid in and take what leaves, and the packets that go through it.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../test/lab.h"
#include "chash/build.h"
#include "esp/esp_seal.h"
#include "measure.h"
#include "packet/parse.h"

namespace penstock::bench {

// Frames laid in at a time: more than the L2 cache holds, as a card would have put them into memory.
constexpr uint32_t kBatch = 2048;
constexpr uint16_t kImix[] = {64, 127, 255, 511, 1024, 1518};
constexpr unsigned kImixWeights[] = {8, 36, 11, 4, 2, 39};

// A hundred sizes in a fixed shuffled order.
inline std::vector<uint16_t> imix() {
  std::vector<uint16_t> sizes;
  for (unsigned i = 0; i < 6; ++i) sizes.insert(sizes.end(), kImixWeights[i], kImix[i]);
  Random random;
  for (size_t i = sizes.size() - 1; i > 0; --i) std::swap(sizes[i], sizes[random.next() % (i + 1)]);
  return sizes;
}

// Gives what was laid in, takes what leaves.
class BenchPort : public Port {
 public:
  uint32_t receive(FrameCache&, uint64_t now, FrameIndex* frames, uint32_t count) override {
    const uint32_t give = std::min<uint32_t>(count, static_cast<uint32_t>(in.size() - given));
    for (uint32_t i = 0; i < give; ++i) {
      frames[i] = in[given + i];
      pool->frame(frames[i]).received = now;
    }
    given += give;
    return give;
  }
  uint32_t transmit(FrameCache&, const FrameIndex* frames, uint32_t count) override {
    out.insert(out.end(), frames, frames + count);
    return count;
  }
  bool empty() const { return given == in.size(); }
  void reset(FrameCache& cache) {
    cache.free(out.data(), static_cast<uint32_t>(out.size()));
    in.clear();
    out.clear();
    given = 0;
  }

  FramePool* pool = nullptr;
  std::vector<FrameIndex> in;
  std::vector<FrameIndex> out;
  size_t given = 0;
};

inline BenchPort& add_bench_port(Lab& lab, Node& node) {
  auto port = std::make_unique<BenchPort>();
  port->pool = &lab.plane.pool();
  port->in.reserve(kBatch);
  port->out.reserve(kBatch);
  BenchPort& made = *port;
  std::vector<std::unique_ptr<Port>> ports;
  ports.push_back(std::move(port));
  node.add_port(std::move(ports));
  return made;
}

inline void learn(Forwarder& node, uint32_t neighbour, uint8_t last) {
  const uint8_t mac[6] = {2, 0, 0, 0, 9, last};
  node.neighbours().learn(neighbour, mac, ~0ull >> 2);
}

// An inner UDP packet at `ip`.
inline void write_udp(uint8_t* ip, uint32_t length, const Address& from, const Address& to,
                      uint16_t source_port) {
  std::memset(ip, 0, 48);
  uint8_t* udp;
  if (from.is_v4()) {
    ipv4::write(ip, {.total_length = length, .protocol = protocol::kUdp}, from.v4_bytes(), to.v4_bytes());
    udp = ip + ipv4::kHeaderBytes;
  } else {
    ipv6::write(ip, {.payload_length = length - ipv6::kHeaderBytes, .next_header = protocol::kUdp},
                from.bytes(), to.bytes());
    udp = ip + ipv6::kHeaderBytes;
  }
  udp::write(udp, source_port, 53, length - static_cast<uint32_t>(udp - ip));
}

inline std::shared_ptr<const Table> shared(Table::Pointer table) {
  const auto deleter = table.get_deleter();
  return {table.release(), [deleter](const Table* made) { deleter(const_cast<Table*>(made)); }};
}

// Ends the program unless a whole batch came through.
inline void require_all(Lab& lab, size_t came_through) {
  if (came_through == kBatch) return;
  std::fprintf(stderr, "path_bench: %zu of %u packets came through\n", came_through, kBatch);
  lab.print_drops();
  std::exit(1);
}

}  // namespace penstock::bench
