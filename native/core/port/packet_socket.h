// A raw socket with one ring shared with the kernel (packet(7), PACKET_MMAP with TPACKET_V2). Of version 3
// the kernel hands over blocks that fill up or time out, a millisecond at best: too late for a packet on its
// own.
#pragma once
#include <cstdint>
#include <string>

struct tpacket2_hdr;

namespace penstock {

// What the kernel says of an interface.
struct InterfaceState {
  int index = 0;  // 0: there is none of this name
  bool is_up = false;
  uint32_t mtu = 0;
  uint8_t mac[6] = {};
  bool is_ethernet = false;
};

// An error for people, and the number behind it.
struct SocketError {
  int number = 0;
  std::string text;
};

class PacketSocket {
 public:
  PacketSocket() = default;
  ~PacketSocket() { close(); }
  PacketSocket(PacketSocket&& other) noexcept { *this = static_cast<PacketSocket&&>(other); }
  PacketSocket& operator=(PacketSocket&& other) noexcept;

  // Slots: a power of two. slot_bytes: 2048 or 4096. Both return false with `error` filled.
  // Receiving: offload header before each packet, what is sent on the interface left out, all multicast. It
  // starts with bind(), or with join_fanout().
  bool open_receive(uint32_t slots, uint32_t slot_bytes, SocketError& error);
  bool open_transmit(uint32_t slots, uint32_t slot_bytes, SocketError& error);
  bool bind(int index, bool promiscuous, SocketError& error);
  // Shares what arrives with the other sockets of the group (packet_group.h). group: 0 makes a new one.
  bool join_fanout(uint16_t& group, SocketError& error);
  void close();

  int descriptor() const { return descriptor_; }
  tpacket2_hdr* slot(uint32_t number) const {
    return reinterpret_cast<tpacket2_hdr*>(ring_ + static_cast<uint64_t>(number) * slot_bytes_);
  }
  uint32_t slots() const { return slots_; }
  uint32_t slot_bytes() const { return slot_bytes_; }

 private:
  bool create(SocketError& error);
  bool map_ring(int option, uint32_t slots, uint32_t slot_bytes, SocketError& error);
  bool set(int level, int option, int value, const char* name, SocketError& error);

  int descriptor_ = -1;
  uint8_t* ring_ = nullptr;
  uint64_t ring_bytes_ = 0;
  uint32_t slots_ = 0;
  uint32_t slot_bytes_ = 0;
  bool receives_ = false;
};

// Asks for an interface by name. index is 0 when there is none.
InterfaceState read_interface(const std::string& name);

}  // namespace penstock
