// One worker's part of a forwarder: its stages and the state that only it writes. The path of a packet stands
// at the head of forwarder.cc; each stage file holds the methods of one part of it.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "../esp/esp_open.h"
#include "../esp/esp_seal.h"
#include "../packet/icmp_error.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/quoted.h"
#include "../session/session_table.h"
#include "../sync/session_sync.h"
#include "forwarder.h"
#include "fragment_memory.h"
#include "nonce_audit.h"
#include "plane.h"

// What every packet passes is inlined into its stage; what few do is kept out of it.
#define PENSTOCK_HOT [[gnu::always_inline]] inline
#define PENSTOCK_COLD [[gnu::noinline]]

namespace penstock {

// Frames gathered for one stage.
struct Batch {
  FrameIndex frames[kBurst];
  uint32_t count = 0;

  bool full() const { return count == kBurst; }
  void push(FrameIndex frame) { frames[count++] = frame; }
};

// What a session is found by, without where its packets arrive.
struct Flow5 {
  Address from;
  Address to;
  uint8_t protocol;
  uint16_t source_port;
  uint16_t destination_port;
  bool is_error;  // an ICMP error: the other fields are of the flow that it quotes, turned round
};

inline bool has_tcp_header(const Frame& frame) {
  return frame.protocol == protocol::kTcp && frame.l4 != 0 && (frame.flags & kFirstFragment) == 0;
}

// What a virtual service's packet belongs to, seen from its client whichever way it goes. Of an ICMP error
// it is the flow of the packet that it quotes.
struct ServiceFlow {
  Address client;
  Address service;  // virtual, or (answers) real
  uint8_t protocol;
  bool has_ports;
  bool is_error;
  bool quotes;           // an ICMP error, and `quoted` says what it quotes
  uint16_t client_port;  // or an ICMP echo's identifier, in both
  uint16_t service_port;
  Quoted quoted;
};

struct Forwarder::Shard {
  Shard(Forwarder& node, uint32_t worker);

  // forwarder.cc
  void begin_turn() {
    tables = node.current_.load();
    tap = node.tap();
    sync.begin_turn(tables->sync.get());
    // after the tables: who sees new ones sees what was changed before them
    if (changes.load(std::memory_order_acquire) != nullptr || first_change != nullptr) [[unlikely]]
      make_changes();
    if (sending.size() < tables->interfaces->first_of_port.size()) [[unlikely]]
      know_ports(tables->interfaces->first_of_port.size());
  }
  [[gnu::cold]] void know_ports(size_t count) {
    sending.resize(count);
    openings.resize(count);
  }
  void change(SaChange* change);
  [[gnu::cold]] void make_changes();
  [[gnu::cold]] void change_numbers(uint32_t index, const SaNumbers& numbers);

  // receive.cc
  bool receive(uint16_t port);
  Frame untagged_on(uint16_t port) const;
  void arrived_on(Frame& frame, uint16_t vlan) const;
  // Parsed: interface, filter, then ours or onward. `packet`: its first byte.
  PENSTOCK_HOT void accept(FrameIndex index, Frame& frame, const uint8_t* packet);
  PENSTOCK_COLD void group_addressed(FrameIndex index);
  PENSTOCK_HOT bool filter_passes(FrameIndex index, Frame& frame, const Address& to, int16_t filter);
  // By destination, in each frame's routing instance; to: the packets' destinations.
  PENSTOCK_HOT void look_up(const FrameIndex* frames, const Address* to, uint32_t count,
                            const NextHop** found) const;
  void route(const FrameIndex* frames, const Address* to, uint32_t count);
  void to_session_owner(FrameIndex index, const NextHop& next);
  bool hand_on(FrameIndex index, uint32_t to, Stage stage);
  PENSTOCK_COLD void hand_over(FrameIndex index, uint32_t to, Stage stage);

  // local.cc
  PENSTOCK_COLD void arp(FrameIndex index);
  void neighbour_discovery(FrameIndex index);
  PENSTOCK_COLD void local(FrameIndex index);
  bool is_punted_answer(const Frame& frame, const uint8_t* packet) const;
  void punt(FrameIndex index);
  PENSTOCK_COLD void icl(FrameIndex index);
  PENSTOCK_COLD void consume(FrameIndex index);  // it was for this node, which is done with it
  void tick_neighbours();
  void look_at_ports();
  void probe(uint32_t neighbour, const uint64_t* mac);
  bool is_own(FrameIndex index, const Address& address) const;  // of the interface that it came in on

  // liveness.cc
  PENSTOCK_COLD bool keep_alive(uint16_t known_ports);
  PENSTOCK_COLD void hear_bfd(FrameIndex index);
  bool send_bfd(const LivenessOptions& session, const uint8_t* bfd, uint32_t length);

  // session.cc
  void queue_session(FrameIndex index, const NextHop& next);
  void session_stage();
  void session_packet(FrameIndex index, const NextHop& next, const Flow5& flow, const SessionKey& key,
                      SessionRef ref);
  DropReason first_path(const Frame& frame, const NextHop& next, const Flow5& flow, const SessionKey& key,
                        bool is_tcp, uint8_t flags, SessionRef& ref);
  bool may_begin(const Frame& frame, bool is_tcp, uint8_t flags) const;
  void egress(const NextHop& next, const Frame& frame, uint16_t& routing_instance, uint16_t& zone) const;
  Flow5 flow_of(FrameIndex index) const;
  void expire();

  // wing.cc
  PENSTOCK_COLD void wing_packet(FrameIndex index, const NextHop& next, const Flow5& flow,
                                 const SessionKey& key, SessionRef ref);
  uint32_t situation_of(const Frame& frame, const NextHop& next, const Flow5& flow, SessionRef ref,
                        bool opens) const;
  void handle_here(FrameIndex index, const NextHop& next, const Flow5& flow, const SessionKey& key,
                   SessionRef ref);
  void take_wing(SessionRef ref, const IcdTable::Verdict& verdict);
  void wing_moved(SessionRef ref, bool peer_keeps);
  void send_across(FrameIndex index, bool is_piece);
  PENSTOCK_COLD void from_peer(FrameIndex index);
  uint32_t anchor_of_crossed(FrameIndex index, const NextHop& next) const;

  // esp.cc
  void open(FrameIndex index);
  uint32_t find_sas(OpenItem* items, FrameIndex* frames);
  void open_stage();
  void queue_seal(FrameIndex index);
  void seal_stage();
  void too_big_for_tunnel(FrameIndex index, uint32_t largest);

  // transmit.cc
  PENSTOCK_HOT void forward(FrameIndex index, const NextHop& next);  // TTL, then towards the next hop
  PENSTOCK_HOT void send_on(FrameIndex index, const NextHop& next);
  // Packets of the node's own: route and send.
  void originate(FrameIndex index) { originate(&index, 1); }
  void originate(const FrameIndex* frames, uint32_t count);
  // One that the control plane made: parse, then the same.
  PENSTOCK_COLD void send_own(FrameIndex index);
  PENSTOCK_COLD void refuse(FrameIndex index, DropReason reason, icmp_error::Kind error, uint32_t mtu = 0);
  PENSTOCK_HOT void to_neighbour(FrameIndex index, uint32_t neighbour);
  PENSTOCK_HOT void to_interface(FrameIndex index, uint16_t interface, uint64_t mac);
  PENSTOCK_HOT uint64_t group_hash(FrameIndex index, const GroupTable::Group& group) const;
  PENSTOCK_HOT void to_group(FrameIndex index, const GroupTable::Group& group);
  void pick_stage();
  PENSTOCK_COLD void fragment(FrameIndex index, uint16_t interface, uint64_t mac);
  void flush(uint16_t port);
  void flush_all();
  void release(uint32_t neighbour, uint64_t mac);
  void retry_pending();

  // service.cc
  PENSTOCK_COLD void to_service(FrameIndex index, const GroupTable::Group& group);
  PENSTOCK_COLD void service_stage();
  ServiceFlow service_flow(FrameIndex index, bool answers) const;
  bool with_flow_owner(FrameIndex index, const Address& client, Stage stage, Stage here);
  bool complete_fragment(FrameIndex index, ServiceFlow& flow, bool answers);
  static SessionKey flow_key(const ServiceFlow& flow, uint16_t routing_instance);
  SessionKey answers_key(const SessionKey& key, const GroupTable::Group& group, uint16_t member) const;
  void serve_remembered(FrameIndex index, const GroupTable::Group& group, const ServiceFlow& flow,
                        uint64_t hash, const SessionKey& key, SessionRef ref);
  void follow(SessionRef ref, bool is_tcp, uint8_t flags, uint32_t bytes);
  DropReason learn_flow(const GroupTable::Group& group, const SessionKey& key, uint16_t member, bool is_tcp,
                        uint8_t flags, uint32_t bytes);
  void serve(FrameIndex index, const GroupTable::Group& group, const ServiceFlow& flow, uint16_t number);
  void serve_encapsulated(FrameIndex index, const GroupTable::Member& member, const Encapsulation& tunnel,
                          const ServiceFlow& flow);
  void send_encapsulated(FrameIndex index, const GroupTable::Member& member, const Encapsulation& tunnel,
                         uint64_t entropy);
  void serve_translated(FrameIndex index, const GroupTable::Member& member, const VirtualService& service,
                        uint16_t number, const ServiceFlow& flow);
  uint32_t link_mtu(uint32_t neighbour) const;
  bool tunnel_error(FrameIndex index);
  void expire_flows();

  // returning.cc
  struct Offered {  // what a client knows a real service's port as
    bool found = false;
    Address address = {};
    uint16_t port = 0;     // 0: as it is
    bool is_away = false;  // its flow is with another worker by now
  };
  PENSTOCK_COLD bool take_return(FrameIndex index);
  PENSTOCK_COLD void return_stage();
  Offered offered_by(FrameIndex index, const ServiceFlow& flow);
  bool translate_back(FrameIndex index);

  // moving.cc
  [[gnu::cold]] void move_flows();
  bool begin_move();
  bool send_flows();
  bool send_last();
  bool send_moved(const void* header, const void* content, size_t bytes);
  PENSTOCK_COLD void take_flows(FrameIndex index);
  PENSTOCK_COLD void go_after(FrameIndex index, Stage stage);
  // Whether a flow of this bucket that is not here is, or is to be, with the worker that it moves to.
  bool moves_away(uint32_t bucket) const {
    return move.to != FlowOwners::kNobody && bucket != FlowOwners::kNobody && move.leaves[bucket];
  }
  bool session_moves_away(FrameIndex index, const NextHop& next, const Flow5& flow) const {
    if (move.to == FlowOwners::kNobody) [[likely]]
      return false;
    return anchor(index, next) == FlowOwners::kNobody && moves_away(bucket_of(flow));
  }

  const NextHop& next_hop(FrameIndex index, const Address& destination) const;
  PENSTOCK_HOT const NextHop& leads_to(uint32_t route) const;  // RouteTable::kNone: nowhere, a next hop too
  const NextHop& by_source(const RouteTable::Search& search, const Address& from) const;
  uint32_t owner(FrameIndex index, const NextHop& next) const;
  uint32_t anchor(FrameIndex index, const NextHop& next) const;
  static uint32_t bucket_of(const Flow5& flow) {
    return FlowOwners::bucket(flow.from, flow.to, flow.protocol,
                              uint32_t{flow.source_port} + flow.destination_port);
  }
  Address own_address(const Frame& offender) const;  // to speak from; unspecified when there is none
  Address source(FrameIndex index, const Frame& frame) const {
    const uint8_t* ip = data(index) + frame.l3;
    return frame.version == 4 ? Address::v4(ipv4::source(ip)) : Address::v6(ipv6::source(ip));
  }
  Address destination(FrameIndex index, const Frame& frame) const {
    const uint8_t* ip = data(index) + frame.l3;
    return frame.version == 4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  }
  Address source(FrameIndex index) const { return source(index, pool.frame(index)); }
  Address destination(FrameIndex index) const { return destination(index, pool.frame(index)); }
  void drop(FrameIndex index, DropReason reason) { node.drop(worker, now, index, reason); }
  void count(uint32_t statistic, uint32_t bytes) {
    if (statistic >= statistics.size()) return;
    ++statistics[statistic].packets;
    statistics[statistic].bytes += bytes;
  }
  uint8_t* data(FrameIndex index) const { return pool.data(index); }
  uint32_t ip_bytes(const Frame& frame) const { return static_cast<uint32_t>(frame.length) - frame.l3; }

  Forwarder& node;
  const uint32_t worker;
  Plane& plane;
  FramePool& pool;
  FrameCache& cache;
  Counters& counters;

  // of this turn
  uint64_t now = 0;
  const Tables* tables = nullptr;
  Tap* tap = nullptr;  // nobody watches

  Batch arrived;
  std::array<Address, kBurst> arrived_to;  // their destinations
  Batch opening;
  Batch session_in;
  std::array<const NextHop*, kBurst> session_next;  // where each frame of session_in goes afterwards
  struct Pick {
    const GroupTable::Group* group;
    uint32_t slot;
  };
  Batch picking;
  std::array<Pick, kBurst> picks;  // where in its group's table each frame of picking looks
  Batch sealing;
  Batch serving;
  std::array<const GroupTable::Group*, kBurst> service_groups;  // of each frame of serving
  Batch returning;
  std::vector<Batch> sending;  // per port that the tables know

  // What is to change in SAs of this worker: those that the control thread has added, and those taken from
  // there.
  std::atomic<SaChange*> changes{nullptr};
  SaChange* first_change = nullptr;
  SaChange* last_change = nullptr;
  static constexpr uint32_t kChangesPerTurn = 16;

  // Frames whose next hop is being resolved.
  struct Pending {
    FrameIndex frame;
    uint32_t neighbour;
    uint64_t since;
  };
  static constexpr uint32_t kMostPending = 64;
  static constexpr uint32_t kMostPendingPerNeighbour = 8;
  static constexpr uint64_t kPendingNs = 1'000'000'000;
  std::vector<Pending> pending;

  SessionTable sessions;
  SessionSync sync{sessions};
  // The flow memory of virtual services: In wings are clients' flows, policy is the member's id; it is there
  // when the node was given room for one.
  std::optional<SessionTable> flow_memory;
  static constexpr uint16_t kTranslatedAnswers = 2;  // zone of their keys
  static constexpr uint32_t kPeerTimeoutSeconds = 1800;
  static constexpr uint32_t kLeastPathMtuV4 = 576;  // RFC 791 §3.1: what every host takes
  FragmentMemory fragments;
  // Flows of this worker that are to be another's.
  struct Move {
    uint32_t round = 0;  // of the owners: up to this one nothing is left to move
    uint32_t to = FlowOwners::kNobody;
    uint32_t bucket = 0;  // the last of those that go
    std::array<bool, FlowOwners::kBuckets> leaves = {};
    uint32_t sessions = kNoSession;  // cursors; kNoSession: all have gone
    uint32_t flows = kNoSession;
    bool told = false;  // that these were all
  };
  Move move;
  bool is_here = false;         // the packet's flow has come to this worker, whoever its bucket's owner is
  uint16_t identification = 0;  // of outer headers, worker number modulo the most workers
  static constexpr unsigned kExpireBudget = 64;  // timers a turn
  static constexpr uint32_t kDefaultPolicy = 0;  // policy id of what default-policy permits
  std::vector<Statistic> statistics;
  NonceAuditor audit;
  uint64_t next_tick = 0;          // of the neighbours, worker 0's
  std::vector<uint32_t> openings;  // of each port, when last looked at; worker 0's
  uint64_t last_tick = 0;
  static constexpr uint64_t kLeastTickNs = 1'000'000;  // apart, however many new neighbours are wanted
  // ICMP errors are sent at this rate at most (RFC 4443 §2.4(f)), so many at once.
  static constexpr uint64_t kErrorIntervalNs = 1'000'000;
  static constexpr uint64_t kErrorBurst = 100;
  uint64_t errors_paid_until = 0;
};

}  // namespace penstock
