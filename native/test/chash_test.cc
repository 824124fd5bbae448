// The hash functions against published values, keys, and the properties of tables, with every instruction
// set.
#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <vector>

#include "chash/build.h"
#include "chash/flow_count.h"
#include "chash/flow_key.h"
#include "chash/flow_source.h"
#include "check.h"
#include "json.h"

using namespace penstock;
using chash::ScoreIsa;

namespace {

std::vector<ScoreIsa> isas() {
  std::vector<ScoreIsa> found;
  for (ScoreIsa isa : {ScoreIsa::kScalar, ScoreIsa::kAvx2, ScoreIsa::kAvx512}) {
    if (chash::score_isa_available(isa)) found.push_back(isa);
  }
  return found;
}

TableInput input_of(uint32_t members, uint32_t heaviest, uint32_t size, uint64_t seed) {
  TableInput input;
  for (uint32_t i = 0; i < members; ++i)
    input.members.push_back({"gw" + std::to_string(i), 1 + i % heaviest});
  input.size = size;
  input.hasher = FlowHasher(HashFunction::kXxh64, seed);
  return input;
}

std::vector<uint32_t> shares(const BuiltTable& built) {
  std::vector<uint32_t> counts(built.members.size(), 0);
  for (uint16_t m : built.slots) ++counts[m];
  return counts;
}

const uint8_t* bytes_of(const char* text) {
  return reinterpret_cast<const uint8_t*>(text);
}

// xxHash's own sanity buffer and values (tests/sanity_test_vectors.h), with its seed.
void xxh64_published() {
  constexpr uint64_t kSeed = 2654435761u;
  std::vector<uint8_t> buffer(256);
  uint64_t generator = kSeed;
  for (uint8_t& b : buffer) {
    b = static_cast<uint8_t>(generator >> 56);
    generator *= 11400714785074694797ull;
  }
  const struct {
    size_t length;
    uint64_t plain, seeded;
  } vectors[] = {{0, 0xef46db3751d8e999, 0xac75fda2929b17ef},
                 {1, 0xe934a84adb052768, 0x5014607643a9b4c3},
                 {14, 0x8282dcc4994e35c8, 0xc3bd6bf63deb6df0},
                 {222, 0xb641ae8cb691c174, 0x20cb8ab7ae10c14a}};
  for (const auto& v : vectors) {
    CHECK_EQ(chash::xxh64(buffer.data(), v.length, 0), v.plain);
    CHECK_EQ(chash::xxh64(buffer.data(), v.length, kSeed), v.seeded);
  }
  CHECK_EQ(chash::xxh64(bytes_of("Nobody inspects the spammish repetition"), 39, 0), 0xfbcea83c8a378bf1ull);
}

// SipHash-1-3 with key 00 01 … 0f over 00 01 …, first bytes of the published list; and CPython's str hash.
void siphash_published() {
  uint8_t count[16];
  for (uint8_t i = 0; i < 16; ++i) count[i] = i;
  const uint64_t k0 = chash::load64(count), k1 = chash::load64(count + 8);
  CHECK_EQ(chash::siphash13(count, 0, k0, k1), 0xabac0158050fc4dcull);
  CHECK_EQ(chash::siphash13(count, 1, k0, k1), 0xc9f49bf37d57ca93ull);
  CHECK_EQ(chash::siphash13(count, 2, k0, k1), 0x82cb9b024dc7d44dull);
  CHECK_EQ(chash::siphash13(count, 3, k0, k1), 0x8bf80ab8e7ddf7fbull);
  CHECK_EQ(static_cast<int64_t>(chash::siphash13(bytes_of("penstock penstock"), 17, 0, 0)),
           -6557808084945376888ll);
}

json::Value vectors(const char* name) {
  return json::read_file(std::string(PENSTOCK_VECTORS "/") + name);
}

std::vector<uint8_t> from_hex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

void toeplitz_published() {
  const json::Value file = vectors("chash-toeplitz.json");
  const std::vector<uint8_t> key = from_hex(file["key"].text);
  CHECK(std::equal(key.begin(), key.end(), chash::kMicrosoftKey));
  const chash::ToeplitzTable table(key.data());
  CHECK_EQ(file["vectors"].items.size(), 8u);
  for (const json::Value& v : file["vectors"].items) {
    const bool v6 = v["family"].number == 6;
    const size_t n = v6 ? 16 : 4;
    uint8_t bytes[36];
    inet_pton(v6 ? AF_INET6 : AF_INET, v["src"].text.c_str(), bytes);
    inet_pton(v6 ? AF_INET6 : AF_INET, v["dst"].text.c_str(), bytes + n);
    const uint16_t ports[2] = {htons(v["sport"].as<uint16_t>()), htons(v["dport"].as<uint16_t>())};
    std::memcpy(bytes + 2 * n, ports, 4);
    CHECK_EQ(chash::toeplitz(table, bytes, 2 * n), std::stoul(v["hash_l3"].text, nullptr, 16));
    CHECK_EQ(chash::toeplitz(table, bytes, 2 * n + 4), std::stoul(v["hash_l3l4"].text, nullptr, 16));
    const FlowFields fields{bytes,
                            bytes + n,
                            static_cast<uint8_t>(n),
                            6,
                            true,
                            v["sport"].as<uint16_t>(),
                            v["dport"].as<uint16_t>()};
    const FlowKey flow = make_flow_key(HashKey::kFiveTuple, fields);
    CHECK_EQ(FlowHasher(HashFunction::kToeplitz, 0)(flow.bytes, flow.length) >> 32,
             std::stoul(v["hash_l3l4"].text, nullptr, 16));
  }
}

HashKey key_named(const std::string& name) {
  if (name == "source-ip") return HashKey::kSourceIp;
  if (name == "destination-ip") return HashKey::kDestinationIp;
  if (name == "symmetric") return HashKey::kSymmetric;
  return name == "5-tuple" ? HashKey::kFiveTuple : HashKey::kSymmetricFiveTuple;
}

HashFunction function_named(const std::string& name) {
  if (name == "toeplitz") return HashFunction::kToeplitz;
  return name == "xxh64" ? HashFunction::kXxh64 : HashFunction::kSipHash13;
}

void golden_keys() {
  const json::Value file = vectors("chash-keys.json");
  CHECK(file.items.size() > 200);
  const uint64_t seed = 0x0123456789abcdef;
  const FlowHasher xxh64(HashFunction::kXxh64, seed), siphash(HashFunction::kSipHash13, seed),
      toeplitz(HashFunction::kToeplitz, seed);
  for (const json::Value& v : file.items) {
    const std::vector<uint8_t> source = from_hex(v["source"].text),
                               destination = from_hex(v["destination"].text);
    FlowFields fields{};
    fields.source = source.data();
    fields.destination = destination.data();
    fields.address_bytes = static_cast<uint8_t>(source.size());
    fields.protocol = v["protocol"].as<uint8_t>();
    fields.has_ports = !v["ports"].items.empty();
    if (fields.has_ports) {
      fields.source_port = v["ports"].items[0].as<uint16_t>();
      fields.destination_port = v["ports"].items[1].as<uint16_t>();
    }
    const FlowKey key = make_flow_key(key_named(v["kind"].text), fields);
    CHECK(std::vector<uint8_t>(key.bytes, key.bytes + key.length) == from_hex(v["key"].text));
    CHECK_EQ(xxh64(key.bytes, key.length), std::stoull(v["xxh64"].text, nullptr, 16));
    CHECK_EQ(siphash(key.bytes, key.length), std::stoull(v["siphash"].text, nullptr, 16));
    CHECK_EQ(toeplitz(key.bytes, key.length), std::stoull(v["toeplitz"].text, nullptr, 16));
    CHECK_EQ(Table::slot_of(xxh64(key.bytes, key.length), 65537), v["slot"].as<uint32_t>());
  }
}

TableInput golden_input(const json::Value& v) {
  TableInput input;
  const json::Value& weights = v["weights"];
  const size_t count = v.has("names") ? v["names"].items.size() : v["count"].as<size_t>();
  for (size_t i = 0; i < count; ++i) {
    const std::string name = v.has("names") ? v["names"].items[i].text : v["prefix"].text + std::to_string(i);
    input.members.push_back({name, weights.items[i % weights.items.size()].as<uint32_t>()});
  }
  for (const json::Value& dead : v["dead"].items) input.dead.push_back(dead.text);
  input.hasher = FlowHasher(function_named(v["hash"].text), std::stoull(v["seed"].text));
  input.size = v["size"].as<uint32_t>();
  input.slack = v["slack"].as<uint32_t>();
  return input;
}

void golden_tables() {
  const json::Value file = vectors("chash-golden.json");
  CHECK_EQ(file.items.size(), 36u);
  for (const json::Value& v : file.items) {
    TableInput input = golden_input(v);
    PreviousTable previous;
    if (v.has("previousCount")) {
      TableInput before = input;
      before.members.resize(v["previousCount"].as<size_t>());
      const BuiltTable built = build_table(before);
      for (const TableMember& m : built.members) previous.names.push_back(m.name);
      previous.home = built.home;
      input.previous = &previous;
    }
    for (ScoreIsa isa : isas()) {
      const BuiltTable built = build_table(input, isa);
      CHECK_EQ(built.error, "");
      CHECK_EQ(built.digest, std::stoull(v["digest"].text, nullptr, 16));
      if (!v.has("slots")) continue;
      for (size_t s = 0; s < built.slots.size(); ++s) {
        CHECK_EQ(built.home[s], v["home"].items[s].as<uint16_t>());
        CHECK_EQ(built.slots[s], v["slots"].items[s].as<uint16_t>());
      }
    }
  }
}

void bursts_equal_single_hashes() {
  uint8_t bytes[64][16];
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 16; ++j) bytes[i][j] = static_cast<uint8_t>(i * 37 + j * 11);
  }
  for (HashFunction f : {HashFunction::kXxh64, HashFunction::kSipHash13, HashFunction::kToeplitz}) {
    const FlowHasher hasher(f, 0x123456789abcdef0);
    uint64_t hashes[64];
    hasher.addresses16(bytes, hashes, 64);
    for (int i = 0; i < 64; ++i) CHECK_EQ(hashes[i], hasher(bytes[i], 16));
    uint32_t v4[64];
    for (int i = 0; i < 64; ++i) std::memcpy(&v4[i], bytes[i], 4);
    hasher.addresses4(v4, hashes, 64);
    for (int i = 0; i < 64; ++i) CHECK_EQ(hashes[i], hasher(bytes[i], 4));
  }
}

void one_failure_moves_only_its_slots() {
  for (uint32_t heaviest : {1u, 4u, 300u}) {
    const TableInput input = input_of(40, heaviest, 10007, 7);
    const BuiltTable before = build_table(input);
    for (const char* name : {"gw0", "gw17", "gw39"}) {
      const BuiltTable after = rehome_table(before, {name});
      size_t moved = 0, own = 0;
      for (size_t s = 0; s < before.slots.size(); ++s) {
        const bool was_dead = before.members[before.slots[s]].name == name;
        own += was_dead;
        moved += before.slots[s] != after.slots[s];
        CHECK(before.members[after.slots[s]].name != name);
        if (!was_dead && before.slots[s] != after.slots[s]) CHECK(false);
      }
      CHECK_EQ(moved, own);
      CHECK(rehome_table(after, {}).slots == before.slots);
      CHECK_EQ(rehome_table(after, {}).digest, before.digest);
      CHECK(after.digest != before.digest);
    }
  }
}

void shares_are_even() {
  for (uint32_t members : {1u, 2u, 3u, 16u, 100u, 256u}) {
    for (uint32_t size : {0u, 256u, 65536u, 65537u}) {
      TableInput input = input_of(members, 1, size, members);
      for (uint32_t down = 0; down < members && down < 5; ++down) {
        const std::vector<uint32_t> counts = shares(build_table(input));
        uint32_t low = ~0u, high = 0;
        for (uint32_t m = 0; m < members; ++m) {
          const bool dead = counts[m] == 0;
          if (dead) continue;
          low = std::min(low, counts[m]);
          high = std::max(high, counts[m]);
        }
        CHECK(high - low <= 1 || (low == ~0u && high == 0));
        input.dead.push_back("gw" + std::to_string(down * 7 % members));
      }
    }
  }
}

void same_on_every_isa(TableInput input) {
  const BuiltTable expected = build_table(input, ScoreIsa::kScalar);
  CHECK_EQ(expected.error, "");
  std::reverse(input.members.begin(), input.members.end());
  for (ScoreIsa isa : isas()) {
    const BuiltTable built = build_table(input, isa);
    CHECK(built.home == expected.home);
    CHECK(built.slots == expected.slots);
    CHECK_EQ(built.digest, expected.digest);
  }
}

void every_isa_builds_the_same_bytes() {
  const struct {
    uint32_t members, heaviest, size;
  } cases[] = {{256, 1, 65536}, {256, 4, 65536}, {200, 200, 65537}, {255, 1, 65537}, {3, 3, 7},
               {1, 1, 1},       {17, 1, 300},    {64, 65535, 1000}, {9, 9, 1000000}, {1024, 50, 4096}};
  for (const auto& c : cases) {
    TableInput input = input_of(c.members, c.heaviest, c.size, c.size);
    if (c.heaviest > 1) {
      for (TableMember& m : input.members) m.weight = 1 + (m.weight * 7919) % 65535;
    }
    input.dead = {"gw0", "gw2", "gw16", "gw99"};
    same_on_every_isa(input);
  }
  uint64_t random = 1;
  const auto below = [&](uint32_t n) {
    random = random * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<uint32_t>(random >> 33) % n;
  };
  for (int turn = 0; turn < 200; ++turn) {
    TableInput input = input_of(1 + below(40), 1 + below(5), 1 + below(3000), random);
    for (TableMember& m : input.members) m.weight = turn % 3 == 0 ? 1 + below(kMaxWeight) : m.weight;
    for (const TableMember& m : input.members) {
      if (below(4) == 0) input.dead.push_back(m.name);
    }
    input.slack = below(2) * below(500);
    same_on_every_isa(input);
  }
}

// What specs and documentation promise, in slots of 65,536: exact counts, the same on every run.
struct Excess {
  double mean = 0, worst = 0;
  uint32_t samples = 0;
  void add(const std::vector<uint16_t>& before, const std::vector<uint16_t>& after, uint16_t gone) {
    uint32_t moved = 0;
    for (size_t s = 0; s < before.size(); ++s) moved += before[s] != after[s] && before[s] != gone;
    const double percent = 100.0 * moved / static_cast<double>(before.size());
    mean = (mean * samples + percent) / (samples + 1);
    worst = std::max(worst, percent);
    ++samples;
  }
};

Excess leaving(uint32_t members, uint32_t heaviest, uint32_t slack) {
  Excess excess;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    TableInput input = input_of(members, heaviest, 65536, seed);
    input.slack = slack;
    const BuiltTable before = build_table(input);
    for (uint16_t sample = 0; sample < 5; ++sample) {
      const uint16_t gone = static_cast<uint16_t>((sample * 41 + seed) % members);
      TableInput rest = input;
      rest.members.erase(rest.members.begin() + before.order[gone]);
      BuiltTable after = build_table(rest);
      for (uint16_t& m : after.slots) m = static_cast<uint16_t>(m + (m >= gone));
      excess.add(before.slots, after.slots, gone);
    }
  }
  return excess;
}

void promised_figures_hold() {
  const struct {
    uint32_t members;
    double add, slack;
  } rows[] = {{16, 0.30, 0.10}, {64, 0.31, 0.17}, {256, 0.36, 0.22}};
  for (const auto& row : rows) {
    CHECK(leaving(row.members, 1, 0).mean <= row.add);
    CHECK(leaving(row.members, 1, 100).mean <= row.slack);
    CHECK(leaving(row.members, 4, 0).worst <= 0.5);
    const BuiltTable built = build_table(input_of(row.members, 1, 65536, 5));
    Excess second;
    for (uint16_t first = 0; first < 20; ++first) {
      const uint16_t other = static_cast<uint16_t>((first * 7 + 3) % row.members);
      const std::string a = built.members[first % row.members].name, b = built.members[other].name;
      if (a == b) continue;
      second.add(rehome_table(built, {a}).slots, rehome_table(built, {a, b}).slots, other);
    }
    CHECK(second.mean <= 0.20);
    CHECK(second.worst <= 0.02);
  }
}

// The scalar logarithm never rises with the rank: weights could not mean what they say otherwise.
void logarithm_falls() {
  for (uint32_t bits : {8u, 13u, 16u, 20u}) {
    uint32_t last = ~0u;
    for (uint32_t v = 0; v < 1u << bits; ++v) {
      const uint32_t now = chash::rank_logarithm(v << (32 - bits), bits);
      CHECK(bits <= 16 ? now < last : now <= last);
      last = now;
    }
  }
}

// The same digest stands in test/lb/chash.test.ts.
void logarithm_is_the_same_everywhere() {
  std::vector<uint8_t> bytes;
  for (uint32_t v = 0; v < 65536; ++v) {
    const uint32_t value = chash::rank_logarithm(v << 16, 16);
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  CHECK_EQ(chash::xxh64(bytes.data(), bytes.size(), 0), 0x2529e49c5cd141e8ull);
}

void sticky_takes_equal_parts() {
  TableInput input = input_of(4, 1, 1024, 3);
  const BuiltTable four = build_table(input);
  const PreviousTable previous{{"gw0", "gw1", "gw2", "gw3"}, four.home};
  input.members.push_back({"gw4", 1});
  input.previous = &previous;
  const BuiltTable five = build_table(input);
  std::vector<uint32_t> lost(5, 0);
  for (size_t s = 0; s < four.slots.size(); ++s) {
    if (four.slots[s] == five.slots[s]) continue;
    CHECK_EQ(five.slots[s], 4);
    ++lost[four.slots[s]];
  }
  for (int m = 0; m < 4; ++m) CHECK(lost[m] == 51 || lost[m] == 52);
  const PreviousTable then{{"gw0", "gw1", "gw2", "gw3", "gw4"}, five.home};
  input.members.erase(input.members.begin() + 1);
  input.previous = &then;
  const BuiltTable left = build_table(input);
  for (size_t s = 0; s < five.slots.size(); ++s) {
    if (five.members[five.slots[s]].name == "gw1") continue;
    CHECK_EQ(left.members[left.slots[s]].name, five.members[five.slots[s]].name);
  }
}

void slack_is_bounded() {
  TableInput input = input_of(64, 1, 65536, 11);
  input.slack = 100;
  const BuiltTable loose = build_table(input);
  const std::vector<uint32_t> counts = shares(loose);
  CHECK(*std::max_element(counts.begin(), counts.end()) <= 1035);  // 1024 · 1.01, rounded up
  CHECK(*std::max_element(counts.begin(), counts.end()) > 1025);
}

void bad_input_is_refused() {
  TableInput input = input_of(3, 1, 64, 1);
  input.members.push_back({"gw1", 1});
  CHECK_EQ(build_table(input).error, "gw1: duplicate member");
  input.members[3] = {"gw9", 0};
  CHECK_EQ(build_table(input).error, "gw9: weight: 1 to 65,535");
  input.members.pop_back();
  input.size = kMaxTableSize + 1;
  CHECK(!build_table(input).error.empty());
  input.size = 64;
  input.dead = {"gw0", "gw1", "gw2"};
  const BuiltTable all_dead = build_table(input);
  for (uint16_t m : all_dead.slots) CHECK_EQ(m, kNoMember);
  input.members.clear();
  CHECK_EQ(build_table(input).error, "");
  CHECK_EQ(build_table(input).slots[0], kNoMember);
}

void picks_follow_slots() {
  TableInput input = input_of(5, 2, 1000, 9);
  const Table::Pointer table = build_table(input).table();
  uint64_t hashes[64];
  uint16_t members[64];
  for (uint64_t i = 0; i < 64; ++i) hashes[i] = i * 0x0421084210842108ull;
  hashes[63] = ~0ull;
  pick(*table, hashes, members, 64);
  for (int i = 0; i < 64; ++i) {
    CHECK_EQ(members[i], table->slots()[table->slot(hashes[i])]);
    CHECK_EQ(members[i], table->pick(hashes[i]));
  }
  CHECK_EQ(table->slot(0), 0u);
  CHECK_EQ(table->slot(~0ull), 999u);
  CHECK_EQ(reinterpret_cast<uintptr_t>(table->slots()) % 64, 0u);
}

// Where a generated flow is counted, found the long way.
uint32_t cell_of(const FlowSource& source, uint64_t number, HashKey key, const FlowHasher& hasher,
                 const FlowCells& cells) {
  const GeneratedFlow flow = generate_flow(source, number);
  const FlowKey bytes =
      make_flow_key(key, {flow.source, source.destination, source.address_bytes, kGeneratedProtocol, true,
                          flow.source_port, flow.destination_port});
  return cells.of(hasher(bytes.bytes, bytes.length));
}

void generated_flows_are_counted_in_any_parts() {
  const FlowCells cells({64, 1000});
  for (const FlowSource::Kind kind :
       {FlowSource::Kind::kUniform, FlowSource::Kind::kZipf, FlowSource::Kind::kSubnet}) {
    for (const uint8_t address_bytes : {4, 16}) {
      for (const HashKey key : {HashKey::kSourceIp, HashKey::kSymmetricFiveTuple}) {
        FlowSource source;
        source.kind = kind;
        source.flows = 1000;
        source.exponent = 1.2;
        source.address_bytes = address_bytes;
        source.prefix[0] = 10;
        source.prefix_length = 24;
        source.seed = 3;
        const FlowHasher hasher(HashFunction::kXxh64, 5);
        FlowCounts expected(cells);
        for (uint64_t i = 0; i < source.flows; ++i) {
          const uint32_t cell = cell_of(source, i, key, hasher, cells);
          ++expected.flows[cell];
          expected.bytes[cell] += generate_flow(source, i).bytes;
        }
        FlowCounts found(cells);
        for (const auto& [first, end] : {std::pair<uint64_t, uint64_t>{700, 1000}, {0, 63}, {63, 700}}) {
          count_generated(source, first, end, key, hasher, cells, &found);
        }
        CHECK(found.flows == expected.flows);
        CHECK(found.bytes == expected.bytes);
      }
    }
  }
}

void generated_sources_are_what_was_asked_for() {
  FlowSource source;
  source.flows = 100000;
  source.seed = 1;
  std::vector<uint32_t> seen;
  for (uint64_t i = 0; i < source.flows; ++i) {
    seen.push_back(chash::load32(generate_flow(source, i).source));
  }
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());

  source.kind = FlowSource::Kind::kSubnet;
  source.address_bytes = 16;
  source.prefix[0] = 0x20;
  source.prefix[1] = 1;
  source.prefix_length = 112;
  const GeneratedFlow again = generate_flow(source, 65536 + 258);
  CHECK_EQ(again.source[0], 0x20);
  CHECK_EQ(again.source[14], 1);
  CHECK_EQ(again.source[15], 2);
  CHECK(again.source_port != generate_flow(source, 258).source_port);

  // Sums of bytes stay exact in JavaScript, however steep.
  source.kind = FlowSource::Kind::kZipf;
  source.flows = uint64_t{1} << 32;
  source.exponent = 4;
  CHECK_EQ(generate_flow(source, 0).bytes, uint64_t{1} << 50);
  CHECK_EQ(generate_flow(source, source.flows - 1).bytes, 1u);
}

void cells_tell_slots_apart() {
  const std::vector<uint32_t> sizes = {1, 7, 1024, 65536};
  const FlowCells cells(sizes);
  CHECK_EQ(cells.count(), 1 + 6 + 1023 + 65535u);
  std::vector<uint64_t> slots_of(cells.count(), 0);
  for (uint64_t i = 0; i < 200000; ++i) {
    const uint64_t hash = chash::xxh64_avalanche(i + 1);
    uint64_t slots = 1;
    for (uint32_t size : sizes) slots = slots * 65537 + Table::slot_of(hash, size);
    uint64_t& known = slots_of[cells.of(hash)];
    CHECK(known == 0 || known == slots);
    known = slots;
  }
  CHECK(cells.of(~0ull) < cells.count());
}

void a_tally_takes_any_bytes() {
  FlowTally tally(HashKey::kFiveTuple, FlowHasher(HashFunction::kToeplitz, 1), FlowCells({256}), 100000);
  std::vector<uint8_t> records(kFlowRecordBytes * 20000);
  uint64_t x = 1;
  for (uint8_t& byte : records) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    byte = static_cast<uint8_t>(x >> 56);
  }
  CHECK(tally.add(records.data(), 10000));
  CHECK(tally.add(records.data() + kFlowRecordBytes * 5000, 15000));
  CHECK_EQ(tally.flows(), 20000u);
}

}  // namespace

int main() {
  RUN(xxh64_published);
  RUN(siphash_published);
  RUN(toeplitz_published);
  RUN(golden_keys);
  RUN(golden_tables);
  RUN(bursts_equal_single_hashes);
  RUN(one_failure_moves_only_its_slots);
  RUN(shares_are_even);
  RUN(every_isa_builds_the_same_bytes);
  RUN(promised_figures_hold);
  RUN(logarithm_falls);
  RUN(logarithm_is_the_same_everywhere);
  RUN(sticky_takes_equal_parts);
  RUN(slack_is_bounded);
  RUN(bad_input_is_refused);
  RUN(picks_follow_slots);
  RUN(cells_tell_slots_apart);
  RUN(generated_flows_are_counted_in_any_parts);
  RUN(generated_sources_are_what_was_asked_for);
  RUN(a_tally_takes_any_bytes);
  FINISH();
}
