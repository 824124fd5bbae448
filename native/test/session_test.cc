#include "check.h"
#include "session/session_table.h"

using namespace penstock;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

SessionKey key4(uint32_t host, uint16_t port, uint8_t protocol = 17, uint16_t instance = 0,
                uint16_t zone = 1) {
  const uint8_t source[4] = {10, static_cast<uint8_t>(host >> 16), static_cast<uint8_t>(host >> 8),
                             static_cast<uint8_t>(host)};
  const uint8_t destination[4] = {192, 0, 2, 1};
  return SessionKey::ipv4(source, destination, port, 443, protocol, instance, zone);
}

void both_wings_are_found() {
  SessionTable table({.limit = 100});
  NewSession session;
  session.in = key4(1, 1000);
  session.out = session.in.reversed(3, 4);
  const InsertResult result = table.insert(session, kSecond);
  CHECK(result.status == InsertStatus::kInserted);
  const SessionRef in = table.find(session.in);
  const SessionRef out = table.find(session.out);
  CHECK_EQ(in.id, result.ref.id);
  CHECK_EQ(out.id, result.ref.id);
  CHECK(in.wing == Wing::kIn && out.wing == Wing::kOut);
  CHECK(!table.find(session.in.reversed(3, 5)).found());
  CHECK(table.remove(in));
  CHECK(!table.find(session.out).found());
  CHECK(!table.account(out, 1, kSecond));
}

}  // namespace

int main() {
  RUN(both_wings_are_found);
  FINISH();
}
