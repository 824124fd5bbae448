// AES-GCM without special instructions, in constant time: AES bitsliced over 64-bit words, four blocks at a
// time, and a carry-less multiplication out of integer ones. No table, no branch and no index depends on a
// secret. Used where there is no AES-NI (arm64 too), under sanitizers, and as the reference that the fast
// kernels are held to.
#include <cstdint>
#include <cstring>

#include "crypto/kernel.h"

namespace penstock::gcm {
namespace {

// --- AES ---------------------------------------------------------------------------------------------------
// Eight planes, plane i holding bit i of every state byte of four blocks. Within a plane, the byte of row r
// and column c of block b is bit 16·r + 4·c + b: ShiftRows turns 16-bit groups, MixColumns turns whole words.
struct Planes {
  uint64_t bit[8];
};

PENSTOCK_INLINE void swap_bits(uint64_t& a, uint64_t& b, uint64_t mask, unsigned shift) {
  const uint64_t t = ((a >> shift) ^ b) & mask;
  b ^= t;
  a ^= t << shift;
}

// Transposes bit-in-byte against word: its own inverse.
PENSTOCK_INLINE void transpose(Planes& p) {
  for (unsigned i = 0; i < 8; i += 2) swap_bits(p.bit[i], p.bit[i + 1], 0x5555555555555555, 1);
  for (unsigned i = 0; i < 8; i += 4) {
    swap_bits(p.bit[i], p.bit[i + 2], 0x3333333333333333, 2);
    swap_bits(p.bit[i + 1], p.bit[i + 3], 0x3333333333333333, 2);
  }
  for (unsigned i = 0; i < 4; ++i) swap_bits(p.bit[i], p.bit[i + 4], 0x0f0f0f0f0f0f0f0f, 4);
}

// Four bytes to the even bytes of a word, and back.
PENSTOCK_INLINE uint64_t spread(uint32_t column) {
  uint64_t x = column;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  return (x | x << 8) & 0x00ff00ff00ff00ff;
}
PENSTOCK_INLINE uint32_t gather(uint64_t x) {
  x &= 0x00ff00ff00ff00ff;
  x = (x | x >> 8) & 0x0000ffff0000ffff;
  return static_cast<uint32_t>(x | x >> 16);
}

// Word 4·(c & 1) + b takes columns c and c + 2 of block b, byte by byte; transposed, that is the order above.
void load_planes(Planes& p, const uint8_t blocks[64]) {
  for (unsigned b = 0; b < 4; ++b) {
    uint32_t column[4];
    std::memcpy(column, blocks + 16 * b, 16);
    p.bit[b] = spread(column[0]) | spread(column[2]) << 8;
    p.bit[4 + b] = spread(column[1]) | spread(column[3]) << 8;
  }
  transpose(p);
}

void store_planes(Planes p, uint8_t blocks[64]) {
  transpose(p);
  for (unsigned b = 0; b < 4; ++b) {
    const uint32_t column[4] = {gather(p.bit[b]), gather(p.bit[4 + b]), gather(p.bit[b] >> 8),
                                gather(p.bit[4 + b] >> 8)};
    std::memcpy(blocks + 16 * b, column, 16);
  }
}

// SubBytes, as the circuit of Boyar and Peralta ("A small depth-16 circuit for the AES S-box", 2012: 128
// gates, or their older one of 115, used here): a linear layer, an inversion in GF(2^8) by way of GF(2^4), a
// linear layer. The test compares it with the S-box computed from its definition (FIPS 197 §5.1.1).
void sub_bytes(Planes& p) {
  const uint64_t x0 = p.bit[7], x1 = p.bit[6], x2 = p.bit[5], x3 = p.bit[4];
  const uint64_t x4 = p.bit[3], x5 = p.bit[2], x6 = p.bit[1], x7 = p.bit[0];

  const uint64_t y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2;
  const uint64_t y1 = t0 ^ x7, y4 = y1 ^ x3, y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6;
  const uint64_t y3 = y5 ^ y8, t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1, y6 = y15 ^ x7;
  const uint64_t y10 = y15 ^ t0, y11 = y20 ^ y9, y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8;
  const uint64_t y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;

  const uint64_t t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & x7) ^ t2;
  const uint64_t t7 = y13 & y16, t9 = (y5 & y1) ^ t7, t11 = (y2 & y7) ^ t7;
  const uint64_t t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
  const uint64_t t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19, t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;
  const uint64_t t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26, t29 = (t25 & t27) ^ t22;
  const uint64_t t33 = ((t22 ^ t26) & (t23 ^ t24)) ^ t24;
  const uint64_t t36 = t24 & (t27 ^ t33), t37 = t36 ^ t23 ^ t33, t40 = t25 ^ (t29 & (t27 ^ t36));
  const uint64_t t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37, t41 = t40 ^ t37, t45 = t42 ^ t41;

  const uint64_t z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7;
  const uint64_t z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3;
  const uint64_t z11 = t33 & y4, z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9;
  const uint64_t z16 = t45 & y14, z17 = t41 & y8;

  const uint64_t t46 = z15 ^ z16, t48 = z5 ^ z13, t53 = z0 ^ z3, t57 = z2 ^ z12 ^ t53, t58 = z4 ^ t46;
  const uint64_t t59 = z3 ^ z6 ^ z7, t60 = t46 ^ t57, t62 = z7 ^ z8 ^ t58, t63 = z9 ^ z10 ^ t58,
                 t64 = z4 ^ t59;
  const uint64_t t65 = z14 ^ t57 ^ t62, t66 = z1 ^ t63, s3 = t53 ^ t66;
  p.bit[7] = t59 ^ t63;
  p.bit[6] = t64 ^ ~s3;
  p.bit[5] = z16 ^ z17 ^ ~(t64 ^ t65);
  p.bit[4] = s3;
  p.bit[3] = z2 ^ z5 ^ t66;
  p.bit[2] = z10 ^ z11 ^ t65;
  p.bit[1] = z12 ^ t48 ^ ~t62;
  p.bit[0] = t48 ^ ~t60;
}

PENSTOCK_INLINE uint64_t rotate(uint64_t x, unsigned bits) {
  return x >> bits | x << (64 - bits);
}

// Row r moves left by r columns: bits of group r move down by 4·r, around within the group.
void shift_rows(Planes& p) {
  for (uint64_t& x : p.bit) {
    x = (x & 0x000000000000ffff) |                                        //
        (x & 0x00000000fff00000) >> 4 | (x & 0x00000000000f0000) << 12 |  //
        (x & 0x0000ff0000000000) >> 8 | (x & 0x000000ff00000000) << 8 |   //
        (x & 0xf000000000000000) >> 12 | (x & 0x0fff000000000000) << 4;
  }
}

// FIPS 197 §5.1.3: each byte becomes 2·a0 + 3·a1 + a2 + a3, aN being N rows below, = 2·(a0 + a1) + a1 + a2 +
// a3.
void mix_columns(Planes& p) {
  uint64_t sum[8];   // a0 + a1
  uint64_t rest[8];  // a1 + (a2 + a3)
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t next = rotate(p.bit[i], 16);
    sum[i] = p.bit[i] ^ next;
    rest[i] = next ^ rotate(sum[i], 32);
  }
  const uint64_t carry = sum[7];  // x^8 = x^4 + x^3 + x + 1
  p.bit[0] = rest[0] ^ carry;
  p.bit[1] = rest[1] ^ sum[0] ^ carry;
  p.bit[2] = rest[2] ^ sum[1];
  p.bit[3] = rest[3] ^ sum[2] ^ carry;
  p.bit[4] = rest[4] ^ sum[3] ^ carry;
  for (unsigned i = 5; i < 8; ++i) p.bit[i] = rest[i] ^ sum[i - 1];
}

PENSTOCK_INLINE void add_planes(Planes& p, const Planes& key) {
  for (unsigned i = 0; i < 8; ++i) p.bit[i] ^= key.bit[i];
}

struct Schedule {
  Planes key[15];
  unsigned rounds;
};

// The round keys in planes, each four times. Made anew for every packet, as one block's worth of work or so:
// the SA's key block stays small and the same for every kernel.
void load_schedule(Schedule& s, const GcmKey& key) {
  s.rounds = key.rounds;
  for (unsigned r = 0; r <= s.rounds; ++r) {
    uint8_t four[64];
    for (unsigned b = 0; b < 4; ++b) std::memcpy(four + 16 * b, key.round_keys[r], 16);
    load_planes(s.key[r], four);
  }
}

void encrypt_four(const Schedule& s, uint8_t blocks[64]) {
  Planes p;
  load_planes(p, blocks);
  add_planes(p, s.key[0]);
  for (unsigned r = 1; r < s.rounds; ++r) {
    sub_bytes(p);
    shift_rows(p);
    mix_columns(p);
    add_planes(p, s.key[r]);
  }
  sub_bytes(p);
  shift_rows(p);
  add_planes(p, s.key[s.rounds]);
  store_planes(p, blocks);
}

uint32_t sub_word(uint32_t word) {
  uint8_t blocks[64] = {};
  std::memcpy(blocks, &word, 4);
  Planes p;
  load_planes(p, blocks);
  sub_bytes(p);
  store_planes(p, blocks);
  std::memcpy(&word, blocks, 4);
  return word;
}

// FIPS 197 §5.2. Words are little-endian here, so RotWord turns the other way.
void expand(GcmKey& key, const uint8_t* bytes, unsigned key_bytes) {
  const unsigned words = key_bytes / 4;
  key.rounds = words + 6;
  key.key_bytes = key_bytes;
  uint32_t w[60];
  std::memcpy(w, bytes, key_bytes);
  uint32_t constant = 1;
  for (unsigned i = words; i < 4 * (key.rounds + 1); ++i) {
    uint32_t t = w[i - 1];
    if (i % words == 0) {
      t = sub_word(t >> 8 | t << 24) ^ constant;
      constant = (constant << 1) ^ ((constant >> 7) * 0x11b);
    } else if (words > 6 && i % words == 4) {
      t = sub_word(t);
    }
    w[i] = w[i - words] ^ t;
  }
  std::memcpy(key.round_keys, w, 16 * (key.rounds + 1));
  wipe(w, sizeof w);
}

// --- GHASH -------------------------------------------------------------------------------------------------
// A block as a 128-bit number, byte-reversed, so bit 127 is the coefficient of x^0.
struct Element {
  uint64_t low, high;
};

Element load_element(const uint8_t block[16]) {
  Element e;
  std::memcpy(&e.high, block, 8);
  std::memcpy(&e.low, block + 8, 8);
  return {__builtin_bswap64(e.low), __builtin_bswap64(e.high)};
}

void store_element(const Element& e, uint8_t block[16]) {
  const uint64_t high = __builtin_bswap64(e.high);
  const uint64_t low = __builtin_bswap64(e.low);
  std::memcpy(block, &high, 8);
  std::memcpy(block + 8, &low, 8);
}

// The low half of a carry-less 64×64 product. Each factor is split into four with every fourth bit set: sums
// of up to 15 products stay within their four bits, and the sixteenth spills only past bit 63 (Pornin's
// method).
uint64_t clmul_low(uint64_t a, uint64_t b) {
  constexpr uint64_t kMask = 0x1111111111111111;
  uint64_t x[4];
  uint64_t y[4];
  for (unsigned i = 0; i < 4; ++i) {
    x[i] = a & kMask << i;
    y[i] = b & kMask << i;
  }
  uint64_t product = 0;
  for (unsigned i = 0; i < 4; ++i) {
    uint64_t z = 0;
    for (unsigned j = 0; j < 4; ++j) z ^= x[j] * y[(i - j) & 3];
    product |= z & kMask << i;
  }
  return product;
}

uint64_t reverse_bits(uint64_t x) {
  x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
  x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
  x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
  return __builtin_bswap64(x);
}

// The product's upper half is the lower half of the mirrored factors' product, mirrored.
Element clmul(uint64_t a, uint64_t b) {
  return {clmul_low(a, b), reverse_bits(clmul_low(reverse_bits(a), reverse_bits(b))) >> 1};
}

// a·b·x modulo x^128 + x^7 + x^2 + x + 1 (SP 800-38D §6.3), the x because the product of two mirrored numbers
// has 255 bits, not 256. With one factor divided by x beforehand, as every stored power is, the product
// itself.
Element multiply(const Element& a, const Element& b) {
  const Element low = clmul(a.low, b.low);
  const Element high = clmul(a.high, b.high);
  Element middle = clmul(a.low ^ a.high, b.low ^ b.high);
  middle.low ^= low.low ^ high.low;
  middle.high ^= low.high ^ high.high;
  uint64_t p[4] = {low.low, low.high ^ middle.low, high.low ^ middle.high, high.high};
  // Clear the lowest 64 bits, twice: what is added is the polynomial times them, shifted.
  for (unsigned i = 0; i < 2; ++i) {
    const uint64_t f = p[i];
    p[i + 1] ^= f << 63 ^ f << 62 ^ f << 57;
    p[i + 2] ^= f ^ f >> 1 ^ f >> 2 ^ f >> 7;
  }
  return {p[2], p[3]};
}

Element divide_by_x(const Element& a) {
  const uint64_t carry = a.high >> 63;
  return {(a.low << 1) ^ carry, (a.high << 1 | a.low >> 63) ^ (0xc200000000000000 & -carry)};
}

void absorb(Element& sum, const Element& hash_key, const uint8_t* data, uint32_t length) {
  for (; length > 0;) {
    uint8_t block[16] = {};
    const uint32_t take = length < 16 ? length : 16;
    std::memcpy(block, data, take);
    const Element e = load_element(block);
    sum = multiply({sum.low ^ e.low, sum.high ^ e.high}, hash_key);
    data += take;
    length -= take;
  }
}

// --- GCM ---------------------------------------------------------------------------------------------------
void init_key(GcmKey& key, const uint8_t* bytes, unsigned key_bytes) {
  expand(key, bytes, key_bytes);
  Schedule schedule;
  load_schedule(schedule, key);
  uint8_t blocks[64] = {};
  encrypt_four(schedule, blocks);
  const Element first = divide_by_x(load_element(blocks));
  Element power = first;
  for (unsigned i = GcmKey::kPowers; i-- > 0;) {
    std::memcpy(key.powers[i], &power, 16);
    key.folded[i] = power.low ^ power.high;
    power = multiply(power, first);
  }
  wipe(blocks, sizeof blocks);
  wipe(&schedule, sizeof schedule);
}

// SP 800-38D §7.1: block 1 of the counter masks the tag, text starts with block 2.
void counter_blocks(uint8_t blocks[64], const uint8_t nonce[12], uint32_t counter) {
  for (unsigned b = 0; b < 4; ++b) {
    const uint32_t value = __builtin_bswap32(counter + b);
    std::memcpy(blocks + 16 * b, nonce, 12);
    std::memcpy(blocks + 16 * b + 12, &value, 4);
  }
}

enum class Direction { kSeal, kOpen };

// Encrypts or decrypts op's text and computes its tag over the ciphertext.
void run(const GcmOp& op, Direction direction, uint8_t tag[16]) {
  Schedule schedule;
  load_schedule(schedule, *op.key);
  Element hash_key;
  std::memcpy(&hash_key, op.key->powers[GcmKey::kPowers - 1], 16);
  Element sum = {0, 0};
  absorb(sum, hash_key, op.aad, op.aad_length);

  uint8_t stream[64];
  uint8_t mask[16];
  counter_blocks(stream, op.nonce, 1);
  encrypt_four(schedule, stream);
  std::memcpy(mask, stream, 16);
  if (direction == Direction::kOpen) absorb(sum, hash_key, op.in, op.length);
  unsigned used = 16;
  uint32_t counter = 5;
  for (uint32_t at = 0; at < op.length; ++at) {
    if (used == 64) {
      counter_blocks(stream, op.nonce, counter);
      encrypt_four(schedule, stream);
      counter += 4;
      used = 0;
    }
    op.out[at] = static_cast<uint8_t>(op.in[at] ^ stream[used++]);
  }
  if (direction == Direction::kSeal) absorb(sum, hash_key, op.out, op.length);

  uint8_t lengths[16];
  length_block(lengths, op.aad_length, op.length);
  absorb(sum, hash_key, lengths, 16);
  store_element(sum, tag);
  for (unsigned i = 0; i < 16; ++i) tag[i] = static_cast<uint8_t>(tag[i] ^ mask[i]);
  wipe(&schedule, sizeof schedule);
  wipe(stream, sizeof stream);
}

void seal(const GcmOp* ops, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    uint8_t tag[16];
    run(ops[i], Direction::kSeal, tag);
    std::memcpy(ops[i].tag, tag, 16);
  }
}

uint64_t open(const GcmOp* ops, unsigned count) {
  uint64_t good = 0;
  for (unsigned i = 0; i < count; ++i) {
    uint8_t tag[16];
    run(ops[i], Direction::kOpen, tag);
    good |= static_cast<uint64_t>(tags_equal(tag, ops[i].tag)) << i;
  }
  return good;
}

bool supported() {
  return true;
}

}  // namespace

const Kernel kPortable = {"portable", supported, init_key, seal, open};

}  // namespace penstock::gcm
