// The contestant of this project: a node with one worker between two interfaces of its namespace.
#pragma once
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "../test/lab.h"
#include "esp/esp_seal.h"
#include "measure.h"
#include "packet/ethernet.h"
#include "port/af_packet.h"
#include "port/af_xdp.h"
#include "traffic.h"

namespace penstock::bench {

constexpr uint32_t kIoTunnels = TRAFFIC_TUNNELS;

// From port to port with new MAC addresses; through a node, which routes; through a gateway, which seals.
enum class IoWork : uint8_t { kPass, kRoute, kSeal };

struct IoNode {
  std::string port;  // af_xdp, af_packet
  std::string in, out;
  IoWork work = IoWork::kRoute;
};

[[noreturn]] inline void io_fails(const std::string& text) {
  std::fprintf(stderr, "io_bench: %s\n", text.c_str());
  std::exit(1);
}

inline void add_io_port(Lab& lab, Node& node, const std::string& kind, const std::string& interface) {
  std::vector<std::unique_ptr<Port>> ports;
  SocketError error;
  const auto take = [&](auto opened) {
    error = opened.error;
    for (auto& port : opened.ports) ports.push_back(std::move(port));
  };
  if (kind == "af_xdp") {
    AfXdpOptions options;
    options.interface = interface;
    take(AfXdpPort::open(options, lab.plane.pool()));
  } else {
    AfPacketOptions options;
    options.interface = interface;
    take(AfPacketPort::open(options));
  }
  if (ports.empty()) io_fails(error.text);
  node.add_port(std::move(ports));
}

inline Address io_client(uint32_t tunnel, uint32_t host) {
  return ip4(10, static_cast<uint8_t>(tunnel >> 8), static_cast<uint8_t>(tunnel),
             static_cast<uint8_t>(1 + host));
}

inline void add_io_tunnel(Forwarder& node, Build& tables, uint32_t tunnel, Random& random) {
  uint8_t key[36];
  for (uint8_t& byte : key) byte = static_cast<uint8_t>(random.next());
  TrafficSelector selector;
  selector.local = ip4(0, 0, 0, 0);
  selector.local_length = 96;
  selector.remote = io_client(tunnel, 255);
  selector.remote_length = 120;
  OutboundSaOptions out;
  out.spi = 0x10000 + tunnel;
  out.key = key;
  out.key_bytes = 36;
  out.source = ip4(203, 0, 113, 1);
  out.destination = ip4(198, 51, 100, 1);
  out.node_id = 1;
  out.mtu = 1700;
  out.tunnel = tunnel;
  out.selectors = {selector};
  std::string error;
  const uint32_t index = node.add_outbound_sa(out, error);
  if (!error.empty()) io_fails(error);
  tables.route(io_client(tunnel, 255), 24, {NextHop::Kind::kTunnel, index, 2, 0});
}

// Runs until the process is killed.
[[noreturn]] inline void pass_on(Lab& lab, Node& node, uint16_t out) {
  FrameCache& cache = lab.plane.cache(0);
  FramePool& pool = lab.plane.pool();
  FrameIndex frames[kBurst];
  const uint8_t to[6] = {2, 0, 0, 0, 9, 9}, from[6] = {2, 0, 0, 0, 0, 2};
  for (;;) {
    const uint64_t now = nanoseconds();
    const uint32_t count = node.port(0, 0).receive(cache, now, frames, kBurst);
    for (uint32_t i = 0; i < count; ++i) {
      if (i + 4 < count) __builtin_prefetch(pool.data(frames[i + 4]));
      uint8_t* packet = pool.data(frames[i]);
      mac::copy(packet, to);
      mac::copy(packet + ethernet::kSource, from);
    }
    uint32_t sent = node.port(out, 0).transmit(cache, frames, count);
    cache.free(frames + sent, count - sent);
    // whatever comes in by the other port goes nowhere
    if (out != 0) cache.free(frames, node.port(out, 0).receive(cache, now, frames, kBurst));
  }
}

// Runs until the process is killed.
[[noreturn]] inline void run_io_node(const IoNode& options) {
  Lab lab(1, 16384);
  ForwarderOptions limits;
  limits.sa_limit = kIoTunnels;
  limits.neighbour_limit = 64;
  limits.sessions.limit = 65536;
  auto made = std::make_unique<Forwarder>("io", 1, limits);
  Forwarder& node = *made;
  lab.plane.add_node(std::move(made));
  add_io_port(lab, node, options.port, options.in);
  if (options.out != options.in) add_io_port(lab, node, options.port, options.out);
  const uint16_t out = options.out == options.in ? 0 : 1;
  Build tables;
  tables.flow->sessions = options.work == IoWork::kSeal;
  tables.policies->default_permit = true;
  tables.interface(0, 1, {ip4(192, 0, 2, 254)}, 2000, 1);
  if (out == 1) tables.interface(1, 2, {ip4(203, 0, 113, 1)}, 2000, 2);
  tables.interfaces->index_ports(node.ports());
  Tables parts;
  parts.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
  node.publish(parts);
  const uint32_t neighbour = node.neighbour(out, out == 1 ? ip4(203, 0, 113, 2) : ip4(192, 0, 2, 1));
  const uint8_t mac[6] = {2, 0, 0, 0, 9, 9};
  node.neighbours().learn(neighbour, mac, ~0ull >> 2);
  tables.route(ip4(198, 51, 100, 0), 24, {NextHop::Kind::kNeighbour, neighbour});
  tables.route(ip4(10, 0, 0, 0), 8, {NextHop::Kind::kNeighbour, neighbour});
  Random random;
  for (uint32_t tunnel = 0; (options.work == IoWork::kSeal) && tunnel < kIoTunnels; ++tunnel) {
    add_io_tunnel(node, tables, tunnel, random);
  }
  tables.publish(node);
  if (options.work == IoWork::kPass) pass_on(lab, node, out);
  const char* const verbose = std::getenv("IO_BENCH_VERBOSE");
  for (uint64_t turns = 1;; ++turns) {
    lab.plane.poll_worker(0, 1'000'000);
    lab.plane.collect();
    if (verbose != nullptr && turns % 1000 == 0) lab.print_drops();
  }
}

}  // namespace penstock::bench
