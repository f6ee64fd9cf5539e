#ifndef RESR_RUN_DELIVER_SEGMENTS_H
#define RESR_RUN_DELIVER_SEGMENTS_H

#include "run/delivery.h"

/* The ranks that compute also encode, each the segments that it owns. Free with ops->free().
 * RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_deliver_segments_create(ResrDelivery **out,
                                                 const ResrDeliveryConfig *config);

#endif
