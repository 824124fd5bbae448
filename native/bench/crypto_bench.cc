// AES-GCM in bursts of 32, ours and the peers' in one run:
//
//   crypto_bench [--rounds N] [--seconds-per-round S] [--kernel NAME] [--ipsec-mb auto|avx2] [--only TEXT]
//
// A question is one packet size (or mix), key length, direction and number of keys. A round asks every
// contestant in turn, so that a machine whose speed drifts drifts under all of them. Within its slice of a
// round a contestant goes over the same packets again and again; the round's value is the median of those
// passes, which a preempted pass does not move. Opening in place destroys its input, so that the ciphertext
// is put back before each pass, untimed. Output: one JSON object per line, the environment first, then one
// per question.
#include <time.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "crypto/aes_gcm.h"
#include "crypto_contestants.h"
#ifdef PENSTOCK_X86
#include <x86intrin.h>
#endif

namespace penstock::bench {
namespace {

constexpr unsigned kBurst = 32;

uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t ticks() {
#ifdef PENSTOCK_X86
  return __rdtsc();
#else
  return nanoseconds();
#endif
}

double ticks_per_second() {
  const uint64_t t0 = nanoseconds();
  const uint64_t c0 = ticks();
  while (nanoseconds() - t0 < 50'000'000) {
  }
  const uint64_t c1 = ticks();
  return static_cast<double>(c1 - c0) * 1e9 / static_cast<double>(nanoseconds() - t0);
}

// A fixed sequence (splitmix64): every run and every contestant sees the same packets.
struct Sequence {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

struct Options {
  unsigned rounds = 9;
  double seconds = 0.02;
  std::string kernel;
  std::string ipsec_mb = "auto";
  std::string only;
};

struct Question {
  std::string id;
  unsigned key_bytes;
  bool sealing;
  unsigned length;  // 0: the SECGW-IMIX
  unsigned keys;
};

// SECGW-IMIX: sizes and percentages of packets.
constexpr struct {
  unsigned length, percent;
} kImix[] = {{64, 8}, {127, 36}, {255, 11}, {511, 4}, {1024, 2}, {1518, 39}};

unsigned draw_imix(Sequence& random) {
  unsigned at = static_cast<unsigned>(random.next() % 100);
  for (const auto& size : kImix) {
    if (at < size.percent) return size.length;
    at -= size.percent;
  }
  return 1518;
}

struct Value {
  double gbps, cycles_per_byte, cycles_per_packet;
};

// The packets of one question: as many bursts as fit into 32 kB, or with many keys 1,024 packets.
class Pool {
 public:
  Pool(const Question& question) : question_(question) {
    Sequence random{7};
    for (unsigned i = 0; i < question.keys; ++i) {
      std::vector<uint8_t>& key = keys_.emplace_back(question.key_bytes);
      for (uint8_t& b : key) b = static_cast<uint8_t>(random.next());
    }
    const bool large = question.keys > 1 || question.length == 0;
    const unsigned bursts = large ? 32 : std::max(1u, 32768 / (question.length * kBurst));
    size_t bytes = 0;
    for (unsigned i = 0; i < bursts * kBurst; ++i) {
      Packet p{};
      p.length = question.length != 0 ? question.length : draw_imix(random);
      p.key = static_cast<uint32_t>(random.next() % question.keys);
      for (uint8_t& b : p.nonce) b = static_cast<uint8_t>(random.next());
      for (uint8_t& b : p.aad) b = static_cast<uint8_t>(random.next());
      packets_.push_back(p);
      bytes += stride(p.length);
    }
    memory_.resize(bytes);
    for (uint8_t& b : memory_) b = static_cast<uint8_t>(random.next());
    uint8_t* at = memory_.data();
    for (Packet& p : packets_) {
      p.data = at + 8;  // behind an ESP header and IV, text starts 8 bytes past a multiple of 16
      at += stride(p.length);
      bytes_ += p.length;
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Runs one contestant for a slice of a round; false if what it opened did not verify.
  bool run(Contestant& contestant, double seconds, double tick_rate, Value& value) {
    contestant.prepare(keys_, packets_);
    if (!question_.sealing) {
      each_burst([&](unsigned first) { contestant.seal(first, kBurst); });
      sealed_ = memory_;
    }
    std::vector<uint64_t> passes;
    const uint64_t end = ticks() + static_cast<uint64_t>(seconds * tick_rate);
    bool good = true;
    for (unsigned warm = 0; passes.empty() || ticks() < end; ++warm) {
      uint64_t spent = 0;
      if (question_.sealing) {
        const uint64_t start = ticks();
        each_burst([&](unsigned first) { contestant.seal(first, kBurst); });
        spent = ticks() - start;
      } else {
        std::memcpy(memory_.data(), sealed_.data(), memory_.size());
        unsigned verified = 0;
        const uint64_t start = ticks();
        each_burst([&](unsigned first) { verified += contestant.open(first, kBurst); });
        spent = ticks() - start;
        good = good && verified == packets_.size();
      }
      if (warm >= 2) passes.push_back(spent);
    }
    std::nth_element(passes.begin(), passes.begin() + static_cast<long>(passes.size() / 2), passes.end());
    const double cycles = static_cast<double>(passes[passes.size() / 2]);
    value.cycles_per_byte = cycles / static_cast<double>(bytes_);
    value.cycles_per_packet = cycles / static_cast<double>(packets_.size());
    value.gbps = static_cast<double>(bytes_) * 8 / (cycles / tick_rate) / 1e9;
    return good;
  }

 private:
  static size_t stride(unsigned length) { return (length + 16 + 8 + 63) & ~size_t{63}; }
  template <typename Body>
  void each_burst(Body body) {
    for (unsigned first = 0; first < packets_.size(); first += kBurst) body(first);
  }

  Question question_;
  std::vector<std::vector<uint8_t>> keys_;
  std::vector<Packet> packets_;
  std::vector<uint8_t> memory_;
  std::vector<uint8_t> sealed_;
  size_t bytes_ = 0;
};

std::vector<Question> questions(const std::string& only) {
  std::vector<Question> all;
  for (const unsigned key_bytes : {16u, 32u}) {
    for (const bool sealing : {true, false}) {
      const std::string stem = std::string("crypto.aes") + (key_bytes == 16 ? "128" : "256") +
                               (sealing ? ".encrypt." : ".decrypt.");
      for (const unsigned length : {64u, 127u, 255u, 511u, 1024u, 1424u, 1518u}) {
        all.push_back({stem + std::to_string(length), key_bytes, sealing, length, 1});
      }
      all.push_back({stem + "64.keys1000", key_bytes, sealing, 64, 1000});
      all.push_back({stem + "imix.keys1", key_bytes, sealing, 0, 1});
      all.push_back({stem + "imix.keys1000", key_bytes, sealing, 0, 1000});
    }
  }
  std::erase_if(all, [&](const Question& q) { return q.id.find(only) == std::string::npos; });
  return all;
}

void print_list(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\":[", name);
  for (size_t i = 0; i < values.size(); ++i) std::printf("%s%.4g", i > 0 ? "," : "", values[i]);
  std::printf("]");
}

// One figure of every contestant, best of those that share a name.
struct Answers {
  std::vector<double> ours, per_byte, per_packet;
  std::vector<std::pair<std::string, std::vector<double>>> peers;
};

void print_answers(const Question& question, const Answers& answers) {
  std::printf("{\"id\":\"%s\",\"unit\":\"Gbit/s\",", question.id.c_str());
  print_list("ours", answers.ours);
  std::printf(",\"peers\":{");
  for (size_t i = 0; i < answers.peers.size(); ++i) {
    if (i > 0) std::printf(",");
    print_list(answers.peers[i].first.c_str(), answers.peers[i].second);
  }
  std::printf("},");
  print_list("cyclesPerByte", answers.per_byte);
  std::printf(",");
  print_list("cyclesPerPacket", answers.per_packet);
  std::printf("}\n");
  std::fflush(stdout);
}

bool ask(const Question& question, const std::vector<std::unique_ptr<Contestant>>& contestants,
         const Options& options, double tick_rate) {
  Pool pool(question);
  Answers answers;
  for (unsigned round = 0; round < options.rounds; ++round) {
    for (const auto& contestant : contestants) {
      Value value{};
      if (!pool.run(*contestant, options.seconds, tick_rate, value)) {
        std::fprintf(stderr, "%s: %s: a tag did not verify\n", question.id.c_str(),
                     contestant->name().c_str());
        return false;
      }
      if (contestant == contestants[0]) {
        answers.ours.push_back(value.gbps);
        answers.per_byte.push_back(value.cycles_per_byte);
        answers.per_packet.push_back(value.cycles_per_packet);
        continue;
      }
      auto peer = std::find_if(answers.peers.begin(), answers.peers.end(),
                               [&](const auto& p) { return p.first == contestant->name(); });
      if (peer == answers.peers.end()) {
        answers.peers.push_back({contestant->name(), {}});
        peer = answers.peers.end() - 1;
      }
      if (peer->second.size() == round) {
        peer->second.push_back(value.gbps);
      } else {
        peer->second[round] = std::max(peer->second[round], value.gbps);
      }
    }
  }
  print_answers(question, answers);
  return true;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* text = argv[i + 1];
    if (name == "--rounds") {
      options.rounds = static_cast<unsigned>(std::max(1L, std::strtol(text, nullptr, 10)));
    } else if (name == "--seconds-per-round") {
      options.seconds = std::strtod(text, nullptr);
    } else if (name == "--kernel") {
      options.kernel = text;
    } else if (name == "--ipsec-mb" && (std::strcmp(text, "auto") == 0 || std::strcmp(text, "avx2") == 0)) {
      options.ipsec_mb = text;
    } else if (name == "--only") {
      options.only = text;
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "crypto_bench [--rounds N] [--seconds-per-round S] [--kernel NAME] [--ipsec-mb auto|avx2] "
                 "[--only TEXT]\n");
    return 2;
  }
  const char* error =
      options.kernel.empty() ? gcm_startup_error() : gcm_select_kernel(options.kernel.c_str());
  if (error != nullptr) {
    std::fprintf(stderr, "%s\n", error);
    return 2;
  }
  std::vector<std::unique_ptr<Contestant>> contestants;
  contestants.push_back(make_penstock());
  for (auto& peer : make_ipsec_mb(options.ipsec_mb)) contestants.push_back(std::move(peer));
  if (contestants.size() == 1)
    std::fprintf(stderr, "libipsec-mb was not found at build time: not compared\n");
  const size_t before = contestants.size();
  for (auto& peer : make_openssl()) contestants.push_back(std::move(peer));
  if (contestants.size() == before)
    std::fprintf(stderr, "OpenSSL was not found at build time: not compared\n");

  const double tick_rate = ticks_per_second();
  std::printf("{\"environment\":{\"kernel\":\"%s\",\"ticksPerSecond\":%.0f,\"burst\":%u,\"peers\":{",
              gcm_kernel(), tick_rate, kBurst);
  std::string last;
  for (size_t i = 1; i < contestants.size(); ++i) {
    if (contestants[i]->name() == last) continue;
    std::printf("%s\"%s\":\"%s\"", last.empty() ? "" : ",", contestants[i]->name().c_str(),
                contestants[i]->version().c_str());
    last = contestants[i]->name();
  }
  std::printf("}}}\n");
  for (const Question& question : questions(options.only)) {
    if (!ask(question, contestants, options, tick_rate)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::run(argc, argv);
}
