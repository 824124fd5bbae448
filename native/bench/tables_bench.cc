// Consistent-hash tables, one core:
//
//   tables_bench [--rounds N] [--seeds N] [--only TEXT] [--isa scalar|avx2|avx512]
//
//   tables.build.256            ms: 256 members of one weight, 65,536 slots, from names to digest
//   tables.build.weighted.256   ms: the same with weights 1 to 4
//   tables.build.distinct.256   ms: the same with 256 different weights, the most work there is
//   tables.rehome.256           ms: one of 256 members fails
//   tables.picks                million picks a second, hashes in bursts of 64, table warm
//   tables.hash.v4, .v6         million source-ip keys hashed a second, xxh64, bursts of 64
//   tables.fail.excess.N        % of the table that moves between living members when one of N fails
//   tables.second-fail.excess.N the same when a second one fails
//   tables.add.excess.N         % that moves between members that stay, one joining N - 1 or leaving N
//   tables.add.slack.excess.N   the same with 1 % slack
//   tables.weights.removed.N    the same, weights 1 to 4, one leaving N
//
// Counts are of 65,536 slots and exact: `ours` is the mean over all samples, `worst` the worst of them. One
// JSON object a line.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "chash/build.h"

namespace penstock::bench {
namespace {

constexpr uint32_t kSlots = 65536;
constexpr uint32_t kBurst = 64;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Makes the compiler believe that somebody reads what was written there.
void used(const void* memory) {
  asm volatile("" : : "r"(memory) : "memory");
}

struct Options {
  uint32_t rounds = 15;
  uint32_t seeds = 5;
  std::string only;
  chash::ScoreIsa isa = chash::best_score_isa();
};

TableInput input_of(uint32_t members, uint32_t heaviest, uint64_t seed) {
  TableInput input;
  for (uint32_t i = 0; i < members; ++i) {
    input.members.push_back(
        {"10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1 + i % heaviest});
  }
  input.size = kSlots;
  input.hasher = FlowHasher(HashFunction::kXxh64, seed);
  return input;
}

void print(const std::string& id, const char* unit, const std::vector<double>& ours,
           const std::string& more) {
  std::printf("{\"id\":\"%s\",\"unit\":\"%s\",\"ours\":[", id.c_str(), unit);
  for (size_t i = 0; i < ours.size(); ++i) std::printf("%s%.4g", i > 0 ? "," : "", ours[i]);
  std::printf("],\"peers\":{}%s}\n", more.c_str());
  std::fflush(stdout);
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  void run() {
    time_builds();
    time_picks();
    for (uint32_t n : {16u, 64u, 256u}) {
      failures(n);
      second_failures(n);
      leave("tables.add.excess.", n, 1, 0);
      leave("tables.add.slack.excess.", n, 1, 100);
      leave("tables.weights.removed.", n, 4, 0);
    }
  }

 private:
  bool wanted(const std::string& id) const { return id.find(options_.only) != std::string::npos; }

  void timed(const std::string& id, const char* unit, const std::function<double()>& measure) {
    if (!wanted(id)) return;
    measure();  // warm
    std::vector<double> values;
    for (uint32_t i = 0; i < options_.rounds; ++i) values.push_back(measure());
    print(id, unit, values, std::string(",\"isa\":\"") + chash::score_isa_name(options_.isa) + "\"");
  }

  void time_builds() {
    const struct {
      const char* id;
      uint32_t heaviest;
    } cases[] = {
        {"tables.build.256", 1}, {"tables.build.weighted.256", 4}, {"tables.build.distinct.256", 256}};
    for (const auto& c : cases) {
      const TableInput input = input_of(256, c.heaviest, 1);
      timed(c.id, "ms", [&] {
        const double start = seconds();
        const BuiltTable built = build_table(input, options_.isa);
        return 1e3 * (seconds() - start) + (built.slots.empty() ? 1e9 : 0);
      });
    }
    const BuiltTable built = build_table(input_of(256, 1, 1));
    timed("tables.rehome.256", "ms", [&] {
      const double start = seconds();
      const BuiltTable next = rehome_table(built, {"10.0.0.7"}, options_.isa);
      return 1e3 * (seconds() - start) + (next.slots.empty() ? 1e9 : 0);
    });
  }

  void time_picks() {
    constexpr uint32_t kKeys = 1 << 14;  // a working set that leaves the cache to the table
    constexpr uint32_t kTurns = 256;
    const Table::Pointer table = build_table(input_of(256, 1, 1)).table();
    std::vector<uint64_t> hashes(kKeys);
    std::vector<uint32_t> v4(kKeys);
    std::vector<uint8_t> bytes(kKeys * 16);
    auto* v6 = reinterpret_cast<uint8_t(*)[16]>(bytes.data());
    for (uint32_t i = 0; i < kKeys; ++i) {
      v4[i] = i * 2654435761u;
      std::memcpy(v6[i] + 12, &v4[i], 4);
    }
    for (uint32_t i = 0; i < kKeys; i += kBurst) table->hasher().addresses4(&v4[i], &hashes[i], kBurst);
    const auto rate = [&](const std::function<void(uint32_t)>& burst) {
      const double start = seconds();
      for (uint32_t turn = 0; turn < kTurns; ++turn) {
        for (uint32_t i = 0; i < kKeys; i += kBurst) burst(i);
      }
      return 1e-6 * kKeys * kTurns / (seconds() - start);
    };
    uint16_t members[kBurst];
    uint64_t out[kBurst];
    timed("tables.picks", "M/s", [&] {
      return rate([&](uint32_t i) {
        pick(*table, &hashes[i], members, kBurst);
        used(members);
      });
    });
    timed("tables.hash.v4", "M/s", [&] {
      return rate([&](uint32_t i) {
        table->hasher().addresses4(&v4[i], out, kBurst);
        used(out);
      });
    });
    timed("tables.hash.v6", "M/s", [&] {
      return rate([&](uint32_t i) {
        table->hasher().addresses16(&v6[i], out, kBurst);
        used(out);
      });
    });
  }

  void counted(const std::string& id, const std::vector<double>& percent) {
    double sum = 0, worst = 0;
    for (double p : percent) {
      sum += p;
      worst = std::max(worst, p);
    }
    char more[64];
    std::snprintf(more, sizeof more, ",\"worst\":%.4f,\"samples\":%zu", worst, percent.size());
    print(id, "%", {sum / static_cast<double>(percent.size())}, more);
  }

  void failures(uint32_t n) {
    const std::string id = "tables.fail.excess." + std::to_string(n);
    if (!wanted(id)) return;
    std::vector<double> percent;
    for (uint32_t seed = 0; seed < options_.seeds; ++seed) {
      const BuiltTable before = build_table(input_of(n, 1, seed));
      for (uint32_t sample = 0; sample < 8; ++sample) {
        const uint16_t gone = static_cast<uint16_t>((sample * 37 + seed) % n);
        const BuiltTable after = rehome_table(before, {before.members[gone].name});
        percent.push_back(excess(before.slots, after.slots, [&](uint16_t m) { return m != gone; }));
      }
    }
    counted(id, percent);
  }

  void second_failures(uint32_t n) {
    const std::string id = "tables.second-fail.excess." + std::to_string(n);
    if (!wanted(id)) return;
    std::vector<double> percent;
    for (uint32_t seed = 0; seed < options_.seeds; ++seed) {
      const BuiltTable built = build_table(input_of(n, 1, seed));
      for (uint32_t sample = 0; sample < 8; ++sample) {
        const uint16_t first = static_cast<uint16_t>((sample * 37 + seed) % n);
        const uint16_t second = static_cast<uint16_t>((first + 1 + sample * 5) % n);
        const BuiltTable before = rehome_table(built, {built.members[first].name});
        const BuiltTable after = rehome_table(built, {built.members[first].name, built.members[second].name});
        percent.push_back(excess(before.slots, after.slots, [&](uint16_t m) { return m != second; }));
      }
    }
    counted(id, percent);
  }

  // One of n leaves; read backwards, it joins.
  void leave(const std::string& name, uint32_t n, uint32_t heaviest, uint32_t slack) {
    const std::string id = name + std::to_string(n);
    if (!wanted(id)) return;
    std::vector<double> percent;
    for (uint32_t seed = 0; seed < options_.seeds; ++seed) {
      TableInput input = input_of(n, heaviest, seed);
      input.slack = slack;
      const BuiltTable before = build_table(input);
      for (uint32_t sample = 0; sample < 8; ++sample) {
        const uint16_t gone = static_cast<uint16_t>((sample * 37 + seed) % n);
        TableInput rest = input;
        rest.members.erase(rest.members.begin() + before.order[gone]);
        BuiltTable after = build_table(rest);
        for (uint16_t& m : after.slots) m = static_cast<uint16_t>(m + (m >= gone));
        percent.push_back(excess(before.slots, after.slots, [&](uint16_t m) { return m != gone; }));
      }
    }
    counted(id, percent);
  }

  static double excess(const std::vector<uint16_t>& before, const std::vector<uint16_t>& after,
                       const std::function<bool(uint16_t)>& stays) {
    uint32_t moved = 0;
    for (size_t s = 0; s < before.size(); ++s) moved += before[s] != after[s] && stays(before[s]);
    return 100.0 * moved / static_cast<double>(before.size());
  }

  const Options options_;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  penstock::bench::Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--rounds") options.rounds = static_cast<uint32_t>(std::atoi(value.c_str()));
    if (name == "--seeds") options.seeds = static_cast<uint32_t>(std::atoi(value.c_str()));
    if (name == "--only") options.only = value;
    if (name == "--isa") {
      using penstock::chash::ScoreIsa;
      options.isa = value == "scalar" ? ScoreIsa::kScalar
                    : value == "avx2" ? ScoreIsa::kAvx2
                                      : ScoreIsa::kAvx512;
    }
  }
  if (!penstock::chash::score_isa_available(options.isa)) {
    std::fprintf(stderr, "this processor does not have %s\n", penstock::chash::score_isa_name(options.isa));
    return 2;
  }
  penstock::bench::Bench(options).run();
  return 0;
}
