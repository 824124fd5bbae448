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
//  2. Packets of up to nine vectors: a few short ones side by side (Batch), each with its own key.
//  3. Longer ones: groups of eight vectors, and a last one (Stream).
//  4. Sealing multiplies one batch or group while it encrypts the next; opening does both to the same one.
//  Their
//     instructions are written in the order in which they are to run (aes_round, multiply, add_to).
//
// What bounds it, on Zen 5: one carry-less multiplication per two cycles at any width, so Karatsuba's three
// and not four, up to 36 blocks before a reduction, four packets reduced at once. AES goes on beside it, on
// two other ports; what else there is to do competes for all four, so it is kept small: counters from a
// table, folding by pairs.
#include "crypto/cpu.h"
#include "crypto/vaes512_blocks.h"

namespace penstock::gcm {
namespace {

// --- packets of up to nine vectors -------------------------------------------------------------------------
// kPackets packets of kVectors vectors each, side by side.
template <int kPackets>
struct Batch {
  const GcmOp* op[kPackets];
  uint32_t lanes[kPackets];  // before that of the lengths
  __m128i mask[kPackets];    // J0 encrypted

  PENSTOCK_INLINE_MEMBER void choose(const GcmOp* ops, const uint8_t* index) {
    PENSTOCK_UNROLL for (unsigned k = 0; k < kPackets; ++k) op[k] = ops + index[k];
  }
};

// Vector v of kVectors, `last` being the bytes of text in the last one: those in v, that text, and what GHASH
// takes for it.
template <int kVectors>
PENSTOCK_INLINE __mmask64 text_in(int v, __mmask64 last) {
  const __mmask64 mask = v == 0 ? kTextOfFirst : kAll;
  return v == kVectors - 1 ? last & mask : mask;
}
template <int kVectors>
PENSTOCK_INLINE __m512i load_text(const GcmOp& op, int v, __mmask64 last) {
  const uint8_t* in = op.in - 16 + 64 * v;
  return v == 0 || v == kVectors - 1 ? _mm512_maskz_loadu_epi8(text_in<kVectors>(v, last), in) : load512(in);
}
template <int kVectors>
PENSTOCK_INLINE __m512i hash_input(const GcmOp& op, int v, __m512i ciphertext, uint32_t lanes) {
  if (v == 0) ciphertext = _mm512_inserti32x4(ciphertext, aad_block(op), 0);
  ciphertext = reverse(ciphertext);
  return v == kVectors - 1 ? add(ciphertext, lengths_of(op, lanes)) : ciphertext;
}

template <int kCount, bool kOpen>
struct BatchRow {
  static constexpr int kVectors = kCount;
  static constexpr bool kSpread = false;
  const GcmOp& op;
  const uint32_t lanes;
  const __m512i* hashed;
  const Powers powers;

  PENSTOCK_INLINE_MEMBER BatchRow(const GcmOp& o, uint32_t l, const __m512i* h)
      : op(o), lanes(l), hashed(h), powers(powers_of(*o.key, l + 1)) {}
  PENSTOCK_INLINE_MEMBER __m512i input(int v) const {
    if constexpr (!kOpen) return hashed[v];
    return hash_input<kCount>(op, v, load_text<kCount>(op, v, text_mask(op.length, kCount - 1)), lanes);
  }
  PENSTOCK_INLINE_MEMBER __m512i power(int v) const { return load_once(powers.whole + 64 * v); }
  PENSTOCK_INLINE_MEMBER __m512i folded_power(int v) const { return folded_powers(powers, v); }
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
    if (kOpen) now.lanes[k] = lanes_of(now.op[k]->length);
  }
  Multiplier multiplier;
  PENSTOCK_UNROLL for (int r = 1; r < kRounds; ++r) {
    PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
      const __m512i round_key = broadcast(now.op[k]->key->round_keys[r]);
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
  }
  __mmask64 last[kPackets];
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const __m512i round_key = broadcast(now.op[k]->key->round_keys[kRounds]);
    last[k] = text_mask(now.op[k]->length, kVectors - 1);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      s[k][v] =
          _mm512_aesenclast_epi128(s[k][v], add(load_text<kVectors>(*now.op[k], v, last[k]), round_key));
    }
    now.mask[k] = _mm512_castsi512_si128(s[k][0]);
  }
  // A batch may hold a packet twice, so all text is read before any is written.
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) {
    const GcmOp& op = *now.op[k];
    uint8_t* out = op.out - 16;
    if (!kOpen) now.lanes[k] = lanes_of(op.length);
    PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
      if (v == 0 || v == kVectors - 1) {
        const __mmask64 mask = text_in<kVectors>(v, last[k]);
        _mm512_mask_storeu_epi8(out + 64 * v, mask, s[k][v]);
        if (v == kVectors - 1) s[k][v] = _mm512_maskz_mov_epi8(mask, s[k][v]);
      } else {
        _mm512_storeu_si512(out + 64 * v, s[k][v]);
      }
      if (!kOpen) hashed[k * kVectors + v] = hash_input<kVectors>(op, v, s[k][v], now.lanes[k]);
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
  if constexpr (kPackets == 1) {
    finisher.put(batch.op[0], sum[0], batch.mask[0]);
  } else if constexpr (kOpen) {
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
  __m512i hashed[kPackets * kVectors];
  now.choose(ops, index);
  PENSTOCK_UNROLL for (int k = 0; k < kPackets; ++k) now.lanes[k] = 4 * kVectors - 1;
  for (__m512i& x : hashed) x = _mm512_setzero_si512();  // the first step multiplies to no consequence
  for (unsigned at = 0; at < count; at += kPackets) {
    const Batch<kPackets> before = now;
    Sum sum[kPackets];
    now.choose(ops, index + at);
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
    now.choose(ops, index + at);
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
constexpr int kGroup = 8;

// A packet under way: groups of eight vectors, then a last one of two to nine (of one, there might be fewer
// blocks behind the last reduction than it has lanes).
struct Stream {
  const GcmOp* op;
  const GcmKey* key;
  const uint8_t* in;  // of the group at hand; 16 bytes before the text at its start
  uint8_t* out;
  const void* counters;
  uint32_t vectors, done;
  __mmask64 first_text;  // bytes of text in the group's first vector
  __m512i base;          // nonce and first round key
  __m512i
      head;  // what GHASH takes in the group's first vector besides text: AAD, or the groups before, reduced
  __m128i mask;                      // J0 encrypted
  __m512i hashed[kGroup + 1];        // sealing: the row that the next step multiplies
  __m512i own_counters[kGroup + 1];  // past those of the table

  PENSTOCK_INLINE_MEMBER void begin(const GcmOp* o) {
    op = o;
    key = o->key;
    in = o->in - 16;
    out = o->out - 16;
    counters = kCounters.word;
    vectors = vectors_of(o->length);
    done = 0;
    first_text = kTextOfFirst;
    base = counter_base(*o);
    head = reverse(_mm512_zextsi128_si512(aad_block(*o)));
  }
  // A whole group is done.
  PENSTOCK_INLINE_MEMBER void advance() {
    in += 64 * kGroup;
    out += 64 * kGroup;
    counters = static_cast<const uint8_t*>(counters) + 64 * kGroup;
    done += kGroup;
    first_text = kAll;
    if (__builtin_expect(done + kGroup + 1 > kCounterVectors, 0)) count_up();
  }
  __attribute__((noinline)) void count_up() {
    const __m512i swap =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m512i lanes = _mm512_set_epi32(4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0);
    for (uint32_t v = 0; v <= kGroup; ++v) {
      const __m512i first = _mm512_set1_epi32(static_cast<int>(4 * (done + v)));
      own_counters[v] = _mm512_shuffle_epi8(_mm512_add_epi32(lanes, first), swap);
    }
    counters = own_counters;
  }
  PENSTOCK_INLINE_MEMBER __m512i load_first() const { return _mm512_maskz_loadu_epi8(first_text, in); }
  PENSTOCK_INLINE_MEMBER __m512i load_last(int v) const {
    return _mm512_maskz_loadu_epi8(text_mask(op->length - 64 * done, static_cast<uint32_t>(v)), in + 64 * v);
  }
};

// What a step multiplies. Sealing: a row that an earlier step left in `hashed`; opening: that of the group at
// hand.
//
// A group that others follow: its powers are those of the distance to the next group's same lane, so that the
// sums of the four lanes need not be added up in between.
template <bool kOpen>
struct GroupRow {
  static constexpr int kVectors = kGroup;
  static constexpr bool kSpread = true;
  const Stream& stream;
  const GcmKey& key;

  PENSTOCK_INLINE_MEMBER explicit GroupRow(const Stream& s) : stream(s), key(*s.key) {}
  PENSTOCK_INLINE_MEMBER __m512i input(int v) const {
    if constexpr (!kOpen) return stream.hashed[v];
    return v == 0 ? add(reverse(stream.load_first()), stream.head) : reverse(load512(stream.in + 64 * v));
  }
  PENSTOCK_INLINE_MEMBER __m512i power(int v) const {
    return broadcast(key.powers[GcmKey::kPowers - 4 * (kGroup - v)]);
  }
  PENSTOCK_INLINE_MEMBER __m512i folded_power(int v) const {
    return _mm512_set1_epi64(static_cast<long long>(key.folded[GcmKey::kPowers - 4 * (kGroup - v)]));
  }
};

// A last group.
template <int kCount, bool kOpen>
struct LastRow {
  static constexpr int kVectors = kCount;
  static constexpr bool kSpread = false;
  const Stream* stream;
  Powers powers;

  PENSTOCK_INLINE_MEMBER LastRow(const Stream& s, const Powers& p) : stream(&s), powers(p) {}
  PENSTOCK_INLINE_MEMBER __m512i input(int v) const {
    if constexpr (!kOpen) return stream->hashed[v];
    if (v == kCount - 1)
      return add(reverse(stream->load_last(v)), lengths_of(*stream->op, lanes_of(stream->op->length)));
    const __m512i x = reverse(load512(stream->in + 64 * v));
    return v == 0 ? add(x, stream->head) : x;
  }
  PENSTOCK_INLINE_MEMBER __m512i power(int v) const { return load_once(powers.whole + 64 * v); }
  PENSTOCK_INLINE_MEMBER __m512i folded_power(int v) const { return folded_powers(powers, v); }
};

// No row at all.
struct NoRow {
  static constexpr int kVectors = 0;
};

// Encrypts a group of kVectors, the packet's last if kLast, and multiplies a row.
template <int kRounds, int kVectors, bool kLast, bool kOpen, typename Row>
PENSTOCK_INLINE void crypt_group(Stream& stream, const Row& row, Sum& sum) {
  constexpr int kParts = parts_of(Row::kVectors);
  constexpr int kEncryptions = (kRounds - 1) * kVectors;
  const GcmKey& key = *stream.key;
  __m512i s[kVectors];
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    s[v] = add(stream.base, load512(static_cast<const uint8_t*>(stream.counters) + 64 * v));
  }
  Multiplier multiplier;
  PENSTOCK_UNROLL for (int r = 1; r < kRounds; ++r) {
    const __m512i round_key = broadcast(key.round_keys[r]);
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
  }
  const __m512i round_key = broadcast(key.round_keys[kRounds]);
  const __mmask64 last_text = kLast ? text_mask(stream.op->length - 64 * stream.done, kVectors - 1) : kAll;
  if constexpr (Row::kVectors > 0 && !kOpen) {
    if constexpr (Row::kSpread) stream.head = reduce(sum);
  }
  PENSTOCK_UNROLL for (int v = 0; v < kVectors; ++v) {
    const bool head = v == 0 && !kLast;
    const bool tail = v == kVectors - 1 && kLast;
    const __mmask64 mask = head ? stream.first_text : last_text;
    const uint8_t* in = stream.in + 64 * v;
    uint8_t* out = stream.out + 64 * v;
    const __m512i text = head || tail ? _mm512_maskz_loadu_epi8(mask, in) : load512(in);
    __m512i x = _mm512_aesenclast_epi128(s[v], add(text, round_key));
    s[v] = x;
    if (head || tail) {
      _mm512_mask_storeu_epi8(out, mask, x);
      if (!kOpen) x = _mm512_maskz_mov_epi8(mask, x);
    } else {
      _mm512_storeu_si512(out, x);
    }
    if (!kOpen) {
      x = reverse(x);
      if (v == 0) x = add(x, stream.head);
      if (tail) x = add(x, lengths_of(*stream.op, lanes_of(stream.op->length)));
      stream.hashed[v] = x;
    }
  }
  if (!kLast && stream.first_text == kTextOfFirst) stream.mask = _mm512_castsi512_si128(s[0]);
  if constexpr (kOpen && !kLast) stream.head = reduce(sum);
}

PENSTOCK_INLINE uint32_t groups_of(uint32_t vectors) {
  return (vectors - 2) / kGroup;
}
PENSTOCK_INLINE Powers last_powers(const Stream& stream) {
  return powers_of(*stream.key, lanes_of(stream.op->length) + 1 - 4 * stream.done);
}

// Calls body with the number of vectors in a last group as a constant.
template <typename Body>
PENSTOCK_INLINE void with_vectors(uint32_t vectors, Body body) {
  switch (vectors) {
    case 2:
      return body(Constant<2>{});
    case 3:
      return body(Constant<3>{});
    case 4:
      return body(Constant<4>{});
    case 5:
      return body(Constant<5>{});
    case 6:
      return body(Constant<6>{});
    case 7:
      return body(Constant<7>{});
    case 8:
      return body(Constant<8>{});
    default:
      return body(Constant<9>{});
  }
}

template <int kRounds>
__attribute__((noinline)) void open_streams(const GcmOp* ops, const uint8_t* index, unsigned count,
                                            Finisher<true>& finisher) {
  Stream stream;
  for (unsigned i = 0; i < count; ++i) {
    const GcmOp* op = ops + index[i];
    Sum sum;
    stream.begin(op);
    for (uint32_t group = groups_of(stream.vectors); group > 0; --group) {
      crypt_group<kRounds, kGroup, false, true>(stream, GroupRow<true>(stream), sum);
      stream.advance();
    }
    const Powers powers = last_powers(stream);
    with_vectors(stream.vectors - stream.done, [&](auto vectors) PENSTOCK_BODY {
      crypt_group<kRounds, vectors.value, true, true>(stream, LastRow<vectors.value, true>(stream, powers),
                                                      sum);
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
  Powers powers = {};
  uint32_t pending = 0;  // vectors of the row that the packet before has left
  __m128i mask = _mm_setzero_si128();
  for (unsigned i = 0; i < count; ++i) {
    const GcmOp* op = ops + index[i];
    Sum sum;
    stream.begin(op);
    if (pending == 0) {
      crypt_group<kRounds, kGroup, false, false>(stream, NoRow{}, sum);
    } else {
      with_vectors(pending, [&](auto row) PENSTOCK_BODY {
        crypt_group<kRounds, kGroup, false, false>(stream, LastRow<row.value, false>(stream, powers), sum);
      });
      const GcmOp* before = ops + index[i - 1];
      multiply_lengths(sum, *before, lanes_of(before->length));
      finisher.put(before, sum, mask);
    }
    stream.advance();
    for (uint32_t group = groups_of(stream.vectors) - 1; group > 0; --group) {
      crypt_group<kRounds, kGroup, false, false>(stream, GroupRow<false>(stream), sum);
      stream.advance();
    }
    powers = last_powers(stream);
    mask = stream.mask;
    pending = stream.vectors - stream.done;
    with_vectors(pending, [&](auto vectors) PENSTOCK_BODY {
      crypt_group<kRounds, vectors.value, true, false>(stream, GroupRow<false>(stream), sum);
    });
  }
  Sum sum;
  multiply_row(sum, stream.hashed, static_cast<int>(pending), powers);
  multiply_lengths(sum, *stream.op, lanes_of(stream.op->length));
  finisher.put(stream.op, sum, mask);
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
    case 6:
      return run_batches<kRounds, 1, 6, kOpen>(ops, index, count, finisher);
    case 7:
      return run_batches<kRounds, 1, 7, kOpen>(ops, index, count, finisher);
    case 8:
      return run_batches<kRounds, 1, 8, kOpen>(ops, index, count, finisher);
    case 9:
      return run_batches<kRounds, 1, 9, kOpen>(ops, index, count, finisher);
    case 11:
      for (unsigned i = 0; i < count; ++i) {
        const GcmOp* op = ops + index[i];
        if constexpr (kOpen) {
          finisher.good |= kAesni.open(op, 1) << index[i];
        } else {
          kAesni.seal(op, 1);
        }
      }
      return;
    default:
      if constexpr (kOpen) {
        return open_streams<kRounds>(ops, index, count, finisher);
      } else {
        return seal_streams<kRounds>(ops, index, count, finisher);
      }
  }
}

// Key length and number of vectors: what one loop does. 10: many; 11: more AAD than a block, which is left to
// another kernel.
PENSTOCK_INLINE uint8_t class_of(const GcmOp& op) {
  const uint32_t vectors = op.aad_length > 16 ? 11 : vectors_of(op.length) < 10 ? vectors_of(op.length) : 10;
  return static_cast<uint8_t>((op.key->rounds == 14 ? 16 : 0) | vectors);
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
    // Filled up with the last of them: see step.
    alignas(64) uint8_t index[kGcmMaxBurst + 64];
    const __m512i filling = _mm512_set1_epi8(static_cast<char>(63 - __builtin_clzll(members)));
    _mm512_store_si512(index, _mm512_mask_compress_epi8(filling, members, numbers));
    _mm512_store_si512(index + 64, filling);
    const unsigned size = static_cast<unsigned>(_mm_popcnt_u64(members));
    if (chosen < 16) {
      run_class<10, kOpen>(ops, index, size, chosen, finisher);
    } else {
      run_class<14, kOpen>(ops, index, size, chosen - 16, finisher);
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
