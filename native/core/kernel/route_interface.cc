#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rtnetlink.h"

namespace penstock {
namespace {

SocketError refusal(const std::string& name, const char* what) {
  const int number = errno;
  const std::string where = "interface " + name + ": ";
  if (number == EPERM || number == EACCES) {
    return {EPERM, where +
                       "routes for the kernel need the capability CAP_NET_ADMIN: run as root, or grant with "
                       "'sudo setcap cap_net_admin+ep \"$(readlink -f \"$(command -v node)\")\"'"};
  }
  if (number == EBUSY) {
    return {
        EBUSY,
        where + "in use by another process; each node has one of its own (routing-options.kernel.interface)"};
  }
  if (number == EINVAL) {
    return {EINVAL, where +
                        "there is another of this name that is no TUN; write another "
                        "(routing-options.kernel.interface)"};
  }
  if (number == ENOENT) return {ENOENT, where + "no /dev/net/tun: modprobe tun"};
  return {number, where + what + ": " + std::strerror(number)};
}

}  // namespace

bool RouteInterface::open(const std::string& name, SocketError& error) {
  close();
  descriptor_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  ifreq request = {};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  const auto fail = [&](const char* what) {
    error = refusal(name, what);
    close();
    return false;
  };
  if (descriptor_ < 0) return fail("/dev/net/tun");
  if (ioctl(descriptor_, TUNSETIFF, &request) != 0) return fail("TUNSETIFF");
  ifreq found = {};
  if (ioctl(descriptor_, TUNGETIFF, &found) == 0 && (found.ifr_flags & IFF_PERSIST) != 0) {
    error = {EEXIST, "interface " + name +
                         " outlives a process, and so would routes into it: ip link delete " + name};
    close();
    return false;
  }
  const int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool up = ioctl(descriptor, SIOCGIFFLAGS, &request) == 0 &&
                  (request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP),
                   ioctl(descriptor, SIOCSIFFLAGS, &request) == 0);
  const int number = errno;
  if (descriptor >= 0) ::close(descriptor);
  errno = number;
  if (!up) return fail("cannot be brought up");
  index_ = if_nametoindex(name.c_str());
  return index_ != 0 || fail("has no index");
}

void RouteInterface::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  index_ = 0;
}

}  // namespace penstock
