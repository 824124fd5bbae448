// Whole paths, memory to memory, on the core's own loop and one worker:
//
//   path_bench [--rounds N] [--passes N] [--question esp|router|scale] [--only TEXT]
//
//   esp.inbound.imix, esp.outbound.imix   a gateway with 1,000 tunnels, AES-256-GCM, sessions, policies,
//                                         selectors; peer "kernel": the cipher alone, same sizes, same round
//   esp.inbound.imix.tunnels-10000, …     growth with tunnels
//   router.v4.64, router.v6.64            filter-based forwarding, 256 members, a million flows
//   scale.1, .2, .4                       gateways behind the router at one offered load
//
// Packets are made, and sealed where they must be, before the clock starts: 2,048 frames at a time, more than
// the L2 cache holds, as a card would have put them into memory. What is timed is the nodes' turns until all
// have left. A round is the median of its passes. One JSON object a line.
#include "path_scale.h"

namespace penstock::bench {
namespace {

struct Arguments {
  unsigned rounds = 7;
  unsigned passes = 25;
  std::string question;  // what ids begin with
  std::string only;      // what they contain

  bool wants(const std::string& id) const {
    return id.rfind(question, 0) == 0 && id.find(only) != std::string::npos;
  }
} arguments;

// The first round warms up: sessions are set up, memory is touched.
template <typename Pass>
void rounds(Pass pass) {
  for (unsigned round = 0; round <= arguments.rounds; ++round) pass(round > 0);
}

void esp(const std::string& id, bool inbound, uint32_t tunnels, double frequency) {
  if (!arguments.wants(id)) return;
  GatewayBench bench(tunnels);
  KernelBench kernel(tunnels);
  Stopwatch watch;
  Line line{id, "Gbit/s", {}, {{"kernel", {}}}, {}};
  rounds([&](bool counts) {
    Round round;
    std::vector<double> rates, kernel_rates;
    for (unsigned i = 0; i < arguments.passes; ++i) {
      watch.reset();
      const auto bits = static_cast<double>(bench.pass(inbound, watch)) * 8;
      round.add(watch, kBatch);
      rates.push_back(bits * frequency / watch.ticks() / 1e9);
      watch.reset();
      kernel.pass(inbound, watch);
      kernel_rates.push_back(bits * frequency / watch.ticks() / 1e9);
    }
    if (!counts) return;
    line.ours.push_back(median(rates));
    line.peers[0].second.push_back(median(kernel_rates));
    round.count_into(line);
  });
  line.print();
}

void router(const std::string& id, bool v6, double frequency) {
  if (!arguments.wants(id)) return;
  RouterBench bench(v6);
  Stopwatch watch;
  Line line{id, "ns/packet", {}, {}, {}};
  rounds([&](bool counts) {
    Round round;
    for (unsigned i = 0; i < arguments.passes * 4; ++i) {
      watch.reset();
      bench.pass(watch);
      round.add(watch, kBatch);
    }
    if (!counts) return;
    line.ours.push_back(round.ticks_per_packet() / frequency * 1e9);
    round.count_into(line);
  });
  line.print();
}

// The shares of what the gateways opened.
std::vector<double> shares_of(const ScaleBench& bench) {
  double all = 0;
  std::vector<double> shares;
  for (const Forwarder* gateway : bench.gateways) {
    shares.push_back(static_cast<double>(gateway->total(Counter::esp_opened)));
    all += shares.back();
  }
  for (double& share : shares) share /= all;
  return shares;
}

// Takes turns with all that are wanted, so that they meet the same machine.
void scale(double frequency) {
  std::vector<std::unique_ptr<ScaleBench>> benches;
  std::vector<Line> lines;
  for (const uint32_t gateways : {1u, 2u, 4u}) {
    const std::string id = "scale." + std::to_string(gateways);
    if (!arguments.wants(id)) continue;
    benches.push_back(std::make_unique<ScaleBench>(gateways));
    lines.push_back({id, "Mpps", {}, {}, {}});
  }
  Stopwatch watch;
  rounds([&](bool counts) {
    std::vector<Round> all(benches.size());
    for (unsigned i = 0; i < arguments.passes; ++i) {
      for (size_t b = 0; b < benches.size(); ++b) {
        watch.reset();
        benches[b]->pass(watch);
        all[b].add(watch, kBatch);
      }
    }
    for (size_t b = 0; counts && b < benches.size(); ++b) {
      lines[b].ours.push_back(frequency / all[b].ticks_per_packet() / 1e6);
      all[b].count_into(lines[b]);
    }
  });
  for (size_t b = 0; b < benches.size(); ++b) {
    lines[b].more.push_back({"shares", shares_of(*benches[b])});
    lines[b].print();
  }
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  using namespace penstock::bench;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--rounds") arguments.rounds = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (name == "--passes") arguments.passes = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (name == "--question") arguments.question = argv[i + 1];
    if (name == "--only") arguments.only = argv[i + 1];
  }
  const double frequency = ticks_per_second();
  std::printf("{\"environment\":{\"tscHz\":%.0f,\"kernel\":\"%s\",\"batch\":%u}}\n", frequency,
              penstock::gcm_kernel(), kBatch);
  esp("esp.inbound.imix", true, 1000, frequency);
  esp("esp.outbound.imix", false, 1000, frequency);
  for (const uint32_t tunnels : {1u, 100u, 10000u}) {
    const std::string suffix = ".tunnels-" + std::to_string(tunnels);
    esp("esp.inbound.imix" + suffix, true, tunnels, frequency);
    esp("esp.outbound.imix" + suffix, false, tunnels, frequency);
  }
  router("router.v4.64", false, frequency);
  router("router.v6.64", true, frequency);
  scale(frequency);
  return 0;
}
