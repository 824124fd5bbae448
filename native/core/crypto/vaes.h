// The VAES kernels' insides: one key length each, in files of their own, which compile side by side.
#pragma once
#include "crypto/kernel.h"

namespace penstock::gcm {

// `chosen`: which ops of the burst, bit i for op i, all of the one key length. Opening returns those that
// verified.
void vaes512_seal_128(const GcmOp* ops, uint64_t chosen);
void vaes512_seal_256(const GcmOp* ops, uint64_t chosen);
uint64_t vaes512_open_128(const GcmOp* ops, uint64_t chosen);
uint64_t vaes512_open_256(const GcmOp* ops, uint64_t chosen);
void vaes256_seal_128(const GcmOp* ops, uint64_t chosen);
void vaes256_seal_256(const GcmOp* ops, uint64_t chosen);
uint64_t vaes256_open_128(const GcmOp* ops, uint64_t chosen);
uint64_t vaes256_open_256(const GcmOp* ops, uint64_t chosen);

}  // namespace penstock::gcm
