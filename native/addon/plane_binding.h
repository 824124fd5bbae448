// A plane as the control thread sees it: NativePlane of src/pipeline/native.ts.
//
//   plane_binding.cc   life, time, punts and injects
//   ports_binding.cc   nodes, wires, sockets, captures
//   tables_binding.cc  publish
//   sa_binding.cc      security associations
//   liveness_binding.cc BFD sessions
//   sync_binding.cc    what a pair shares
//   capture_binding.cc what passes, copied for whoever watches
//   virtual_binding.cc emulated links, time that goes as it is told
//   show_binding.cc    what show prints: counters, sessions, neighbours, records
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "args.h"
#include "held_plane.h"
#include "node/forwarder.h"
#include "node/host.h"
#include "port/link.h"

namespace penstock::addon {

class PlaneBinding : public Napi::ObjectWrap<PlaneBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  // Called by create_plane alone; JavaScript has no constructor to call.
  explicit PlaneBinding(const Napi::CallbackInfo& info);
  ~PlaneBinding() override;

  void hold(std::shared_ptr<HeldPlane> plane);

 private:
  struct Known {
    Forwarder* forwarder;  // null: a host
    Host* host;
    ForwarderOptions limits;
  };

  // The plane, or an error when it was closed.
  HeldPlane& plane() const;
  // As plane(), or an error while threads drive its workers.
  HeldPlane& idle_plane(const char* what) const;
  uint16_t node_id(const Arg& arg) const;
  Node& node(const Arg& arg) const;
  Forwarder& forwarder(const Arg& arg) const;
  Host& host(const Arg& arg) const;
  uint16_t port_index(const Arg& arg, Node& node) const;
  uint32_t worker(const Arg& arg) const;
  void let_go();

  Napi::Value id(const Napi::CallbackInfo& info);
  Napi::Value take_punts(const Napi::CallbackInfo& info);
  Napi::Value inject(const Napi::CallbackInfo& info);
  Napi::Value originate(const Napi::CallbackInfo& info);
  void grow(const Napi::CallbackInfo& info);
  void spread_flows(const Napi::CallbackInfo& info);
  Napi::Value flows_moving(const Napi::CallbackInfo& info);
  void collect(const Napi::CallbackInfo& info);
  Napi::Value worker_status(const Napi::CallbackInfo& info);
  Napi::Value frames_in_use(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  void advance(const Napi::CallbackInfo& info);
  void set_clock(const Napi::CallbackInfo& info);
  Napi::Value take_attention(const Napi::CallbackInfo& info);
  Napi::Value nonces(const Napi::CallbackInfo& info);
  Napi::Value arrivals(const Napi::CallbackInfo& info);
  Napi::Value next_deadline(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Napi::Value add_forwarder(const Napi::CallbackInfo& info);
  Napi::Value add_host(const Napi::CallbackInfo& info);
  Napi::Value add_link(const Napi::CallbackInfo& info);
  void set_link(const Napi::CallbackInfo& info);
  Napi::Value move_link_end(const Napi::CallbackInfo& info);
  Napi::Value flow_reports(const Napi::CallbackInfo& info);
  Napi::Value add_wire(const Napi::CallbackInfo& info);
  Napi::Value add_packet_socket(const Napi::CallbackInfo& info);
  Napi::Value add_xdp_socket(const Napi::CallbackInfo& info);
  Napi::Value add_tun(const Napi::CallbackInfo& info);
  Napi::Value add_capture(const Napi::CallbackInfo& info);
  Napi::Value added(uint16_t port) const;
  void remove_port(const Napi::CallbackInfo& info);
  Napi::Value port_status(const Napi::CallbackInfo& info);
  void set_node_running(const Napi::CallbackInfo& info);
  void set_sending(const Napi::CallbackInfo& info);

  void publish(const Napi::CallbackInfo& info);

  Napi::Value add_inbound_sas(const Napi::CallbackInfo& info);
  Napi::Value add_outbound_sas(const Napi::CallbackInfo& info);
  void change_sas(const Napi::CallbackInfo& info);
  void retire_sas(const Napi::CallbackInfo& info);
  Napi::Value sa_room(const Napi::CallbackInfo& info);
  Napi::Value sa_keys(const Napi::CallbackInfo& info);
  Napi::Value sa_status(const Napi::CallbackInfo& info);

  void liveness(const Napi::CallbackInfo& info);
  Napi::Value take_liveness(const Napi::CallbackInfo& info);
  Napi::Value liveness_status(const Napi::CallbackInfo& info);
  void sync_command(const Napi::CallbackInfo& info);
  Napi::Value sync_pull(const Napi::CallbackInfo& info);
  Napi::Value sync_apply(const Napi::CallbackInfo& info);
  Napi::Value sync_status(const Napi::CallbackInfo& info);
  Napi::Value sa_sequences(const Napi::CallbackInfo& info);
  void change_numbers(const Napi::CallbackInfo& info);

  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value counter_totals(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  Napi::Value neighbours(const Napi::CallbackInfo& info);
  void learn_neighbours(const Napi::CallbackInfo& info);
  Napi::Value drop_records(const Napi::CallbackInfo& info);
  Napi::Value sessions(const Napi::CallbackInfo& info);
  Napi::Value flows(const Napi::CallbackInfo& info);
  Napi::Value session_page(Napi::Env env, const SessionTable* table, uint32_t from, uint32_t cursor,
                           uint32_t most);
  Napi::Value flow_count(const Napi::CallbackInfo& info);
  Napi::Value session_count(const Napi::CallbackInfo& info);
  void set_capture(const Napi::CallbackInfo& info);
  Napi::Value take_captured(const Napi::CallbackInfo& info);
  Napi::Value capture_missed(const Napi::CallbackInfo& info);
  Napi::Value latency(const Napi::CallbackInfo& info);
  Napi::Value nonce_audit(const Napi::CallbackInfo& info);

  std::shared_ptr<HeldPlane> plane_;
  uint32_t id_ = 0;
  uint64_t stepped_to_ = 0;   // virtual time; 0: real time
  std::vector<Known> known_;  // by node id
  std::vector<std::shared_ptr<Link>> links_;
};

// createPlane(options)
Napi::Value create_plane(const Napi::CallbackInfo& info);
// planesAlive(): planes of this process whose memory is not yet freed
Napi::Value planes_alive(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
