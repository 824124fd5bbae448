// What ESP adds to the bare cipher: esp_seal and esp_open in bursts, and gcm_seal and gcm_open over the same
// packets and keys, in turn.
//
//   esp_bench [--rounds N] [--passes N] [--only TEXT]
//
//   esp.seal.imix, esp.open.imix            1,000 SAs at random, AES-256-GCM, selectors, SECGW-IMIX
//   esp.seal.imix.sas-1, .sas-10000, …      the same with one, with ten thousand
//   esp.seal.64, …                          the shortest packets alone, where overhead shows
//
// The packets lie as frames do, 1,024 of them. Before each pass, untimed, inner headers (or, for opening, the
// sealed packets and the windows) are put back. A round's value is the median of its passes; ours and the
// kernel's passes alternate. One JSON object a line.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "esp/esp_open.h"
#include "esp/esp_seal.h"
#include "measure.h"

namespace penstock::bench {
namespace {

constexpr unsigned kPackets = 1024;
constexpr unsigned kBurstPackets = 32;
constexpr unsigned kStride = 4096;
constexpr unsigned kMostHeaders = 40;

struct Size {
  unsigned length, percent;
};
constexpr Size kImix[] = {{64, 8}, {127, 36}, {255, 11}, {511, 4}, {1024, 2}, {1518, 39}};

unsigned draw(Random& random, unsigned fixed) {
  if (fixed != 0) return fixed;
  unsigned at = static_cast<unsigned>(random.next() % 100);
  for (const Size& size : kImix) {
    if (at < size.percent) return size.length;
    at -= size.percent;
  }
  return kImix[5].length;
}

struct Question {
  std::string id;
  bool sealing;
  unsigned length;  // 0: the mix
  unsigned sas;
};

class Bench {
 public:
  explicit Bench(const Question& question)
      : question_(question),
        out_(new OutboundSa[question.sas]),
        in_(new InboundSa[question.sas]),
        memory_(kPackets * kStride) {
    Random random{11};
    for (unsigned i = 0; i < question.sas; ++i) make_sas(i, random);
    for (unsigned i = 0; i < kPackets; ++i) {
      Packet& packet = packets_[i];
      packet.length = std::max(28u, draw(random, question.length));
      packet.sa = static_cast<unsigned>(random.next() % question.sas);
      packet.inner = memory_.data() + i * kStride + 256 + (i & 7) * 64;
      const ipv4::Fields fields = {.total_length = packet.length, .protocol = protocol::kUdp};
      const uint8_t from[4] = {10, 1, 0, 1};
      const uint8_t to[4] = {10, 2, 0, 1};
      for (unsigned b = 0; b < packet.length; ++b) packet.inner[b] = static_cast<uint8_t>(random.next());
      ipv4::write(packet.inner, fields, from, to);
      std::memcpy(packet.header, packet.inner, sizeof packet.header);
      bytes_ += packet.length;
    }
    if (!question.sealing) {
      seal_pass();
      sealed_ = memory_;
    }
  }

  double bytes() const { return bytes_; }
  bool good() const { return good_; }

  uint64_t ours() { return question_.sealing ? seal_pass() : open_pass(); }

  // The same burst with everything but the cipher done before.
  uint64_t kernel() {
    put_back();
    std::vector<GcmOp> ops(kPackets);
    std::vector<uint8_t> aads(kPackets * 8, 7);
    for (unsigned i = 0; i < kPackets; ++i) {
      const Packet& packet = packets_[i];
      GcmOp& op = ops[i];
      op = {};
      op.key = &out_[packet.sa].key;
      op.length = (packet.length + 5) & ~3u;
      op.in = op.out = packet.inner;
      op.tag = packet.inner + op.length;
      op.aad_length = 8;
      if (question_.sealing) {
        op.aad = &aads[i * 8];
      } else {
        op.aad = packet.inner - esp::kPayload;
        std::memcpy(op.nonce, &out_[packet.sa].salt, 4);
        std::memcpy(op.nonce + 4, packet.inner - 8, 8);
      }
    }
    const uint64_t start = ticks();
    for (unsigned first = 0; first < kPackets; first += kBurstPackets) {
      if (question_.sealing) {
        gcm_seal(&ops[first], kBurstPackets);
      } else {
        good_ &= gcm_open(&ops[first], kBurstPackets) == (1ull << kBurstPackets) - 1;
      }
    }
    return ticks() - start;
  }

 private:
  struct Packet {
    uint8_t* inner;
    unsigned length;
    unsigned sa;
    uint8_t header[28];
  };

  void make_sas(unsigned i, Random& random) {
    uint8_t key[36];
    for (uint8_t& b : key) b = static_cast<uint8_t>(random.next());
    const uint8_t four[4] = {192, 0, 2, 1};
    const uint8_t zeros[4] = {};
    OutboundSaOptions out;
    out.spi = 4096 + i;
    out.key = key;
    out.key_bytes = sizeof key;
    out.node_id = 1;
    out.mtu = 9000;
    out.source = out.destination = Address::v4(four);
    TrafficSelector any;
    any.local = any.remote = Address::v4(zeros);
    any.local_length = any.remote_length = 96;
    out.selectors = {any};
    InboundSaOptions in;
    static_cast<SaOptions&>(in) = out;
    if (!out_[i].init(out).empty() || !in_[i].init(in).empty()) std::abort();
  }

  void put_back() {
    if (sealed_.empty()) {
      for (Packet& packet : packets_) std::memcpy(packet.inner, packet.header, sizeof packet.header);
      return;
    }
    for (Packet& packet : packets_) {
      const size_t at = static_cast<size_t>(packet.inner - memory_.data()) - kMostHeaders;
      std::memcpy(packet.inner - kMostHeaders, sealed_.data() + at, packet.length + kMostHeaders + 32);
    }
    for (unsigned i = 0; i < question_.sas; ++i) in_[i].window.init(64, 0, false);
  }

  uint64_t seal_pass() {
    put_back();
    std::vector<SealItem> items(kPackets);
    for (unsigned i = 0; i < kPackets; ++i) {
      items[i].sa = &out_[packets_[i].sa];
      items[i].packet = packets_[i].inner;
      items[i].length = packets_[i].length;
    }
    const uint64_t start = ticks();
    for (unsigned first = 0; first < kPackets; first += kBurstPackets)
      esp_seal(&items[first], kBurstPackets, 1);
    const uint64_t spent = ticks() - start;
    for (const SealItem& item : items) good_ &= item.drop == DropReason::kNone;
    return spent;
  }

  uint64_t open_pass() {
    put_back();
    std::vector<OpenItem> items(kPackets);
    for (unsigned i = 0; i < kPackets; ++i) {
      items[i].sa = &in_[packets_[i].sa];
      items[i].esp = packets_[i].inner - esp::kPayload;
      items[i].length = esp::kPayload + ((packets_[i].length + 5) & ~3u) + kGcmTagBytes;
      items[i].outer_tos = 0;
    }
    const uint64_t start = ticks();
    for (unsigned first = 0; first < kPackets; first += kBurstPackets)
      esp_open(&items[first], kBurstPackets, 1);
    const uint64_t spent = ticks() - start;
    for (const OpenItem& item : items) good_ &= item.drop == DropReason::kNone;
    return spent;
  }

  const Question question_;
  std::unique_ptr<OutboundSa[]> out_;
  std::unique_ptr<InboundSa[]> in_;
  std::vector<uint8_t> memory_;
  std::vector<uint8_t> sealed_;
  Packet packets_[kPackets];
  double bytes_ = 0;
  bool good_ = true;
};

bool ask(const Question& question, unsigned rounds, unsigned passes, double rate) {
  auto bench = std::make_unique<Bench>(question);
  Line line{question.id, "Gbit/s", {}, {{"kernel", {}}}, {{"cyclesPerPacket", {}}}};
  for (unsigned round = 0; round < rounds; ++round) {
    std::vector<double> ours, kernel;
    for (unsigned pass = 0; pass < passes + 2; ++pass) {
      const auto x = static_cast<double>(bench->ours());
      const auto y = static_cast<double>(bench->kernel());
      if (pass < 2) continue;
      ours.push_back(x);
      kernel.push_back(y);
    }
    line.ours.push_back(bench->bytes() * 8 / (median(ours) / rate) / 1e9);
    line.peers[0].second.push_back(bench->bytes() * 8 / (median(kernel) / rate) / 1e9);
    line.more[0].second.push_back(median(ours) / kPackets);
  }
  if (!bench->good()) {
    std::fprintf(stderr, "%s: a packet was dropped\n", question.id.c_str());
    return false;
  }
  line.print();
  return true;
}

int run(int argc, char** argv) {
  unsigned rounds = 7;
  unsigned passes = 15;
  std::string only;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 < argc && name == "--rounds") {
      rounds = static_cast<unsigned>(std::max(1L, std::strtol(argv[i + 1], nullptr, 10)));
    } else if (i + 1 < argc && name == "--passes") {
      passes = static_cast<unsigned>(std::max(1L, std::strtol(argv[i + 1], nullptr, 10)));
    } else if (i + 1 < argc && name == "--only") {
      only = argv[i + 1];
    } else {
      std::fprintf(stderr, "esp_bench [--rounds N] [--passes N] [--only TEXT]\n");
      return 2;
    }
  }
  const double rate = ticks_per_second();
  std::printf("{\"environment\":{\"kernel\":\"%s\",\"ticksPerSecond\":%.0f}}\n", gcm_kernel(), rate);
  std::vector<Question> questions;
  for (const bool sealing : {true, false}) {
    const std::string stem = sealing ? "esp.seal." : "esp.open.";
    questions.push_back({stem + "imix", sealing, 0, 1000});
    questions.push_back({stem + "imix.sas-1", sealing, 0, 1});
    questions.push_back({stem + "imix.sas-10000", sealing, 0, 10000});
    questions.push_back({stem + "64", sealing, 64, 1000});
    questions.push_back({stem + "64.sas-1", sealing, 64, 1});
  }
  for (const Question& question : questions) {
    if (question.id.find(only) != std::string::npos && !ask(question, rounds, passes, rate)) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::run(argc, argv);
}
