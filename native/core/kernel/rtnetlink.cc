// A request is one netlink message, answered by an error message (0: done) or by a dump that ends with
// NLMSG_DONE. Requests of a batch are written together, at most kBatch of them, so that the answers fit the
// receive buffer.
#include "rtnetlink.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace penstock {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kReceiveBytes = 4 * 1024 * 1024;
constexpr int kAnswerSeconds = 5;  // the kernel answers at once, or something is very wrong

SocketError netlink_error(const char* what) {
  const int number = errno;
  return {number, std::string("rtnetlink: ") + what + ": " + std::strerror(number)};
}

// Attributes behind a header, each checked to lie within what is there.
template <typename Use>
void each_attribute(const uint8_t* at, size_t left, Use use) {
  while (left >= sizeof(rtattr)) {
    rtattr attribute;
    std::memcpy(&attribute, at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > left) return;
    use(attribute.rta_type & NLA_TYPE_MASK, at + RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    const size_t step = RTA_ALIGN(attribute.rta_len);
    if (step >= left) return;
    at += step;
    left -= step;
  }
}

uint32_t word(const uint8_t* data, size_t bytes) {
  uint32_t value = 0;
  if (bytes >= 4) std::memcpy(&value, data, 4);
  return value;
}

bool read_address(uint8_t family, const uint8_t* data, size_t bytes, Address& out) {
  if (family == AF_INET && bytes >= 4) {
    out = Address::v4(data);
  } else if (family == AF_INET6 && bytes >= 16) {
    out = Address::v6(data);
  } else {
    return false;
  }
  return true;
}

Address unspecified(uint8_t family) {
  const uint8_t zero[16] = {};
  return family == AF_INET ? Address::v4(zero) : Address::v6(zero);
}

// The first next hop of a route with several.
void read_first_hop(const rtmsg& header, const uint8_t* data, size_t bytes, KernelRoute& route) {
  rtnexthop hop;
  if (bytes < sizeof hop) return;
  std::memcpy(&hop, data, sizeof hop);
  if (hop.rtnh_len < sizeof hop || hop.rtnh_len > bytes) return;
  route.interface = static_cast<uint32_t>(hop.rtnh_ifindex);
  each_attribute(data + sizeof hop, hop.rtnh_len - sizeof hop, [&](int type, const uint8_t* at, size_t size) {
    if (type == RTA_GATEWAY) {
      route.has_gateway = read_address(header.rtm_family, at, size, route.gateway);
    }
  });
}

bool read_route(const uint8_t* at, size_t bytes, KernelChange& change) {
  rtmsg header;
  if (bytes < sizeof header) return false;
  std::memcpy(&header, at, sizeof header);
  if (header.rtm_family != AF_INET && header.rtm_family != AF_INET6) return false;
  if ((header.rtm_flags & RTM_F_CLONED) != 0) return false;  // of the cache
  KernelRoute& route = change.route;
  route.prefix = unspecified(header.rtm_family);
  route.length = header.rtm_dst_len;
  route.protocol = header.rtm_protocol;
  route.type = header.rtm_type;
  route.table = header.rtm_table;
  each_attribute(at + NLMSG_ALIGN(sizeof header), bytes - NLMSG_ALIGN(sizeof header),
                 [&](int type, const uint8_t* data, size_t size) {
                   if (type == RTA_DST) read_address(header.rtm_family, data, size, route.prefix);
                   if (type == RTA_TABLE) route.table = word(data, size);
                   if (type == RTA_OIF) route.interface = word(data, size);
                   if (type == RTA_PRIORITY) route.metric = word(data, size);
                   if (type == RTA_MULTIPATH) read_first_hop(header, data, size, route);
                   if (type == RTA_GATEWAY) {
                     route.has_gateway = read_address(header.rtm_family, data, size, route.gateway);
                   }
                 });
  return true;
}

bool read_own_address(const uint8_t* at, size_t bytes, KernelChange& change) {
  ifaddrmsg header;
  if (bytes < sizeof header) return false;
  std::memcpy(&header, at, sizeof header);
  change.interface = header.ifa_index;
  change.length = header.ifa_prefixlen;
  bool found = false;
  each_attribute(at + NLMSG_ALIGN(sizeof header), bytes - NLMSG_ALIGN(sizeof header),
                 [&](int type, const uint8_t* data, size_t size) {
                   // of a point-to-point link IFA_ADDRESS is the other end, IFA_LOCAL ours
                   if (type == IFA_LOCAL || (type == IFA_ADDRESS && !found)) {
                     found = read_address(header.ifa_family, data, size, change.address) || found;
                   }
                 });
  return found;
}

bool read_neighbour(const uint8_t* at, size_t bytes, KernelChange& change) {
  ndmsg header;
  if (bytes < sizeof header) return false;
  std::memcpy(&header, at, sizeof header);
  change.interface = static_cast<uint32_t>(header.ndm_ifindex);
  change.state = header.ndm_state;
  bool found = false;
  each_attribute(at + NLMSG_ALIGN(sizeof header), bytes - NLMSG_ALIGN(sizeof header),
                 [&](int type, const uint8_t* data, size_t size) {
                   if (type == NDA_DST) found = read_address(header.ndm_family, data, size, change.address);
                   if (type == NDA_LLADDR && size == 6) {
                     change.has_mac = true;
                     std::memcpy(change.mac, data, 6);
                   }
                 });
  return found;
}

bool read_change(uint16_t type, const uint8_t* at, size_t bytes, KernelChange& change) {
  switch (type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      change.kind = KernelChange::Kind::kRoute;
      change.removed = type == RTM_DELROUTE;
      return read_route(at, bytes, change);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      change.kind = KernelChange::Kind::kAddress;
      change.removed = type == RTM_DELADDR;
      return read_own_address(at, bytes, change);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      change.kind = KernelChange::Kind::kNeighbour;
      change.removed = type == RTM_DELNEIGH;
      return read_neighbour(at, bytes, change);
    default:
      return false;
  }
}

// Calls use(header, payload, bytes) for each message of a datagram.
template <typename Use>
void each_message(const uint8_t* at, size_t left, Use use) {
  while (left >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, at, sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > left) return;
    use(header, at + NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
    const size_t step = NLMSG_ALIGN(header.nlmsg_len);
    if (step >= left) return;
    at += step;
    left -= step;
  }
}

// One message, built up in place.
class Message {
 public:
  template <typename Header>
  Message(uint16_t type, uint16_t flags, uint32_t sequence, const Header& header) {
    nlmsghdr head = {};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    head.nlmsg_seq = sequence;
    append(&head, sizeof head);
    append(&header, sizeof header);
  }
  void attribute(uint16_t type, const void* data, uint16_t bytes) {
    const rtattr head = {static_cast<uint16_t>(RTA_LENGTH(bytes)), type};
    append(&head, sizeof head);
    append(data, bytes);
  }
  void attribute(uint16_t type, uint32_t value) { attribute(type, &value, sizeof value); }
  void attribute(uint16_t type, const Address& address) {
    if (address.is_v4()) {
      attribute(type, address.v4_bytes(), 4);
    } else {
      attribute(type, address.bytes(), 16);
    }
  }
  // The bytes behind those of other messages.
  void append_to(std::vector<uint8_t>& out) {
    const auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
    out.insert(out.end(), bytes_.begin(), bytes_.end());
  }

 private:
  void append(const void* data, size_t bytes) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + bytes);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  std::vector<uint8_t> bytes_;
};

bool send_all(int descriptor, const std::vector<uint8_t>& bytes) {
  return send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

int open_socket(uint32_t groups, bool blocks) {
  const int descriptor =
      socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (blocks ? 0 : SOCK_NONBLOCK), NETLINK_ROUTE);
  if (descriptor < 0) return -1;
  // more than net.core.rmem_max with CAP_NET_ADMIN only; without it what there is has to do
  if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes) != 0) {
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof kReceiveBytes);
  }
  const timeval patience = {kAnswerSeconds, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
  const int number = errno;
  ::close(descriptor);
  errno = number;
  return -1;
}

}  // namespace

bool Rtnetlink::open(bool listen, SocketError& error) {
  close();
  requests_ = open_socket(0, true);
  constexpr uint32_t kGroups =
      RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (listen && requests_ >= 0) changes_ = open_socket(kGroups, false);
  if (requests_ >= 0 && (!listen || changes_ >= 0)) return true;
  error = netlink_error("socket");
  close();
  return false;
}

void Rtnetlink::close() {
  if (requests_ >= 0) ::close(requests_);
  if (changes_ >= 0) ::close(changes_);
  requests_ = changes_ = -1;
}

std::vector<int> Rtnetlink::change_routes(const std::vector<KernelRoute>& routes, bool add) {
  std::vector<int> results(routes.size(), EIO);
  std::vector<uint8_t> buffer(kBufferBytes);
  for (size_t first = 0; first < routes.size(); first += kBatch) {
    const size_t end = std::min(routes.size(), first + kBatch);
    const uint32_t base = sequence_ + 1;
    std::vector<uint8_t> batch;
    for (size_t i = first; i < end; ++i) {
      const KernelRoute& route = routes[i];
      rtmsg header = {};
      header.rtm_family = route.prefix.is_v4() ? AF_INET : AF_INET6;
      header.rtm_dst_len = route.length;
      header.rtm_protocol = route.protocol;
      header.rtm_type = add ? RTN_UNICAST : RTN_UNSPEC;
      header.rtm_scope = add ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
      if (!route.prefix.is_v4()) header.rtm_scope = RT_SCOPE_UNIVERSE;
      Message message(add ? RTM_NEWROUTE : RTM_DELROUTE,
                      static_cast<uint16_t>(NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0)),
                      ++sequence_, header);
      message.attribute(RTA_DST, route.prefix);
      message.attribute(RTA_TABLE, route.table);
      message.attribute(RTA_OIF, route.interface);
      if (route.metric != 0) message.attribute(RTA_PRIORITY, route.metric);
      message.append_to(batch);
    }
    if (!send_all(requests_, batch)) {
      std::fill(results.begin() + static_cast<ptrdiff_t>(first), results.end(), errno);
      return results;
    }
    for (size_t answered = first; answered < end;) {
      const ssize_t got = recv(requests_, buffer.data(), buffer.size(), 0);
      if (got <= 0) return results;
      each_message(buffer.data(), static_cast<size_t>(got),
                   [&](const nlmsghdr& head, const uint8_t* payload, size_t bytes) {
                     // an answer to something older, that came late
                     if (head.nlmsg_type != NLMSG_ERROR || head.nlmsg_seq - base >= end - first || bytes < 4)
                       return;
                     int number;
                     std::memcpy(&number, payload, sizeof number);
                     number = -number;
                     const bool gone = number == ESRCH || number == ENODEV || number == ENOENT;
                     results[first + (head.nlmsg_seq - base)] = !add && gone ? 0 : number;
                     ++answered;
                   });
    }
  }
  return results;
}

bool Rtnetlink::list(KernelChange::Kind kind, std::vector<KernelChange>& out, SocketError& error) {
  static constexpr uint16_t kTypes[] = {RTM_GETROUTE, RTM_GETADDR, RTM_GETNEIGH};
  // the longest of the headers; its family is the first byte of each
  const ndmsg header = {};
  std::vector<uint8_t> request;
  Message(kTypes[static_cast<size_t>(kind)], NLM_F_DUMP, ++sequence_, header).append_to(request);
  if (!send_all(requests_, request)) {
    error = netlink_error("request");
    return false;
  }
  std::vector<uint8_t> buffer(kBufferBytes);
  bool done = false;
  while (!done) {
    const ssize_t got = recv(requests_, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      error = netlink_error("answer");
      return false;
    }
    each_message(buffer.data(), static_cast<size_t>(got),
                 [&](const nlmsghdr& head, const uint8_t* payload, size_t bytes) {
                   if (head.nlmsg_seq != sequence_) return;
                   KernelChange change = {};
                   if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) {
                     done = true;
                   } else if (read_change(head.nlmsg_type, payload, bytes, change)) {
                     out.push_back(change);
                   }
                 });
  }
  return true;
}

bool Rtnetlink::take_changes(std::vector<KernelChange>& out) {
  if (changes_ < 0) return true;
  std::vector<uint8_t> buffer(kBufferBytes);
  bool whole = true;
  for (;;) {
    const ssize_t got = recv(changes_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == ENOBUFS) {
      whole = false;
      continue;
    }
    if (got <= 0) return whole;
    each_message(buffer.data(), static_cast<size_t>(got),
                 [&](const nlmsghdr& head, const uint8_t* payload, size_t bytes) {
                   KernelChange change = {};
                   if (read_change(head.nlmsg_type, payload, bytes, change)) out.push_back(change);
                 });
  }
}

void Rtnetlink::ask_for_neighbour(uint32_t interface, const Address& address) {
  ndmsg header = {};
  header.ndm_family = address.is_v4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = static_cast<int>(interface);
  header.ndm_flags = NTF_USE;
  std::vector<uint8_t> request;
  Message message(RTM_NEWNEIGH, NLM_F_CREATE, ++sequence_, header);
  message.attribute(NDA_DST, address);
  message.append_to(request);
  send_all(requests_, request);
}

}  // namespace penstock
