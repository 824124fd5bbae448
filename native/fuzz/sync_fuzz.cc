// Blocks of sessions as they come over the interchassis link.
#include "sync/record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace penstock;
  static const SyncTable names = [] {
    SyncTable table;
    table.instances = TagMap({{1, 0}, {2, 1}});
    table.zones = TagMap({{1, 1}, {2, 2}, {0x10000, 3}});
    table.tunnels = TagMap({{1, 0, 0}, {2, 1, 1}});
    table.policies = TagMap({{1, 1}});
    return table;
  }();
  for (size_t at = 0; at < size;) {
    const size_t length = sync::record_length(data + at, size - at);
    if (length == 0) break;
    if (length > size - at) __builtin_trap();
    sync::Record record;
    if (sync::read_record(data + at, length, names, record) == sync::ReadStatus::kRead &&
        record.kind == sync::RecordKind::kClose) {
      uint8_t again[sync::kMostRecordBytes];
      const size_t written = sync::write_end(record.kind, record.in, names, again);
      if (written != length || sync::identity_hash(again) != sync::identity_hash(data + at)) __builtin_trap();
    }
    at += length;
  }
  return 0;
}
