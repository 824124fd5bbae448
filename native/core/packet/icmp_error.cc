#include "icmp_error.h"

#include <algorithm>
#include <cstring>

#include "ethernet.h"
#include "icmp.h"
#include "ipv4.h"
#include "ipv6.h"

namespace penstock::icmp_error {
namespace {

constexpr uint8_t kInternetworkControl = 0xc0;  // precedence 6 (RFC 1812 §4.3.2.5)

struct TypeAndCode {
  uint8_t type;
  uint8_t code;
};

TypeAndCode v4_code(Kind kind) {
  switch (kind) {
    case Kind::kTooBig:
      return {icmp::kUnreachable, icmp::kFragmentationNeeded};
    case Kind::kTtlExceeded:
      return {icmp::kTimeExceeded, 0};
    case Kind::kNoRoute:
      return {icmp::kUnreachable, icmp::kNetUnreachable};
    case Kind::kProhibited:
      return {icmp::kUnreachable, icmp::kAdministrativelyProhibited};
    case Kind::kPortUnreachable:
      return {icmp::kUnreachable, icmp::kPortUnreachable};
    case Kind::kAddressUnreachable:
      break;
  }
  return {icmp::kUnreachable, icmp::kHostUnreachable};
}

TypeAndCode v6_code(Kind kind) {
  switch (kind) {
    case Kind::kTooBig:
      return {icmpv6::kPacketTooBig, 0};
    case Kind::kTtlExceeded:
      return {icmpv6::kTimeExceeded, 0};
    case Kind::kNoRoute:
      return {icmpv6::kUnreachable, icmpv6::kNoRoute};
    case Kind::kProhibited:
      return {icmpv6::kUnreachable, icmpv6::kAdministrativelyProhibited};
    case Kind::kPortUnreachable:
      return {icmpv6::kUnreachable, icmpv6::kPortUnreachable};
    case Kind::kAddressUnreachable:
      break;
  }
  return {icmpv6::kUnreachable, icmpv6::kAddressUnreachable};
}

bool has_link_header(const Frame& frame) {
  return (frame.flags & kDecrypted) == 0 && frame.l3 >= ethernet::kHeaderBytes;
}

uint32_t write_v4(uint8_t* ip, const uint8_t* offender, uint32_t length, Kind kind, const Address& own,
                  uint32_t mtu) {
  const uint32_t quoted = std::min(length, kLargestV4 - ipv4::kHeaderBytes - icmp::kHeaderBytes);
  uint8_t* message = ip + ipv4::kHeaderBytes;
  const TypeAndCode says = v4_code(kind);
  store32(message, static_cast<uint32_t>(says.type) << 24 | static_cast<uint32_t>(says.code) << 16);
  store32(message + 4, kind == Kind::kTooBig ? std::min(mtu, 0xffffu) : 0);
  std::memcpy(message + icmp::kHeaderBytes, offender, quoted);
  icmp::set_checksum(message, icmp::kHeaderBytes + quoted);
  ipv4::Fields fields;
  fields.tos = kInternetworkControl;
  fields.total_length = ipv4::kHeaderBytes + icmp::kHeaderBytes + quoted;
  fields.fragment = ipv4::kDontFragment;  // so that it needs no identification (RFC 6864 §4.1)
  fields.protocol = protocol::kIcmp;
  ipv4::write(ip, fields, own.v4_bytes(), ipv4::source(offender));
  return fields.total_length;
}

uint32_t write_v6(uint8_t* ip, const uint8_t* offender, uint32_t length, Kind kind, const Address& own,
                  uint32_t mtu) {
  const uint32_t quoted = std::min(length, kLargestV6 - ipv6::kHeaderBytes - icmp::kHeaderBytes);
  uint8_t* message = ip + ipv6::kHeaderBytes;
  const TypeAndCode says = v6_code(kind);
  store32(message, static_cast<uint32_t>(says.type) << 24 | static_cast<uint32_t>(says.code) << 16);
  store32(message + icmpv6::kMtu, kind == Kind::kTooBig ? mtu : 0);
  std::memcpy(message + icmp::kHeaderBytes, offender, quoted);
  ipv6::Fields fields;
  fields.traffic_class = kInternetworkControl;
  fields.payload_length = icmp::kHeaderBytes + quoted;
  fields.next_header = protocol::kIcmpv6;
  ipv6::write(ip, fields, own.bytes(), ipv6::source(offender));
  icmp::set_checksum(message, fields.payload_length,
                     ipv6::pseudo_header(ip, protocol::kIcmpv6, fields.payload_length));
  return ipv6::kHeaderBytes + fields.payload_length;
}

}  // namespace

bool may_report(const Frame& offender, const uint8_t* packet, Kind kind) {
  if ((offender.flags & kLaterFragment) != 0 || offender.l4 == 0) return false;
  const uint8_t* ip = packet + offender.l3;
  const uint8_t* l4 = packet + offender.l4;
  const bool has_type = offender.l4 < offender.length;
  const bool group_frame = has_link_header(offender) && mac::is_group(packet);
  if (offender.version == 4) {
    const uint8_t to = ipv4::destination(ip)[0];
    // parse_ip let no group or unusable source through; a destination of 224/4 and above is no single host.
    return !group_frame && to < 224 &&
           !(offender.protocol == protocol::kIcmp && (!has_type || icmp::is_error(icmp::type(l4))));
  }
  if (offender.version != 6) return false;
  if (Address::v6(ipv6::source(ip)).is_unspecified()) return false;
  if ((group_frame || ipv6::destination(ip)[0] == 0xff) && kind != Kind::kTooBig) return false;
  return !(offender.protocol == protocol::kIcmpv6 && (!has_type || icmpv6::is_error(icmp::type(l4))));
}

bool write(Frame& out, uint8_t* to, const Frame& offender, const uint8_t* packet, Kind kind,
           const Address& own, uint32_t mtu) {
  if (!may_report(offender, packet, kind) || own.is_v4() != (offender.version == 4)) return false;
  if (has_link_header(offender)) {
    std::memcpy(to, packet, offender.l3);
    mac::swap(to);
  } else {
    std::memset(to, 0, offender.l3);
  }
  const uint8_t* ip = packet + offender.l3;
  const uint32_t length = static_cast<uint32_t>(offender.length) - offender.l3;
  const bool v4 = offender.version == 4;
  const uint32_t written = v4 ? write_v4(to + offender.l3, ip, length, kind, own, mtu)
                              : write_v6(to + offender.l3, ip, length, kind, own, mtu);
  out.length = static_cast<uint16_t>(offender.l3 + written);
  out.l3 = offender.l3;
  out.l4 = static_cast<uint16_t>(offender.l3 + (v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes));
  out.version = offender.version;
  out.protocol = v4 ? protocol::kIcmp : protocol::kIcmpv6;
  out.flags = static_cast<uint8_t>((offender.flags & kTagged) | kDontFragment | kIcmpError);
  out.source_port = 0;
  out.destination_port = 0;
  return true;
}

}  // namespace penstock::icmp_error
