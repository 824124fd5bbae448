// Reads the JSON of test/vectors: objects, arrays, strings, and numbers below 2^53. Throws std::runtime_error
// on anything else. For tests only.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace json {

struct Value {
  std::string text;  // of a string
  double number = 0;
  std::vector<Value> items;
  std::map<std::string, Value> fields;

  bool has(const std::string& name) const { return fields.count(name) > 0; }
  const Value& operator[](const std::string& name) const { return fields.at(name); }
  template <typename T>
  T as() const {
    return static_cast<T>(number);
  }
};

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Value read() {
    Value value;
    const char c = peek();
    if (c == '{') {
      list('}', [&] {
        const std::string name = string();
        expect(':');
        value.fields[name] = read();
      });
    } else if (c == '[') {
      list(']', [&] { value.items.push_back(read()); });
    } else if (c == '"') {
      value.text = string();
    } else {
      char* end = nullptr;
      value.number = std::strtod(text_.c_str() + at_, &end);
      if (end == text_.c_str() + at_) throw std::runtime_error("no JSON value at " + std::to_string(at_));
      at_ = static_cast<size_t>(end - text_.c_str());
    }
    return value;
  }

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    if (at_ == text_.size()) throw std::runtime_error("JSON ends early");
    return text_[at_];
  }
  void expect(char c) {
    if (peek() != c) throw std::runtime_error("unexpected JSON at " + std::to_string(at_));
    ++at_;
  }
  template <typename Each>
  void list(char close, const Each& each) {
    ++at_;
    if (peek() != close) {
      each();
      while (peek() == ',') {
        ++at_;
        each();
      }
    }
    expect(close);
  }
  std::string string() {
    expect('"');
    std::string out;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;  // only \" and \\ occur
      out.push_back(text_[at_]);
    }
    ++at_;
    return out;
  }

  const std::string text_;
  size_t at_ = 0;
};

inline Value read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return Reader(std::string(std::istreambuf_iterator<char>(file), {})).read();
}

}  // namespace json
