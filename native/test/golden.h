// Reads test/vectors/packets.txt: packets made by another implementation, and what parsing them must give.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace golden {

using Bytes = std::vector<uint8_t>;

inline Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

struct Packet {
  std::string name;
  Bytes bytes;
  std::map<std::string, std::string> fields;

  bool has(const std::string& key) const { return fields.count(key) != 0; }
  uint64_t number(const std::string& key) const { return std::stoull(fields.at(key)); }
  Bytes hex(const std::string& key) const { return from_hex(fields.at(key)); }
  const std::string& drop() const { return fields.at("drop"); }
};

// A vector file that cannot be read ends the test: nothing would be tested.
inline std::vector<Packet> read(const std::string& path) {
  std::vector<Packet> packets;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const size_t space = line.find(' ');
    if (space == std::string::npos || line[0] == '#') continue;
    const std::string key = line.substr(0, space);
    const std::string value = line.substr(space + 1);
    if (key == "packet") {
      packets.push_back({value, {}, {}});
    } else if (key == "hex") {
      for (uint8_t byte : from_hex(value)) packets.back().bytes.push_back(byte);
    } else {
      packets.back().fields[key] = value;
    }
  }
  if (packets.empty()) {
    std::fprintf(stderr, "no packets in %s\n", path.c_str());
    std::exit(1);
  }
  return packets;
}

}  // namespace golden
