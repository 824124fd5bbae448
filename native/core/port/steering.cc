#include "steering.h"

#include <ifaddrs.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../packet/bytes.h"

namespace penstock {
namespace {

long bpf(bpf_cmd command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

bool put(int map, const void* key, const void* value) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(key);
  attributes.value = reinterpret_cast<uint64_t>(value);
  attributes.flags = BPF_ANY;
  return bpf(BPF_MAP_UPDATE_ELEM, attributes) == 0;
}

void remove(int map, const void* key) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(key);
  bpf(BPF_MAP_DELETE_ELEM, attributes);
}

std::pair<uint64_t, uint64_t> key_of(const Address& address) {
  return {address.high, address.low};
}

}  // namespace

Steering::~Steering() {
  for (const int file : {files_.program, files_.config, files_.sockets, files_.addresses, files_.spis}) {
    if (file >= 0) close(file);
  }
}

bool Steering::load(SocketError& error) {
  const int result = steer_load(&files_);
  if (result == 0) return true;
  if (result == -ENOSYS) {
    error = {
        ENOSYS,
        "the native core was built without AF_XDP: install clang, bpftool and libbpf-dev, then run npm run "
        "setup"};
  } else if (result == -EPERM || result == -EACCES) {
    error = {EPERM, "AF_XDP needs " + missing_capabilities(true)};
  } else {
    error = {-result, std::string("loading the XDP program: ") + std::strerror(-result)};
  }
  return false;
}

int Steering::attach(int interface, bool native, SocketError& error) const {
  bpf_attr attributes{};
  attributes.link_create.prog_fd = static_cast<uint32_t>(files_.program);
  attributes.link_create.target_ifindex = static_cast<uint32_t>(interface);
  attributes.link_create.attach_type = BPF_XDP;
  attributes.link_create.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const long link = bpf(BPF_LINK_CREATE, attributes);
  if (link >= 0) return static_cast<int>(link);
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    error = {EPERM, "AF_XDP needs " + missing_capabilities(true)};
  } else if (number == EBUSY || number == EEXIST) {
    error = {EBUSY, "another XDP program is attached: ip link set dev IF xdp off"};
  } else {
    error = {number, std::string("attaching the XDP program: ") + std::strerror(number)};
  }
  return -1;
}

bool Steering::set_socket(uint32_t queue, uint32_t workers, uint32_t worker, int descriptor,
                          SocketError& error) const {
  const uint32_t key = queue * workers + worker;
  const auto value = static_cast<uint32_t>(descriptor);
  if (put(files_.sockets, &key, &value)) return true;
  error = {errno, std::string("telling the XDP program of a socket: ") + std::strerror(errno)};
  return false;
}

void Steering::set_address(const steer_address& address, uint32_t owner) const {
  if (owner == 0) {
    remove(files_.addresses, &address);
  } else {
    put(files_.addresses, &address, &owner);
  }
}

// What has one of its own is ours, even if the kernel has it, too.
void Steering::update_addresses() {
  auto wanted = kernels_;
  for (const auto& [address, owner] : ours_) wanted[address] = owner;
  for (const auto& [address, owner] : addresses_) {
    if (wanted.find(address) == wanted.end()) set_address({address.first, address.second}, 0);
  }
  for (const auto& [address, owner] : wanted) {
    const auto had = addresses_.find(address);
    if (had == addresses_.end() || had->second != owner) set_address({address.first, address.second}, owner);
  }
  addresses_ = std::move(wanted);
}

void Steering::write_config() {
  config_.shared = !kernels_.empty();
  const uint32_t zero = 0;
  put(files_.config, &zero, &config_);
}

void Steering::set_owners(const PortOwners& owners, uint32_t workers) {
  const std::lock_guard<std::mutex> guard(lock_);
  ours_.clear();
  for (const Address& address : owners.addresses) ours_[key_of(address)] = STEER_OURS;
  update_addresses();
  std::unordered_map<uint32_t, uint32_t> wanted;
  for (const PortOwners::Spi& entry : owners.spis) {
    uint32_t network;
    store32(reinterpret_cast<uint8_t*>(&network), entry.spi);
    wanted[network] = entry.worker;
  }
  for (const auto& [spi, worker] : spis_) {
    if (wanted.find(spi) == wanted.end()) remove(files_.spis, &spi);
  }
  for (const auto& [spi, worker] : wanted) {
    const auto had = spis_.find(spi);
    if (had == spis_.end() || had->second != worker) put(files_.spis, &spi, &worker);
  }
  spis_ = std::move(wanted);
  config_.workers = workers;
  for (uint32_t b = 0; b < STEER_BUCKETS; ++b)
    config_.owners[b] = b < owners.buckets.size() ? owners.buckets[b] : 0;
  std::memcpy(config_.mac, owners.mac, sizeof config_.mac);
  write_config();
}

void Steering::read_kernel_addresses(const std::string& interface) {
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || interface != entry->ifa_name) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      sockaddr_in in;
      std::memcpy(&in, entry->ifa_addr, sizeof in);
      found[key_of(Address::v4(reinterpret_cast<const uint8_t*>(&in.sin_addr)))] = STEER_KERNEL;
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 in;
      std::memcpy(&in, entry->ifa_addr, sizeof in);
      found[key_of(Address::v6(in.sin6_addr.s6_addr))] = STEER_KERNEL;
    }
  }
  freeifaddrs(list);
  const std::lock_guard<std::mutex> guard(lock_);
  if (found == kernels_) return;
  kernels_ = std::move(found);
  update_addresses();
  if (config_.workers != 0) write_config();
}

}  // namespace penstock
