// What the kernel says of an interface's driver, queues and offloads (ethtool(8)), for penstock doctor.
#include "interface_binding.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "args.h"

namespace penstock::addon {
namespace {

class Asking {
 public:
  explicit Asking(const std::string& name) : descriptor_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::memcpy(request_.ifr_name, name.data(), name.size());
  }
  ~Asking() { close(descriptor_); }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  bool ask(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return descriptor_ >= 0 && ioctl(descriptor_, SIOCETHTOOL, &request_) == 0;
  }
  // A feature with a number of its own; null: the driver does not say.
  Napi::Value flag(Napi::Env env, uint32_t command, uint32_t bit = 1) {
    ethtool_value value{};
    value.cmd = command;
    return ask(&value) ? Napi::Boolean::New(env, (value.data & bit) != 0) : env.Null();
  }

 private:
  const int descriptor_;
  ifreq request_{};
};

}  // namespace

// interfaceFacts(name)
Napi::Value interface_facts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Asking asking(Arg(info, 0, "interfaceFacts.name").text(IFNAMSIZ - 1));
  Napi::Object out = Napi::Object::New(env);
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  out["driver"] = asking.ask(&driver) ? Napi::Value(Napi::String::New(env, driver.driver)) : env.Null();
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  const bool known = asking.ask(&channels);
  out["queues"] =
      known ? Napi::Value(Napi::Number::New(env, channels.combined_count + channels.rx_count)) : env.Null();
  ethtool_rxfh hash{};
  hash.cmd = ETHTOOL_GRSSH;
  out["rssKeyBytes"] = asking.ask(&hash) ? Napi::Value(Napi::Number::New(env, hash.key_size)) : env.Null();
  out["rxChecksum"] = asking.flag(env, ETHTOOL_GRXCSUM);
  out["txChecksum"] = asking.flag(env, ETHTOOL_GTXCSUM);
  out["tso"] = asking.flag(env, ETHTOOL_GTSO);
  out["gro"] = asking.flag(env, ETHTOOL_GGRO);
  out["lro"] = asking.flag(env, ETHTOOL_GFLAGS, ETH_FLAG_LRO);
  out["rxVlan"] = asking.flag(env, ETHTOOL_GFLAGS, ETH_FLAG_RXVLAN);
  return out;
}

}  // namespace penstock::addon
