// AES-GCM for processors with VAES and VPCLMULQDQ on 512-bit registers.
//
// A packet is a row of 16-byte blocks, four to a vector, whose block 0 serves both halves of GCM:
//
//   counter blocks   J0    2     3     4   |  5  …            J0 (SP 800-38D §7.1 step 2) masks the tag
//   text             -     text  text  text|  text …          so vector v covers text bytes 64v - 16 … 64v +
//   47 GHASH            AAD   C1    C2    C3  |  C4 …  Cn  len
//
// so neither J0 nor AAD nor (three times of four) the lengths cost a vector of their own. Longer AAD is
// hashed into the AAD block beforehand.
//
//  1. run: sorts the burst into classes of equal key length and number of vectors; results stay in the
//  caller's places.
//  2. Packets of up to five vectors: a few side by side (Batch), each with its own key.
//  3. Longer ones: groups of five to nine vectors, one after another (Stream).
//  4. Sealing multiplies one batch or group while it encrypts the next; opening does both to the same one.
//
// What bounds it, on Zen 5: one carry-less multiplication per two cycles at any width, so Karatsuba's three
// and not four, up to 36 blocks before a reduction, four packets reduced at once. AES goes on beside it, on
// two other ports; what else there is to do competes for all four, so it is kept small: counters from a
// table, folding by pairs.
#include "crypto/cpu.h"
#include "crypto/vaes512_blocks.h"

namespace penstock::gcm {
namespace {

// --- packets of up to five vectors -------------------------------------------------------------------------
// kPackets packets of kVectors vectors each, side by side. What of their ops is needed is loaded where it is
// needed, again and again: kept in registers it would only push more important things out.
template <int kPackets>
struct Batch {
  const GcmOp* op[kPackets];
  __m128i mask[kPackets];  // J0 encrypted

  PENSTOCK_INLINE_MEMBER void choose(const GcmOp* ops, const uint8_t* index, unsigned count, unsigned first) {
    PENSTOCK_UNROLL for (unsigned k = 0; k < kPackets; ++k) {
      // A last batch is filled up with its last packet again: all text is read before any is written, so that
      // the same is done to it twice.
      op[k] = ops + index[first + k < count ? first + k : count - 1];
    }
  }
};

// Vector v of kVectors: the bytes of text in it, that text, and what GHASH takes for it.
template <int kVectors>
PENSTOCK_INLINE __mmask64 text_in(const GcmOp& op, int v) {
  const __mmask64 mask = v == 0 ? kTextOfFirst : kAll;
  return v == kVectors - 1 ? text_mask(op.length, static_cast<uint32_t>(v)) & mask : mask;
}
template <int kVectors>
PENSTOCK_INLINE __m512i load_text(const GcmOp& op, int v) {
  const uint8_t* in = op.in - 16 + 64 * v;
  return v == 0 || v == kVectors - 1 ? _mm512_maskz_loadu_epi8(text_in<kVectors>(op, v), in) : load512(in);
}
template <int kVectors>
PENSTOCK_INLINE __m512i hash_input(const GcmOp& op, int v, __m512i ciphertext) {
  if (v == 0) ciphertext = _mm512_inserti32x4(ciphertext, aad_block(op), 0);
  ciphertext = reverse(ciphertext);
  return v == kVectors - 1 ? add(ciphertext, lengths_of(op)) : ciphertext;
}

template <int kVectors, bool kOpen>
struct BatchRow {
  const GcmOp& op;
  const __m512i* hashed;
  Powers powers;

  PENSTOCK_INLINE_MEMBER BatchRow(const GcmOp& o, const __m512i* h)
      : op(o), hashed(h), powers(powers_of(*o.key, lanes_of(o.length) + 1)) {}
  PENSTOCK_INLINE_MEMBER __m512i input(int v) const {
    if constexpr (kOpen) return hash_input<kVectors>(op, v, load_text<kVectors>(op, v));
    return hashed[v];
  }
};

// One step: encrypts batch `now` and multiplies batch `before`; opening, the same batch. Sealing, `hashed`
// has the rows of the batch before, and in the end those of this one.
template <int kRounds, int kPackets, int kVectors, bool kOpen>
PENSTOCK_INLINE void step(Batch<kPackets>& now, const Batch<kPackets>& before, __m512i* hashed, Sum* sum) {
  constexpr int kVectorsOfAll = kPackets * kVectors;
  constexpr int kParts = parts_of(kVectors);
  __m512i s[kPackets][kVectors];
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const __m512i base = counter_base(*now.op[k]);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) s[k][v] = add(base, load512(kCounters.word[v]));
  }
  Multiplier multiplier;
  PENSTOCK_UNROLL for (int r = 1; r < kRounds; ++r) {
    PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
      const __m512i round_key = broadcast(now.op[k]->key->round_keys[r]);
      PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
        s[k][v] = _mm512_aesenc_epi128(s[k][v], round_key);
        // A third of the rounds have a multiplication each, evenly.
        const int done = ((r - 1) * kPackets + k) * kVectors + v;
        const int part = done * kPackets * kParts / ((kRounds - 1) * kVectorsOfAll);
        const int next = (done + 1) * kPackets * kParts / ((kRounds - 1) * kVectorsOfAll);
        if (part == next) continue;
        const int packet = part / kParts;
        const BatchRow<kVectors, kOpen> row(*before.op[packet], hashed + packet * kVectors);
        multiply_part<kVectors>(part % kParts, multiplier, sum[packet], row);
        if (part % kParts == kParts - 1) multiply_lengths(sum[packet], *before.op[packet]);
      }
    }
  }
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const __m512i round_key = broadcast(now.op[k]->key->round_keys[kRounds]);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      s[k][v] = _mm512_aesenclast_epi128(s[k][v], add(load_text<kVectors>(*now.op[k], v), round_key));
    }
    now.mask[k] = _mm512_castsi512_si128(s[k][0]);
  }
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const GcmOp& op = *now.op[k];
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      uint8_t* out = op.out - 16 + 64 * v;
      if (v == 0 || v == kVectors - 1) {
        const __mmask64 mask = text_in<kVectors>(op, v);
        _mm512_mask_storeu_epi8(out, mask, s[k][v]);
        if (v == kVectors - 1) s[k][v] = _mm512_maskz_mov_epi8(mask, s[k][v]);
      } else {
        _mm512_storeu_si512(out, s[k][v]);
      }
      if (!kOpen) hashed[k * kVectors + v] = hash_input<kVectors>(op, v, s[k][v]);
    }
  }
}

// A row that nothing is encrypted beside.
__attribute__((noinline)) void multiply_row(Sum& sum, const __m512i* hashed, int vectors,
                                            const Powers& powers) {
  sum.low = sum.middle = sum.high = _mm512_setzero_si512();
  for (int v = 0; v < vectors; v += 2) {
    const bool two = v + 1 < vectors;
    const __m512i a = hashed[v];
    const __m512i b = two ? hashed[v + 1] : _mm512_setzero_si512();
    const __m512i a_power = load512(powers.whole + 64 * v);
    const __m512i b_power = two ? load512(powers.whole + 64 * (v + 1)) : a_power;
    const __m512i folded = add(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m512i folded_power = folded_powers(powers, v);
    add_to(sum.low,
           add(_mm512_clmulepi64_epi128(a, a_power, 0x00), _mm512_clmulepi64_epi128(b, b_power, 0x00)));
    add_to(sum.high,
           add(_mm512_clmulepi64_epi128(a, a_power, 0x11), _mm512_clmulepi64_epi128(b, b_power, 0x11)));
    add_to(sum.middle, add(_mm512_clmulepi64_epi128(folded, folded_power, 0x00),
                           _mm512_clmulepi64_epi128(folded, folded_power, 0x11)));
  }
}

template <int kPackets, bool kOpen, typename B>
PENSTOCK_INLINE void finish(const B& batch, const Sum* sum, Finisher<kOpen>& finisher) {
  if constexpr (kOpen) {
    finisher.good |= check_tags<kPackets>(make_tags<kPackets>(sum, batch.mask), batch.op, finisher.ops);
  } else {
    write_tags<kPackets>(make_tags<kPackets>(sum, batch.mask), batch.op);
  }
}

// The last batch, which nothing is encrypted beside.
template <int kPackets, int kVectors>
__attribute__((noinline)) void finish_last(const Batch<kPackets>& batch, const __m512i* hashed,
                                           Finisher<false>& finisher) {
  constexpr int kParts = parts_of(kVectors);
  Sum sum[kPackets];
  Multiplier multiplier;
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const BatchRow<kVectors, false> row(*batch.op[k], hashed + k * kVectors);
    PENSTOCK_UNROLL for (int part = 0; part < kParts; ++part) {
      multiply_part<kVectors>(part, multiplier, sum[k], row);
    }
    multiply_lengths(sum[k], *batch.op[k]);
  }
  finish<kPackets>(batch, sum, finisher);
}

template <int kRounds, int kPackets, int kVectors>
__attribute__((noinline)) void seal_batches(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<false>& finisher) {
  Batch<kPackets> now;
  __m512i hashed[kPackets * kVectors];
  now.choose(ops, index, count, 0);
  for (__m512i& x : hashed) x = _mm512_setzero_si512();  // the first step multiplies to no consequence
  for (unsigned at = 0; at < count; at += kPackets) {
    const Batch<kPackets> before = now;
    Sum sum[kPackets];
    now.choose(ops, index, count, at);
    step<kRounds, kPackets, kVectors, false>(now, before, hashed, sum);
    if (at > 0) finish<kPackets>(before, sum, finisher);
  }
  finish_last<kPackets, kVectors>(now, hashed, finisher);
}

template <int kRounds, int kPackets, int kVectors>
__attribute__((noinline)) void open_batches(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<true>& finisher) {
  Batch<kPackets> now;
  Sum sum[kPackets];
  for (unsigned at = 0; at < count; at += kPackets) {
    now.choose(ops, index, count, at);
    step<kRounds, kPackets, kVectors, true>(now, now, nullptr, sum);
    finish<kPackets>(now, sum, finisher);
  }
}

template <int kRounds, int kPackets, int kVectors, bool kOpen>
PENSTOCK_INLINE void run_batches(const GcmOp* ops, const uint8_t* index, unsigned count,
                                 Finisher<kOpen>& finisher) {
  if constexpr (kOpen) {
    open_batches<kRounds, kPackets, kVectors>(ops, index, count, finisher);
  } else {
    seal_batches<kRounds, kPackets, kVectors>(ops, index, count, finisher);
  }
}

// --- longer packets ----------------------------------------------------------------------------------------
constexpr int kLeast = 5;  // vectors in a group
constexpr int kMost = 9;

// A packet under way, and of it the group at hand. Sealing, also the row before, which the group's step
// multiplies.
struct Stream {
  const GcmOp* op;
  const GcmKey* key;
  const uint8_t* in;  // of the group; 16 bytes before the text at its start
  uint8_t* out;
  const void* counters;
  __mmask64 first_text;  // bytes of text in the group's first vector
  __mmask64 last_text;   // and in its last
  Powers powers;         // of the row to be multiplied
  __m512i base;          // nonce and first round key
  __m512i head;          // what GHASH takes in the group's first vector besides text: AAD or the sum so far
  __m512i tail;          // in its last: the lengths, or nothing
  __m512i sum_so_far;    // sealing: for the first vector of `hashed`
  __m512i hashed[kMost];
  __m512i own_counters[kMost];
  Sum sum;        // of the row multiplied
  __m128i lane0;  // of the group's first vector, encrypted

  uint32_t vectors, done;

  PENSTOCK_INLINE_MEMBER __m512i input(int v, int count, bool opening) const {
    if (!opening) return v == 0 ? add(hashed[0], sum_so_far) : hashed[v];
    const uint8_t* from = in + 64 * v;
    if (v == 0) return add(reverse(_mm512_maskz_loadu_epi8(first_text, from)), head);
    if (v == count - 1) return add(reverse(_mm512_maskz_loadu_epi8(last_text, from)), tail);
    return reverse(load512(from));
  }

  PENSTOCK_INLINE_MEMBER void begin(const GcmOp* o) {
    op = o;
    key = o->key;
    base = counter_base(*o);
    head = reverse(_mm512_zextsi128_si512(aad_block(*o)));
    vectors = vectors_of(o->length);
    done = 0;
  }
  // Vectors of the next group: few groups, and as even as can be.
  PENSTOCK_INLINE_MEMBER uint32_t next_group() const {
    const uint32_t left = vectors - done;
    const uint32_t groups = (left + kMost - 1) / kMost;
    return (left + groups - 1) / groups;
  }
  PENSTOCK_INLINE_MEMBER void enter(uint32_t group) {
    const bool first = done == 0;
    const bool last = done + group == vectors;
    in = op->in - 16 + 64 * done;
    out = op->out - 16 + 64 * done;
    counters = kCounters.word[done];
    if (__builtin_expect(done + group > kCounterVectors, 0)) count_up();
    first_text = first ? kTextOfFirst : kAll;
    last_text = last ? text_mask(op->length, vectors - 1) : kAll;
    tail = last ? lengths_of(*op) : _mm512_setzero_si512();
  }
  // Counters past the table's.
  __attribute__((noinline)) void count_up() {
    const __m512i swap =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m512i lanes = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    for (uint32_t v = 0; v < kMost; ++v) {
      own_counters[v] = _mm512_shuffle_epi8(
          _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(4 * (done + v)))), swap);
    }
    counters = own_counters;
  }
};

// Encrypts a group of kVectors and multiplies kRow: of the row before, or opening of the group itself.
template <int kVectors, bool kOpen>
struct StreamRow {
  const Stream& stream;
  const Powers powers;
  PENSTOCK_INLINE_MEMBER __m512i input(int v) const { return stream.input(v, kVectors, kOpen); }
};

template <int kRounds, int kVectors, int kRow, bool kOpen>
__attribute__((noinline)) void crypt_group(Stream& stream) {
  constexpr int kParts = parts_of(kRow);
  const GcmKey& key = *stream.key;
  __m512i s[kVectors];
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    s[v] = add(stream.base, load512(static_cast<const uint8_t*>(stream.counters) + 64 * v));
  }
  const StreamRow<kRow, kOpen> row{stream, stream.powers};
  Multiplier multiplier;
  Sum sum;
  PENSTOCK_UNROLL for (int r = 1; r < kRounds; ++r) {
    const __m512i round_key = broadcast(key.round_keys[r]);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      s[v] = _mm512_aesenc_epi128(s[v], round_key);
      const int done = (r - 1) * kVectors + v;
      const int part = done * kParts / ((kRounds - 1) * kVectors);
      if (part != (done + 1) * kParts / ((kRounds - 1) * kVectors))
        multiply_part<kRow>(part, multiplier, sum, row);
    }
  }
  stream.sum = sum;
  const __m512i round_key = broadcast(key.round_keys[kRounds]);
  const uint8_t* in = stream.in;
  uint8_t* out = stream.out;
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    const bool masked = v == 0 || v == kVectors - 1;
    const __mmask64 mask = v == 0 ? stream.first_text : stream.last_text;
    const __m512i text = masked ? _mm512_maskz_loadu_epi8(mask, in + 64 * v) : load512(in + 64 * v);
    __m512i x = _mm512_aesenclast_epi128(s[v], add(text, round_key));
    if (v == 0) stream.lane0 = _mm512_castsi512_si128(x);
    if (masked) {
      _mm512_mask_storeu_epi8(out + 64 * v, mask, x);
      if (!kOpen) x = _mm512_maskz_mov_epi8(mask, x);
    } else {
      _mm512_storeu_si512(out + 64 * v, x);
    }
    if (kOpen) continue;
    x = reverse(x);
    if (v == 0) x = add(x, stream.head);
    if (v == kVectors - 1) x = add(x, stream.tail);
    stream.hashed[v] = x;
  }
}

using CryptGroup = void (*)(Stream&);

// Sealing: by vectors of the group and of the row before. Only neighbours are there: what a packet's groups,
// and most packets next to each other in a burst, need.
template <int kRounds>
struct SealGroups {
  static constexpr int kSizes = kMost - kLeast + 1;
  CryptGroup by_size[kSizes][3];
  constexpr SealGroups()
      : by_size{{nullptr, crypt_group<kRounds, 5, 5, false>, crypt_group<kRounds, 5, 6, false>},
                {crypt_group<kRounds, 6, 5, false>, crypt_group<kRounds, 6, 6, false>,
                 crypt_group<kRounds, 6, 7, false>},
                {crypt_group<kRounds, 7, 6, false>, crypt_group<kRounds, 7, 7, false>,
                 crypt_group<kRounds, 7, 8, false>},
                {crypt_group<kRounds, 8, 7, false>, crypt_group<kRounds, 8, 8, false>,
                 crypt_group<kRounds, 8, 9, false>},
                {crypt_group<kRounds, 9, 8, false>, crypt_group<kRounds, 9, 9, false>, nullptr}} {}
};
template <int kRounds>
constexpr SealGroups<kRounds> kSealGroups;

template <int kRounds>
constexpr CryptGroup kOpenGroups[] = {crypt_group<kRounds, 5, 5, true>, crypt_group<kRounds, 6, 6, true>,
                                      crypt_group<kRounds, 7, 7, true>, crypt_group<kRounds, 8, 8, true>,
                                      crypt_group<kRounds, 9, 9, true>};

// Two packets take turns, group by group: what one waits for (the sum of its group, reduced, goes into the
// next), the other hides.
template <int kRounds>
__attribute__((noinline)) void open_streams(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<true>& finisher) {
  Stream streams[2];
  __m128i masks[2];
  unsigned next = 0;
  unsigned active = 0;
  for (; next < count && next < 2; ++next, ++active) streams[next].begin(ops + index[next]);
  for (unsigned turn = 0; active > 0; turn ^= active > 1) {
    Stream& stream = streams[turn];
    const GcmOp* op = stream.op;
    const uint32_t group = stream.next_group();
    const bool first = stream.done == 0;
    const bool last = stream.done + group == stream.vectors;
    stream.enter(group);
    stream.powers = powers_of(*op->key, last ? lanes_of(op->length) + 1 - 4 * stream.done : 4 * group);
    kOpenGroups<kRounds>[group - kLeast](stream);
    if (first) masks[turn] = stream.lane0;
    if (!last) {
      stream.head = add_lanes(reduce(stream.sum));
      stream.done += group;
      continue;
    }
    multiply_lengths(stream.sum, *op);
    finisher.put(op, stream.sum, masks[turn]);
    if (next < count) {
      stream.begin(ops + index[next++]);
    } else {
      --active;
      turn ^= active == 1;  // the other's, from now on
    }
  }
}

// The row that a sealing stream has yet to multiply.
struct Pending {
  const GcmOp* op = nullptr;
  uint32_t vectors = 0;  // 0: none
  bool last = false;     // the packet's last
  __m128i mask = _mm_setzero_si128();
};

PENSTOCK_INLINE void take(Stream& stream, const Pending& pending, Finisher<false>& finisher) {
  if (pending.last) {
    multiply_lengths(stream.sum, *pending.op);
    finisher.put(pending.op, stream.sum, pending.mask);
    stream.sum_so_far = _mm512_setzero_si512();
  } else {
    stream.sum_so_far = add_lanes(reduce(stream.sum));
  }
}

PENSTOCK_INLINE void flush(Stream& stream, const Pending& pending, Finisher<false>& finisher) {
  stream.hashed[0] = add(stream.hashed[0], stream.sum_so_far);
  multiply_row(stream.sum, stream.hashed, static_cast<int>(pending.vectors), stream.powers);
  take(stream, pending, finisher);
}

template <int kRounds>
__attribute__((noinline)) void seal_streams(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<false>& finisher) {
  Stream stream;
  Pending pending;
  pending.vectors = 0;
  stream.sum_so_far = _mm512_setzero_si512();
  for (unsigned i = 0; i < count; ++i) {
    const GcmOp* op = ops + index[i];
    stream.begin(op);
    __m128i mask;
    for (;;) {
      const uint32_t group = stream.next_group();
      const bool first = stream.done == 0;
      const bool last = stream.done + group == stream.vectors;
      stream.enter(group);
      const uint32_t step = pending.vectors + 1 - group;  // 0, 1 or 2, if neighbours
      if (pending.vectors != 0 && step > 2) {
        flush(stream, pending, finisher);
        pending.vectors = 0;
      }
      if (pending.vectors == 0) {  // multiply something, to no consequence
        for (__m512i& x : stream.hashed) x = _mm512_setzero_si512();
        stream.powers = powers_of(*op->key, 4 * group);
        kSealGroups<kRounds>.by_size[group - kLeast][1](stream);
      } else {
        kSealGroups<kRounds>.by_size[group - kLeast][step](stream);
        take(stream, pending, finisher);
      }
      if (first) mask = stream.lane0;
      pending = {op, group, last, mask};
      stream.powers = powers_of(*op->key, last ? lanes_of(op->length) + 1 - 4 * stream.done : 4 * group);
      stream.head = _mm512_setzero_si512();
      if (last) break;
      stream.done += group;
    }
  }
  flush(stream, pending, finisher);
}

// --- burst -------------------------------------------------------------------------------------------------
template <int kRounds, bool kOpen>
PENSTOCK_INLINE void run_class(const GcmOp* ops, const uint8_t* index, unsigned count, unsigned vectors,
                               Finisher<kOpen>& finisher) {
  switch (vectors) {
    case 1:
      return run_batches<kRounds, 4, 1, kOpen>(ops, index, count, finisher);
    case 2:
      return run_batches<kRounds, 4, 2, kOpen>(ops, index, count, finisher);
    case 3:
      return run_batches<kRounds, 4, 3, kOpen>(ops, index, count, finisher);
    case 4:
      return run_batches<kRounds, 2, 4, kOpen>(ops, index, count, finisher);
    case 5:
      return run_batches<kRounds, 2, 5, kOpen>(ops, index, count, finisher);
    default:
      if constexpr (kOpen) {
        return open_streams<kRounds>(ops, index, count, finisher);
      } else {
        return seal_streams<kRounds>(ops, index, count, finisher);
      }
  }
}

// Key length and number of vectors: what one loop does. 6: many.
PENSTOCK_INLINE uint8_t class_of(const GcmOp& op) {
  const uint32_t vectors = vectors_of(op.length);
  return static_cast<uint8_t>((op.key->rounds == 14 ? 8 : 0) | (vectors < 6 ? vectors : 6));
}

template <bool kOpen>
PENSTOCK_INLINE uint64_t run(const GcmOp* ops, unsigned count) {
  if (count == 0) return 0;  // never, by dispatch.cc, which the analyzer does not see
  alignas(64) uint8_t classes[kGcmMaxBurst];
  for (unsigned i = 0; i < count; ++i) classes[i] = class_of(ops[i]);
  const __m512i all = _mm512_load_si512(classes);
  alignas(64) static constexpr struct Numbers {
    uint8_t value[64];
    constexpr Numbers() : value{} {
      for (unsigned i = 0; i < 64; ++i) value[i] = static_cast<uint8_t>(i);
    }
  } kNumbers;
  const __m512i numbers = _mm512_load_si512(kNumbers.value);
  Finisher<kOpen> finisher(ops);
  uint64_t left = ~uint64_t{0} >> (64 - count);
  while (left != 0) {
    const uint8_t chosen = classes[_tzcnt_u64(left)];
    const __mmask64 members = left & _mm512_cmpeq_epi8_mask(all, _mm512_set1_epi8(static_cast<char>(chosen)));
    left &= ~members;
    alignas(64) uint8_t index[kGcmMaxBurst];
    _mm512_store_si512(index, _mm512_maskz_compress_epi8(members, numbers));
    const unsigned size = static_cast<unsigned>(_mm_popcnt_u64(members));
    if (chosen < 8) {
      run_class<10, kOpen>(ops, index, size, chosen, finisher);
    } else {
      run_class<14, kOpen>(ops, index, size, chosen - 8, finisher);
    }
  }
  finisher.flush();
  return finisher.good;
}

void seal(const GcmOp* ops, unsigned count) {
  run<false>(ops, count);
}
uint64_t open(const GcmOp* ops, unsigned count) {
  return run<true>(ops, count);
}

bool supported() {
  const Cpu cpu = Cpu::read();
  return cpu.vaes && cpu.vpclmulqdq && cpu.avx512 && cpu.bmi1 && cpu.bmi2 && cpu.popcnt;
}

}  // namespace

const Kernel kVaes512 = {"vaes512", supported, aesni_init_key, seal, open};

}  // namespace penstock::gcm
