#include "build.h"

#include <algorithm>

#include "apportion.h"

namespace penstock {

namespace {

using chash::ScoreKey;

uint32_t bits_for(uint32_t size) {
  uint32_t bits = 8;
  while ((1u << bits) < size) ++bits;
  return bits;
}

uint32_t padded(uint32_t n) {
  return (n + chash::kScorePadding - 1) / chash::kScorePadding * chash::kScorePadding;
}

// Deals slots to members. Lives for one build.
class Dealer {
 public:
  Dealer(const std::vector<TableMember>& members, uint64_t seed, uint32_t size, chash::ScoreIsa isa)
      : count_(static_cast<uint32_t>(members.size())), best_(chash::best_function(isa)) {
    shape_.bits = bits_for(size);
    uint64_t total = 0;
    for (const TableMember& m : members) {
      weights_.push_back(m.weight);
      total += m.weight;
    }
    shape_.weighted =
        std::any_of(weights_.begin(), weights_.end(), [&](uint32_t w) { return w != weights_[0]; });
    for (const TableMember& m : members) keys_.push_back(make_key(m.name, seed));
    for (uint32_t m = 0; m < count_; ++m) by_class_.push_back(m);
    std::stable_sort(by_class_.begin(), by_class_.end(),
                     [&](uint32_t a, uint32_t b) { return weights_[a] < weights_[b]; });
    for (uint32_t m : by_class_) {
      if (classes_.empty() || classes_.back().weight != weights_[m]) {
        classes_.push_back({weights_[m], chash::make_score_class(total, weights_[m])});
      }
    }
  }

  const std::vector<uint32_t>& weights() const { return weights_; }

  // The slots to deal.
  void start(uint32_t n) {
    n_ = 0;
    slots_.assign(padded(n), 0);
    cost_.resize(slots_.size());
    choice_.resize(slots_.size());
  }
  void add(uint32_t slot) { slots_[n_++] = slot; }
  uint32_t pending() const { return n_; }
  uint32_t slot(uint32_t i) const { return slots_[i]; }
  uint32_t cost(uint32_t i) const { return cost_[i]; }

  // Each pending slot chooses among members with room.
  void propose(const std::vector<uint32_t>& room) {
    candidates_.clear();
    active_.clear();
    active_classes_.clear();
    auto of = classes_.begin();
    uint32_t last = 0;
    for (uint32_t m : by_class_) {
      if (room[m] == 0) continue;
      while (of->weight != weights_[m]) ++of;
      if (last != of->weight) active_classes_.push_back(of->score);
      last = of->weight;
      candidates_.push_back(static_cast<uint16_t>(m));
      active_.push_back(keys_[m]);
      active_classes_.back().end = static_cast<uint32_t>(active_.size());
    }
    best_(shape_, slots_.data(), n_,
          {active_.data(), active_classes_.data(), static_cast<uint32_t>(active_classes_.size())},
          cost_.data(), choice_.data());
    chosen_.assign(count_, 0);
    for (uint32_t i = 0; i < n_; ++i) {
      choice_[i] = candidates_[choice_[i]];
      ++chosen_[choice_[i]];
    }
  }
  // How many pending slots chose each member.
  const std::vector<uint32_t>& chosen() const { return chosen_; }

  // Members take what they have room for, best cost first; the rest stays pending.
  void settle(std::vector<uint32_t>* room, uint16_t* holder, uint32_t* holder_cost) {
    begin_.assign(count_ + 1, 0);
    for (uint32_t m = 0; m < count_; ++m) {
      begin_[m + 1] = begin_[m] + (chosen_[m] > (*room)[m] ? chosen_[m] : 0);
    }
    contested_.resize(begin_[count_]);
    fill_.assign(begin_.begin(), begin_.end() - 1);
    for (uint32_t i = 0; i < n_; ++i) {
      const uint16_t m = choice_[i];
      if (begin_[m + 1] != begin_[m]) {
        contested_[fill_[m]++] = uint64_t{cost_[i]} << 32 | slots_[i];
      } else {
        holder[slots_[i]] = m;
        if (holder_cost) holder_cost[slots_[i]] = cost_[i];
      }
    }
    n_ = 0;
    for (uint32_t m = 0; m < count_; ++m) {
      if (begin_[m + 1] == begin_[m]) {
        (*room)[m] -= chosen_[m];
        continue;
      }
      uint64_t* first = contested_.data() + begin_[m];
      uint64_t* last = contested_.data() + begin_[m + 1];
      uint64_t* kept = first + (*room)[m];
      std::nth_element(first, kept, last);
      for (uint64_t* c = first; c < kept; ++c) {
        holder[static_cast<uint32_t>(*c)] = static_cast<uint16_t>(m);
        if (holder_cost) holder_cost[static_cast<uint32_t>(*c)] = static_cast<uint32_t>(*c >> 32);
      }
      for (uint64_t* c = kept; c < last; ++c) add(static_cast<uint32_t>(*c));
      (*room)[m] = 0;
    }
  }

  // Settles and proposes until nothing is pending. Slots must have proposed; there must be room for all.
  void finish(std::vector<uint32_t> room, uint16_t* holder, uint32_t* holder_cost) {
    settle(&room, holder, holder_cost);
    while (n_ > 0) {
      propose(room);
      settle(&room, holder, holder_cost);
    }
  }

 private:
  struct WeightClass {
    uint32_t weight;
    chash::ScoreClass score;
  };

  static ScoreKey make_key(const std::string& name, uint64_t seed) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(name.data());
    const uint64_t a = chash::xxh64(bytes, name.size(), seed);
    const uint64_t b = chash::xxh64(bytes, name.size(), seed ^ chash::kPrime1);
    return {static_cast<uint32_t>(a >> 32),
            {static_cast<uint32_t>(a) | 1, static_cast<uint32_t>(b >> 32) | 1, static_cast<uint32_t>(b) | 1}};
  }

  const uint32_t count_;
  const chash::BestFunction best_;
  chash::ScoreShape shape_{};
  std::vector<uint32_t> weights_;
  std::vector<ScoreKey> keys_;
  std::vector<uint32_t> by_class_;  // members by weight, then name
  std::vector<WeightClass> classes_;
  uint32_t n_ = 0;
  std::vector<uint32_t> slots_, cost_;
  std::vector<uint16_t> choice_, candidates_;
  std::vector<ScoreKey> active_;
  std::vector<chash::ScoreClass> active_classes_;
  std::vector<uint32_t> chosen_, begin_, fill_;
  std::vector<uint64_t> contested_;
};

std::vector<uint32_t> shares(const std::vector<uint16_t>& table, size_t members) {
  std::vector<uint32_t> counts(members, 0);
  for (uint16_t m : table) {
    if (m != kNoMember) ++counts[m];
  }
  return counts;
}

std::vector<uint16_t> home_tier(Dealer* dealer, uint32_t size, uint32_t slack) {
  const std::vector<uint32_t>& weights = dealer->weights();
  const std::vector<uint32_t> everybody(weights.size(), 1);
  std::vector<uint16_t> home(size);
  dealer->start(size);
  for (uint32_t s = 0; s < size; ++s) dealer->add(s);
  dealer->propose(everybody);
  std::vector<uint32_t> room =
      chash::apportion(size, weights, std::vector<uint32_t>(weights.size(), 0), dealer->chosen());
  if (slack > 0) {
    uint64_t total = 0;
    for (uint32_t w : weights) total += w;
    for (size_t m = 0; m < room.size(); ++m) {
      const uint64_t most =
          (uint64_t{size} * weights[m] * (10000 + slack) + total * 10000 - 1) / (total * 10000);
      room[m] = std::max(room[m], static_cast<uint32_t>(most));
    }
  }
  dealer->finish(room, home.data(), nullptr);
  return home;
}

// Sticky mode. Members above their new quota give up the slots that rank best at those below theirs.
std::vector<uint16_t> sticky_tier(Dealer* dealer, const std::vector<TableMember>& members,
                                  const PreviousTable& previous, uint32_t size) {
  std::vector<uint16_t> now(previous.names.size(), kNoMember);  // previous index → index now
  for (size_t i = 0; i < now.size(); ++i) {
    const auto at =
        std::lower_bound(members.begin(), members.end(), previous.names[i],
                         [](const TableMember& m, const std::string& name) { return m.name < name; });
    if (at != members.end() && at->name == previous.names[i])
      now[i] = static_cast<uint16_t>(at - members.begin());
  }
  std::vector<uint16_t> home(size, kNoMember);
  for (uint32_t s = 0; s < size; ++s) {
    if (previous.home[s] < now.size()) home[s] = now[previous.home[s]];
  }
  const std::vector<uint32_t> held = shares(home, members.size());
  const std::vector<uint32_t> quota =
      chash::apportion(size, dealer->weights(), std::vector<uint32_t>(members.size(), 0), held);
  std::vector<uint32_t> room(members.size()), surplus(members.size());
  bool any_room = false;
  for (size_t m = 0; m < members.size(); ++m) {
    room[m] = quota[m] > held[m] ? quota[m] - held[m] : 0;
    surplus[m] = held[m] > quota[m] ? held[m] - quota[m] : 0;
    any_room |= room[m] > 0;
  }
  if (!any_room) return home;
  dealer->start(size);
  for (uint32_t s = 0; s < size; ++s) {
    if (home[s] != kNoMember && surplus[home[s]] > 0) dealer->add(s);
  }
  dealer->propose(room);
  std::vector<std::vector<uint64_t>> offers(members.size());
  for (uint32_t i = 0; i < dealer->pending(); ++i) {
    offers[home[dealer->slot(i)]].push_back(uint64_t{dealer->cost(i)} << 32 | dealer->slot(i));
  }
  for (size_t m = 0; m < members.size(); ++m) {
    if (surplus[m] == 0) continue;
    std::nth_element(offers[m].begin(), offers[m].begin() + (surplus[m] - 1), offers[m].end());
    for (uint32_t i = 0; i < surplus[m]; ++i) home[static_cast<uint32_t>(offers[m][i])] = kNoMember;
  }
  dealer->start(size);
  for (uint32_t s = 0; s < size; ++s) {
    if (home[s] == kNoMember) dealer->add(s);
  }
  dealer->propose(room);
  dealer->finish(room, home.data(), nullptr);
  return home;
}

// Deals a dead member's slots as if it alone were dead; `second` and `cost` get the result, by slot.
void deal_alone(Dealer* dealer, const std::vector<std::vector<uint32_t>>& slots_of, uint16_t dead,
                std::vector<uint16_t>* second, std::vector<uint32_t>* cost) {
  const size_t n = slots_of.size();
  const uint32_t deficit = static_cast<uint32_t>(slots_of[dead].size());
  if (deficit == 0 || n < 2) return;
  dealer->start(deficit);
  for (uint32_t s : slots_of[dead]) dealer->add(s);
  std::vector<uint32_t> room(n, 1);
  room[dead] = 0;
  dealer->propose(room);
  std::vector<uint32_t> weights, held, tie;
  for (size_t m = 0; m < n; ++m) {
    if (m == dead) continue;
    weights.push_back(dealer->weights()[m]);
    held.push_back(static_cast<uint32_t>(slots_of[m].size()));
    tie.push_back(dealer->chosen()[m]);
  }
  std::vector<uint32_t> parts = chash::apportion(deficit, weights, held, tie);
  parts.insert(parts.begin() + dead, 0);
  dealer->finish(parts, second->data(), cost->data());
}

// Slots of one member that it may not keep: all but the `kept` cheapest.
void release(std::vector<uint64_t>* held, uint32_t kept, std::vector<uint32_t>* pool) {
  if (held->size() <= kept) return;
  std::nth_element(held->begin(), held->begin() + kept, held->end());
  for (size_t i = kept; i < held->size(); ++i) pool->push_back(static_cast<uint32_t>((*held)[i]));
  held->resize(kept);
}

std::vector<uint16_t> rehome_tier(Dealer* dealer, const std::vector<uint16_t>& home,
                                  const std::vector<bool>& dead) {
  const size_t n = dead.size();
  std::vector<std::vector<uint32_t>> slots_of(n);
  for (size_t m = 0; m < n; ++m) slots_of[m].reserve(home.size() / n + 1);
  for (uint32_t s = 0; s < home.size(); ++s) slots_of[home[s]].push_back(s);
  std::vector<uint16_t> slots = home;
  std::vector<uint32_t> cost(home.size());
  std::vector<uint32_t> weights, held, tie;
  std::vector<uint16_t> living;
  uint32_t deficit = 0;
  for (size_t m = 0; m < n; ++m) {
    if (dead[m]) {
      deficit += static_cast<uint32_t>(slots_of[m].size());
      deal_alone(dealer, slots_of, static_cast<uint16_t>(m), &slots, &cost);
    } else {
      living.push_back(static_cast<uint16_t>(m));
      weights.push_back(dealer->weights()[m]);
      held.push_back(static_cast<uint32_t>(slots_of[m].size()));
    }
  }
  if (n - living.size() < 2) return slots;

  std::vector<std::vector<uint64_t>> taken(n);
  std::vector<uint32_t> pool;
  for (size_t m = 0; m < n; ++m) {
    if (!dead[m]) continue;
    for (uint32_t s : slots_of[m]) {
      if (dead[slots[s]]) {
        pool.push_back(s);
      } else {
        taken[slots[s]].push_back(uint64_t{cost[s]} << 32 | s);
      }
    }
  }
  for (uint16_t m : living) tie.push_back(static_cast<uint32_t>(taken[m].size()));
  const std::vector<uint32_t> parts = chash::apportion(deficit, weights, held, tie);
  std::vector<uint32_t> room(n, 0);
  for (size_t i = 0; i < living.size(); ++i) {
    std::vector<uint64_t>& mine = taken[living[i]];
    release(&mine, parts[i], &pool);
    room[living[i]] = parts[i] - static_cast<uint32_t>(mine.size());
  }
  if (pool.empty()) return slots;
  dealer->start(static_cast<uint32_t>(pool.size()));
  for (uint32_t s : pool) dealer->add(s);
  dealer->propose(room);
  dealer->finish(room, slots.data(), nullptr);
  return slots;
}

void append(std::vector<uint8_t>* out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t digest_of(const BuiltTable& built) {
  std::vector<uint8_t> bytes;
  bytes.reserve(256 + built.members.size() * 32 + built.slots.size() * 2);
  const auto text = [&](const std::string& value) {
    append(&bytes, value.size(), 4);
    bytes.insert(bytes.end(), value.begin(), value.end());
  };
  text(kTableScheme);
  text(hash_function_name(built.hasher.function()));
  append(&bytes, built.hasher.fingerprint(), 8);
  append(&bytes, built.hasher.seed(), 8);
  append(&bytes, built.members.size(), 4);
  for (const TableMember& m : built.members) text(m.name);
  append(&bytes, built.slots.size(), 4);
  for (uint16_t m : built.slots) append(&bytes, m, 2);
  return chash::xxh64(bytes.data(), bytes.size(), 0);
}

std::string check(const TableInput& input, const BuiltTable& built, uint32_t size) {
  if (size < 1 || size > kMaxTableSize) return "size: 1 to 1,048,576 slots";
  if (input.members.size() > kMaxTableMembers) return "members: at most 1,024";
  if (input.slack > 10000) return "slack: at most 100 %";
  for (size_t m = 0; m < built.members.size(); ++m) {
    const TableMember& member = built.members[m];
    if (member.weight < 1 || member.weight > kMaxWeight) return member.name + ": weight: 1 to 65,535";
    if (m > 0 && built.members[m - 1].name == member.name) return member.name + ": duplicate member";
  }
  if (input.previous && input.previous->home.size() != size) return "previous: not of this size";
  return "";
}

std::vector<bool> dead_flags(const std::vector<TableMember>& members, const std::vector<std::string>& dead) {
  std::vector<std::string> names = dead;
  std::sort(names.begin(), names.end());
  std::vector<bool> flags;
  flags.reserve(members.size());
  for (const TableMember& m : members)
    flags.push_back(std::binary_search(names.begin(), names.end(), m.name));
  return flags;
}

void apply_dead(Dealer* dealer, const std::vector<std::string>& dead, BuiltTable* built) {
  const std::vector<bool> flags = dead_flags(built->members, dead);
  const size_t down = static_cast<size_t>(std::count(flags.begin(), flags.end(), true));
  if (down == flags.size()) {
    built->slots.assign(built->home.size(), kNoMember);
  } else if (down == 0) {
    built->slots = built->home;
  } else {
    built->slots = rehome_tier(dealer, built->home, flags);
  }
  built->digest = digest_of(*built);
}

}  // namespace

uint32_t default_table_size(size_t members) {
  uint32_t size = 256;
  while (size < 65536 && size < 256 * members) size *= 2;
  return size;
}

BuiltTable build_table(const TableInput& input) {
  return build_table(input, chash::best_score_isa());
}

BuiltTable build_table(const TableInput& input, chash::ScoreIsa isa) {
  BuiltTable built;
  const uint32_t size = input.size ? input.size : default_table_size(input.members.size());
  for (uint32_t i = 0; i < input.members.size(); ++i) built.order.push_back(i);
  std::stable_sort(built.order.begin(), built.order.end(),
                   [&](uint32_t a, uint32_t b) { return input.members[a].name < input.members[b].name; });
  for (uint32_t i : built.order) built.members.push_back(input.members[i]);
  built.hasher = input.hasher;
  built.error = check(input, built, size);
  if (!built.error.empty()) return built;
  if (built.members.empty()) {
    built.home.assign(size, kNoMember);
    built.slots = built.home;
    built.digest = digest_of(built);
    return built;
  }
  Dealer dealer(built.members, input.hasher.seed(), size, isa);
  built.home = input.previous ? sticky_tier(&dealer, built.members, *input.previous, size)
                              : home_tier(&dealer, size, input.slack);
  apply_dead(&dealer, input.dead, &built);
  return built;
}

BuiltTable rehome_table(const BuiltTable& built, const std::vector<std::string>& dead) {
  return rehome_table(built, dead, chash::best_score_isa());
}

BuiltTable rehome_table(const BuiltTable& built, const std::vector<std::string>& dead, chash::ScoreIsa isa) {
  BuiltTable next = built;
  if (built.members.empty() || !built.error.empty()) return next;
  Dealer dealer(next.members, next.hasher.seed(), static_cast<uint32_t>(next.home.size()), isa);
  apply_dead(&dealer, dead, &next);
  return next;
}

}  // namespace penstock
