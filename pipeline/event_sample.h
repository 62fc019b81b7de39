// What of an event is shown in an alert: capped, credentials masked.
#pragma once

#include "event/event.h"
#include "event/observation.h"

namespace klaxon {

// A sample of `event`: capped texts, credentials in the query masked.
EventSample MakeSample(const EventView& event);

// Keeps the earliest; of several at one time the one that is least in an order
// that is the same in every run.
void OfferSample(const EventView& event, EventSample* sample);
// The same; `scratch` is written over.
void OfferSample(const EventView& event, EncodedSample* sample,
                 EventSample* scratch);

}  // namespace klaxon
