// SHA-1 (FIPS 180-4 §6.1) of one short message, for BFD's keyed SHA1 (RFC 5880 §6.7.4). Nothing else may use
// it.
#pragma once
#include <cstdint>

namespace penstock {

constexpr uint32_t kSha1Bytes = 20;
constexpr uint32_t kSha1MostBytes = 119;  // two blocks, with their padding

// Of at most kSha1MostBytes. What was read is wiped from the stack.
void sha1(const uint8_t* message, uint32_t length, uint8_t* digest);

// In a time that does not depend on where they differ.
bool equal_in_constant_time(const uint8_t* a, const uint8_t* b, uint32_t length);

// That no compiler leaves out.
void zeroise(void* memory, uint32_t length);

}  // namespace penstock
