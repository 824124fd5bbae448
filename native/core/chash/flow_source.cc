#include "flow_source.h"

#include <algorithm>
#include <cmath>

namespace penstock {

namespace {
constexpr uint64_t kBatch = 64;
constexpr uint64_t kLeastBytes = 1500;
// Sums of many flows stay below 2^53, what JavaScript counts exactly.
constexpr double kMostBytes = 1125899906842624.0;  // 2^50

// MurmurHash3's finalisers: each is a permutation, so different numbers make different addresses.
uint32_t mix32(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}
uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

void store_big(uint8_t* to, uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

uint32_t uniform4(const FlowSource& source, uint64_t number) {
  return mix32(static_cast<uint32_t>(number) ^ mix32(static_cast<uint32_t>(source.seed)));
}

// Of 2000::/3, global unicast.
void uniform16(const FlowSource& source, uint64_t number, uint8_t* to) {
  const uint64_t low = mix64(number ^ source.seed);
  store_big(to, (mix64(low + 1) >> 3) | uint64_t{1} << 61, 8);
  store_big(to + 8, low, 8);
}

// Hosts of a prefix; 2^63 stands for more.
uint64_t hosts_of(const FlowSource& source) {
  const unsigned bits = source.address_bytes * 8u - source.prefix_length;
  return uint64_t{1} << std::min(bits, 63u);
}

void host(const FlowSource& source, uint64_t number, uint8_t* to) {
  std::copy_n(source.prefix, source.address_bytes, to);
  for (unsigned i = source.address_bytes; number != 0; number >>= 8) {
    to[--i] |= static_cast<uint8_t>(number);
  }
}

struct Sizes {
  explicit Sizes(const FlowSource& source) : flows(static_cast<double>(source.flows)), s(source.exponent) {
    if (source.kind == FlowSource::Kind::kZipf) {
      unit = std::min<double>(kLeastBytes, kMostBytes / std::pow(flows, s));
    }
  }
  uint64_t of(uint64_t number) const {
    if (unit == 0) return 0;
    const double ratio = flows / static_cast<double>(number + 1);
    return std::max<uint64_t>(1, static_cast<uint64_t>(unit * (s == 1 ? ratio : std::pow(ratio, s))));
  }
  double flows;
  double s;
  double unit = 0;
};

GeneratedFlow generate(const FlowSource& source, const Sizes& sizes, uint64_t number) {
  GeneratedFlow flow{};
  uint64_t ports = mix64(number + source.seed);
  if (source.kind == FlowSource::Kind::kSubnet) {
    const uint64_t hosts = hosts_of(source);
    host(source, number % hosts, flow.source);
    ports = number / hosts;
  } else if (source.address_bytes == 4) {
    store_big(flow.source, uniform4(source, number), 4);
  } else {
    uniform16(source, number, flow.source);
  }
  flow.source_port = static_cast<uint16_t>(16384 + ports % 49152);
  flow.destination_port = 443;
  flow.bytes = sizes.of(number);
  return flow;
}

}  // namespace

GeneratedFlow generate_flow(const FlowSource& source, uint64_t number) {
  return generate(source, Sizes(source), number);
}

void count_generated(const FlowSource& source, uint64_t first, uint64_t end, HashKey key,
                     const FlowHasher& hasher, const FlowCells& cells, FlowCounts* counts) {
  const Sizes sizes(source);
  const bool only_source =
      key == HashKey::kSourceIp && source.address_bytes == 4 && source.kind != FlowSource::Kind::kSubnet;
  for (uint64_t at = first; at < end; at += kBatch) {
    const auto n = static_cast<unsigned>(std::min(kBatch, end - at));
    uint64_t hashes[kBatch];
    uint64_t bytes[kBatch];
    if (only_source) {
      uint32_t addresses[kBatch];
      for (unsigned i = 0; i < n; ++i) {
        store_big(reinterpret_cast<uint8_t*>(addresses + i), uniform4(source, at + i), 4);
        bytes[i] = sizes.of(at + i);
      }
      hasher.addresses4(addresses, hashes, n);
    } else {
      for (unsigned i = 0; i < n; ++i) {
        const GeneratedFlow flow = generate(source, sizes, at + i);
        const FlowKey bytes_of =
            make_flow_key(key, {flow.source, source.destination, source.address_bytes, kGeneratedProtocol,
                                true, flow.source_port, flow.destination_port});
        hashes[i] = hasher(bytes_of.bytes, bytes_of.length);
        bytes[i] = flow.bytes;
      }
    }
    for (unsigned i = 0; i < n; ++i) {
      const uint32_t cell = cells.of(hashes[i]);
      ++counts->flows[cell];
      counts->bytes[cell] += bytes[i];
    }
  }
}

}  // namespace penstock
