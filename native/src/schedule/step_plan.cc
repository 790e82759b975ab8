#include "schedule/step_plan.h"

#include <algorithm>

bool StepPlan::only_decodes() const {
  return !background && std::ranges::all_of(work, &StepWork::is_decode);
}

int32_t StepPlan::n_drafted() const {
  int32_t n = 0;
  for (const StepWork& each : work) n += static_cast<int32_t>(each.draft.size());
  return n;
}
