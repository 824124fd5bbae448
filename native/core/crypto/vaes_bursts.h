// AES-GCM with VAES and VPCLMULQDQ, whatever the width of a vector. Included by vaesW_aesK.cc behind
// vaesW_vectors.h.
//
// A packet is a row of 16-byte blocks, two or four to a vector, whose block 0 serves both halves of GCM:
//
//   counter blocks   J0    2     3     4   |  5  …            J0 (SP 800-38D §7.1 step 2) masks the tag
//   text             -     text  text  text|  text …          so block b covers text bytes 16b - 16 … 16b - 1
//   GHASH            AAD   C1    C2    C3  |  C4 …  Cn  len
//
// so neither J0 nor AAD nor (mostly) the lengths cost a vector of their own.
//
//  1. run: sorts the burst into classes of equal number of vectors; results stay in the caller's places.
//  2. Packets of up to kBatchVectors: a few short ones side by side (Batch), each with its own key.
//  3. Longer ones: groups of kGroup vectors, and a last one (Stream).
//  4. Sealing multiplies one batch or group while it encrypts the next; opening does both to the same one.
//     Their instructions are written in the order in which they are to run (aes_round, multiply, add_to).
//
// What bounds it, on Zen 5: one carry-less multiplication per two cycles at any width, so Karatsuba's three
// and not four, up to 36 blocks before a reduction, as many packets reduced at once as a vector has lanes.
// AES goes on beside it, on two other ports; what else there is to do competes for all four, so it is kept
// small: counters from a table, folding by pairs. Zen 3 multiplies and encrypts on the same two ports: there
// the sum of both counts, not the longer.
#pragma once
#include "crypto/vaes_ghash.h"

namespace penstock::gcm::PENSTOCK_VAES {

// --- short packets -----------------------------------------------------------------------------------------
// kPackets packets of an equal number of vectors each, side by side.
template <int kPackets>
struct Batch {
  const GcmOp* op[kPackets];
  uint32_t lanes[kPackets];  // before that of the lengths
  __m128i mask[kPackets];    // J0 encrypted

  PENSTOCK_INLINE_MEMBER void choose(const GcmOp* ops, const uint8_t* index) {
    PENSTOCK_UNROLL for (unsigned k = 0; k < kPackets; ++k) op[k] = ops + index[k];
  }
};

template <int kVectors>
PENSTOCK_INLINE Vector batch_text(const GcmOp& op, int v, const Tail& tail) {
  return load_text(op.in - 16 + kVectorBytes * static_cast<unsigned>(v), v == 0, v == kVectors - 1, tail);
}
// `ciphertext` with zeros where there is none.
template <int kVectors>
PENSTOCK_INLINE Vector batch_input(const GcmOp& op, int v, Vector ciphertext, uint32_t lanes) {
  const Vector x = v == 0 ? first_input(op, ciphertext) : reverse(ciphertext);
  return v == kVectors - 1 ? add(x, lengths_of(op, lanes)) : x;
}

template <int kCount, bool kOpen>
struct BatchRow {
  static constexpr int kVectors = kCount;
  static constexpr bool kSpread = false;
  using Power = StoredPower;
  const GcmOp& op;
  const uint32_t lanes;
  const Vector* hashed;
  const Powers powers;

  PENSTOCK_INLINE_MEMBER BatchRow(const GcmOp& o, uint32_t l, const Vector* h)
      : op(o), lanes(l), hashed(h), powers(powers_of(*o.key, l + 1)) {}
  PENSTOCK_INLINE_MEMBER Vector input(int v) const {
    if constexpr (!kOpen) return hashed[v];
    const Tail tail = tail_of_packet(op.length, kCount - 1);
    return batch_input<kCount>(op, v, batch_text<kCount>(op, v, tail), lanes);
  }
  PENSTOCK_INLINE_MEMBER Power power(int v) const { return stored_power(powers.whole + kVectorBytes * v); }
  PENSTOCK_INLINE_MEMBER Vector folded_power(int v) const { return folded_powers(powers, v); }
};

// One step: encrypts batch `now` and multiplies batch `before`; opening, the same batch. Sealing, `hashed`
// has the rows of the batch before, and in the end those of this one.
template <int kRounds, int kPackets, int kVectors, bool kOpen>
PENSTOCK_INLINE void step(Batch<kPackets>& now, const Batch<kPackets>& before, Vector* hashed, Sum* sum) {
  constexpr int kVectorsOfAll = kPackets * kVectors;
  constexpr int kParts = parts_of(kVectors);
  Vector s[kPackets][kVectors];
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const Vector base = counter_base(*now.op[k]);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) s[k][v] = add(base, load(kCounters.word[kLanes * v]));
    if (kOpen) now.lanes[k] = lanes_of(now.op[k]->length);
  }
  Multiplier<BatchRow<kVectors, kOpen>> multiplier;
  for_each<1, kRounds>([&](auto round) PENSTOCK_BODY {
    constexpr int r = round.value;
    PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
      const Vector round_key = broadcast(now.op[k]->key->round_keys[r]);
      PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
        aes_round(s[k][v], round_key);
        // A third of the rounds have a multiplication each, evenly.
        const int done = ((r - 1) * kPackets + k) * kVectors + v;
        const int part = done * kPackets * kParts / ((kRounds - 1) * kVectorsOfAll);
        const int next = (done + 1) * kPackets * kParts / ((kRounds - 1) * kVectorsOfAll);
        if (part == next) continue;
        const int packet = part / kParts;
        const BatchRow<kVectors, kOpen> row(*before.op[packet], before.lanes[packet],
                                            hashed + packet * kVectors);
        multiply_part(part % kParts, multiplier, sum[packet], row);
        if (part % kParts == kParts - 1) {
          multiply_lengths(sum[packet], *before.op[packet], before.lanes[packet]);
        }
      }
    }
  });
  Tail tail[kPackets];
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const Vector round_key = broadcast(now.op[k]->key->round_keys[kRounds]);
    tail[k] = tail_of_packet(now.op[k]->length, kVectors - 1);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      s[k][v] = aes_last(s[k][v], add(batch_text<kVectors>(*now.op[k], v, tail[k]), round_key));
    }
    now.mask[k] = first_lane(s[k][0]);
  }
  // A batch may hold a packet twice, so all text is read before any is written.
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const GcmOp& op = *now.op[k];
    if (!kOpen) now.lanes[k] = lanes_of(op.length);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      const bool is_last = v == kVectors - 1;
      const Vector x = is_last ? clear_behind(s[k][v], tail[k]) : s[k][v];
      store_text(op.out - 16 + kVectorBytes * static_cast<unsigned>(v), x, s[k][v > 0 ? v - 1 : 0], v == 0,
                 is_last, tail[k]);
      if (!kOpen) hashed[k * kVectors + v] = batch_input<kVectors>(op, v, x, now.lanes[k]);
    }
  }
}

// A row that nothing is encrypted beside.
static inline __attribute__((noinline)) void multiply_row(Sum& sum, const Vector* hashed, int vectors,
                                                          const Powers& powers) {
  sum.low = sum.middle = sum.high = zero();
  for (int v = 0; v < vectors; v += 2) {
    const bool two = v + 1 < vectors;
    const Vector a = hashed[v];
    const Vector b = two ? hashed[v + 1] : zero();
    const Vector a_power = load(powers.whole + kVectorBytes * static_cast<unsigned>(v));
    const Vector b_power = two ? load(powers.whole + kVectorBytes * static_cast<unsigned>(v + 1)) : a_power;
    const Vector folded = fold(a, b);
    const Vector folded_power = folded_powers(powers, v);
    add_to(sum.low, add(multiply<0x00>(a, a_power), multiply<0x00>(b, b_power)));
    add_to(sum.high, add(multiply<0x11>(a, a_power), multiply<0x11>(b, b_power)));
    add_to(sum.middle, add(multiply<0x00>(folded, folded_power), multiply<0x11>(folded, folded_power)));
  }
}

template <int kPackets, bool kOpen, typename B>
PENSTOCK_INLINE void finish(const B& batch, const Sum* sum, Finisher<kOpen>& finisher) {
  if constexpr (kPackets == 1) {
    finisher.put(batch.op[0], sum[0], batch.mask[0]);
  } else {
    constexpr int kCount = kPackets < kLanes ? kPackets : kLanes;
    PENSTOCK_UNROLL for (int k = 0; k < kPackets; k += kCount) {
      finisher.good |= finish_tags<kCount, kOpen>(batch.op + k, sum + k, batch.mask + k, finisher.ops);
    }
  }
}

// The last batch, which nothing is encrypted beside.
template <int kPackets, int kVectors>
__attribute__((noinline)) void finish_last(const Batch<kPackets>& batch, const Vector* hashed,
                                           Finisher<false>& finisher) {
  constexpr int kParts = parts_of(kVectors);
  Sum sum[kPackets];
  Multiplier<BatchRow<kVectors, false>> multiplier;
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const BatchRow<kVectors, false> row(*batch.op[k], batch.lanes[k], hashed + k * kVectors);
    PENSTOCK_UNROLL for (int part = 0; part < kParts; ++part) {
      multiply_part(part, multiplier, sum[k], row);
    }
    multiply_lengths(sum[k], *batch.op[k], batch.lanes[k]);
  }
  finish<kPackets>(batch, sum, finisher);
}

template <int kRounds, int kPackets, int kVectors>
__attribute__((noinline)) void seal_batches(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<false>& finisher) {
  Batch<kPackets> now;
  Vector hashed[kPackets * kVectors];
  now.choose(ops, index);
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) now.lanes[k] = kLanes * kVectors - 1;
  PENSTOCK_UNROLL for (int v = 0; v < kPackets * kVectors; ++v) hashed[v] =
      zero();  // the first step multiplies to no consequence
  for (unsigned at = 0; at < count; at += kPackets) {
    const Batch<kPackets> before = now;
    Sum sum[kPackets];
    now.choose(ops, index + at);
    step<kRounds, kPackets, kVectors, false>(now, before, hashed, sum);
    if (at > 0) finish<kPackets>(before, sum, finisher);
  }
  Vector last[kPackets * kVectors];  // a copy: what a call is given the address of stays in memory all along
  std::memcpy(last, hashed, sizeof last);
  finish_last<kPackets, kVectors>(now, last, finisher);
}

template <int kRounds, int kPackets, int kVectors>
__attribute__((noinline)) void open_batches(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<true>& finisher) {
  Batch<kPackets> now;
  Sum sum[kPackets];
  for (unsigned at = 0; at < count; at += kPackets) {
    now.choose(ops, index + at);
    step<kRounds, kPackets, kVectors, true>(now, now, nullptr, sum);
    finish<kPackets>(now, sum, finisher);
  }
}

// --- longer packets ----------------------------------------------------------------------------------------
// A packet under way: groups of kGroup vectors, then a last one.
constexpr int kMaxLast = kGroup + kMinLast - 1;
constexpr uint32_t kCounterVectors = kCounterBlocks / kLanes;

struct Stream {
  const GcmOp* op;
  const GcmKey* key;
  const uint8_t* in;  // of the group at hand; 16 bytes before the text at its start
  uint8_t* out;
  const void* counters;
  uint32_t vectors, done;
  Vector base;                    // nonce and first round key
  Vector head;                    // the sum of the groups before, reduced
  __m128i mask;                   // J0 encrypted
  Vector own_counters[kMaxLast];  // past those of the table

  PENSTOCK_INLINE_MEMBER void begin(const GcmOp* o) {
    op = o;
    key = o->key;
    in = o->in - 16;
    out = o->out - 16;
    counters = kCounters.word;
    vectors = vectors_of(o->length);
    done = 0;
    base = counter_base(*o);
  }
  // A whole group is done.
  PENSTOCK_INLINE_MEMBER void advance() {
    in += kVectorBytes * kGroup;
    out += kVectorBytes * kGroup;
    counters = static_cast<const uint8_t*>(counters) + kVectorBytes * kGroup;
    done += kGroup;
    if (__builtin_expect(done + kMaxLast > kCounterVectors, 0)) count_up();
  }
  __attribute__((noinline)) void count_up() {
    for (uint32_t v = 0; v < kMaxLast; ++v) own_counters[v] = counters_from(kLanes * (done + v) + 1);
    counters = own_counters;
  }
  // Of the last group, of so many vectors.
  PENSTOCK_INLINE_MEMBER Tail tail(int count) const {
    return tail_of_packet(op->length, done + static_cast<uint32_t>(count) - 1);
  }
};

// What a step multiplies. Sealing: a row that an earlier step left in `hashed`; opening: that of the group at
// hand.
//
// A group that others follow: its powers are those of the distance to the next group's same lane, so that the
// sums of the lanes need not be added up in between.
template <bool kFirst, bool kOpen>
struct GroupRow {
  static constexpr int kVectors = kGroup;
  static constexpr bool kSpread = true;
  using Power = Vector;
  const Stream& stream;
  const Vector (&hashed)[kMaxLast];
  const GcmKey& key;

  PENSTOCK_INLINE_MEMBER GroupRow(const Stream& s, const Vector (&h)[kMaxLast])
      : stream(s), hashed(h), key(*s.key) {}
  PENSTOCK_INLINE_MEMBER Vector input(int v) const {
    if constexpr (!kOpen) return hashed[v];
    const Vector text =
        load_text(stream.in + kVectorBytes * static_cast<unsigned>(v), kFirst && v == 0, false, {});
    if (v != 0) return reverse(text);
    return kFirst ? first_input(*stream.op, text) : add(reverse(text), stream.head);
  }
  PENSTOCK_INLINE_MEMBER Power power(int v) const {
    return broadcast(key.powers[GcmKey::kPowers - kLanes * (kGroup - v)]);
  }
  PENSTOCK_INLINE_MEMBER Vector folded_power(int v) const {
    return broadcast_half(key.folded[GcmKey::kPowers - kLanes * (kGroup - v)]);
  }
};

// A last group.
template <int kCount, bool kOpen>
struct LastRow {
  static constexpr int kVectors = kCount;
  static constexpr bool kSpread = false;
  using Power = StoredPower;
  const Stream* stream;
  const Vector (&hashed)[kMaxLast];
  Powers powers;

  PENSTOCK_INLINE_MEMBER LastRow(const Stream& s, const Vector (&h)[kMaxLast], const Powers& p)
      : stream(&s), hashed(h), powers(p) {}
  PENSTOCK_INLINE_MEMBER Vector input(int v) const {
    if constexpr (!kOpen) return hashed[v];
    const bool is_last = v == kCount - 1;
    const Tail tail = stream->tail(kCount);
    const Vector x =
        reverse(load_text(stream->in + kVectorBytes * static_cast<unsigned>(v), false, is_last, tail));
    if (is_last) return add(x, lengths_of(*stream->op, lanes_of(stream->op->length)));
    return v == 0 ? add(x, stream->head) : x;
  }
  PENSTOCK_INLINE_MEMBER Power power(int v) const { return stored_power(powers.whole + kVectorBytes * v); }
  PENSTOCK_INLINE_MEMBER Vector folded_power(int v) const { return folded_powers(powers, v); }
};

// No row at all.
struct NoRow {
  static constexpr int kVectors = 0;
  static constexpr bool kSpread = false;
  using Power = StoredPower;
};

// Encrypts a group of kVectors, the packet's first or last if so, and multiplies a row.
template <int kRounds, int kVectors, bool kFirst, bool kLast, bool kOpen, typename Row>
PENSTOCK_INLINE void crypt_group(Stream& stream, const Row& row, Sum& sum, Vector (&hashed)[kMaxLast]) {
  constexpr int kParts = parts_of(Row::kVectors);
  constexpr int kEncryptions = (kRounds - 1) * kVectors;
  const GcmKey& key = *stream.key;
  Vector s[kVectors];
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    s[v] = add(stream.base, load(static_cast<const uint8_t*>(stream.counters) + kVectorBytes * v));
  }
  Multiplier<Row> multiplier;
  for_each<1, kRounds>([&](auto round) PENSTOCK_BODY {
    constexpr int r = round.value;
    const Vector round_key = broadcast(key.round_keys[r]);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      aes_round(s[v], round_key);
      if constexpr (kParts > 0) {
        const int done = (r - 1) * kVectors + v;
        const int part = done * kParts / kEncryptions;
        const int next = (done + 1) * kParts / kEncryptions;
        if (part < next) multiply_part(part, multiplier, sum, row);
        if (part + 1 < next) multiply_part(part + 1, multiplier, sum, row);
      }
    }
  });
  const Vector round_key = broadcast(key.round_keys[kRounds]);
  const Tail tail = stream.tail(kVectors);
  if constexpr (Row::kSpread && !kOpen) stream.head = reduce(sum.low, sum.middle, sum.high);
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    const bool is_first = v == 0 && kFirst;
    const bool is_last = v == kVectors - 1 && kLast;
    const Vector text = load_text(stream.in + kVectorBytes * v, is_first, is_last, tail);
    s[v] = aes_last(s[v], add(text, round_key));
    Vector x = is_last ? clear_behind(s[v], tail) : s[v];
    store_text(stream.out + kVectorBytes * v, x, s[v > 0 ? v - 1 : 0], is_first, is_last, tail);
    if (!kOpen) {
      x = is_first ? first_input(*stream.op, x) : reverse(x);
      if (v == 0 && !kFirst) x = add(x, stream.head);
      if (is_last) x = add(x, lengths_of(*stream.op, lanes_of(stream.op->length)));
      hashed[v] = x;
    }
  }
  if (kFirst) stream.mask = first_lane(s[0]);
  if constexpr (kOpen && !kLast) stream.head = reduce(sum.low, sum.middle, sum.high);
}

PENSTOCK_INLINE uint32_t groups_of(uint32_t vectors) {
  return (vectors - kMinLast) / kGroup;
}
PENSTOCK_INLINE Powers last_powers(const Stream& stream) {
  return powers_of(*stream.key, lanes_of(stream.op->length) + 1 - kLanes * stream.done);
}

template <int kRounds>
__attribute__((noinline)) void open_streams(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<true>& finisher) {
  Stream stream;
  Vector none[kMaxLast];
  for (unsigned i = 0; i < count; ++i) {
    const GcmOp* op = ops + index[i];
    Sum sum;
    stream.begin(op);
    crypt_group<kRounds, kGroup, true, false, true>(stream, GroupRow<true, true>(stream, none), sum, none);
    stream.advance();
    for (uint32_t group = groups_of(stream.vectors) - 1; group > 0; --group) {
      crypt_group<kRounds, kGroup, false, false, true>(stream, GroupRow<false, true>(stream, none), sum,
                                                       none);
      stream.advance();
    }
    const Powers powers = last_powers(stream);
    with_constant<kMinLast, kMaxLast>(stream.vectors - stream.done, [&](auto vectors) PENSTOCK_BODY {
      crypt_group<kRounds, vectors.value, false, true, true>(
          stream, LastRow<vectors.value, true>(stream, none, powers), sum, none);
    });
    multiply_lengths(sum, *op, lanes_of(op->length));
    finisher.put(op, sum, stream.mask);
  }
}

// Sealing: a packet's first group goes beside the last row of the packet before, its others beside its own
// rows.
template <int kRounds>
__attribute__((noinline)) void seal_streams(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<false>& finisher) {
  if (count == 0) return;  // never: a class that was chosen has a member
  Stream stream;
  Vector hashed[kMaxLast];  // the row that the next step multiplies
  Powers powers = {};
  uint32_t pending = 0;  // vectors of the row that the packet before has left
  __m128i mask = _mm_setzero_si128();
  for (unsigned i = 0; i < count; ++i) {
    const GcmOp* op = ops + index[i];
    Sum sum;
    stream.begin(op);
    if (pending == 0) {
      crypt_group<kRounds, kGroup, true, false, false>(stream, NoRow{}, sum, hashed);
    } else {
      with_constant<kMinLast, kMaxLast>(pending, [&](auto row) PENSTOCK_BODY {
        crypt_group<kRounds, kGroup, true, false, false>(
            stream, LastRow<row.value, false>(stream, hashed, powers), sum, hashed);
      });
      const GcmOp* before = ops + index[i - 1];
      multiply_lengths(sum, *before, lanes_of(before->length));
      finisher.put(before, sum, mask);
    }
    stream.advance();
    for (uint32_t group = groups_of(stream.vectors) - 1; group > 0; --group) {
      crypt_group<kRounds, kGroup, false, false, false>(stream, GroupRow<false, false>(stream, hashed), sum,
                                                        hashed);
      stream.advance();
    }
    powers = last_powers(stream);
    mask = stream.mask;
    pending = stream.vectors - stream.done;
    with_constant<kMinLast, kMaxLast>(pending, [&](auto vectors) PENSTOCK_BODY {
      crypt_group<kRounds, vectors.value, false, true, false>(stream, GroupRow<false, false>(stream, hashed),
                                                              sum, hashed);
    });
  }
  Sum sum;
  Vector last[kMaxLast];  // a copy, as in seal_batches
  std::memcpy(last, hashed, sizeof last);
  multiply_row(sum, last, static_cast<int>(pending), powers);
  multiply_lengths(sum, *stream.op, lanes_of(stream.op->length));
  finisher.put(stream.op, sum, mask);
}

// --- burst -------------------------------------------------------------------------------------------------
// Classes beyond the numbers of vectors of batches: streams, and what is left to another kernel.
constexpr uint8_t kStreams = kBatchVectors + 1;
constexpr uint8_t kOthers = kBatchVectors + 2;
constexpr uint8_t kLongKey = 16;  // a bit

// One class of one key length. Instantiated by vaesW_aesK.cc, two files that compile side by side.
template <int kRounds, bool kOpen>
void run_class(const GcmOp* ops, const uint8_t* index, unsigned count, unsigned which,
               Finisher<kOpen>& finisher) {
  if (which == kStreams) {
    if constexpr (kOpen) {
      open_streams<kRounds>(ops, index, count, finisher);
    } else {
      seal_streams<kRounds>(ops, index, count, finisher);
    }
  } else {
    with_constant<1, kBatchVectors>(which, [&](auto vectors) PENSTOCK_BODY {
      constexpr int kVectors = vectors.value;
      if constexpr (kOpen) {
        open_batches<kRounds, packets_of(kVectors), kVectors>(ops, index, count, finisher);
      } else {
        seal_batches<kRounds, packets_of(kVectors), kVectors>(ops, index, count, finisher);
      }
    });
  }
}

template <bool kOpen>
PENSTOCK_INLINE void run_others(const GcmOp* ops, const uint8_t* index, unsigned count,
                                Finisher<kOpen>& finisher) {
  for (unsigned i = 0; i < count; ++i) {
    if constexpr (kOpen) {
      finisher.good |= kAesni.open(ops + index[i], 1) << index[i];
    } else {
      kAesni.seal(ops + index[i], 1);
    }
  }
}

// Number of vectors, and the key's length: what one loop does.
PENSTOCK_INLINE uint8_t class_of(const GcmOp& op) {
  const uint32_t vectors = vectors_of(op.length) < kStreams ? vectors_of(op.length) : kStreams;
  const uint32_t which = op.aad_length > 16 || op.length < kMinText ? kOthers : vectors;
  return static_cast<uint8_t>((op.key->rounds == 14 ? kLongKey : 0) | which);
}

// A burst. Opening: which of it verified.
template <bool kOpen>
PENSTOCK_INLINE uint64_t run(const GcmOp* ops, unsigned count) {
  if (count == 0) return 0;  // never, by dispatch.cc, which the analyzer does not see
  alignas(64) uint8_t classes[kGcmMaxBurst];
  for (unsigned i = 0; i < count; ++i) classes[i] = class_of(ops[i]);
  Finisher<kOpen> finisher(ops);
  for (uint64_t left = ~uint64_t{0} >> (64 - count); left != 0;) {
    const uint8_t chosen = classes[_tzcnt_u64(left)];
    const uint64_t members = members_of(classes, left, chosen);
    left &= ~members;
    alignas(64) uint8_t index[kGcmMaxBurst + 64];
    list(members, index);
    const auto size = static_cast<unsigned>(_mm_popcnt_u64(members));
    const unsigned which = chosen & ~kLongKey;
    if (which == kOthers) {
      run_others<kOpen>(ops, index, size, finisher);
    } else if (which == chosen) {
      run_class<10, kOpen>(ops, index, size, which, finisher);
    } else {
      run_class<14, kOpen>(ops, index, size, which, finisher);
    }
  }
  finisher.flush();
  return finisher.good;
}

}  // namespace penstock::gcm::PENSTOCK_VAES
