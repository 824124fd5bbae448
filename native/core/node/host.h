// A traffic endpoint on a wire: a client that sends the flows it was given and checks every answer, or a
// server that checks every request and answers it with a packet of the same size. What a packet must look
// like is a function of (flow, sequence, direction), so both ends compare every byte and nothing is
// remembered per packet.
//
// A client waits on credit: it has at most `credit` packets under way on each worker, counted as frames that
// are not back in the pool, so a packet lost anywhere gives its credit back and none is waited for in vain.
//
// Or its flows have an interval each, and it sends by the clock, as a traffic generator does. Each end notes
// of each flow what came and the longest time that nothing did.
#pragma once
#include <vector>

#include "node.h"
#include "route_table.h"

namespace penstock {

struct Flow {
  Address source;
  Address destination;
  uint16_t source_port;
  uint16_t destination_port;
  uint64_t interval = 0;  // ns between its packets; 0: as fast as credit allows
  uint64_t first = 0;     // ns after the start of sending: its first packet
  uint16_t size = 0;      // of its IP packets; 0: as the host's sizes go round
};

// What an end knows of a flow.
struct FlowReport {
  uint64_t sent = 0;
  uint64_t delivered = 0;
  uint64_t last_arrival = 0;  // ns; 0: none yet
  uint64_t longest_gap = 0;   // ns between two arrivals, since it was last asked for
  uint64_t longest_gap_from = 0;
};

struct HostOptions {
  bool server = false;
  uint8_t mac[6] = {};
  uint8_t gateway_mac[6] = {};  // where all packets go: the wire's other end
  std::vector<Flow> flows;      // both ends hold the same flows, seen from the client
  std::vector<uint16_t> sizes;  // IP packet lengths (44 … 4000 for IPv4, 64 … for IPv6), round and round
  uint32_t credit = 128;        // client: packets under way per worker
  uint64_t seed = 1;
};

// Log-linear histogram of nanoseconds: 32 steps per power of two, so 3 % wide.
struct LatencyHistogram {
  static constexpr uint32_t kBuckets = 32 * 40;
  uint64_t counts[kBuckets] = {};
  static uint32_t bucket(uint64_t ns);
  static uint64_t upper_ns(uint32_t bucket);
};

class Host : public Node {
 public:
  // workers: that send. Those that come later receive, and answer.
  Host(std::string name, uint32_t workers, uint32_t most_workers, HostOptions options);
  Host(std::string name, uint32_t workers, HostOptions options)
      : Host(std::move(name), workers, workers, std::move(options)) {}
  ~Host() override;

  bool poll(uint32_t worker, uint64_t now) override;
  void resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) override;
  uint64_t next_deadline(uint32_t worker) const override;
  bool collect(uint64_t) override { return false; }
  void add_worker(uint32_t worker) override;

  // Control thread: a client starts paused.
  void set_sending(bool sending) { sending_.store(sending, std::memory_order_release); }
  const LatencyHistogram& latency(uint32_t worker) const;
  // Control thread, while no worker runs. The longest gaps begin anew.
  std::vector<FlowReport> take_reports();

 private:
  struct Shard;
  struct Expected;
  struct Arrival {
    enum Kind : uint8_t { kOther, kDelivered } kind;
    uint32_t flow;
    uint32_t sequence;
  };
  bool send(Shard& shard, uint32_t worker, uint64_t now);
  bool send_by_clock(Shard& shard, uint32_t worker, uint64_t now);
  bool receive(Shard& shard, uint32_t worker, uint64_t now);
  void transmit(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count, uint64_t bytes);
  Arrival check(Shard& shard, uint32_t worker, uint64_t now, FrameIndex frame);
  Arrival answer_control(uint32_t worker, FrameIndex frame);
  void write_packet(FrameIndex frame, uint32_t flow, uint32_t sequence, bool towards_server, uint64_t now);
  void expect(Expected& packet, uint32_t flow, uint32_t sequence, bool towards_server, uint64_t time,
              uint8_t ttl, const uint8_t* ethernet) const;
  uint16_t size_of(uint32_t flow, uint32_t sequence) const;

  const HostOptions options_;
  const uint32_t senders_;
  const bool by_clock_;
  std::vector<uint8_t> pattern_;
  std::vector<uint32_t> sums_;  // of the 16-bit words of pattern_ before each
  std::atomic<bool> sending_{false};
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace penstock
