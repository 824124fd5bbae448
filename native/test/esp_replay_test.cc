// Sequence numbers: the table of edges that the TypeScript oracle passes too, and properties over random
// runs.
#include <map>
#include <random>
#include <set>

#include "esp_lab.h"
#include "json.h"

using namespace lab;

namespace {

// A sum of terms: W with a factor before it or a divisor behind it, a power, a number. See replay-edges.json.
uint64_t number(const std::string& text, uint64_t window) {
  uint64_t sum = 0;
  size_t at = 0;
  bool minus = false;
  while (at < text.size()) {
    size_t end = text.find_first_of("+-", at);
    if (end == std::string::npos) end = text.size();
    const std::string term = text.substr(at, end - at);
    const size_t w = term.find('W');
    const size_t power = term.find('^');
    uint64_t value;
    if (w != std::string::npos) {
      value = window * (w == 0 ? 1 : std::stoull(term));
      if (w + 1 < term.size()) value /= std::stoull(term.substr(w + 2));
    } else if (power != std::string::npos) {
      const unsigned bits = static_cast<unsigned>(std::stoul(term.substr(power + 1)));
      value = bits < 64 ? 1ull << bits : 0;
    } else {
      value = std::stoull(term);
    }
    sum += minus ? ~value + 1 : value;
    minus = end < text.size() && text[end] == '-';
    at = end + 1;
  }
  return sum;
}

void run_case(const json::Value& edges, uint32_t window) {
  const std::string& title = edges["name"].text;
  const bool extended = edges["esn"].number != 0;
  const Bytes key = key_and_salt(32);
  InboundSa sa;
  InboundSaOptions options = inbound(key, window);
  options.extended_sequence_number = extended;
  options.highest_sequence = number(edges["top"].text, window);
  CHECK_EQ(sa.init(options), std::string());
  size_t passed = 0;
  size_t replays = 0;
  size_t forgeries = 0;
  for (const json::Value& burst : edges["bursts"].items) {
    std::vector<Bytes> packets;
    std::vector<OpenItem> items;
    for (const json::Value& entry : burst.items) {
      const uint64_t sequence = number(entry.items[0].text, window);
      Bytes packet = craft(key, 0x1001, sequence, extended, text_of(inner4(20), protocol::kIpv4));
      if (entry.items.size() > 2) {
        if (entry.items[2].text == "forged") {
          packet.back() ^= 1;
        } else {
          packet.resize(entry.items[2].as<size_t>());
        }
      }
      packets.push_back(std::move(packet));
    }
    for (Bytes& packet : packets) {
      OpenItem item = {};
      item.sa = &sa;
      item.esp = packet.data();
      item.length = static_cast<uint32_t>(packet.size());
      items.push_back(item);
    }
    esp_open(items.data(), static_cast<unsigned>(items.size()), 1);
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string& expected = burst.items[i].items[1].text;
      if (expected != name(items[i].drop)) {
        check::fail(__FILE__, __LINE__,
                    title + ", window " + std::to_string(window) + ", " + burst.items[i].items[0].text +
                        ": " + name(items[i].drop) + ", expected " + expected);
      }
      ++check::checks;
      passed += items[i].drop == DropReason::kNone;
      replays += items[i].drop == DropReason::replay;
      forgeries += items[i].drop == DropReason::auth_failed;
    }
  }
  const uint64_t end = number(edges["end"].text, window);
  if (sa.highest_sequence() != end) {
    check::fail(
        __FILE__, __LINE__,
        title + ": ends at " + std::to_string(sa.highest_sequence()) + ", expected " + std::to_string(end));
  }
  CHECK_EQ(sa.use.packets, uint64_t{passed});
  CHECK_EQ(sa.drops.replay, uint64_t{replays});
  CHECK_EQ(sa.drops.auth_failed, uint64_t{forgeries});
}

void edges_of_the_window() {
  const json::Value table = json::read_file(PENSTOCK_VECTORS "/replay-edges.json");
  CHECK(table["cases"].items.size() > 30);
  for (const json::Value& window : table["windows"].items) {
    for (const json::Value& edges : table["cases"].items) run_case(edges, window.as<uint32_t>());
  }
  for (const json::Value& edges : table["withoutWindow"].items) run_case(edges, 0);
}

void edges_of_the_sender() {
  const json::Value table = json::read_file(PENSTOCK_VECTORS "/replay-edges.json");
  for (const json::Value& edges : table["senders"].items) {
    const bool extended = edges["esn"].number != 0;
    const Bytes key = key_and_salt();
    OutboundSa sa;
    OutboundSaOptions options = outbound(key);
    options.extended_sequence_number = extended;
    options.next_sequence = number(edges["next"].text, 0);
    CHECK_EQ(sa.init(options), std::string());
    for (const json::Value& result : edges["results"].items) {
      const Bytes inner = inner4(20);
      Room room(inner);
      const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
      if (!std::isdigit(result.text[0])) {
        CHECK_EQ(std::string(name(item.drop)), result.text);
        CHECK(sa.expired());
        continue;
      }
      CHECK_EQ(std::string(name(item.drop)), std::string("pass"));
      const uint64_t sequence = number(result.text, 0);
      uint64_t iv = load64(item.packet - 8);
      // The whole packet as another would have made it under that number.
      const Bytes expected = craft(key, 0x1001, sequence, extended, text_of(inner, protocol::kIpv4), iv);
      CHECK(Bytes(item.packet - 16, item.outer + item.outer_length) == expected);
    }
  }
}

// RFC 4303 §3.4.3 read word by word, with every number seen in a set.
struct Remembering {
  explicit Remembering(uint64_t size, uint64_t start) : window(size), top(start), first(start) {}
  bool accept(uint64_t sequence) {
    if (sequence <= first || (sequence <= top && top - sequence >= window) || !seen.insert(sequence).second)
      return false;
    if (sequence > top) top = sequence;
    return true;
  }
  const uint64_t window;
  uint64_t top;
  const uint64_t first;
  std::set<uint64_t> seen;
};

void the_window_remembers_what_a_set_does() {
  std::mt19937_64 random(20);
  for (uint32_t size = 64; size <= 8192; size *= 2) {
    for (const bool extended : {false, true}) {
      const uint64_t start = extended ? (1ull << 32) - 3 * size : 5;
      ReplayWindow window;
      window.init(size, start, extended);
      Remembering model(size, start);
      for (int step = 0; step < 40000; ++step) {
        // Mostly near the top, sometimes far ahead or behind.
        const uint64_t kind = random() % 100;
        uint64_t sequence = model.top;
        if (kind < 60) {
          sequence += random() % 4;
        } else if (kind < 90) {
          sequence -= std::min<uint64_t>(sequence, random() % (size + 8));
        } else if (kind < 99) {
          sequence += random() % (3 * size);
        } else {
          sequence += size * 64 + random() % 64;
        }
        uint64_t inferred;
        const bool exists = window.infer(static_cast<uint32_t>(sequence), inferred);
        const bool in_reach = sequence + size > model.top;
        if (in_reach) CHECK(exists && inferred == sequence);
        // What was inferred otherwise would not have authenticated.
        const bool accepted = exists && inferred == sequence && window.check(sequence);
        CHECK_EQ(accepted, model.accept(sequence));
        if (accepted) window.advance(sequence);
        CHECK_EQ(window.top(), model.top);
      }
    }
  }
}

// Appendix A2 with its own variables, against the sum in infer().
// A window that gets another size under way: what was taken is never taken again, what is new always is, and
// what both sizes reach is remembered.
void a_window_changes_its_size() {
  static constexpr uint32_t kSizes[] = {0, 64, 128, 1024, 8192};
  std::mt19937_64 random(11);
  for (int run = 0; run < 200; ++run) {
    ReplayWindow window;
    window.init(kSizes[1 + random() % 4], 0, true);
    std::set<uint64_t> taken;
    bool was_none = false;  // without a window nothing is remembered
    uint64_t reach = window.size();
    for (int i = 0; i < 400; ++i) {
      if (random() % 40 == 0) {
        ReplayWindow other;
        other.init(kSizes[random() % 5], 0, true);
        window.resize(other);
        was_none = was_none || window.size() == 0;
        reach = std::min<uint64_t>(reach, window.size());
      }
      const uint64_t top = window.top();
      const uint64_t back = random() % 200;
      const uint64_t sequence = random() % 3 == 0 && top > back ? top - back : top + 1 + random() % 5;
      const bool passes = window.check(sequence);
      if (sequence > top) CHECK(passes);
      if (window.size() != 0 && !was_none && taken.count(sequence) != 0) CHECK(!passes);
      if (!was_none && sequence + reach > top && taken.count(sequence) == 0) CHECK(passes);
      if (passes) {
        window.advance(sequence);
        taken.insert(sequence);
      }
    }
    if (was_none) continue;
    CHECK(window.top() == *taken.rbegin());
  }
}

void inference_is_appendix_a2() {
  std::mt19937_64 random(21);
  for (int step = 0; step < 200000; ++step) {
    const uint32_t size = 64u << random() % 8;
    uint64_t top = random() >> random() % 64;
    if (random() % 2) top = (top & ~0xffffffffull) | static_cast<uint32_t>(random() % (2 * size) - size);
    ReplayWindow window;
    window.init(size, top, true);
    const auto Th = static_cast<uint32_t>(top >> 32);
    const auto Tl = static_cast<uint32_t>(top);
    uint32_t Seql = static_cast<uint32_t>(random());
    if (random() % 2) Seql = static_cast<uint32_t>(Tl + random() % (4 * size) - 2 * size);
    const uint32_t bottom = Tl - size + 1;
    int64_t Seqh;
    if (Tl >= size - 1) {
      Seqh = Seql >= bottom ? int64_t{Th} : int64_t{Th} + 1;
    } else {
      Seqh = Seql >= bottom ? int64_t{Th} - 1 : int64_t{Th};
    }
    uint64_t inferred = 0;
    const bool exists = window.infer(Seql, inferred);
    CHECK_EQ(exists, Seqh >= 0 && Seqh <= 0xffffffff);
    if (exists) CHECK_EQ(inferred, static_cast<uint64_t>(Seqh) << 32 | Seql);
  }
}

// A key that two nodes hold, each killed and started again at any packet, its generation saved one ahead of
// use: every (key, IV) once.
void no_nonce_comes_twice() {
  std::mt19937_64 random(22);
  const Bytes key = key_and_salt(32);
  std::set<uint64_t> seen;
  uint64_t sealed = 0;
  struct Disk {
    uint16_t generation = 0;
  } disks[2];
  for (int life = 0; life < 3000; ++life) {
    const unsigned node = static_cast<unsigned>(random() % 2);
    const uint16_t epoch = disks[node].generation++;  // saved before the first packet
    OutboundSaOptions options = outbound(key, random() % 2 != 0);
    options.node_id = static_cast<uint8_t>(node == 0 ? 1 : 15);
    options.epoch = epoch;
    // Sequence numbers may well be those of another life: the IV does not rest on them.
    options.next_sequence = 1 + random() % 5;
    options.extended_sequence_number = random() % 2 != 0;
    OutboundSa sa;
    CHECK_EQ(sa.init(options), std::string());
    const uint64_t until = life % 500 == 0 ? 4000 : random() % 40;
    for (uint64_t packet = 0; packet < until; packet += 8) {
      std::vector<std::unique_ptr<Room>> rooms;
      SealItem items[8] = {};
      for (SealItem& item : items) {
        const Bytes inner = inner4(static_cast<uint32_t>(random() % 100));
        rooms.push_back(std::make_unique<Room>(inner));
        item.sa = &sa;
        item.packet = rooms.back()->packet();
        // Some do not fit: they must take no number.
        item.length = random() % 8 == 0 ? 9000 : static_cast<uint32_t>(inner.size());
      }
      esp_seal(items, 8, 1);
      for (const SealItem& item : items) {
        if (item.drop != DropReason::kNone) continue;
        ++sealed;
        const uint64_t iv = load64(item.packet - 8);
        CHECK(seen.insert(iv).second);
        CHECK_EQ(iv >> 60, uint64_t{options.node_id});
        CHECK_EQ(iv >> 48 & 0xfff, uint64_t{epoch});
      }
    }
  }
  CHECK_EQ(uint64_t{seen.size()}, sealed);
  CHECK(sealed > 30000);
}

// At the end of an epoch's counter nothing is sealed: it never runs over into the epoch.
void the_counter_never_runs_over() {
  for (const uint16_t epoch : {uint16_t{0}, uint16_t{4095}}) {
    for (const uint8_t node : {uint8_t{1}, uint8_t{15}}) {
      const Bytes key = key_and_salt();
      OutboundSa sa;
      OutboundSaOptions options = outbound(key);
      options.node_id = node;
      options.epoch = epoch;
      options.first_counter = esp::kLastIvCounter - 1;
      CHECK_EQ(sa.init(options), std::string());
      for (int packet = 0; packet < 5; ++packet) {
        const Bytes inner = inner4(30);
        Room room(inner);
        const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
        CHECK_EQ(std::string(name(item.drop)), std::string(packet < 2 ? "pass" : "iv_exhausted"));
        if (packet < 2) {
          CHECK_EQ(load64(item.packet - 8), uint64_t{node} << 60 | uint64_t{epoch} << 48 |
                                                (esp::kLastIvCounter - 1 + static_cast<uint64_t>(packet)));
        }
      }
      CHECK(sa.expired());
      CHECK_EQ(sa.next_sequence, uint64_t{3});
      CHECK_EQ(sa.drops.iv_exhausted, uint64_t{3});
    }
  }
}

}  // namespace

int main() {
  RUN(edges_of_the_window);
  RUN(edges_of_the_sender);
  RUN(the_window_remembers_what_a_set_does);
  RUN(a_window_changes_its_size);
  RUN(inference_is_appendix_a2);
  RUN(no_nonce_comes_twice);
  RUN(the_counter_never_runs_over);
  FINISH();
}
