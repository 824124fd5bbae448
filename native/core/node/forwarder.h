// The forwarding node: a router, a gateway, or both, by what its tables say. forwarder.cc opens with the path
// of a packet.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "../esp/sa.h"
#include "../liveness/liveness.h"
#include "../session/session_table.h"
#include "../sync/session_sync.h"
#include "flow_owners.h"
#include "neighbour.h"
#include "node.h"
#include "nonce_audit.h"
#include "path_mtu.h"
#include "slab.h"
#include "tables.h"

namespace penstock {

struct ForwarderOptions {
  SessionTable::Options sessions;  // of each worker's table
  uint32_t neighbour_limit = 4096;
  uint32_t sa_limit = 65536;    // per direction
  uint32_t statistics = 65536;  // packets-and-bytes pairs
  uint32_t flow_limit = 0;      // flows that virtual services remember, of each worker; 0: none
  uint32_t audited_keys = 0;    // > 0: watch that no (key, IV) passes twice (emulator), for this many keys
};

// Packets and bytes, one writer per worker.
struct Statistic {
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

// What the control thread says of an SA's numbers on a node of a pair (OutboundSa::arm, take_over;
// ReplayWindow::seen_up_to).
struct SaNumbers {
  enum class Kind : uint8_t { kArm, kTakeOver, kSeen };
  Kind kind;
  uint16_t epoch = 0;
  uint64_t sequence = 0;  // the next one; kSeen: the last that was seen
  uint64_t gate = ~0ull;
  uint64_t ask = ~0ull;
};

// What the interchassis link carries of a node's sessions.
struct SyncStatus {
  SessionSync::Counts counts;
  uint64_t unknown_names = 0;  // records that name what is not here
  uint64_t malformed = 0;      // blocks
  uint64_t sweeps = 0;         // times that all sessions had been said
  uint64_t digests = 0;        // compared
  uint64_t mismatches = 0;     // in a row
  bool overflowed = false;
};

class Forwarder : public Node {
 public:
  // workers: that there are at first.
  Forwarder(std::string name, uint32_t workers, uint32_t most_workers, ForwarderOptions options);
  Forwarder(std::string name, uint32_t workers, ForwarderOptions options)
      : Forwarder(std::move(name), workers, workers, options) {}
  ~Forwarder() override;

  bool poll(uint32_t worker, uint64_t now) override;
  void resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) override;
  uint64_t next_deadline(uint32_t worker) const override;
  bool collect(uint64_t oldest) override;
  size_t heard_ports() const override;
  uint32_t attention() const override { return neighbours_.changes() + liveness_.told(); }
  std::string cannot_grow() const override;
  void add_worker(uint32_t worker) override;
  void spread_flows(uint32_t workers) override;
  bool flows_moving() const override { return owners_.moving(); }

  // Control thread. Publishes parts: those that are null (flow: none) stay as they are. Throws
  // std::invalid_argument when an index in them names nothing.
  void publish(Tables parts);
  const Tables& published() const { return *current_.load(); }

  // Control thread. SAs live in slabs: returns the index, or kNoIndex with `error` saying why.
  uint32_t add_inbound_sa(const InboundSaOptions& options, std::string& error);
  uint32_t add_outbound_sa(const OutboundSaOptions& options, std::string& error);
  // What a live SA goes by from its worker's next turns on: selectors, outer headers, MTU, window size. Key,
  // SPI, ESN, worker and all numbers stay, so no packet is lost and no IV comes twice. Before the publication
  // that goes with it. Returns what is wrong, or nothing.
  std::string change_inbound_sa(uint32_t index, const InboundSaOptions& options);
  std::string change_outbound_sa(uint32_t index, const OutboundSaOptions& options);
  // Takes effect at the SA's worker's next turns. Returns what is wrong, or nothing.
  std::string change_numbers(bool outbound, uint32_t index, const SaNumbers& numbers);
  // At once, for a gate that is armed, or to open one (~0).
  void move_gate(uint32_t index, uint64_t gate, uint64_t ask) { outbound_[index].move_gate(gate, ask); }

  // Control thread: sessions of a pair (sync.cc). What sync_pull gives is taken, in this order, by the other
  // node's sync_apply.
  void sync_start(bool all);
  void sync_stop();
  void sync_digest();
  void sync_refresh();
  // Whole records, at most `most` bytes.
  uint32_t sync_pull(uint8_t* out, uint32_t most);
  enum class SyncApplied : uint8_t { kApplied, kBusy, kMalformed };  // kBusy: nothing was done, try again
  SyncApplied sync_apply(const uint8_t* block, uint32_t size);
  SyncStatus sync_status();

  // Slots that are free now, of each direction.
  uint32_t inbound_room() const { return inbound_.room(); }
  uint32_t outbound_room() const { return outbound_.room(); }
  // After the publication that no longer names it: zeroised and freed once no worker can see it.
  void retire_inbound_sa(uint32_t index);
  void retire_outbound_sa(uint32_t index);
  // Control thread, for show: nullptr when there is none. Counters in it are the workers' and move.
  const InboundSa* inbound_sa(uint32_t index) const;
  const OutboundSa* outbound_sa(uint32_t index) const;

  // Control thread: the neighbour of this address, made if it is new (no room: kNoIndex).
  uint32_t neighbour(uint16_t interface, const Address& address);
  NeighbourTable& neighbours() { return neighbours_; }

  // BFD sessions; worker 0 sends and hears.
  Liveness& liveness() { return liveness_; }
  const Liveness& liveness() const { return liveness_; }

  Statistic statistic(uint32_t index) const;  // summed over workers
  NonceAudit nonce_audit() const;
  // Any thread, for show: a page of one worker's sessions; see SessionTable::read.
  const SessionTable& sessions(uint32_t worker) const;
  // The worker's thread, or any while workers do not run (virtual time).
  SessionTable& own_sessions(uint32_t worker);
  // Likewise the flow memory; nullptr when the node has none.
  const SessionTable* flows(uint32_t worker) const;

 private:
  struct Shard;
  friend struct Shard;

  // Made by the control thread, carried out by the SA's worker, freed by the control thread.
  struct SaChange {
    uint32_t index;
    std::unique_ptr<InboundSa> inbound;  // one of the two
    std::unique_ptr<OutboundSa> outbound;
    std::optional<SaNumbers> numbers = {};
    bool is_outbound = false;  // of numbers
    SaChange* next = nullptr;
    std::atomic<bool> applied{false};
  };

  void check(const Tables& tables) const;
  void tell_owners();
  std::shared_ptr<const SpiTable> with_anchors(const SpiTable& spis) const;
  std::shared_ptr<const Routes> with_anchors(const Routes& routes) const;
  std::shared_ptr<const ServiceIndex> index_services(const Tables& tables) const;
  static bool services_differ(const Tables& tables);
  static std::shared_ptr<const Routes> with_services(const Tables& tables);
  template <typename Sa, typename Options>
  uint32_t add_sa(Slab<Sa>& slab, const Options& options, std::string& error);
  template <typename Sa, typename Options>
  std::string change_sa(Slab<Sa>& slab, uint32_t index, Options options, std::unique_ptr<Sa> SaChange::*to);

  const ForwarderOptions options_;
  NeighbourTable neighbours_;
  std::atomic<bool> neighbour_wanted_{false};  // one that is new, and not asked for yet
  std::atomic<const Tables*> current_;
  std::vector<std::unique_ptr<Shard>> shards_;  // null: of a worker that may come
  std::span<const std::unique_ptr<Shard>> live_shards() const;
  Slab<InboundSa> inbound_;
  Slab<OutboundSa> outbound_;
  PathMtus path_mtus_;
  Liveness liveness_;
  FlowOwners owners_;
  bool owners_moved_ = false;                       // and ports have not been told yet
  std::vector<std::unique_ptr<SaChange>> changes_;  // not yet carried out by all
  NonceWitnesses witnesses_;
  struct Retired {
    std::unique_ptr<const Tables> tables;
    uint64_t version;
  };
  std::vector<Retired> retired_;

  // Control thread: what workers' rings and the peer's blocks have come to.
  struct SyncControl {
    struct Held {
      bool holds = false;  // at a mark, until every worker's ring has come to it
      sync::Mark mark = sync::Mark::kBegin;
      uint64_t value = 0;
    };
    std::vector<Held> held;
    uint32_t next_worker = 0;
    std::vector<uint64_t> checks_wanted;
    bool checking = false;
    uint64_t expected = 0;
    SyncStatus status;
  };
  bool sync_ready() const;
  void sync_grow();
  bool sync_checked();
  uint32_t sync_owner(const sync::Record& record) const;
  uint32_t sync_mark(uint8_t* out);
  SyncControl sync_;
};

}  // namespace penstock
