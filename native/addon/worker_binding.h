// A plane as a worker thread sees it: NativeWorker of src/pipeline/native.ts.
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "held_plane.h"

namespace penstock::addon {

class WorkerBinding : public Napi::ObjectWrap<WorkerBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  // Called by attach_plane alone; JavaScript has no constructor to call.
  explicit WorkerBinding(const Napi::CallbackInfo& info);
  // With the environment when the thread ends in the middle of things.
  ~WorkerBinding() override;

  // poll(worker, budgetMicroseconds): false once the plane is stopped
  Napi::Value poll(const Napi::CallbackInfo& info);
  void detach(const Napi::CallbackInfo& info);

  void hold(std::shared_ptr<HeldPlane> plane) { plane_ = std::move(plane); }

 private:
  void let_go(bool lost);

  std::shared_ptr<HeldPlane> plane_;
  std::vector<uint32_t> claimed_;  // workers that this thread drives
};

// attachPlane(id, cpu)
Napi::Value attach_plane(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
