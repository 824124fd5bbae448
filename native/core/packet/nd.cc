#include "nd.h"

#include "ethernet.h"
#include "ipv6.h"

namespace penstock::nd {
namespace {

// Looks through the options for the link-layer address that `message` may carry. False when an option says it
// has no length or a longer one than there is (§4.6), or the address is no station's.
bool read_options(const uint8_t* options, uint32_t length, Message& message) {
  const uint8_t wanted = message.type == icmpv6::kNeighbourSolicitation ? kSourceLinkLayer : kTargetLinkLayer;
  for (uint32_t at = 0; at < length;) {
    if (length - at < kOptionUnit) return false;
    const uint32_t bytes = options[at + 1] * kOptionUnit;
    if (bytes == 0 || bytes > length - at) return false;
    if (options[at] == wanted) {
      if (bytes != kOptionUnit || !mac::is_station(options + at + 2)) return false;
      mac::copy(message.link_layer, options + at + 2);
      message.has_link_layer = true;
    }
    at += bytes;
  }
  return true;
}

// Writes IPv6 header, message and option at `ip`; returns their length.
uint32_t write_message(uint8_t* ip, uint8_t type, uint8_t flags, const Address& source,
                       const Address& destination, const Address& target, const uint8_t* own_mac) {
  const bool with_option = !source.is_unspecified();  // §4.3: an address that is not ours yet tells nobody
  const uint32_t length = kBytes + (with_option ? kOptionUnit : 0);
  ipv6::Fields fields;
  fields.payload_length = length;
  fields.next_header = protocol::kIcmpv6;
  fields.hop_limit = kHopLimit;
  ipv6::write(ip, fields, source.bytes(), destination.bytes());
  uint8_t* message = ip + ipv6::kHeaderBytes;
  std::memset(message, 0, kBytes);
  message[0] = type;
  message[kFlags] = flags;
  std::memcpy(message + kTarget, target.bytes(), 16);
  if (with_option) {
    message[kBytes] = type == icmpv6::kNeighbourSolicitation ? kSourceLinkLayer : kTargetLinkLayer;
    message[kBytes + 1] = 1;
    mac::copy(message + kBytes + 2, own_mac);
  }
  icmp::set_checksum(message, length, ipv6::pseudo_header(ip, protocol::kIcmpv6, length));
  return ipv6::kHeaderBytes + length;
}

}  // namespace

bool read(const Frame& frame, const uint8_t* packet, Message& message) {
  const uint8_t* ip = packet + frame.l3;
  if (frame.version != 6 || frame.protocol != protocol::kIcmpv6 || frame.l4 == 0) return false;
  const uint8_t* at = packet + frame.l4;
  const uint32_t length = static_cast<uint32_t>(frame.length) - frame.l4;
  if (length < kBytes || ipv6::hop_limit(ip) != kHopLimit || icmp::code(at) != 0) return false;
  message = {};
  message.type = icmp::type(at);
  const bool solicits = message.type == icmpv6::kNeighbourSolicitation;
  if (!solicits && message.type != icmpv6::kNeighbourAdvertisement) return false;
  if (frame.l4 - frame.l3 != static_cast<int>(ipv6::kHeaderBytes)) {
    ipv6::Chain chain;
    if (!ipv6::walk(ip, chain) || chain.fragment_header != 0) return false;
  }
  if (!icmp::checksum_verifies(at, length, ipv6::pseudo_header(ip, protocol::kIcmpv6, length))) return false;
  message.flags = solicits ? 0 : at[kFlags];
  message.source = Address::v6(ipv6::source(ip));
  message.destination = Address::v6(ipv6::destination(ip));
  message.target = Address::v6(at + kTarget);
  if (message.target.is_multicast() || message.target.is_unspecified() || message.target.is_v4())
    return false;
  if (!read_options(at + kBytes, length - kBytes, message)) return false;
  if (solicits) {
    return !message.source.is_unspecified() ||
           (!message.has_link_layer && message.destination == solicited_node(message.target));
  }
  return !message.source.is_unspecified() &&
         (!message.destination.is_multicast() || (message.flags & kSolicitedFlag) == 0);
}

void answer(Frame& frame, uint8_t* packet, const Message& message, const uint8_t* own_mac, bool is_router) {
  const bool asker_known = !message.source.is_unspecified();
  const Address to = asker_known ? message.source : all_nodes();
  if (!asker_known) {
    mac::from_ipv6_multicast(packet, to.bytes());
  } else if (message.has_link_layer) {
    mac::copy(packet, message.link_layer);
  } else {
    mac::copy(packet, packet + ethernet::kSource);
  }
  mac::copy(packet + ethernet::kSource, own_mac);
  const uint8_t flags = static_cast<uint8_t>((is_router ? kRouterFlag : 0) | kOverrideFlag |
                                             (asker_known ? kSolicitedFlag : 0));
  const Address target = message.target;
  const uint32_t length =
      write_message(packet + frame.l3, icmpv6::kNeighbourAdvertisement, flags, target, to, target, own_mac);
  frame.length = static_cast<uint16_t>(frame.l3 + length);
  frame.l4 = static_cast<uint16_t>(frame.l3 + ipv6::kHeaderBytes);
  frame.protocol = protocol::kIcmpv6;
}

uint32_t write_solicitation(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own,
                            const Address& target, const uint8_t* to_mac) {
  const Address to = to_mac != nullptr ? target : solicited_node(target);
  uint8_t group[6];
  mac::from_ipv6_multicast(group, to.bytes());
  const uint32_t l3 =
      ethernet::write(packet, to_mac != nullptr ? to_mac : group, own_mac, ethernet::kTypeIpv6, vlan);
  return l3 + write_message(packet + l3, icmpv6::kNeighbourSolicitation, 0, own, to, target, own_mac);
}

uint32_t write_unsolicited(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own,
                           bool is_router) {
  const Address to = all_nodes();
  uint8_t group[6];
  mac::from_ipv6_multicast(group, to.bytes());
  const uint32_t l3 = ethernet::write(packet, group, own_mac, ethernet::kTypeIpv6, vlan);
  const uint8_t flags = static_cast<uint8_t>(kOverrideFlag | (is_router ? kRouterFlag : 0));
  return l3 + write_message(packet + l3, icmpv6::kNeighbourAdvertisement, flags, own, to, own, own_mac);
}

}  // namespace penstock::nd
