#ifndef RESR_RUN_DELIVER_IN_ORDER_H
#define RESR_RUN_DELIVER_IN_ORDER_H

#include "run/delivery.h"

/* Rank 0 encodes all frames. Free with ops->free(). RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_deliver_in_order_create(ResrDelivery **out,
                                                 const ResrDeliveryConfig *config);

#endif
