// Which kernels this processor and its system run.
#pragma once

namespace penstock::gcm {

bool runs_aesni();
bool runs_vaes256();
bool runs_vaes512();

}  // namespace penstock::gcm
