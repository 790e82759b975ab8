#include "core/event_buffer.h"

#include <doctest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

namespace {

struct Recorder {
  std::vector<Strings> flushes;
  EventBuffer<std::string> buffer{[this](Strings events) { flushes.push_back(std::move(events)); }};
};

}  // namespace

TEST_CASE("events are handed over together and in order, once") {
  Recorder recorder;
  recorder.buffer.Emit("a");
  recorder.buffer.EmitLater("b", 1h);
  recorder.buffer.Flush();
  recorder.buffer.Flush();
  CHECK(recorder.flushes == std::vector<Strings>{{"a", "b"}});
}

TEST_CASE("an empty buffer is never due and hands nothing over") {
  Recorder recorder;
  CHECK_FALSE(recorder.buffer.is_due());
  recorder.buffer.Flush();
  CHECK(recorder.flushes.empty());
}

TEST_CASE("an event that may wait is due when its interval since the latest flush is over") {
  Recorder recorder;
  recorder.buffer.EmitLater("first", 1h);
  // Nothing was flushed before.
  CHECK(recorder.buffer.is_due());
  recorder.buffer.Flush();
  recorder.buffer.EmitLater("second", 1h);
  CHECK_FALSE(recorder.buffer.is_due());
  recorder.buffer.Flush();
  recorder.buffer.EmitLater("third", 0ms);
  CHECK(recorder.buffer.is_due());
}

TEST_CASE(
    "an event that may not wait takes waiting events along, and is not delayed by later ones") {
  Recorder recorder;
  recorder.buffer.Emit("start");
  recorder.buffer.Flush();
  recorder.buffer.EmitLater("a", 1h);
  CHECK_FALSE(recorder.buffer.is_due());
  recorder.buffer.Emit("b");
  recorder.buffer.EmitLater("c", 1h);
  CHECK(recorder.buffer.is_due());
  recorder.buffer.Flush();
  CHECK(recorder.flushes.back() == Strings{"a", "b", "c"});
}
