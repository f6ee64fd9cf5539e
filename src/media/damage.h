#ifndef RESR_MEDIA_DAMAGE_H
#define RESR_MEDIA_DAMAGE_H

/* Which frames of a damaged video are missing: packets before the first picture, and the times for
 * which the frame before is repeated. Not for other folders. One thread. */

#include <libavcodec/avcodec.h>
#include <stdbool.h>

#include "base/error.h"

/* A packet that was sent before the first picture came out. */
typedef struct ResrLeadPacket {
    int64_t pts;
    bool key, discarded;
} ResrLeadPacket;

typedef struct ResrDamage {
    ResrLeadPacket *lead;
    size_t lead_count, lead_capacity;
    int64_t lead_errors; /* packets and pictures that the decoder could not use */
    int64_t *lost;       /* times of packets that gave no picture, unordered */
    size_t lost_count, lost_capacity;
    int suspicion; /* pictures from now on before which a gap is damage */
} ResrDamage;

/* A packet is sent before the first picture. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_damage_lead(ResrDamage *damage, const AVPacket *packet);

/* Of the packets before the first picture, whose time is `pts`: how many show nothing. *fatal: that
 * is damage. None is: pictures before the first keyframe in a stream that may start anywhere
 * (`any_start`) or whose frames are not counted, and pictures that lead the first keyframe. */
int64_t resr_damage_count_lead(const ResrDamage *damage, int64_t pts, bool counted, bool any_start,
                               bool *fatal);

/* Something is missing from here on; `pts`: at that time, or AV_NOPTS_VALUE. */
RESR_MUST_CHECK int resr_damage_lose(ResrDamage *damage, int64_t pts);

/* Is a picture missing between the times `last` and `next` (INT64_MAX: the input has ended)? Its
 * time in *pts. `step`: duration of a frame, 0 if it varies; at most `limit` frames are made up. */
bool resr_damage_hole(ResrDamage *damage, int64_t *pts, int64_t last, int64_t next, double step,
                      int64_t limit);

/* A picture of time `pts` is handed out. */
void resr_damage_pass(ResrDamage *damage, int64_t pts);

void resr_damage_free(ResrDamage *damage);

#endif
