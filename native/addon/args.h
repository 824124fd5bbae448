// Reading arguments: every value knows where it stands, so that an error names it
// (`publish.routes[3].length: 0…32 expected, not 33`). A wrong type is a TypeError, a wrong value a
// RangeError.
#pragma once
#include <napi.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "packet/address.h"

namespace penstock::addon {

// Bytes of a Uint8Array or Buffer, where they are: valid until JavaScript runs again.
struct Span {
  const uint8_t* data;
  size_t size;
};

class Arg {
 public:
  Arg(const Napi::Value& value, const char* name) : value_(value), name_(name) {}
  // The argument at `index` of a call, undefined when it was not given.
  Arg(const Napi::CallbackInfo& info, size_t index, const char* name) : value_(info[index]), name_(name) {}

  // A property; the parent must outlive what is returned. TypeError when this is no object.
  Arg get(const char* key) const&;
  Arg get(const char* key) && = delete;
  // An element of an array.
  Arg at(uint32_t index) const&;
  Arg at(uint32_t index) && = delete;

  bool missing() const { return value_.IsUndefined(); }
  bool null() const { return value_.IsNull(); }
  Napi::Value value() const { return value_; }

  // Length of an array, at most `most`.
  uint32_t items(uint32_t most = 1u << 24) const;
  bool boolean() const;
  // An integer from low to high; high is at most 2⁵³−1.
  int64_t integer(int64_t low, int64_t high) const;
  template <typename T>
  T integer(int64_t low, int64_t high) const {
    return static_cast<T>(integer(low, high));
  }
  // A bigint from low to high.
  uint64_t big(uint64_t low = 0, uint64_t high = ~0ull) const;
  // A string of at least one character, at most `most` bytes of UTF-8 and without NUL.
  std::string text(size_t most = 255) const;
  // Which of the names this is: its index.
  unsigned choice(std::initializer_list<const char*> names) const;
  // A Uint8Array whose length is one of the sizes (any, when none is given).
  Span bytes(std::initializer_list<size_t> sizes = {}) const;
  Napi::Uint16Array uint16_array() const;
  // An address of 4 or 16 bytes; RangeError for an IPv6 one of the form ::ffff:a.b.c.d, which stands for
  // IPv4.
  Address address() const;

  // "publish.routes[3].length"
  std::string path() const;
  [[noreturn]] void type_error(const std::string& what) const;
  [[noreturn]] void range_error(const std::string& what) const;

 private:
  Arg(const Napi::Value& value, const Arg* parent, const char* name, uint32_t index)
      : value_(value), parent_(parent), name_(name), index_(index) {}

  Napi::Value value_;
  const Arg* parent_ = nullptr;
  const char* name_ = nullptr;  // of an argument or property; null: an element
  uint32_t index_ = 0;
};

// An error with a `code` property, for what the operating system refused.
[[noreturn]] void throw_coded(Napi::Env env, const std::string& message, const char* code);

// Values for JavaScript.
Napi::Uint8Array copy_bytes(Napi::Env env, const uint8_t* data, size_t size);
// 4 or 16 bytes.
Napi::Uint8Array address_bytes(Napi::Env env, const Address& address);
inline Napi::BigInt big(Napi::Env env, uint64_t value) {
  return Napi::BigInt::New(env, value);
}

}  // namespace penstock::addon
