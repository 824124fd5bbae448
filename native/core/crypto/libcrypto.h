// Pointers to the functions of libcrypto.def.
#pragma once
#include <cstddef>
#include <cstdint>

namespace penstock::libcrypto {

struct Functions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration takes none
#define PENSTOCK_LIBCRYPTO(result, name, arguments) result(*name) arguments;
#include "crypto/libcrypto.def"
#undef PENSTOCK_LIBCRYPTO
};

}  // namespace penstock::libcrypto
