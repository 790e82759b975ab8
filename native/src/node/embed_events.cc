// The embedder's events as JavaScript receives them.
#include <algorithm>
#include <variant>
#include <vector>

#include "node/event_writer.h"
#include "node/events.h"

namespace {

class EmbedEventWriter : public EventWriter {
 public:
  using EventWriter::EventWriter;
  using EventWriter::operator();

  void operator()(const Started<EmbedderFacts>&) { Push(0, NewPayload("started")); }

  void operator()(const EmbedEnd& end) {
    Napi::Object object = NewPayload("embed-end");
    auto values = Napi::Float32Array::New(env(), end.values.size());
    std::ranges::copy(end.values, values.Data());
    object.Set("values", values);
    object.Set("queueMs", end.queue_ms);
    object.Set("computeMs", end.compute_ms);
    Push(end.id, object);
  }

  void operator()(const EmbedCancelled& cancelled) {
    Push(cancelled.id, NewPayload("embed-cancelled"));
  }
};

}  // namespace

Napi::Array EventsToJs(Napi::Env env, const std::vector<EmbedEvent>& events) {
  EmbedEventWriter writer(env);
  for (const EmbedEvent& event : events) std::visit(writer, event);
  return writer.array();
}
