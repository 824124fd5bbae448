// AES-GCM for processors with AES-NI and PCLMULQDQ, eight blocks at a time.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "crypto/cpu.h"
#include "crypto/kernel.h"

namespace penstock::gcm {
namespace {

PENSTOCK_INLINE __m128i load(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
PENSTOCK_INLINE void store(void* p, __m128i v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), v);
}
PENSTOCK_INLINE __m128i reverse(__m128i v) {
  return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

// The unreduced sum of products; see reduce.
struct Product {
  __m128i low, middle, high;
};

PENSTOCK_INLINE void add_product(Product& p, __m128i a, __m128i b) {
  p.low = _mm_xor_si128(p.low, _mm_clmulepi64_si128(a, b, 0x00));
  p.high = _mm_xor_si128(p.high, _mm_clmulepi64_si128(a, b, 0x11));
  p.middle = _mm_xor_si128(p.middle, _mm_clmulepi64_si128(a, b, 0x01));
  p.middle = _mm_xor_si128(p.middle, _mm_clmulepi64_si128(a, b, 0x10));
}

// Twice: clears the lowest 64 bits by adding the polynomial times them (portable.cc multiply, with the three
// shifts as one multiplication and a swap).
PENSTOCK_INLINE __m128i reduce(const Product& p) {
  const __m128i poly = _mm_set_epi64x(0, static_cast<long long>(0xc200000000000000));
  __m128i low = _mm_xor_si128(p.low, _mm_slli_si128(p.middle, 8));
  const __m128i high = _mm_xor_si128(p.high, _mm_srli_si128(p.middle, 8));
  low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
  low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x00));
  return _mm_xor_si128(high, low);
}

PENSTOCK_INLINE __m128i multiply(__m128i a, __m128i b) {
  Product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
  add_product(p, a, b);
  return reduce(p);
}

template <int kConstant>
PENSTOCK_INLINE __m128i expand_step(__m128i previous, __m128i other, int lane) {
  __m128i t = _mm_aeskeygenassist_si128(other, kConstant);
  t = lane == 3 ? _mm_shuffle_epi32(t, 0xff) : _mm_shuffle_epi32(t, 0xaa);
  previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 4));
  previous = _mm_xor_si128(previous, _mm_slli_si128(previous, 8));
  return _mm_xor_si128(previous, t);
}

void expand128(GcmKey& key, const uint8_t* bytes) {
  __m128i k = load(bytes);
  store(key.round_keys[0], k);
  store(key.round_keys[1], k = expand_step<0x01>(k, k, 3));
  store(key.round_keys[2], k = expand_step<0x02>(k, k, 3));
  store(key.round_keys[3], k = expand_step<0x04>(k, k, 3));
  store(key.round_keys[4], k = expand_step<0x08>(k, k, 3));
  store(key.round_keys[5], k = expand_step<0x10>(k, k, 3));
  store(key.round_keys[6], k = expand_step<0x20>(k, k, 3));
  store(key.round_keys[7], k = expand_step<0x40>(k, k, 3));
  store(key.round_keys[8], k = expand_step<0x80>(k, k, 3));
  store(key.round_keys[9], k = expand_step<0x1b>(k, k, 3));
  store(key.round_keys[10], expand_step<0x36>(k, k, 3));
}

void expand256(GcmKey& key, const uint8_t* bytes) {
  __m128i a = load(bytes);
  __m128i b = load(bytes + 16);
  store(key.round_keys[0], a);
  store(key.round_keys[1], b);
  store(key.round_keys[2], a = expand_step<0x01>(a, b, 3));
  store(key.round_keys[3], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[4], a = expand_step<0x02>(a, b, 3));
  store(key.round_keys[5], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[6], a = expand_step<0x04>(a, b, 3));
  store(key.round_keys[7], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[8], a = expand_step<0x08>(a, b, 3));
  store(key.round_keys[9], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[10], a = expand_step<0x10>(a, b, 3));
  store(key.round_keys[11], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[12], a = expand_step<0x20>(a, b, 3));
  store(key.round_keys[13], b = expand_step<0x00>(b, a, 2));
  store(key.round_keys[14], expand_step<0x40>(a, b, 3));
}

PENSTOCK_INLINE __m128i encrypt_block(const GcmKey& key, __m128i block) {
  block = _mm_xor_si128(block, load(key.round_keys[0]));
  for (unsigned r = 1; r < key.rounds; ++r) block = _mm_aesenc_si128(block, load(key.round_keys[r]));
  return _mm_aesenclast_si128(block, load(key.round_keys[key.rounds]));
}

PENSTOCK_INLINE __m128i divide_by_x(__m128i v) {
  const __m128i carry = _mm_shuffle_epi32(_mm_srai_epi32(v, 31), 0xff);
  const __m128i shifted = _mm_or_si128(_mm_add_epi64(v, v), _mm_slli_si128(_mm_srli_epi64(v, 63), 8));
  const __m128i poly = _mm_set_epi64x(static_cast<long long>(0xc200000000000000), 1);
  return _mm_xor_si128(shifted, _mm_and_si128(carry, poly));
}

}  // namespace

void aesni_init_key(GcmKey& key, const uint8_t* bytes, unsigned key_bytes) {
  key.key_bytes = key_bytes;
  key.rounds = key_bytes / 4 + 6;
  if (key_bytes == 16) {
    expand128(key, bytes);
  } else {
    expand256(key, bytes);
  }
  const __m128i first = divide_by_x(reverse(encrypt_block(key, _mm_setzero_si128())));
  __m128i power = first;
  for (unsigned i = GcmKey::kPowers; i-- > 0;) {
    store(key.powers[i], power);
    const __m128i folded = _mm_xor_si128(power, _mm_shuffle_epi32(power, 0x4e));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(&key.folded[i]), folded);
    power = multiply(power, first);
  }
}

namespace {

PENSTOCK_INLINE __m128i load_part(const uint8_t* p, uint32_t length) {
  alignas(16) uint8_t block[16] = {};
  std::memcpy(block, p, length);
  return load(block);
}

// GHASH over whole blocks and a last part, eight products before a reduction.
PENSTOCK_INLINE __m128i absorb(__m128i sum, const GcmKey& key, const uint8_t* data, uint32_t length) {
  const uint8_t* powers = key.powers[GcmKey::kPowers];
  for (; length >= 128; length -= 128, data += 128) {
    Product p = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (int i = 0; i < 8; ++i) {
      __m128i block = reverse(load(data + 16 * i));
      if (i == 0) block = _mm_xor_si128(block, sum);
      add_product(p, block, load(powers - 128 + 16 * i));
    }
    sum = reduce(p);
  }
  for (; length >= 16; length -= 16, data += 16) {
    sum = multiply(_mm_xor_si128(sum, reverse(load(data))), load(powers - 16));
  }
  if (length > 0) {
    sum = multiply(_mm_xor_si128(sum, reverse(load_part(data, length))), load(powers - 16));
  }
  return sum;
}

PENSTOCK_INLINE void counter_mode(const GcmOp& op, __m128i counter) {
  const GcmKey& key = *op.key;
  const __m128i one = _mm_set_epi32(1, 0, 0, 0);
  const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const uint8_t* in = op.in;
  uint8_t* out = op.out;
  uint32_t length = op.length;
  while (length > 0) {
    __m128i b[8];
    const __m128i first = load(key.round_keys[0]);
    for (__m128i& block : b) {
      counter = _mm_add_epi32(counter, one);
      block = _mm_xor_si128(_mm_shuffle_epi8(counter, swap), first);
    }
    for (unsigned r = 1; r < key.rounds; ++r) {
      const __m128i k = load(key.round_keys[r]);
      for (__m128i& block : b) block = _mm_aesenc_si128(block, k);
    }
    const __m128i last = load(key.round_keys[key.rounds]);
    for (__m128i& block : b) block = _mm_aesenclast_si128(block, last);
    for (int i = 0; i < 8 && length > 0; ++i) {
      if (length >= 16) {
        store(out, _mm_xor_si128(load(in), b[i]));
        in += 16, out += 16, length -= 16;
      } else {
        alignas(16) uint8_t block[16];
        store(block, _mm_xor_si128(load_part(in, length), b[i]));
        std::memcpy(out, block, length);
        length = 0;
      }
    }
  }
}

PENSTOCK_INLINE void run(const GcmOp& op, bool opening, uint8_t tag[16]) {
  const GcmKey& key = *op.key;
  alignas(16) uint8_t block[16] = {};
  std::memcpy(block, op.nonce, 12);
  const __m128i counter =
      _mm_or_si128(load(block), _mm_set_epi32(1, 0, 0, 0));  // its last word little-endian
  block[15] = 1;
  const __m128i mask = encrypt_block(key, load(block));

  __m128i sum = absorb(_mm_setzero_si128(), key, op.aad, op.aad_length);
  if (opening) sum = absorb(sum, key, op.in, op.length);
  counter_mode(op, counter);
  if (!opening) sum = absorb(sum, key, op.out, op.length);
  length_block(block, op.aad_length, op.length);
  sum = absorb(sum, key, block, 16);
  store(tag, _mm_xor_si128(reverse(sum), mask));
}

void seal(const GcmOp* ops, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    alignas(16) uint8_t tag[16];
    run(ops[i], false, tag);
    std::memcpy(ops[i].tag, tag, 16);
  }
}

uint64_t open(const GcmOp* ops, unsigned count) {
  uint64_t good = 0;
  for (unsigned i = 0; i < count; ++i) {
    alignas(16) uint8_t tag[16];
    run(ops[i], true, tag);
    good |= static_cast<uint64_t>(tags_equal(tag, ops[i].tag)) << i;
  }
  return good;
}

}  // namespace

const Kernel kAesni = {"aesni", runs_aesni, aesni_init_key, seal, open};

}  // namespace penstock::gcm
