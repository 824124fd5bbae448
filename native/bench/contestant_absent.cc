// Stands in for the peers that were not found at build time.
#include "crypto_contestants.h"

namespace penstock::bench {
#ifndef PENSTOCK_HAVE_IPSEC_MB
std::vector<std::unique_ptr<Contestant>> make_ipsec_mb(const std::string&) {
  return {};
}
#endif
#ifndef PENSTOCK_HAVE_OPENSSL
std::vector<std::unique_ptr<Contestant>> make_openssl() {
  return {};
}
#endif
}  // namespace penstock::bench
