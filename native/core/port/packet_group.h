// The raw sockets of an interface that share what arrives there (PACKET_FANOUT): each packet goes to one of
// them, by its flow. A small program says to which, so that a socket can join while packets come, and nothing
// is lost or comes twice:
//
//   1. the program is made to choose among those that there are
//   2. the new socket is bound, which makes it hear everything, and joins, after which it hears nothing; what
//      it has heard is thrown away by its port
//   3. once its worker polls, the program is made to choose among all
//
// Any thread.
#pragma once
#include <cstdint>
#include <mutex>
#include <vector>

#include "packet_socket.h"

namespace penstock {

class PacketGroup {
 public:
  // Binds the socket and has it join. `waits`: it is given nothing before open_to_all(). False with `error`
  // filled.
  bool join(PacketSocket& socket, int interface, bool promiscuous, bool waits, SocketError& error);
  void open_to_all(const PacketSocket& member);
  // Closes it.
  void leave(PacketSocket& member);

 private:
  std::mutex lock_;
  uint16_t number_ = 0;  // the kernel's; 0: none
  std::vector<PacketSocket*> members_;
};

}  // namespace penstock
